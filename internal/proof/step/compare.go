//go:build linux && amd64

package step

import (
	"fmt"
	"strings"
	"syscall"

	"github.com/teems-go/teems/internal/proof/disasm"
)

func mix(h, x uint64) uint64 { return (h<<7 | h>>57) ^ x*0x9e3779b97f4a7c15 }

// digest folds the addresses that an instruction is about to touch.
func digest(at *place, r *syscall.PtraceRegs) uint64 {
	h := mix(1, r.Rsp)
	if at == nil {
		return h // no code of a Go function
	}
	for i := range at.inst.Mem {
		o := &at.inst.Mem[i]
		h = mix(h, register(o.Base, r)+register(o.Index, r)*o.Scale+o.Disp)
	}
	if at.rep {
		h = mix(mix(mix(h, r.Rcx), r.Rsi), r.Rdi)
	}
	return h
}

func register(name string, r *syscall.PtraceRegs) uint64 {
	switch name {
	case "rax":
		return r.Rax
	case "rbx":
		return r.Rbx
	case "rcx":
		return r.Rcx
	case "rdx":
		return r.Rdx
	case "rsi":
		return r.Rsi
	case "rdi":
		return r.Rdi
	case "rbp":
		return r.Rbp
	case "rsp":
		return r.Rsp
	case "r8":
		return r.R8
	case "r9":
		return r.R9
	case "r10":
		return r.R10
	case "r11":
		return r.R11
	case "r12":
		return r.R12
	case "r13":
		return r.R13
	case "r14":
		return r.R14
	case "r15":
		return r.R15
	}
	return 0
}

// Difference says where two sequences part, or is empty. In a vector kernel a
// register counts from the moment at which it is equal in both: what is left in
// it from the caller, which may well be secret, does not.
func (s *Stepper) Difference(a, b []Step) string {
	var live [registers]bool
	for i := range min(len(a), len(b)) {
		switch p, q := &a[i], &b[i]; {
		case p.PC != q.PC:
			return fmt.Sprintf("after step %d, in %s, control goes to different places", i, s.name(a[max(i-1, 0)].PC))
		case p.Addresses != q.Addresses:
			return fmt.Sprintf("at step %d, in %s, addresses differ", i, s.name(p.PC))
		case p.Registers == nil:
			clear(live[:])
		default:
			for r := range live {
				if same := p.Registers[r] == q.Registers[r]; live[r] && !same {
					return fmt.Sprintf("after step %d, in %s, registers differ", i, s.name(a[i-1].PC))
				} else if same {
					live[r] = true
				}
			}
		}
	}
	if len(a) != len(b) {
		return fmt.Sprintf("%d steps against %d", len(a), len(b))
	}
	return ""
}

// name is the function of an address, as it is compiled and as it is written.
func (s *Stepper) name(pc uint64) string {
	at := s.where[pc]
	if at == nil {
		return fmt.Sprintf("%#x", pc)
	}
	file, line := s.program.Line(pc)
	return fmt.Sprintf("%s (%s:%d): %s %s", disasm.Short(at.fn.Name), file[strings.LastIndex(file, "/")+1:], line, at.inst.Op, at.inst.Args)
}
