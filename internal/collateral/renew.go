package collateral

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/attest/bundle"
)

// reportRoom is what is left in evidence for the report itself.
const reportRoom = 12 << 10

// Part is one part of a file, for a report.
type Part struct {
	Name   string     `json:"name"`
	Issued *time.Time `json:"issued,omitempty"`
	Until  *time.Time `json:"until,omitempty"`
	Says   string     `json:"says,omitempty"`
	Wrong  string     `json:"wrong,omitempty"` // why it is of no use
	// Revoked is what a list says of a certificate that is in use.
	Revoked string `json:"revoked,omitempty"`
}

// Report is what there is to say of a file with collateral.
type Report struct {
	File     string     `json:"file"`
	Platform string     `json:"platform"`
	At       time.Time  `json:"at"`
	Good     bool       `json:"good"`            // all of it is, at this time
	Until    *time.Time `json:"until,omitempty"` // when the first part ends
	Written  bool       `json:"written"`         // the file was replaced
	Parts    []Part     `json:"parts"`
	Evidence string     `json:"evidence,omitempty"` // what became of the evidence with it
	Warnings []string   `json:"warnings,omitempty"`

	refused error
}

// report examines collateral.
func (r Roots) report(file string, p Platform, b bundle.Bundle, now time.Time) *Report {
	out := &Report{File: file, Platform: p.String(), At: now.UTC(), Good: true}
	for _, x := range r.parts(p, b, now) {
		part := Part{Name: x.Name, Says: x.Says}
		if !x.Issued.IsZero() {
			issued, until := x.Issued.UTC(), x.Until.UTC()
			part.Issued, part.Until = &issued, &until
			if out.Until == nil || until.Before(*out.Until) {
				out.Until = &until
			}
		}
		if x.Err != nil {
			part.Wrong, out.Good = x.Err.Error(), false
		}
		if part.Revoked = x.Revoked; x.Revoked != "" {
			out.refused = fmt.Errorf("%w: %s", ErrRefused, x.Revoked)
		}
		out.Parts = append(out.Parts, part)
	}
	if p.evidence.TEE != "" && out.Good {
		out.Evidence = "genuine with it; whether it is acceptable, a policy says"
		if _, err := r.verify(p.evidence, b, now); err != nil {
			out.Evidence = "refused with it: " + err.Error()
			out.refused = fmt.Errorf("%w: %w", ErrRefused, err)
		}
	}
	return out
}

// Inspect examines the collateral in a file.
func Inspect(roots Roots, path string, p Platform, now time.Time) (*Report, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	b, err := read(path)
	if err != nil {
		return nil, err
	}
	if b == nil {
		return nil, fmt.Errorf("%w: there is no %s: fetch it first", ErrExpired, path)
	}
	r := roots.report(path, p, *b, now)
	if !r.Good {
		return r, fmt.Errorf("%w: %s: %s", ErrExpired, path, r.wrong())
	}
	return r, r.refused
}

func (r *Report) wrong() string {
	for _, p := range r.Parts {
		if p.Wrong != "" {
			return p.Name + ": " + p.Wrong
		}
	}
	return ""
}

// read returns the collateral in a file; nil if there is none.
func read(path string) (*bundle.Bundle, error) {
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	b, err := bundle.File(path)()
	if err != nil {
		return nil, fmt.Errorf("%w: move it away, it is of no use", err)
	}
	return &b, nil
}

// Renew fetches the platform's collateral and puts it into the file. What cannot
// be fetched, or is not better, stays as it was: the report says so in its
// warnings. The error is for when the file is not good afterwards (ErrExpired),
// or the platform is not, by what is in it (ErrRefused); there is a report then
// too, unless nothing could be looked at.
func Renew(ctx context.Context, c Client, roots Roots, path string, p Platform) (*Report, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	var warnings []string
	old, err := read(path)
	if err != nil {
		warnings = append(warnings, err.Error())
	}
	if old == nil {
		old = new(bundle.Bundle)
	}
	var f fetched
	if p.TEE == attest.SNP {
		have := roots.parts(p, *old, c.Now())[0].Err == nil
		if have && p.evidence.TEE != "" {
			_, err := roots.verify(p.evidence, bundle.Bundle{Endorsement: old.Endorsement}, c.Now())
			have = err == nil
		}
		f = c.fetchAMD(ctx, roots.AMD, p, have)
	} else {
		f = c.fetchIntel(ctx, roots.Intel, p)
		if p.issuer == nil {
			p.issuer = f.issuer
		}
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	now := c.Now()
	for _, err := range f.errs {
		warnings = append(warnings, err.Error())
	}
	b, more := roots.merge(p, *old, f.Bundle, now)
	r := roots.report(path, p, b, now)
	r.Warnings = append(warnings, more...)
	if n := len(b.Encode()); n > attest.MaxRawBytes-reportRoom {
		return r, fmt.Errorf("%w: together it has %d bytes, and evidence has room for %d", ErrWrong, n, attest.MaxRawBytes-reportRoom)
	}
	if !r.Good {
		return r, errors.Join(append([]error{fmt.Errorf("%w: %s", ErrExpired, r.wrong())}, f.errs...)...)
	}
	if raw := b.Encode(); string(raw) != string(old.Encode()) || err != nil {
		if err := write(path, raw); err != nil {
			return r, err
		}
		r.Written = true
	}
	if len(r.Warnings) > 0 {
		r.Warnings = append(r.Warnings, fmt.Sprintf("what is in %s is good until %s", path, r.Until.Format(time.RFC3339)))
	}
	return r, r.refused
}

// groups are the parts that are replaced together, as indices of what
// Roots.parts says and as fields.
type group struct {
	parts  []int
	fields func(b *bundle.Bundle) []*[]byte
}

func groups(p Platform) []group {
	one := func(i int, f func(b *bundle.Bundle) *[]byte) group {
		return group{[]int{i}, func(b *bundle.Bundle) []*[]byte { return []*[]byte{f(b)} }}
	}
	if p.TEE == attest.SNP {
		return []group{
			one(0, func(b *bundle.Bundle) *[]byte { return &b.Endorsement }),
			one(1, func(b *bundle.Bundle) *[]byte { return &b.AMDCRL }),
		}
	}
	return []group{
		{[]int{1, 2, 0}, func(b *bundle.Bundle) []*[]byte { return []*[]byte{&b.TCBInfo, &b.QEIdentity, &b.TCBChain} }},
		one(3, func(b *bundle.Bundle) *[]byte { return &b.RootCRL }),
		one(4, func(b *bundle.Bundle) *[]byte { return &b.PCKCRL }),
	}
}

// merge takes of each group what is new, if that is good and not older than
// what there is; warnings say what was not taken.
func (r Roots) merge(p Platform, old, got bundle.Bundle, now time.Time) (bundle.Bundle, []string) {
	var warnings []string
	before, after := r.parts(p, old, now), r.parts(p, got, now)
	for _, g := range groups(p) {
		from, to := g.fields(&got), g.fields(&old)
		if len(*from[0]) == 0 {
			continue // it did not come, and that was said
		}
		if why := better(before, after, g.parts); why != "" {
			warnings = append(warnings, why)
			if good(before, g.parts) || !good(after, g.parts) {
				continue
			}
		}
		for i := range to {
			*to[i] = *from[i]
		}
	}
	return old, warnings
}

func good(parts []bundle.Part, which []int) bool {
	for _, i := range which {
		if parts[i].Err != nil {
			return false
		}
	}
	return true
}

// better says why what came is not to be taken; "": it is.
func better(before, after []bundle.Part, which []int) string {
	for _, i := range which {
		if err := after[i].Err; err != nil {
			return fmt.Sprintf("%s that came is not taken: %v", after[i].Name, err)
		}
	}
	for _, i := range which {
		if b, a := before[i], after[i]; b.Err == nil && a.Issued.Before(b.Issued) {
			return fmt.Sprintf("%s that came is of %s, and the one that is there of %s: it stays; a mirror is behind", a.Name,
				a.Issued.UTC().Format(time.RFC3339), b.Issued.UTC().Format(time.RFC3339))
		}
	}
	return ""
}

// write replaces a file, whole or not at all, and returns when that is durable.
// The server reads it, whoever it runs as: there is nothing secret in it.
func write(path string, b []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(b)
	if err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// Text returns the report in words.
func (r *Report) Text() string {
	var b strings.Builder
	line := func(format string, a ...any) { fmt.Fprintf(&b, format+"\n", a...) }
	switch {
	case !r.Good:
		line("NOT GOOD: %s", r.File)
	case r.refused != nil:
		line("AGAINST THE PLATFORM, good until %s: %s", r.Until.Format(time.RFC3339), r.File)
	default:
		line("GOOD until %s: %s", r.Until.Format(time.RFC3339), r.File)
	}
	line("of %s, at %s", r.Platform, r.At.Format(time.RFC3339))
	for _, p := range r.Parts {
		mark, text := "ok     ", p.Name
		if p.Until != nil {
			text += fmt.Sprintf(", %s to %s", p.Issued.Format(time.RFC3339), p.Until.Format(time.RFC3339))
		}
		if p.Says != "" {
			text += ": " + p.Says
		}
		if p.Revoked != "" {
			mark, text = "REVOKED", text+": "+p.Revoked
		}
		if p.Wrong != "" {
			mark, text = "WRONG  ", text+": "+p.Wrong
		}
		line("%s %s", mark, text)
	}
	if r.Evidence != "" {
		line("the evidence is %s", r.Evidence)
	}
	for _, w := range r.Warnings {
		line("warning: %s", w)
	}
	return b.String()
}
