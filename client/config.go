package client

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"
)

// Clock is a source of time. Implementations are safe for concurrent use.
type Clock interface {
	Now() time.Time
	// AfterFunc calls f in a goroutine of its own after d, unless stop is called
	// before and returns true.
	AfterFunc(d time.Duration, f func()) (stop func() bool)
}

type systemClock struct{}

func (systemClock) Now() time.Time { return time.Now() }

func (systemClock) AfterFunc(d time.Duration, f func()) func() bool { return time.AfterFunc(d, f).Stop }

// Dial connects to the address of a gateway.
type Dial func(ctx context.Context, address string) (net.Conn, error)

func dialTCP(ctx context.Context, address string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "tcp", address)
}

// Config is what a Client needs. The first three fields have no default.
type Config struct {
	Manifest *Manifest
	Identity *Identity
	Gateways []string // addresses; the next one is tried when one fails

	Inbox Inbox // where deliveries go. nil: NewMemoryInbox()
	// Head is the newest head that an earlier run of this client saw
	// (Client.Head); nil: none. It lets the client notice that the whole cluster
	// was set back in between.
	Head *EpochHead

	QueueLimit int // messages that may wait, and requests. 0: 1024

	Dial       Dial          // nil: TCP
	Clock      Clock         // nil: the system's
	Random     io.Reader     // nil: crypto/rand. Cryptographically secure, safe for concurrent use
	Log        *slog.Logger  // connections come and go, no secrets. nil: nowhere
	BackoffMin time.Duration // before connecting again; doubles. 0: 50 ms
	BackoffMax time.Duration // 0: 5 s
	IOTimeout  time.Duration // to connect and attach, and for one write. 0: 40 s
}

func (c Config) withDefaults() (Config, error) {
	switch {
	case c.Manifest == nil || c.Identity == nil:
		return c, fmt.Errorf("%w: it takes a manifest and an identity", ErrConfig)
	case len(c.Gateways) == 0:
		return c, fmt.Errorf("%w: it takes the address of a gateway", ErrConfig)
	case c.Identity.cluster != c.Manifest.cluster:
		return c, fmt.Errorf("%w: the identity", ErrWrongCluster)
	case c.Identity.register != nil && c.Identity.Era() < c.Manifest.Era():
		return c, fmt.Errorf("%w: the identity's are of era %d, the cluster's of era %d: register again", ErrEra, c.Identity.Era(), c.Manifest.Era())
	case c.Identity.register != nil && c.Identity.Era() > c.Manifest.Era():
		return c, fmt.Errorf("%w: it is of era %d, and the identity of era %d: somebody gave an old manifest", ErrManifest, c.Manifest.Era(), c.Identity.Era())
	case int64(c.Identity.id) >= int64(c.Manifest.Capacity()):
		return c, fmt.Errorf("%w: the manifest's capacity is below the identity's ID", ErrConfig)
	case c.QueueLimit < 0 || c.BackoffMin < 0 || c.BackoffMax < 0 || c.IOTimeout < 0:
		return c, fmt.Errorf("%w: limits and times are 0, for the default, or more", ErrConfig)
	}
	if c.Inbox == nil {
		c.Inbox = NewMemoryInbox()
	}
	if c.QueueLimit == 0 {
		c.QueueLimit = 1024
	}
	if c.Dial == nil {
		c.Dial = dialTCP
	}
	if c.Clock == nil {
		c.Clock = systemClock{}
	}
	if c.Random == nil {
		c.Random = rand.Reader
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	setTime(&c.BackoffMin, 50*time.Millisecond)
	setTime(&c.BackoffMax, 5*time.Second)
	setTime(&c.IOTimeout, 40*time.Second)
	return c, nil
}

func setTime(d *time.Duration, value time.Duration) {
	if *d == 0 {
		*d = value
	}
}

// sleep returns after d or when ctx is done.
func sleep(ctx context.Context, clock Clock, d time.Duration) {
	over := make(chan struct{})
	stop := clock.AfterFunc(d, func() { close(over) })
	defer stop()
	select {
	case <-over:
	case <-ctx.Done():
	}
}
