//go:build !race

package inspect_test

const slow = false
