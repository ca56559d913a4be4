package main

import (
	"os"
	"slices"
	"time"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/attest/bundle"
	"github.com/teems-go/teems/attest/verifiers"
	"github.com/teems-go/teems/internal/manifest"
	"github.com/teems-go/teems/internal/node/deployment"
)

// check refuses flags that have no meaning for the manifest that is asked for.
func (o *manifestOptions) check(changed func(flag string) bool) error {
	for _, f := range []string{"genesis", "next-era"} {
		if o.from == "" && changed(f) {
			return usageError("--%s is for the successor of another manifest: add --from", f)
		}
	}
	for _, f := range []string{
		"servers", "layout", "host", "port", "threads", "clients", "cell-bytes", "open", "simulated-clients", "simulated-seed",
	} {
		if o.from != "" && changed(f) {
			return usageError("--%s is for manifest 1 only: leave it out, and edit the successor before it is signed", f)
		}
	}
	return nil
}

// successor makes the manifest that follows another one.
func (o *manifestOptions) successor(say func(string)) (*manifest.Signed, error) {
	before, err := readManifest(o.from)
	if err != nil {
		return nil, err
	}
	s, err := before.Successor()
	if err != nil {
		return nil, err
	}
	m := &s.Manifest
	if err := o.nameCluster(m, before); err != nil {
		return nil, err
	}
	p, err := o.policy.apply(m.Policy())
	if err != nil {
		return nil, err
	}
	m.SetPolicy(p)
	if !shared(before.Manifest.Policy(), p) {
		say("note: no code that " + o.from + " accepts is accepted any more, so that no server could hand the cluster's secret to the new code: unless it has that already, make a manifest first that accepts both")
	}
	if len(o.keys)+len(o.operators) > 0 {
		all, err := o.operatorKeys(say)
		if err != nil {
			return nil, err
		}
		m.Operators = manifest.Operators{Threshold: len(all)/2 + 1}
		for _, k := range all {
			m.Operators.Keys = append(m.Operators.Keys, manifest.Hex(k))
		}
	}
	if o.threshold != 0 {
		m.Operators.Threshold = o.threshold
	}
	if o.nextEra {
		m.Era++
	}
	return s, m.Validate()
}

// shared says whether two policies accept some code both.
func shared(a, b attest.Policy) bool {
	for tee, list := range a.Measurements {
		for _, m := range list {
			if slices.ContainsFunc(b.Measurements[tee], m.Equal) {
				return true
			}
		}
	}
	return false
}

// nameCluster puts the cluster's key into manifest 2.
func (o *manifestOptions) nameCluster(m *manifest.Manifest, before *manifest.Signed) error {
	switch named := before.Manifest.HasCluster(); {
	case o.genesis == "" && !named:
		return usageError("the successor of manifest 1 names the cluster key: add --genesis, the file that server 0 writes under manifest 1")
	case o.genesis == "":
		return nil
	case named:
		return usageError("%s names a cluster key already: leave --genesis out", o.from)
	}
	b, err := os.ReadFile(o.genesis)
	if err != nil {
		return err
	}
	g, err := deployment.ParseGenesis(b)
	if err != nil {
		return err
	}
	if err := g.Verify(before, verifiers.All(bundle.Bundle{}, bundle.Bundle{}), time.Now()); err != nil {
		return err
	}
	m.ClusterKey = g.ClusterKey
	return nil
}
