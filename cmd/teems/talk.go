package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/teems-go/teems/attest/simulated"
	"github.com/teems-go/teems/client"
	"github.com/teems-go/teems/internal/deploy"
)

// talkEpochs is from one message of a talker to its next.
const talkEpochs = 8

var talkerNames = []string{"carol", "dave", "erin"}

// talker is a client that up runs.
type talker struct {
	name string
	*client.Client
	token *client.Token // to write to the next one with
}

// talk registers a few clients, each of which writes to the next one, on the ID
// channel and with a token in turn, and tells what arrives, until ctx is done.
func talk(ctx context.Context, c *deploy.Cluster, n int, say func(string)) error {
	if n == 0 {
		return nil
	}
	m, err := client.FromSigned(c.Manifest)
	if err != nil {
		return err
	}
	talkers := make([]*talker, n)
	failed := make([]error, n)
	var all sync.WaitGroup
	for i := range talkers {
		all.Go(func() { talkers[i], failed[i] = newTalker(ctx, c, m, i) })
	}
	all.Wait()
	defer func() {
		for _, t := range talkers {
			if t != nil {
				t.Close()
			}
		}
	}()
	if err := errors.Join(failed...); err != nil {
		return err
	}
	names := map[client.Address]string{}
	for _, t := range talkers {
		names[t.Address()] = t.name
	}
	say(fmt.Sprintf("%d clients have registered and talk to each other", n))
	for i, t := range talkers {
		all.Go(func() { failed[i] = t.listen(ctx, names, say) })
		all.Go(func() { t.speak(ctx, talkers[(i+1)%n]) })
	}
	all.Wait()
	return errors.Join(failed...)
}

func newTalker(ctx context.Context, c *deploy.Cluster, m *client.Manifest, i int) (*talker, error) {
	id, err := client.Register(ctx, client.RegisterConfig{
		Manifest: m, Gateways: c.Gateways, Verifiers: simulated.Verifiers(), Wait: true,
	})
	if err != nil {
		return nil, err
	}
	cl, err := client.Connect(ctx, client.Config{Manifest: m, Identity: id, Gateways: c.Gateways})
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("client %d", i)
	if i < len(talkerNames) {
		name = talkerNames[i]
	}
	return &talker{name: name, Client: cl}, nil
}

// listen tells what arrives.
func (t *talker) listen(ctx context.Context, names map[client.Address]string, say func(string)) error {
	for {
		m, err := t.Receive(ctx)
		if err != nil {
			return err
		}
		from := names[m.From]
		if from == "" {
			from = m.From.String()
		}
		say(fmt.Sprintf("epoch %d: %s to %s (%v): %s", m.Epoch, from, t.name, m.Channel, printable(m.Body)))
	}
}

// speak writes to another talker every few epochs. What does not go is left
// out: the next one comes soon.
func (t *talker) speak(ctx context.Context, to *talker) {
	for n := 1; ctx.Err() == nil; n++ {
		m := client.Outgoing{To: to.Address()}
		if n%2 == 0 {
			m.Token = t.tokenFrom(ctx, to)
		}
		m.Body = fmt.Appendf(nil, "message %d from %s", n, t.name)
		r, err := t.Send(ctx, m)
		if err != nil {
			r.Epoch = t.Status().Open
		}
		if t.WaitEpoch(ctx, r.Epoch+talkEpochs) != nil {
			return
		}
	}
}

// tokenFrom is a token of the other talker's that is still good for a while, or
// nil. It is handed over right here; real clients do that in a message.
func (t *talker) tokenFrom(ctx context.Context, to *talker) *client.Token {
	if t.token != nil && t.token.End() > t.Status().Open+1 {
		return t.token
	}
	token, err := to.RequestToken(ctx, client.TokenRequest{For: t.Address()})
	if err != nil {
		return nil
	}
	t.token = token
	return token
}
