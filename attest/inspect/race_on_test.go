//go:build race

package inspect_test

// slow says that the race detector makes everything slow.
const slow = true
