package main

import (
	"os"
	"time"

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
	if len(o.serverBinaries)+len(o.measurements) > 0 {
		p, err := o.policy()
		if err != nil {
			return nil, err
		}
		m.TEEs.Measurements = p.Measurements
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
