package teemstest_test

import (
	"testing"
	"time"

	"github.com/teems-go/teems/client"
	"github.com/teems-go/teems/teemstest"
)

// In a test of one's own.
func Example() {
	var t *testing.T // the test's
	cluster := teemstest.NewCluster(t, teemstest.Servers(3), teemstest.Period(10*time.Millisecond))
	alice, bob := cluster.Register(t, "alice"), cluster.Register(t, "bob")
	if _, err := alice.Send(t.Context(), client.Outgoing{To: bob.Address(), Body: []byte("hello")}); err != nil {
		t.Fatal(err)
	}
	m, err := bob.Receive(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if string(m.Body) != "hello" || m.From != alice.Address() {
		t.Errorf("received %q from %v", m.Body, m.From)
	}
}
