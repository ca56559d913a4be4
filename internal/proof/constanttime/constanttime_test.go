//go:build linux && amd64

package main

import (
	"strings"
	"testing"
)

const sample = `--7-- memcheck GC: 1 nodes
**7** ** mutant 3 1 idchannel.Sender.trim: secret branch
==7== Conditional jump or move depends on uninitialised value(s)
==7==    at 0x48: github.com/teems-go/teems/internal/idchannel.(*Sender).trim (/x/sender.go:1)
==7==
**7** ** end
`

func TestBlocks(t *testing.T) {
	got := blocks(sample)
	if len(got) != 3 || got[0][0] != "** mutant 3 1 idchannel.Sender.trim: secret branch" || !isError(got[1]) || got[2][0] != "** end" {
		t.Fatalf("%q", got)
	}
	if !names(got[1], "idchannel.Sender.trim") || names(got[1], "idchannel.Sender.tri") || names(got[1], "idchannel.scan") {
		t.Error("the function in the stack is not recognised")
	}
	if strings.Contains(got[1][0], "==7==") {
		t.Error("a line keeps its process number")
	}
}
