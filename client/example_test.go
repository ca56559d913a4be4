package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/teems-go/teems/attest/simulated"
	"github.com/teems-go/teems/client"
)

// A program makes an identity once, keeps it, and connects with it from then on.
func Example() {
	ctx := context.Background()
	file, err := os.ReadFile("manifest.json")
	if err != nil {
		log.Fatal(err)
	}
	var pin [32]byte // the manifest's hash, learnt from someone trusted
	manifest, err := client.ParseManifest(file, pin)
	if err != nil {
		log.Fatal(err)
	}
	gateways := []string{"gateway.example.org:7100"}
	identity, err := client.Register(ctx, client.RegisterConfig{
		Manifest: manifest, Gateways: gateways, Verifiers: simulated.Verifiers(),
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile("identity.json", identity.Encode(), 0o600); err != nil {
		log.Fatal(err)
	}

	c, err := client.Connect(ctx, client.Config{Manifest: manifest, Identity: identity, Gateways: gateways})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	fmt.Println("others reach me at", c.Address())
	for {
		m, err := c.Receive(ctx)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("epoch %d, %v: %q\n", m.Epoch, m.From, m.Body)
	}
}

// A message over the ID channel needs the recipient's address only.
func ExampleClient_Send() {
	var c *client.Client // from client.Connect
	to, err := client.ParseAddress("teems1m6kmamcqqqqqywe8kk9c")
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	receipt, err := c.Send(ctx, client.Outgoing{To: to, Body: []byte("hello")})
	var tooLong *client.TooLongError
	switch {
	case errors.As(err, &tooLong):
		fmt.Println("at most", tooLong.Limit, "bytes fit")
	case errors.Is(err, client.ErrUnknownRecipient):
		fmt.Println("there is nobody there")
	case errors.Is(err, client.ErrOutcomeUnknown):
		fmt.Println("it may or may not have been carried")
	case err != nil:
		fmt.Println("it was not carried:", err)
	default:
		fmt.Println("carried in epoch", receipt.Epoch)
	}
}

// The recipient asks for a token and hands its text to the sender, who uses it
// once an epoch. Nothing sent with a token is ever dropped.
func ExampleClient_RequestToken() {
	ctx := context.Background()
	var alice, bob *client.Client // from client.Connect

	token, err := bob.RequestToken(ctx, client.TokenRequest{For: alice.Address()})
	if err != nil {
		log.Fatal(err)
	}
	text := token.Text() // to alice, in confidence

	handed, err := alice.Manifest().ParseToken(text)
	if err != nil {
		log.Fatal(err)
	}
	// Send waits for the token's first epoch.
	if _, err := alice.Send(ctx, client.Outgoing{Token: handed, Body: []byte("hello")}); err != nil {
		log.Fatal(err)
	}
}

// With a FileInbox nothing is lost when the program ends: a message is removed
// once it has been dealt with.
func ExampleFileInbox() {
	ctx := context.Background()
	var cfg client.Config // with a manifest, an identity and gateways
	inbox, err := client.OpenFileInbox("inbox", cfg.Manifest)
	if err != nil {
		log.Fatal(err)
	}
	defer inbox.Close()
	cfg.Inbox = inbox
	c, err := client.Connect(ctx, cfg)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	m, err := inbox.Peek(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", m.Body)
	if err := inbox.Remove(m); err != nil {
		log.Fatal(err)
	}
	// The cluster has forgotten it, too.
	if err := c.WaitAcknowledged(ctx, m.Epoch); err != nil {
		log.Fatal(err)
	}
}

// Queue returns at once; many messages can be on their way.
func ExampleClient_Queue() {
	ctx := context.Background()
	var c *client.Client // from client.Connect
	var to client.Address
	var sent []*client.Sending
	for i := range 10 {
		s, err := c.Queue(client.Outgoing{To: to, Body: fmt.Appendf(nil, "part %d", i)})
		if err != nil {
			log.Fatal(err)
		}
		sent = append(sent, s)
	}
	for i, s := range sent {
		if _, err := s.Wait(ctx); err != nil {
			fmt.Printf("part %d: %v\n", i, err)
		}
	}
}
