package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/teems-go/teems/geometry"
)

// ErrConfig is the kind of the errors of New.
var ErrConfig = errors.New("gateway: bad configuration")

// Config is what a gateway needs to know. Fields that may be zero have the
// default that their comment names.
type Config struct {
	Geometry *geometry.Geometry

	// Fronts are the servers' front addresses, by the server's number in
	// the geometry. A server that only routes has no clients: its address is
	// not used.
	Fronts []string

	// Dial connects to a front address. nil: TCP.
	Dial func(ctx context.Context, address string) (net.Conn, error)

	// Log takes what an operator should know; nothing in it is about one
	// client. nil: nowhere.
	Log *slog.Logger

	MaxConnections   int // of every kind, those to servers included. 0: 17,000
	MaxRegistrations int // at a time. 0: 256
	MaxCoordinators  int // at a time. 0: 16
	ClientQueueBytes int // waiting for one client. 0: what a client that comes back can be owed
	QueueBytes       int // waiting for all clients. 0: 256 MiB
	LinkQueueBytes   int // waiting for one server, above which its clients wait. 0: 8 MiB

	AttachTimeout   time.Duration // from accepting to a whole Attach. 0: 10 s
	AnswerTimeout   time.Duration // from Attach to the server's answer. 0: 30 s
	WriteTimeout    time.Duration // without any progress, to a client or a server. 0: 20 s
	RegisterTimeout time.Duration // for a whole registration. 0: 3 min
	DialTimeout     time.Duration // 0: 5 s
	BackoffMin      time.Duration // before a link is dialled again; doubles. 0: 20 ms
	BackoffMax      time.Duration // 0: 2 s
	FlushDelay      time.Duration // gathers clients' cells into one write. 0: 500 us; negative: none
	ReportDelay     time.Duration // gathers changes for coordinators. 0: 3 ms
}

func (c Config) withDefaults() (Config, error) {
	if c.Geometry == nil {
		return c, fmt.Errorf("%w: no Geometry", ErrConfig)
	}
	if len(c.Fronts) != c.Geometry.Servers() {
		return c, fmt.Errorf("%w: %d front addresses for %d servers", ErrConfig, len(c.Fronts), c.Geometry.Servers())
	}
	if c.Dial == nil {
		c.Dial = func(ctx context.Context, address string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", address)
		}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	// All deliveries that a server keeps for a client, and some frames more.
	owed := (c.Geometry.Params().DeliveryEpochs + 16) * (geometry.CellFrameHeaderBytes + c.Geometry.ClientDownLimit())
	for _, f := range []struct {
		name  string
		field *int
		value int
	}{
		{"MaxConnections", &c.MaxConnections, 17000},
		{"MaxRegistrations", &c.MaxRegistrations, 256},
		{"MaxCoordinators", &c.MaxCoordinators, 16},
		{"ClientQueueBytes", &c.ClientQueueBytes, owed},
		{"QueueBytes", &c.QueueBytes, 256 << 20},
		{"LinkQueueBytes", &c.LinkQueueBytes, 8 << 20},
	} {
		if *f.field < 0 {
			return c, fmt.Errorf("%w: %s is %d: choose 1 or more, or 0 for the default", ErrConfig, f.name, *f.field)
		}
		if *f.field == 0 {
			*f.field = f.value
		}
	}
	if c.MaxConnections > maxSlots {
		return c, fmt.Errorf("%w: MaxConnections is %d: choose at most %d, and more gateways", ErrConfig, c.MaxConnections, maxSlots)
	}
	for _, f := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&c.AttachTimeout, 10 * time.Second},
		{&c.AnswerTimeout, 30 * time.Second},
		{&c.WriteTimeout, 20 * time.Second},
		{&c.RegisterTimeout, 3 * time.Minute},
		{&c.DialTimeout, 5 * time.Second},
		{&c.BackoffMin, 20 * time.Millisecond},
		{&c.BackoffMax, 2 * time.Second},
		{&c.FlushDelay, 500 * time.Microsecond},
		{&c.ReportDelay, 3 * time.Millisecond},
	} {
		if *f.field == 0 {
			*f.field = f.value
		}
	}
	return c, nil
}
