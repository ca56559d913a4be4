//go:build linux && amd64

// Package step runs a program instruction by instruction between two marks and
// keeps the instruction pointer, the effective address of every memory operand,
// and, in vector kernels, all general registers. Under two secrets the
// sequences must be equal. It sees compiled code as it is, on any instruction
// set that the machine has.
//
// The kernel's ptrace does the stepping. All other threads of the program stand
// still meanwhile, so that the Go runtime interferes with nothing.
package step

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"github.com/teems-go/teems/internal/proof/disasm"
)

// Stepper drives one program.
type Stepper struct {
	program *disasm.Program
	where   map[uint64]*place
	pid     int
	entry   uint64 // breakpoint that is set, or 0
}

// place is what is to be known of an instruction.
type place struct {
	inst *disasm.Inst
	fn   *disasm.Func
	all  bool // of a vector kernel: compare all general registers
	rep  bool
}

// Step is what one instruction is about to do.
type Step struct {
	PC        uint64
	Addresses uint64             // a digest of the stack pointer and all effective addresses
	Registers *[registers]uint64 // in vector kernels: the general registers
}

// registers is the number of general registers, the stack pointer left out.
const registers = 15

// ErrPtrace says that stepping is not permitted here.
var ErrPtrace = errors.New("step: ptrace is not permitted in this environment (a container needs CAP_SYS_PTRACE or kernel.yama.ptrace_scope below 3); this check cannot be left out")

// Start starts the program under ptrace. The calling goroutine is bound to its
// thread, and makes all calls.
func Start(p *disasm.Program, cmd *exec.Cmd) (*Stepper, error) {
	runtime.LockOSThread()
	pin()
	s := &Stepper{program: p, where: map[uint64]*place{}}
	for _, f := range p.Funcs {
		// Of kernel functions written in assembly.
		vector := strings.HasSuffix(f.Name, "AVX2") || strings.HasSuffix(f.Name, "AVX512")
		for i := range f.Insts {
			in := &f.Insts[i]
			s.where[in.Addr] = &place{in, f, vector, strings.HasPrefix(in.Op, "rep")}
		}
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrPtrace, err)
	}
	s.pid = cmd.Process.Pid
	var ws syscall.WaitStatus
	if _, err := syscall.Wait4(s.pid, &ws, 0, nil); err != nil {
		return nil, err
	}
	const exitKill = 0x100000
	if err := syscall.PtraceSetOptions(s.pid, syscall.PTRACE_O_TRACECLONE|exitKill); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrPtrace, err)
	}
	return s, syscall.PtraceCont(s.pid, 0)
}

// pin keeps this thread, and the program that it starts, on one processor:
// every step switches between the two.
func pin() {
	const getcpu = 309
	var cpu uint32
	if _, _, errno := syscall.RawSyscall(getcpu, uintptr(unsafe.Pointer(&cpu)), 0, 0); errno == 0 && cpu < 1024 {
		var set [1024 / 64]uint64
		set[cpu/64] = 1 << (cpu % 64)
		// Without it all is well, but slow.
		_, _, _ = syscall.RawSyscall(syscall.SYS_SCHED_SETAFFINITY, 0, unsafe.Sizeof(set), uintptr(unsafe.Pointer(&set)))
	}
}

// Next lets the program run to its next mark. It is false when the program has
// ended.
func (s *Stepper) Next() (bool, error) {
	for {
		var ws syscall.WaitStatus
		tid, err := syscall.Wait4(-1, &ws, syscall.WALL, nil)
		if err != nil {
			return false, err
		}
		switch {
		case ws.Exited() || ws.Signaled():
			if tid == s.pid {
				if ws.ExitStatus() != 0 {
					return false, fmt.Errorf("step: the program ended with status %d", ws.ExitStatus())
				}
				return false, nil
			}
		case ws.StopSignal() == syscall.SIGTRAP && ws.TrapCause() == 0 && s.marked(tid):
			return true, nil
		default:
			sig := 0
			if ws.StopSignal() != syscall.SIGTRAP && ws.StopSignal() != syscall.SIGSTOP {
				sig = int(ws.StopSignal())
			}
			if err := syscall.PtraceCont(tid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
				return false, err
			}
		}
	}
}

// marked reports whether a thread has just passed a mark.
func (s *Stepper) marked(tid int) bool {
	var r syscall.PtraceRegs
	if tid != s.pid || syscall.PtraceGetRegs(tid, &r) != nil {
		return false
	}
	if s.entry != 0 && r.Rip-1 == s.entry {
		return true
	}
	f := s.where[r.Rip-1]
	return f != nil && f.inst.Op == "int3"
}

// Take steps from a mark to the next one, at most so many steps, and then lets
// the program run on to that mark.
func (s *Stepper) Take(limit int) ([]Step, error) {
	halted, err := s.halt()
	if err != nil {
		return nil, err
	}
	if err := s.unpreempt(); err != nil {
		return nil, err
	}
	var steps []Step
	var r syscall.PtraceRegs
	for {
		if err := syscall.PtraceGetRegs(s.pid, &r); err != nil {
			return nil, err
		}
		at := s.where[r.Rip]
		if at != nil && at.inst.Op == "int3" {
			break
		}
		if len(steps) == limit {
			break
		}
		step := Step{PC: r.Rip, Addresses: digest(at, &r)}
		if at != nil && at.all {
			step.Registers = &[registers]uint64{r.Rax, r.Rbx, r.Rcx, r.Rdx, r.Rsi, r.Rdi, r.Rbp, r.R8, r.R9, r.R10, r.R11, r.R12, r.R13, r.R14, r.R15}
		}
		steps = append(steps, step)
		if err := s.single(); err != nil {
			return nil, err
		}
	}
	for _, tid := range halted {
		if err := syscall.PtraceCont(tid, 0); err != nil {
			return nil, err
		}
	}
	if err := syscall.PtraceCont(s.pid, 0); err != nil {
		return nil, err
	}
	if ok, err := s.Next(); err != nil || !ok {
		return nil, fmt.Errorf("step: the second mark did not come: %w", err)
	}
	return steps, nil
}

// Reach runs from a mark to the entry of a function. It is false if the next
// mark comes before.
func (s *Stepper) Reach(function string) (bool, error) {
	var entry uintptr
	for _, f := range s.program.Funcs {
		if disasm.Short(f.Name) == function {
			entry = uintptr(f.Insts[0].Addr)
		}
	}
	if entry == 0 {
		return false, fmt.Errorf("step: no function %s", function)
	}
	var old [1]byte
	if _, err := syscall.PtracePeekText(s.pid, entry, old[:]); err != nil {
		return false, err
	}
	if _, err := syscall.PtracePokeText(s.pid, entry, []byte{0xcc}); err != nil {
		return false, err
	}
	s.entry = uint64(entry)
	if err := s.Resume(); err != nil {
		return false, err
	}
	if ok, err := s.Next(); err != nil || !ok {
		return false, fmt.Errorf("step: the second mark did not come: %w", err)
	}
	if _, err := syscall.PtracePokeText(s.pid, entry, old[:]); err != nil {
		return false, err
	}
	var r syscall.PtraceRegs
	if err := syscall.PtraceGetRegs(s.pid, &r); err != nil {
		return false, err
	}
	at := s.entry
	s.entry = 0
	if r.Rip-1 != at {
		return false, nil
	}
	r.Rip = at
	return true, syscall.PtraceSetRegs(s.pid, &r)
}

// Skip runs from a mark to the next one, without a look.
func (s *Stepper) Skip() error {
	if err := s.Resume(); err != nil {
		return err
	}
	if ok, err := s.Next(); err != nil || !ok {
		return fmt.Errorf("step: the second mark did not come: %w", err)
	}
	return nil
}

// Resume goes on from a mark.
func (s *Stepper) Resume() error { return syscall.PtraceCont(s.pid, 0) }

// single does one instruction.
func (s *Stepper) single() error {
	for {
		if err := syscall.PtraceSingleStep(s.pid); err != nil {
			return err
		}
		var ws syscall.WaitStatus
		if _, err := syscall.Wait4(s.pid, &ws, syscall.WALL, nil); err != nil {
			return err
		}
		if !ws.Stopped() {
			return errors.New("step: the program ended between its marks")
		}
		if ws.StopSignal() == syscall.SIGTRAP {
			return nil
		}
		if ws.StopSignal() != syscall.SIGURG { // the Go runtime's wish to preempt
			return fmt.Errorf("step: signal %v between the marks", ws.StopSignal())
		}
	}
}

// unpreempt takes back the wish to preempt the goroutine that the runtime's
// monitor may have uttered before it was halted: to heed it, the goroutine would
// wait for threads that stand still. Register R14 holds the goroutine, whose
// first words are the bounds of its stack and the limit that a function's start
// compares with; a limit of that one value is the wish.
func (s *Stepper) unpreempt() error {
	const wish, guard = 0xfffffffffffffade, 928
	var r syscall.PtraceRegs
	if err := syscall.PtraceGetRegs(s.pid, &r); err != nil {
		return err
	}
	var g [24]byte
	if _, err := syscall.PtracePeekData(s.pid, uintptr(r.R14), g[:]); err != nil {
		return err
	}
	le := binary.LittleEndian
	if le.Uint64(g[16:]) != wish {
		return nil
	}
	le.PutUint64(g[16:], le.Uint64(g[:])+guard)
	_, err := syscall.PtracePokeData(s.pid, uintptr(r.R14)+16, g[16:])
	return err
}

// halt stops all other threads.
func (s *Stepper) halt() ([]int, error) {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", s.pid))
	if err != nil {
		return nil, err
	}
	var halted []int
	for _, e := range entries {
		tid, err := strconv.Atoi(e.Name())
		if err != nil || tid == s.pid {
			continue
		}
		if _, _, errno := syscall.RawSyscall(syscall.SYS_TGKILL, uintptr(s.pid), uintptr(tid), uintptr(syscall.SIGSTOP)); errno != 0 {
			return nil, errno
		}
		for {
			var ws syscall.WaitStatus
			if _, err := syscall.Wait4(tid, &ws, syscall.WALL, nil); err != nil {
				return nil, err
			}
			if ws.Stopped() && ws.StopSignal() == syscall.SIGSTOP {
				break
			}
			if err := syscall.PtraceCont(tid, 0); err != nil {
				return nil, err
			}
		}
		halted = append(halted, tid)
	}
	return halted, nil
}
