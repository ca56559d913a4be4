package collateral

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The services' addresses, where no mirror is asked.
const (
	IntelURL        = "https://api.trustedservices.intel.com"
	IntelRootCRLURL = "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der"
	AMDURL          = "https://kdsintf.amd.com"
)

// Bounds and times.
const (
	// MaxBodyBytes bounds what is read of an answer: all parts together must fit
	// into evidence.
	MaxBodyBytes  = 48 << 10
	maxChainBytes = 16 << 10 // of a header with certificates

	DefaultTimeout = 30 * time.Second // for one answer
	DefaultTries   = 4
	// LongestWait is the longest pause that a service may ask for.
	LongestWait = 2 * time.Minute
	firstPause  = 2 * time.Second // doubles
)

// Client asks the vendors' services, or mirrors of them. Fields that are zero
// have the default that their comment names.
type Client struct {
	IntelURL        string // IntelURL
	IntelRootCRLURL string // IntelRootCRLURL; with another IntelURL the mirror's
	AMDURL          string // AMDURL
	HTTP            *http.Client
	Timeout         time.Duration // DefaultTimeout
	Tries           int           // DefaultTries
	Now             func() time.Time
	Sleep           func(ctx context.Context, d time.Duration) error
	Say             func(string) // progress, for people; nowhere
}

func (c Client) withDefaults() Client {
	or := func(s *string, value string) {
		if *s = strings.TrimRight(*s, "/"); *s == "" {
			*s = value
		}
	}
	rootCRL := IntelRootCRLURL
	if own := strings.TrimRight(c.IntelURL, "/"); own != "" && own != IntelURL {
		rootCRL = own + "/sgx/certification/v4/rootcacrl" // as Intel's caching service has it
	}
	or(&c.IntelRootCRLURL, rootCRL)
	or(&c.IntelURL, IntelURL)
	or(&c.AMDURL, AMDURL)
	if c.HTTP == nil {
		c.HTTP = http.DefaultClient
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Tries == 0 {
		c.Tries = DefaultTries
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Sleep == nil {
		c.Sleep = sleep
	}
	if c.Say == nil {
		c.Say = func(string) {}
	}
	return c
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// errAgain is of what may go well the next time.
type errAgain struct {
	error
	after time.Duration // that the service asks for; 0: it says nothing
}

// get fetches what is at the address, with patience. remedy says what to do if
// the service does not know it.
func (c *Client) get(ctx context.Context, what, url, remedy string) ([]byte, http.Header, error) {
	c.Say("fetching " + what + " from " + url)
	pause := firstPause
	for try := 1; ; try++ {
		body, header, err := c.once(ctx, url, remedy)
		if err == nil {
			return body, header, nil
		}
		err = fmt.Errorf("%w: %s from %s: %w", ErrFetch, what, url, err)
		var again errAgain
		if !errors.As(err, &again) || try >= c.Tries || ctx.Err() != nil {
			return nil, nil, err
		}
		wait := max(pause, again.after)
		if again.after == 0 {
			wait += rand.N(wait / 4) // not all servers at once
		}
		if wait > LongestWait {
			return nil, nil, fmt.Errorf("%w; it asks for a pause of %v: try again then", err, again.after)
		}
		c.Say(fmt.Sprintf("%v; again in %v", err, wait.Round(time.Millisecond)))
		if e := c.Sleep(ctx, wait); e != nil {
			return nil, nil, err
		}
		pause *= 2
	}
}

// once asks once.
func (c *Client) once(ctx context.Context, url, remedy string) ([]byte, http.Header, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.Timeout, fmt.Errorf("no answer within %v", c.Timeout))
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: give the address of the service, such as %s", err, IntelURL)
	}
	network := func(err error) error {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return errAgain{error: fmt.Errorf("%w: is the network there, and the address right? Behind a firewall name a mirror", err)}
	}
	answer, err := c.HTTP.Do(r)
	if err != nil {
		return nil, nil, network(err)
	}
	defer answer.Body.Close()
	switch code := answer.StatusCode; {
	case code == http.StatusOK:
	case code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable:
		return nil, nil, errAgain{fmt.Errorf("it is asked too often, or is busy (%s)", answer.Status), retryAfter(answer.Header.Get("Retry-After"), c.Now())}
	case code >= 500:
		return nil, nil, errAgain{error: fmt.Errorf("it fails (%s)", answer.Status)}
	case code == http.StatusNotFound || code == http.StatusBadRequest:
		return nil, nil, fmt.Errorf("it does not know that (%s): %s", answer.Status, remedy)
	default:
		return nil, nil, fmt.Errorf("it answers %s: is that the service's address, and may this machine ask it?", answer.Status)
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, MaxBodyBytes+1))
	switch {
	case err != nil:
		return nil, nil, network(fmt.Errorf("the answer broke off: %w", err))
	case len(body) > MaxBodyBytes:
		return nil, nil, fmt.Errorf("the answer has more than %d bytes, which no evidence has room for: is that the service's address?", MaxBodyBytes)
	case len(body) == 0:
		return nil, nil, errors.New("the answer is empty: is that the service's address?")
	}
	return body, answer.Header, nil
}

// retryAfter reads how long to wait: seconds, or a date. 0: it says nothing that
// can be read.
func retryAfter(s string, now time.Time) time.Duration {
	if n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(s); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
