//go:build linux && amd64

// Package gate reads the compiled code of everything that handles secrets and
// lists what has to be vouched for: conditional jumps, divisions, and vector
// instructions whose time or accesses depend on data. What is found must be on
// the list in allowed.txt, function by function with the reason why it is
// public; anything new fails, by name.
//
// What the compiler itself adds needs no entry: the check for room on the stack
// at a function's start, the question whether the garbage collector is at work,
// and bounds checks. A bounds check jumps on an index,
// and an index is an address: the other checks see it.
package gate

import (
	"bufio"
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/teems-go/teems/internal/proof/disasm"
	"github.com/teems-go/teems/internal/proof/rewrite"
)

// Packages are those whose compiled functions are read.
var Packages = []string{"choice", "kernel", "oblivious", "idchannel", "token", "record", "role/ingestion", "role/routing", "role/storage"}

// Wanted reports whether a function belongs to them.
func Wanted(name string) bool {
	for _, p := range Packages {
		if strings.HasPrefix(name, rewrite.Module+"/internal/"+p+".") {
			return true
		}
	}
	// The cases call functions so small that they are inlined there.
	return strings.HasPrefix(name, rewrite.Module+"/internal/proof/cases.")
}

// Finding is a place that needs a reason.
type Finding struct {
	Function string // as it is written: inlined code counts where it was written
	Line     string // the source line's text, or the instruction of an assembly kernel
	Op       string
	Place    string // file:line
}

// Key names a finding by what does not change when lines move.
func (f Finding) Key() string { return f.Function + "\t" + f.Line }

var jumps = regexp.MustCompile(`^(bnd )?j[a-z]+$|^loop`)

// forbidden are instructions that no kernel may hold: they take data for
// addresses, or their stores or times depend on masks or operands.
var forbidden = regexp.MustCompile(`gather|scatter|^vp?compress|^vp?expand|maskmov|^v?maskmov|^i?div|^v(div|sqrt)|^(b[st]f|bsr|bsf|rep|loop|xlat|cpuid|rdtsc)`)

// floats are arithmetic on floating-point numbers, whose time may depend on what
// they are. Only minimum and maximum are excused, and only in the kernels of the
// sort of words, which see to it that all are positive, normal and finite.
var floats = regexp.MustCompile(`^v?(add|sub|mul|min|max|u?comi|cmp\w*|fn?m\w+|cvt\w+|round|rnd\w+|rcp\w*|rsqrt\w*)[ps][sd]x?$`)

func excused(kernel, op string) bool {
	return strings.HasSuffix(kernel, "Groups1AVX2") && (op == "vminpd" || op == "vmaxpd")
}

// maskedStore matches a store to memory under a mask register, in AT&T syntax.
var maskedStore = regexp.MustCompile(`\)\{%k[0-7]\}`)

// Find lists what has to be vouched for, and what no reason excuses.
func Find(p *disasm.Program) (findings []Finding, bad []string) {
	sources := map[string][]string{}
	for _, f := range p.Funcs {
		name := disasm.Short(f.Name)
		vector := strings.HasSuffix(name, "AVX2") || strings.HasSuffix(name, "AVX512")
		for i := range f.Insts {
			in := &f.Insts[i]
			if vector && (forbidden.MatchString(in.Op) || floats.MatchString(in.Op) && !excused(name, in.Op) || maskedStore.MatchString(in.Args) && !strings.HasPrefix(in.Op, "vpcmp")) {
				bad = append(bad, fmt.Sprintf("%s: %s %s: not on the list of instructions that kernels may use", name, in.Op, in.Args))
			}
			division := strings.HasPrefix(in.Op, "div") || strings.HasPrefix(in.Op, "idiv")
			if !division && (!jumps.MatchString(in.Op) || strings.HasPrefix(in.Op, "jmp")) {
				continue
			}
			if !division && (stackCheck(f, i) || writeBarrier(f, i) || boundsCheck(p, f, in)) {
				continue
			}
			file, line := p.Line(in.Addr)
			if !ours(file) && strings.Contains(f.Name, "/internal/proof/") {
				continue
			}
			x := Finding{Function: name, Op: in.Op, Place: fmt.Sprintf("%s:%d", filepath.Base(file), line)}
			if written := rewrite.FunctionAt(file, line); written != "" {
				x.Function = written
			}
			x.Line = text(sources, file, line)
			findings = append(findings, x)
		}
	}
	return findings, bad
}

// ours reports whether a source is one of the packages that are read.
func ours(file string) bool {
	for _, p := range Packages {
		if strings.Contains(file, "/internal/"+p+"/") {
			return true
		}
	}
	return false
}

func text(sources map[string][]string, file string, line int) string {
	lines, ok := sources[file]
	if !ok {
		b, err := os.ReadFile(file)
		if err == nil {
			lines = strings.Split(string(b), "\n")
		}
		sources[file] = lines
	}
	if line < 1 || line > len(lines) {
		return "?"
	}
	return strings.Join(strings.Fields(lines[line-1]), " ")
}

// stackCheck reports whether the jump follows a comparison of the stack pointer
// with the limit that the goroutine holds.
func stackCheck(f *disasm.Func, i int) bool {
	if i == 0 {
		return false
	}
	before := f.Insts[i-1]
	return before.Op == "cmp" && strings.Contains(before.Args, "0x10(%r14)")
}

// boundsCheck reports whether one way from the jump leads straight to one of the
// runtime's panics for indexes.
func boundsCheck(p *disasm.Program, f *disasm.Func, in *disasm.Inst) bool {
	at := slices.IndexFunc(f.Insts, func(x disasm.Inst) bool { return x.Addr == in.Addr })
	return panics(f, target(f, in)) || panics(f, at+1)
}

// target is the place of the instruction that a jump goes to, or -1.
func target(f *disasm.Func, in *disasm.Inst) int {
	var to uint64
	if _, err := fmt.Sscanf(in.Args, "%x", &to); err != nil {
		return -1
	}
	return slices.IndexFunc(f.Insts, func(x disasm.Inst) bool { return x.Addr == to })
}

// panics reports whether the code at a place does nothing but move operands and
// call a panic for indexes.
func panics(f *disasm.Func, at int) bool {
	for range 8 {
		if at < 0 || at >= len(f.Insts) {
			return false
		}
		x := &f.Insts[at]
		switch {
		case strings.HasPrefix(x.Op, "call"):
			return strings.Contains(x.Args, "<runtime.panicBounds") || strings.Contains(x.Args, "<runtime.panicshift") ||
				strings.Contains(x.Args, "<runtime.panicdivide") || strings.Contains(x.Args, "<runtime.panicSlice")
		case x.Op == "jmp":
			at = target(f, x)
		case strings.HasPrefix(x.Op, "j") || strings.HasPrefix(x.Op, "ret"):
			return false
		default:
			at++
		}
	}
	return false
}

// writeBarrier reports whether the jump follows a look at whether the garbage
// collector is at work.
func writeBarrier(f *disasm.Func, i int) bool {
	return i > 0 && strings.HasPrefix(f.Insts[i-1].Symbol, "runtime.writeBarrier")
}

// List is what is allowed: by function, the reason and the lines.
type List struct {
	Reasons map[string]string
	Lines   map[string]map[string]bool
}

// Parse reads a list: a function and its reason, "kernel.tally: lengths are
// public", then its lines, indented by a tab. Empty lines and lines that begin
// with # say nothing.
func Parse(b []byte) (*List, error) {
	l := &List{map[string]string{}, map[string]map[string]bool{}}
	now := ""
	for s, n := bufio.NewScanner(bytes.NewReader(b)), 1; s.Scan(); n++ {
		line := s.Text()
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "\t"):
			if now == "" {
				return nil, fmt.Errorf("gate: line %d belongs to no function", n)
			}
			l.Lines[now][line[1:]] = true
		default:
			f, why, ok := strings.Cut(line, ": ")
			if !ok || why == "" || why == "?" {
				return nil, fmt.Errorf("gate: line %d: %s has no reason", n, f)
			}
			now = f
			l.Reasons[now], l.Lines[now] = why, map[string]bool{}
		}
	}
	return l, nil
}

// Check compares findings with the list: what is new, and what is on the list
// and was not found.
func (l *List) Check(findings []Finding) (fresh []Finding, gone []string) {
	seen := map[string]bool{}
	for _, f := range findings {
		if !l.Lines[f.Function][f.Line] && !seen[f.Key()] {
			fresh = append(fresh, f)
		}
		seen[f.Key()] = true
	}
	for f, lines := range l.Lines {
		for line := range lines {
			if !seen[f+"\t"+line] {
				gone = append(gone, f+": "+line)
			}
		}
	}
	slices.Sort(gone)
	return fresh, gone
}

// Format writes a list of the findings with the reasons of l; a function that is
// new gets the reason "?", which a person has to replace.
func (l *List) Format(findings []Finding, head string) []byte {
	lines := map[string]map[string]bool{}
	for _, f := range findings {
		if lines[f.Function] == nil {
			lines[f.Function] = map[string]bool{}
		}
		lines[f.Function][f.Line] = true
	}
	var b bytes.Buffer
	b.WriteString(head)
	for _, f := range slices.Sorted(maps.Keys(lines)) {
		why := l.Reasons[f]
		if why == "" {
			why = "?"
		}
		fmt.Fprintf(&b, "\n%s: %s\n", f, why)
		for _, line := range slices.Sorted(maps.Keys(lines[f])) {
			fmt.Fprintf(&b, "\t%s\n", line)
		}
	}
	return b.Bytes()
}
