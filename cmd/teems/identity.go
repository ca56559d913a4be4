package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/teems-go/teems/client"
	"github.com/teems-go/teems/internal/deploy"
)

// The files of an identity.
const (
	clientsDir   = "clients" // in the folder of a cluster; a folder of each identity in it
	identityFile = "identity.json"
	inboxFile    = "inbox" // a folder
	headFile     = "head.json"
	lockFile     = "lock"

	lockWait = 10 * time.Second
	pollTime = 100 * time.Millisecond
)

// clusterFlags say which cluster, and as whom.
type clusterFlags struct {
	dir, as        string
	manifest, pin  string
	signers        []string
	threshold      int
	gateways       []string
	verbose        bool
	manifestLoaded *client.Manifest
}

// defaultDir is the folder that up and client use if none is given.
func defaultDir() string {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "teems-up"
	}
	return filepath.Join(cache, "teems", "up")
}

// load reads the manifest and the gateways' addresses. With wait it waits for a
// cluster that is still starting.
func (c *clusterFlags) load(ctx context.Context, wait bool, say func(string)) error {
	path := c.manifest
	if path == "" {
		path = filepath.Join(c.dir, deploy.ManifestFile)
	}
	for told := false; ; {
		err := c.read(path)
		if err == nil || !wait || !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if !told {
			say("waiting for a cluster in " + c.dir)
			told = true
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(pollTime):
		}
	}
}

func (c *clusterFlags) read(path string) error {
	if len(c.gateways) == 0 {
		b, err := os.ReadFile(filepath.Join(c.dir, deploy.ClientFile))
		if err != nil {
			return fmt.Errorf("no cluster runs in %s (%w): start one with `teems up --dir %s`, or give --manifest and --gateway", c.dir, err, c.dir)
		}
		var info deploy.ClientInfo
		if err := json.Unmarshal(b, &info); err != nil || len(info.Gateways) == 0 {
			return fmt.Errorf("%s has no gateway's address: start the cluster anew", filepath.Join(c.dir, deploy.ClientFile))
		}
		defer func() { c.gateways = info.Gateways }()
	}
	file, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("no manifest: %w", err)
	}
	c.manifestLoaded, err = c.trusted(file)
	return err
}

// folder is the identity's own.
func (c *clusterFlags) folder() (string, error) {
	if c.as == "" {
		return "", usageError("as whom? add --as NAME")
	}
	for _, r := range c.as {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' {
			return "", usageError("--as %q: write a name of letters, digits, - and _", c.as)
		}
	}
	return filepath.Join(c.dir, clientsDir, c.as), nil
}

// readIdentity reads an identity that its owner alone can read.
func (c *clusterFlags) readIdentity() (*client.Identity, error) {
	dir, err := c.folder()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, identityFile)
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("there is no identity %q in %s: make it with `teems client register --as %s`", c.as, c.dir, c.as)
	}
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 && os.PathSeparator == '/' {
		return nil, fmt.Errorf("%s may be read by others (mode %03o): chmod 600 it", path, mode)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return client.ParseIdentity(b)
}

// putAside renames an identity whose keys are of an era that is over, and forgets
// the head that it saw last.
func (c *clusterFlags) putAside(dir string, say func(string)) error {
	path := filepath.Join(dir, identityFile)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	id, err := c.readIdentity()
	if err != nil || id.Cluster() != c.manifestLoaded.Cluster() || id.Era() >= c.manifestLoaded.Era() {
		return err
	}
	old := fmt.Sprintf("%s.era-%d", path, id.Era())
	if err := os.Rename(path, old); err != nil {
		return err
	}
	say(fmt.Sprintf("the cluster has new keys: the identity of era %d is put aside as %s", id.Era(), old))
	if err := os.Remove(filepath.Join(dir, headFile)); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// session is a connected client, with the lock on its identity.
type session struct {
	*client.Client
	dir      string
	inbox    *client.FileInbox
	unlockIt func()
}

// connect connects as an identity. Nobody else can, until close.
func (c *clusterFlags) connect(ctx context.Context, say func(string), log *slog.Logger) (*session, error) {
	dir, err := c.folder()
	if err != nil {
		return nil, err
	}
	id, err := c.readIdentity()
	if err != nil {
		return nil, err
	}
	if err := c.load(ctx, false, say); err != nil {
		return nil, err
	}
	s := &session{dir: dir}
	if s.unlockIt, err = lock(ctx, filepath.Join(dir, lockFile), "the identity "+c.as, lockWait, say); err != nil {
		return nil, err
	}
	if s.inbox, err = client.OpenFileInbox(filepath.Join(dir, inboxFile), c.manifestLoaded); err != nil {
		s.unlockIt()
		return nil, err
	}
	s.Client, err = client.Connect(ctx, client.Config{
		Manifest: c.manifestLoaded, Identity: id, Gateways: c.gateways, Inbox: s.inbox, Head: readHead(dir), Log: log,
	})
	if err != nil {
		s.inbox.Close()
		s.unlockIt()
		return nil, err
	}
	if err := c.remember(); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// oldest is the oldest message in the inbox; it waits for one.
func (s *session) oldest(ctx context.Context) (client.Message, error) {
	both, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-s.Done():
			cancel()
		case <-both.Done():
		}
	}()
	m, err := s.inbox.Peek(both)
	if err != nil && ctx.Err() == nil && s.Err() != nil {
		err = s.Err()
	}
	return m, err
}

// close disconnects, and keeps the newest head for the next time.
func (s *session) close() error {
	head := s.Head()
	err := errors.Join(s.Client.Close(), s.inbox.Close())
	if b, failed := json.Marshal(head); failed == nil && head.Epoch != 0 {
		err = errors.Join(err, replaceFile(filepath.Join(s.dir, headFile), b, 0o600))
	}
	s.unlockIt()
	return err
}

// readHead is the head that the identity saw last; nil if there is none.
func readHead(dir string) *client.EpochHead {
	var h client.EpochHead
	b, err := os.ReadFile(filepath.Join(dir, headFile))
	if err != nil || json.Unmarshal(b, &h) != nil || h.Epoch == 0 {
		return nil
	}
	return &h
}
