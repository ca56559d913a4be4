package main

import (
	"strings"
	"testing"
)

func TestJudge(t *testing.T) {
	const pass = `{"Action":"pass","Package":"github.com/teems-go/teems/a"}` + "\n"
	const skip = `{"Action":"output","Package":"github.com/teems-go/teems/a","Test":"TestX","Output":"why\n"}
{"Action":"skip","Package":"github.com/teems-go/teems/a","Test":"TestX"}` + "\n"
	for _, c := range []struct {
		name, in string
		ok       bool
	}{
		{"all passed", pass, true},
		{"nothing ran", "", false},
		{"skipped", skip + pass, false},
		{"failed", `{"Action":"fail","Package":"github.com/teems-go/teems/a","Test":"TestY"}` + "\n" + pass, false},
		{"no tests", `{"Action":"skip","Package":"github.com/teems-go/teems/b"}` + "\n" + pass, true},
	} {
		var out strings.Builder
		if ok, err := judge(strings.NewReader(c.in), &out, nil); ok != c.ok || err != nil {
			t.Errorf("%s: %v, %v: %s", c.name, ok, err, out.String())
		}
	}
	if ok, _ := judge(strings.NewReader(skip+pass), &strings.Builder{}, parse("# list\na TestX: needs a device\n")); !ok {
		t.Error("a skip on the list is not excused")
	}
}
