// Package teemstest runs a whole TEEMS cluster inside a test: real servers, a
// real gateway and a real coordinator, in one process, over connections in
// memory, in simulated TEEs.
//
//	cluster := teemstest.NewCluster(t)
//	alice, bob := cluster.Register(t, "alice"), cluster.Register(t, "bob")
//
// It guarantees that the servers run the code that they run in production,
// attestation and commits included, and that nothing is left, no goroutine
// either, when the test ends. It protects nothing: the TEEs are simulated.
// Epochs follow the clock, so a test waits for results, never for time.
package teemstest
