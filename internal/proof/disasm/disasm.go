// Package disasm reads a compiled program through binutils' objdump, which
// knows all vector instructions: functions, instructions, memory operands; and
// the source lines that they come from.
package disasm

import (
	"bufio"
	"debug/elf"
	"debug/gosym"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"sort"
	"strconv"
	"strings"
)

// Inst is an instruction.
type Inst struct {
	Addr uint64
	Op   string
	Args string
	Mem  []Operand
	// Symbol is what an operand relative to the instruction pointer names.
	Symbol string
}

// Operand is a memory operand: base + index*scale + displacement.
type Operand struct {
	Base, Index string // register names, or nothing; "rip" has been resolved
	Scale       uint64
	Disp        uint64
}

// Func is a function.
type Func struct {
	Name  string // without .abi0
	Insts []Inst
}

// Program is a compiled program.
type Program struct {
	Funcs []*Func
	table *gosym.Table
}

var (
	header = regexp.MustCompile(`^([0-9a-f]{8,16}) <(.*)>:$`)
	memory = regexp.MustCompile(`(-?0x[0-9a-f]+)?\((%\w+)?(?:,(%\w+)(?:,([1248]))?)?\)`)
)

// Load disassembles the functions that want holds for.
func Load(path string, want func(name string) bool) (*Program, error) {
	p := &Program{}
	var err error
	if p.table, err = lines(path); err != nil {
		return nil, err
	}
	cmd := exec.Command("objdump", "-d", "-w", "--no-show-raw-insn", "-j", ".text", path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("objdump (binutils) is needed: %w", err)
	}
	if err := p.read(out, want); err != nil {
		return nil, err
	}
	return p, cmd.Wait()
}

func (p *Program) read(out io.Reader, want func(string) bool) error {
	var f *Func
	s := bufio.NewScanner(out)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		line := s.Text()
		if m := header.FindStringSubmatch(line); m != nil {
			f = nil
			if name := strings.TrimSuffix(m[2], ".abi0"); want(name) {
				f = &Func{Name: name}
				p.Funcs = append(p.Funcs, f)
			}
			continue
		}
		if f == nil || !strings.HasPrefix(line, "  ") {
			continue
		}
		addr, text, ok := strings.Cut(line, ":\t")
		if !ok {
			continue
		}
		a, err := strconv.ParseUint(strings.TrimSpace(addr), 16, 64)
		if err != nil {
			return err
		}
		f.Insts = append(f.Insts, parse(a, text))
	}
	return s.Err()
}

// prefixes are printed like instructions of their own.
var prefixes = []string{"rep ", "repz ", "repnz ", "lock ", "data16 ", "cs ", "bnd ", "notrack ", "xchg %ax,%ax"}

func parse(addr uint64, text string) Inst {
	text, comment, _ := strings.Cut(text, "#")
	text = strings.TrimSpace(text)
	in := Inst{Addr: addr}
	for again := true; again; {
		again = false
		for _, p := range prefixes[:len(prefixes)-1] {
			if rest, ok := strings.CutPrefix(text, p); ok {
				in.Op += p
				text, again = strings.TrimSpace(rest), true
			}
		}
	}
	op, args, _ := strings.Cut(text, " ")
	in.Op += op
	in.Args = strings.TrimSpace(args)
	if _, symbol, ok := strings.Cut(comment, "<"); ok {
		in.Symbol = strings.TrimSuffix(strings.TrimSpace(symbol), ">")
	}
	if op == "lea" || op == "nop" || op == "nopw" || op == "nopl" {
		return in // computes an address, touches none
	}
	for _, m := range memory.FindAllStringSubmatch(in.Args, -1) {
		o := Operand{Base: strings.TrimPrefix(m[2], "%"), Index: strings.TrimPrefix(m[3], "%"), Scale: 1}
		if m[4] != "" {
			o.Scale, _ = strconv.ParseUint(m[4], 10, 64)
		}
		if m[1] != "" {
			neg := strings.HasPrefix(m[1], "-")
			o.Disp, _ = strconv.ParseUint(strings.TrimPrefix(strings.TrimPrefix(m[1], "-"), "0x"), 16, 64)
			if neg {
				o.Disp = -o.Disp
			}
		}
		if o.Base == "rip" {
			at, _, _ := strings.Cut(strings.TrimSpace(comment), " ")
			o.Base = ""
			o.Disp, _ = strconv.ParseUint(at, 16, 64)
		}
		in.Mem = append(in.Mem, o)
	}
	return in
}

// lines reads the table of source lines.
func lines(path string) (*gosym.Table, error) {
	f, err := elf.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	section := f.Section(".gopclntab")
	text := f.Section(".text")
	if section == nil || text == nil {
		return nil, fmt.Errorf("%s is no Go program", path)
	}
	data, err := section.Data()
	if err != nil {
		return nil, err
	}
	return gosym.NewTable(nil, gosym.NewLineTable(data, text.Addr))
}

// Line is the source line of an address; of an inlined function where it is
// written.
func (p *Program) Line(addr uint64) (file string, line int) {
	file, line, _ = p.table.PCToLine(addr)
	return file, line
}

// At finds the function and the instruction at an address.
func (p *Program) At(addr uint64) (*Func, *Inst) {
	i := sort.Search(len(p.Funcs), func(i int) bool { return p.Funcs[i].Insts[0].Addr > addr }) - 1
	if i < 0 {
		return nil, nil
	}
	f := p.Funcs[i]
	k := sort.Search(len(f.Insts), func(k int) bool { return f.Insts[k].Addr >= addr })
	if k == len(f.Insts) || f.Insts[k].Addr != addr {
		return nil, nil
	}
	return f, &f.Insts[k]
}

// Short is a function's name as the project writes it: "kernel.sortWords",
// "idchannel.Sender.trim".
func Short(name string) string {
	name = strings.NewReplacer("(*", "", ")", "").Replace(name)
	return name[strings.LastIndex(name, "/")+1:]
}
