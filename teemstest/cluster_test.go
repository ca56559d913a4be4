package teemstest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/teems-go/teems/client"
	"github.com/teems-go/teems/internal/cell"
)

// leftovers fails the test if goroutines of it are left at its very end.
func leftovers(t *testing.T) {
	t.Helper()
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		for until := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(until) {
				stacks := make([]byte, 1<<20)
				t.Fatalf("%d goroutines are left, %d were there before:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
			}
		}
	})
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func send(t *testing.T, c *client.Client, m client.Outgoing) client.Receipt {
	t.Helper()
	r, err := c.Send(within(t), m)
	if err != nil {
		t.Fatalf("sending: %v", err)
	}
	return r
}

func receive(t *testing.T, c *client.Client) client.Message {
	t.Helper()
	m, err := c.Receive(within(t))
	if err != nil {
		t.Fatalf("receiving: %v", err)
	}
	return m
}

func TestBothChannels(t *testing.T) {
	leftovers(t)
	c := NewCluster(t)
	alice, bob := c.Register(t, "alice"), c.Register(t, "bob")

	r := send(t, alice, client.Outgoing{To: bob.Address(), Body: []byte("hello over id")})
	m := receive(t, bob)
	if string(m.Body) != "hello over id" || m.From != alice.Address() || m.Channel != client.IDChannel || m.Contact || m.Epoch != r.Epoch {
		t.Errorf("received %+v, sent in epoch %d", m, r.Epoch)
	}
	if err := bob.WaitAcknowledged(within(t), m.Epoch); err != nil {
		t.Error(err)
	}

	token, err := bob.RequestToken(within(t), client.TokenRequest{For: alice.Address()})
	must(t, err)
	handed, err := alice.Manifest().ParseToken(token.Text())
	must(t, err)
	r = send(t, alice, client.Outgoing{Token: handed, Body: nil})
	m = receive(t, bob)
	if len(m.Body) != 0 || m.From != alice.Address() || m.Channel != client.TokenChannel || m.Slot != token.Slot() || m.Epoch != r.Epoch {
		t.Errorf("received %+v, sent in epoch %d", m, r.Epoch)
	}
	if r.Epoch < token.First() || r.Epoch >= token.End() {
		t.Errorf("a token of epochs %d to %d was used in %d", token.First(), token.End(), r.Epoch)
	}

	pass, err := alice.RequestPass(within(t), client.PassRequest{For: bob.Address(), Ceiling: 5})
	must(t, err)
	send(t, bob, client.Outgoing{Pass: pass, Priority: 5, Body: []byte("as a contact")})
	if m = receive(t, alice); string(m.Body) != "as a contact" || !m.Contact {
		t.Errorf("received %+v", m)
	}
}

func TestTokens(t *testing.T) {
	leftovers(t)
	c := NewCluster(t, TokenEpochs(12), TokenChannel(1, 2), Period(50*time.Millisecond)) // which a busy machine keeps up with
	alice, bob, carol := c.Register(t, "alice"), c.Register(t, "bob"), c.Register(t, "carol")
	ctx := within(t)

	early, err := bob.RequestToken(ctx, client.TokenRequest{For: alice.Address(), Epochs: 2, Start: bob.Status().Open + 10})
	must(t, err)
	if r := send(t, alice, client.Outgoing{Token: early, Body: []byte("waits")}); r.Epoch != early.First() {
		t.Errorf("sent in epoch %d, the token is valid from %d on", r.Epoch, early.First())
	}
	if _, err := carol.Send(ctx, client.Outgoing{Token: early, Body: []byte("stolen")}); !errors.Is(err, client.ErrBadToken) {
		t.Errorf("another's token: %v", err)
	}
	must(t, alice.WaitEpoch(ctx, early.End()))
	if _, err := alice.Send(ctx, client.Outgoing{Token: early, Body: []byte("late")}); !errors.Is(err, client.ErrTokenExpired) {
		t.Errorf("a token that is over: %v", err)
	}
	if _, err := bob.RequestToken(ctx, client.TokenRequest{For: alice.Address(), Start: 1}); !errors.Is(err, client.ErrTokenWindow) {
		t.Errorf("a token for the past: %v", err)
	}

	// Two slots; then an honest no; and another start of the same client, which
	// does not know what is given away, finds that out from the server.
	slots := []int{}
	for range 2 {
		token, err := bob.RequestToken(ctx, client.TokenRequest{For: alice.Address()})
		must(t, err)
		slots = append(slots, token.Slot())
	}
	if slices.Sort(slots); !slices.Equal(slots, []int{0, 1}) {
		t.Errorf("slots %v", slots)
	}
	var full *client.SlotsError
	if _, err := bob.RequestToken(ctx, client.TokenRequest{For: carol.Address()}); !errors.As(err, &full) {
		t.Fatalf("a third token: %v", err)
	}
	token, err := bob.RequestToken(ctx, client.TokenRequest{For: carol.Address(), Start: full.Free, Epochs: 1})
	must(t, err)
	send(t, carol, client.Outgoing{Token: token, Body: []byte("after the others")})

	bob.Close()
	bob = c.Register(t, "bob")
	if token, err := bob.RequestToken(ctx, client.TokenRequest{For: carol.Address(), Epochs: 1}); err == nil && token.First() < full.Free {
		t.Errorf("a slot was given away twice: %v, free from %d on", token, full.Free)
	} else if err != nil && !errors.Is(err, client.ErrNoSlot) {
		t.Error(err)
	}
}

// TestForgedToken: a token of which one bit was changed, and the checksum of
// its text with it, looks like any other here; the servers know better. With
// such a pass a sender is the stranger that it is without one.
func TestForgedToken(t *testing.T) {
	leftovers(t)
	c := NewCluster(t)
	alice, bob := c.Register(t, "alice"), c.Register(t, "bob")
	token, err := bob.RequestToken(within(t), client.TokenRequest{For: alice.Address()})
	must(t, err)
	pass, err := bob.RequestPass(within(t), client.PassRequest{For: alice.Address(), Ceiling: 3})
	must(t, err)
	id := c.Manifest().Cluster()
	cluster := cell.FingerprintOf(&id)
	forge := func(text string, change func(*cell.Token)) string {
		t.Helper()
		x, err := cell.ParseToken(text, cluster)
		must(t, err)
		change(&x)
		text, err = x.Text(cluster)
		must(t, err)
		return text
	}
	for name, change := range map[string]func(*cell.Token){
		"a bit of the MAC": func(x *cell.Token) { x.MAC[7] ^= 0x10 },
		"its end":          func(x *cell.Token) { x.E2-- },
	} {
		forged, err := alice.Manifest().ParseToken(forge(token.Text(), change))
		must(t, err)
		if _, err := alice.Send(within(t), client.Outgoing{Token: forged, Body: []byte("forged")}); !errors.Is(err, client.ErrBadToken) {
			t.Errorf("a token with %s changed: %v", name, err)
		}
		forgedPass, err := alice.Manifest().ParsePass(forge(pass.Text(), change))
		must(t, err)
		send(t, alice, client.Outgoing{Pass: forgedPass, Priority: 3, Body: []byte("as a stranger")})
		if m := receive(t, bob); m.Contact || string(m.Body) != "as a stranger" {
			t.Errorf("a pass with %s changed: received %+v", name, m)
		}
	}
	send(t, alice, client.Outgoing{Token: token, Body: []byte("genuine")})
	if m := receive(t, bob); string(m.Body) != "genuine" {
		t.Errorf("received %q", m.Body)
	}
}

// TestWrongMessages: what cannot be sent is said at once, or in the result.
func TestWrongMessages(t *testing.T) {
	leftovers(t)
	c := NewCluster(t)
	other := NewCluster(t)
	alice, bob := c.Register(t, "alice"), c.Register(t, "bob")
	if _, err := alice.Send(within(t), client.Outgoing{To: other.Manifest().Address(1)}); !errors.Is(err, client.ErrWrongCluster) {
		t.Errorf("an address of another cluster: %v", err)
	}
	if _, err := alice.Send(within(t), client.Outgoing{To: c.Manifest().Address(60), Body: []byte("nobody")}); !errors.Is(err, client.ErrUnknownRecipient) {
		t.Errorf("nobody's address: %v", err)
	}
	long := make([]byte, c.Manifest().MaxBody()+1)
	var tooLong *client.TooLongError
	if _, err := alice.Send(within(t), client.Outgoing{To: bob.Address(), Body: long}); !errors.As(err, &tooLong) || tooLong.Limit != len(long)-1 {
		t.Errorf("a long message: %v", err)
	}
	send(t, alice, client.Outgoing{To: bob.Address(), Body: long[1:]})
	if m := receive(t, bob); len(m.Body) != len(long)-1 {
		t.Errorf("received %d bytes", len(m.Body))
	}
}

func TestRegisterAgain(t *testing.T) {
	leftovers(t)
	c := NewCluster(t, Servers(3))
	alice, bob := c.Register(t, "alice"), c.Register(t, "bob")
	old := c.Identity(t, "alice")
	renewed, err := client.RegisterAgain(within(t), c.RegisterConfig(), old)
	must(t, err)
	if renewed.Address() != old.Address() || renewed.Generation() != old.Generation()+1 {
		t.Errorf("%v of generation %d became %v of %d", old, old.Generation(), renewed, renewed.Generation())
	}
	alice.Close()
	if _, err := client.Connect(within(t), c.ClientConfig(old)); !errors.Is(err, client.ErrKeyReplaced) {
		t.Errorf("the old identity: %v", err)
	}
	back, err := client.ParseIdentity(renewed.Encode())
	must(t, err)
	again := c.Connect(t, c.ClientConfig(back))
	send(t, again, client.Outgoing{To: bob.Address(), Body: []byte("new keys")})
	if m := receive(t, bob); m.From != old.Address() || string(m.Body) != "new keys" {
		t.Errorf("received %+v", m)
	}
}

func TestFull(t *testing.T) {
	leftovers(t)
	c := NewCluster(t, Capacity(2), Servers(1))
	c.Identity(t, "alice")
	c.Identity(t, "bob")
	if _, err := client.Register(within(t), c.RegisterConfig()); !errors.Is(err, client.ErrFull) {
		t.Errorf("a third client of two: %v", err)
	}
}

// TestReconnect cuts connections while messages flow: each arrives once. Those
// that have to be sent again are overtaken.
func TestReconnect(t *testing.T) {
	leftovers(t)
	c := NewCluster(t)
	alice, bob := c.Register(t, "alice"), c.Register(t, "bob")
	const messages = 12
	var queued []*client.Sending
	for i := range messages {
		s, err := alice.Queue(client.Outgoing{To: bob.Address(), Body: fmt.Append(nil, i)})
		must(t, err)
		queued = append(queued, s)
	}
	for i, s := range queued {
		switch i % 4 {
		case 1:
			c.Cut()
		case 3:
			c.CutServer(i % 2)
		}
		if _, err := s.Wait(within(t)); err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
	}
	came := map[string]uint64{}
	for range messages {
		m := receive(t, bob)
		came[string(m.Body)] = m.Epoch
	}
	for i, s := range queued {
		if r, _ := s.Wait(within(t)); came[fmt.Sprint(i)] != r.Epoch {
			t.Errorf("message %d came in epoch %d, was taken in %d", i, came[fmt.Sprint(i)], r.Epoch)
		}
	}
	if s := bob.Status(); s.Missed != 0 {
		t.Errorf("%d deliveries missed", s.Missed)
	}
}

// TestOffline: what came while a client was away is there when it returns, and
// what it acknowledged does not come again.
func TestOffline(t *testing.T) {
	leftovers(t)
	c := NewCluster(t)
	alice, bob := c.Register(t, "alice"), c.Register(t, "bob")
	send(t, alice, client.Outgoing{To: bob.Address(), Body: []byte("first")})
	m := receive(t, bob)
	must(t, bob.WaitAcknowledged(within(t), m.Epoch))
	bob.Close()
	send(t, alice, client.Outgoing{To: bob.Address(), Body: []byte("second")})
	bob = c.Register(t, "bob")
	if m := receive(t, bob); string(m.Body) != "second" {
		t.Errorf("received %q", m.Body)
	}
}

// TestManyClients: 20 clients send at random over both channels, and all of it
// arrives: on the ID channel a client sends on only when the last message has
// come, so that no mailbox is ever full.
func TestManyClients(t *testing.T) {
	leftovers(t)
	const n, rounds = 20, 3
	c := NewCluster(t, Servers(3), IDChannel(1, 1, n), TokenChannel(1, n))
	clients := make([]*client.Client, n)
	var start sync.WaitGroup
	for i := range clients {
		start.Go(func() { clients[i] = c.Register(t, fmt.Sprint(i)) })
	}
	start.Wait()
	if t.Failed() {
		return
	}
	ctx := within(t)
	random := rand.New(rand.NewPCG(1, 2))
	want := make([]map[string]client.Address, n)
	for i := range want {
		want[i] = map[string]client.Address{}
	}
	var senders sync.WaitGroup
	for i, c := range clients {
		to, from := random.Perm(n)[:rounds], random.IntN(n)
		for k, j := range to {
			want[j][fmt.Sprintf("id %d %d", i, k)] = c.Address()
		}
		want[i][fmt.Sprintf("token %d %d", from, i)] = clients[from].Address()
		senders.Go(func() {
			token, err := c.RequestToken(ctx, client.TokenRequest{For: clients[from].Address()})
			if err != nil {
				t.Errorf("client %d: %v", i, err)
				return
			}
			if _, err := clients[from].Send(ctx, client.Outgoing{Token: token, Body: fmt.Appendf(nil, "token %d %d", from, i)}); err != nil {
				t.Errorf("client %d with a token of %d: %v", from, i, err)
			}
		})
		senders.Go(func() {
			for k, j := range to {
				if _, err := c.Send(ctx, client.Outgoing{To: clients[j].Address(), Body: fmt.Appendf(nil, "id %d %d", i, k)}); err != nil {
					t.Errorf("client %d: %v", i, err)
				}
			}
		})
	}
	senders.Wait()
	for i, c := range clients {
		for range len(want[i]) {
			m, err := c.Receive(ctx)
			if err != nil {
				t.Fatalf("client %d still misses %v: %v", i, want[i], err)
			}
			if want[i][string(m.Body)] != m.From {
				t.Errorf("client %d received %q from %v", i, m.Body, m.From)
			}
			delete(want[i], string(m.Body))
		}
	}
}

// TestLayouts: roles on servers of their own, and the other settings.
func TestLayouts(t *testing.T) {
	leftovers(t)
	for _, options := range [][]Option{
		{Layout("i", "i", "r", "s", "s"), Period(0)},
		{Layout("irs", "rs"), OpenIDChannel(2, 3), TokenChannel(0, 0), CellBytes(64), DeliveryEpochs(8), SimulatedClients(1)},
	} {
		c := NewCluster(t, options...)
		alice, bob := c.Register(t, "alice"), c.Register(t, "bob")
		send(t, alice, client.Outgoing{To: bob.Address(), Priority: 3, Body: []byte("hello")})
		if m := receive(t, bob); string(m.Body) != "hello" {
			t.Errorf("received %q", m.Body)
		}
		if _, err := client.ParseManifest(c.ManifestFile(t), c.Manifest().Hash()); err != nil {
			t.Error(err)
		}
	}
}
