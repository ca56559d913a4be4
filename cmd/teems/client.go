package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/teems-go/teems/client"
)

func newClient() *cobra.Command {
	var c clusterFlags
	cmd := group(&cobra.Command{
		Use:   "client",
		Short: "exchange messages through a cluster",
		Long: `A client has an identity: a folder that only you can read, by the name that you
give with --as, in the cluster's folder (--dir). Others reach you at your address
(id). On the ID channel the address is all they need; strangers' messages may be
crowded out there. A token, which you make for one sender and hand over in
confidence, lets that sender put a message an epoch into a place of its own.

The manifest says which servers and which code to trust. It is trusted by its hash
(--pin), by who signed it (--signer), or else because it is in the folder; from then
on the identity takes only manifests that the same operators signed, or those whom
they named.

A client is seen to be connected while a command runs, and sends and receives the
same whatever it does. What arrives meanwhile is kept for receive. The cluster
keeps deliveries for clients that are away for a limited number of epochs.

` + exitCodes,
		Example: `  teems client register --as alice --wait
  teems client send --as alice --to "$(teems client id --as bob)" "hello"
  teems client receive --as bob --one
  teems client token --as bob --for "$(teems client id --as alice)"
  teems client send --as alice --token TOKEN "hello again"`,
	}, newRegister(&c), newID(&c), newSend(&c), newReceive(&c), newToken(&c))
	c.flags(cmd, defaultDir())
	f := cmd.PersistentFlags()
	f.StringVar(&c.as, "as", "", "name of the identity")
	f.BoolVarP(&c.verbose, "verbose", "v", false, "tell on stderr what the connections do")
	return cmd
}

func (c *clusterFlags) log(cmd *cobra.Command) *slog.Logger {
	if !c.verbose {
		return nil
	}
	return slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
}

func newRegister(c *clusterFlags) *cobra.Command {
	var wait bool
	cmd := &cobra.Command{
		Use:   "register",
		Short: "become a client of the cluster",
		Long: `Registers with the cluster, over a connection on which a server has proved what
code it runs, and keeps the identity. It returns once the ID is committed.
An identity that exists is left alone, unless it is of an era of the cluster's keys
that is over: then it is put aside, and the client gets a new address.

` + exitCodes,
		Example: "  teems client register --as alice --wait",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, say := cmd.Context(), sayOn(cmd.ErrOrStderr())
			dir, err := c.folder()
			if err != nil {
				return err
			}
			if err := c.load(ctx, wait, say); err != nil {
				return err
			}
			if err := os.MkdirAll(dir, 0o700); err != nil {
				return err
			}
			unlockIt, err := lock(ctx, filepath.Join(dir, lockFile), "the identity "+c.as, lockWait, say)
			if err != nil {
				return err
			}
			defer unlockIt()
			path := filepath.Join(dir, identityFile)
			if err := c.putAside(dir, say); err != nil {
				return err
			}
			if _, err := os.Stat(path); err == nil {
				return fmt.Errorf("%q is registered already: `teems client id --as %s` tells the address; for another client choose another name", c.as, c.as)
			}
			id, err := client.Register(ctx, client.RegisterConfig{
				Manifest: c.manifestLoaded, Gateways: c.gateways, Verifiers: allVerifiers(), Wait: wait,
			})
			if err != nil {
				return err
			}
			if err := replaceFile(path, id.Encode(), 0o600); err != nil {
				return fmt.Errorf("registered, but the identity cannot be kept: %w", err)
			}
			if err := c.remember(); err != nil {
				return err
			}
			say(fmt.Sprintf("%s is registered, in epoch %d; the address is %v", c.as, id.Epoch(), id.Address()))
			return nil
		},
	}
	cmd.Flags().BoolVar(&wait, "wait", false, "wait for a cluster that is still starting")
	return cmd
}

func newID(c *clusterFlags) *cobra.Command {
	return &cobra.Command{
		Use:     "id",
		Short:   "print your address, to give to others",
		Long:    "Prints the address and nothing else. It has a checksum that finds typing mistakes.\n\n" + exitCodes,
		Example: "  teems client id --as alice",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			id, err := c.readIdentity()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), id.Address())
			return err
		},
	}
}

func newSend(c *clusterFlags) *cobra.Command {
	var to, token string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "send (--to ADDRESS | --token TOKEN) TEXT",
		Short: "send a message and wait for its sealed result",
		Long: `Sends one message: to an address on the ID channel, or with a token, for whose
first epoch it waits. It returns when the cluster has said, sealed, that the
message was taken. Nobody learns from that whether it arrived: on the token
channel it does, on the ID channel it may be crowded out by others.

` + exitCodes,
		Example: `  teems client send --as alice --to teems1... "hello"
  teems client send --as alice --token teems-token1... "hello"`,
		Args: args(1, "one argument, the text (in quotes)"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			ctx, say := cmd.Context(), sayOn(cmd.ErrOrStderr())
			if (to == "") == (token == "") {
				return usageError("to whom? add --to ADDRESS or --token TOKEN, one of them")
			}
			if err := c.load(ctx, false, say); err != nil {
				return err
			}
			m := client.Outgoing{Body: []byte(args[0])}
			if limit := c.manifestLoaded.MaxBody(); len(m.Body) > limit {
				return fmt.Errorf("the message has %d bytes, and at most %d fit into one: send it in parts", len(m.Body), limit)
			}
			if to != "" {
				m.To, err = client.ParseAddress(to)
			} else {
				m.Token, err = c.manifestLoaded.ParseToken(token)
			}
			if err != nil {
				return err
			}
			s, err := c.connect(ctx, say, c.log(cmd))
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, s.close()) }()
			if m.Token != nil {
				if open := s.Status().Open; open < m.Token.First() {
					say(fmt.Sprintf("the token is valid from epoch %d; this is epoch %d", m.Token.First(), open))
				}
			}
			r, err := s.Send(ctx, m)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), map[string]any{"epoch": r.Epoch})
			}
			say(fmt.Sprintf("taken in epoch %d", r.Epoch))
			return nil
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "the recipient's address")
	cmd.Flags().StringVar(&token, "token", "", "a token that the recipient made for you")
	cmd.Flags().BoolVar(&asJSON, "json", false, "the epoch that took it, as JSON")
	return cmd
}

func newReceive(c *clusterFlags) *cobra.Command {
	var one, asJSON bool
	cmd := &cobra.Command{
		Use:   "receive",
		Short: "print messages as they come",
		Long: `Prints messages, those first that came while other commands ran, until Ctrl-C;
with --one a single one, and returns after the cluster has accepted that it may
forget it. Epochs that bring nothing are skipped.

` + exitCodes,
		Example: `  teems client receive --as bob
  teems client receive --as bob --one`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			ctx, say := cmd.Context(), sayOn(cmd.ErrOrStderr())
			s, err := c.connect(ctx, say, c.log(cmd))
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, s.close()) }()
			for told := uint64(0); ; {
				m, err := s.oldest(ctx)
				if errors.Is(err, context.Canceled) && !one {
					return nil // that is how it is ended
				}
				if err != nil {
					return err
				}
				if missed := s.Status().Missed; missed > told {
					say(fmt.Sprintf("you were away for too long: what %d epochs brought is lost", missed-told))
					told = missed
				}
				if err := printMessage(cmd, &m, asJSON); err != nil {
					return err
				}
				if err := s.inbox.Remove(m); err != nil {
					return err
				}
				if one {
					return s.WaitAcknowledged(ctx, m.Epoch)
				}
			}
		},
	}
	cmd.Flags().BoolVar(&one, "one", false, "print one message and return")
	cmd.Flags().BoolVar(&asJSON, "json", false, "a line of JSON for each message")
	return cmd
}

func printMessage(cmd *cobra.Command, m *client.Message, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]any{
			"epoch": m.Epoch, "from": m.From.String(), "channel": m.Channel.String(), "contact": m.Contact, "text": string(m.Body),
		})
	}
	how := "ID channel, stranger"
	switch {
	case m.Channel == client.TokenChannel:
		how = "token"
	case m.Contact:
		how = "ID channel, contact"
	}
	// What others send is shown quoted where it could do more than be read.
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%v (%s, epoch %d): %s\n", m.From, how, m.Epoch, printable(m.Body))
	return err
}

func newToken(c *clusterFlags) *cobra.Command {
	var sender string
	var epochs int
	cmd := &cobra.Command{
		Use:   "token --for ADDRESS",
		Short: "make a token, with which somebody can send to you",
		Long: `Asks your storage server for a token and prints it and nothing else. Hand it to
the sender in confidence: whoever reads it learns who may send to whom. With it
the sender can put one message in each of its epochs into a place of its own
with you. There are few places, so tokens end.

` + exitCodes,
		Example: "  teems client token --as bob --for teems1...",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			ctx, say := cmd.Context(), sayOn(cmd.ErrOrStderr())
			if sender == "" {
				return usageError("for whom? add --for ADDRESS")
			}
			who, err := client.ParseAddress(sender)
			if err != nil {
				return err
			}
			s, err := c.connect(ctx, say, c.log(cmd))
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, s.close()) }()
			t, err := s.RequestToken(ctx, client.TokenRequest{For: who, Epochs: epochs})
			if err != nil {
				return err
			}
			say(fmt.Sprintf("valid in epochs %d to %d", t.First(), t.End()-1))
			_, err = fmt.Fprintln(cmd.OutOrStdout(), t.Text())
			return err
		},
	}
	cmd.Flags().StringVar(&sender, "for", "", "the sender's address")
	cmd.Flags().IntVar(&epochs, "epochs", 0, "how many epochs it lasts (default: as many as allowed)")
	return cmd
}

// printable is text as it is, or quoted if it has control characters, which
// could do things to a terminal.
func printable(b []byte) string {
	for _, r := range string(b) {
		if r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 || r == 0xfffd {
			return fmt.Sprintf("%q", b)
		}
	}
	return string(b)
}
