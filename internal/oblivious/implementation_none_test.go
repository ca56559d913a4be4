//go:build !amd64 || purego

package oblivious

func implementations() []string { return []string{"portable"} }

func use(string) (restore func()) { return func() {} }
