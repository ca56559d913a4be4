//go:build linux && amd64

package main

import (
	"fmt"
	"strings"

	"github.com/teems-go/teems/internal/proof/rewrite"
)

// runMutants wakes the planted leaks and requires that memcheck reports each with
// the function's name in the stack.
func runMutants(d *rewrite.Driver, which, log string) (bool, error) {
	args := []string{"planted", "--mutants", d.MutantsFile}
	text, err := memcheck(d, log, args...)
	if err != nil {
		return false, err
	}
	parsed := blocks(text)
	inlined(parsed)
	caught := map[string]bool{}
	woken := 0
	var now, function string
	for _, block := range parsed {
		head := block[0]
		switch {
		case strings.HasPrefix(head, "** mutant "):
			now = head
			woken++
			caught[now] = false
			function = strings.TrimSuffix(strings.Fields(head)[4], ":")
		case strings.HasPrefix(head, "** end"):
			now = ""
		case now != "" && isError(block) && names(block, function):
			caught[now] = true
		}
	}
	n := 0
	for plant, ok := range caught {
		if ok {
			n++
		} else {
			fmt.Println("not caught:", strings.TrimPrefix(plant, "** mutant "))
		}
	}
	fmt.Printf("planted %d, caught %d\n", woken, n)
	return n == woken && woken > 0, nil
}

// names reports whether an error's stack names a function: "idchannel.Sender.trim"
// is idchannel.(*Sender).trim there, and that of assembly ends in .abi0.
func names(block []string, function string) bool {
	for _, line := range block[1:] {
		line = strings.NewReplacer("(*", "", ")", "", ".abi0", "").Replace(line)
		if strings.Contains(line, "/"+function+" ") || strings.Contains(line, "/"+function+".func") {
			return true
		}
	}
	return false
}
