// Command asm generates the vector kernels of package kernel: one program for
// AVX2 and AVX-512, since most kernels are the same but for the length of a
// register. Run it with go generate ./... in this folder; the output is
// committed beside the package.
//
// The rules that keep the kernels oblivious are kept here: a mask is computed
// from memory in vector registers and is used by blends alone; no gather,
// scatter, compressing or masked store; every jump is on a counter that comes
// from lengths.
package main

import (
	"flag"
	"fmt"
	"os"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

//go:generate go run . -part cpu -pkg kernel -out ../cpu_amd64.s -stubs ../cpu_stub_amd64.go
//go:generate go run . -part levels -pkg kernel -out ../levels_amd64.s -stubs ../levels_stub_amd64.go
//go:generate go run . -part within -pkg kernel -out ../within_amd64.s -stubs ../within_stub_amd64.go
//go:generate go run . -part sorts -pkg kernel -out ../sorts_amd64.s -stubs ../sorts_stub_amd64.go
//go:generate go run . -part labels -pkg kernel -out ../labels_amd64.s -stubs ../labels_stub_amd64.go
//go:generate go run . -part order -pkg kernel -out ../order_amd64.s -stubs ../order_stub_amd64.go
//go:generate go run . -part routes -pkg kernel -out ../routes_amd64.s -stubs ../routes_stub_amd64.go

var part = flag.String("part", "", "what to generate: cpu, levels, within, ...")

func main() {
	flag.Parse()
	ConstraintExpr("!purego")
	generate, ok := map[string]func(){
		"cpu":    cpu,
		"levels": levels,
		"within": within,
		"sorts":  sorts,
		"labels": labels,
		"order":  order,
		"routes": routes,
	}[*part]
	if !ok {
		fmt.Fprintln(os.Stderr, "asm: unknown part", *part)
		os.Exit(2)
	}
	generate()
	Generate()
}

// vec is a vector instruction set: the length of its registers in bytes.
type vec int

const (
	avx2   vec = 32
	avx512 vec = 64
)

var (
	both = []vec{avx2, avx512}
	xs   = []reg.VecPhysical{reg.X0, reg.X1, reg.X2, reg.X3, reg.X4, reg.X5, reg.X6, reg.X7, reg.X8, reg.X9, reg.X10, reg.X11, reg.X12, reg.X13, reg.X14, reg.X15}
	ys   = []reg.VecPhysical{reg.Y0, reg.Y1, reg.Y2, reg.Y3, reg.Y4, reg.Y5, reg.Y6, reg.Y7, reg.Y8, reg.Y9, reg.Y10, reg.Y11, reg.Y12, reg.Y13, reg.Y14, reg.Y15}
	zs   = []reg.VecPhysical{reg.Z0, reg.Z1, reg.Z2, reg.Z3, reg.Z4, reg.Z5, reg.Z6, reg.Z7, reg.Z8, reg.Z9, reg.Z10, reg.Z11, reg.Z12, reg.Z13, reg.Z14, reg.Z15,
		reg.Z16, reg.Z17, reg.Z18, reg.Z19, reg.Z20, reg.Z21, reg.Z22, reg.Z23, reg.Z24, reg.Z25, reg.Z26, reg.Z27, reg.Z28, reg.Z29, reg.Z30, reg.Z31}
)

func (v vec) String() string {
	if v == avx2 {
		return "AVX2"
	}
	return "AVX512"
}

// reg returns vector register i.
func (v vec) reg(i int) reg.VecPhysical {
	if v == avx2 {
		return ys[i]
	}
	return zs[i]
}

// move loads or stores a whole register.
func (v vec) move(a, b Op) {
	if v == avx2 {
		VMOVDQU(a, b)
	} else {
		VMOVDQU64(a, b)
	}
}

// at is the operand at base+index*scale+disp.
func at(base reg.Register, index reg.Register, scale uint8, disp int) Mem {
	return Mem{Base: base, Index: index, Scale: scale, Disp: disp}
}

func mem(base reg.Register, disp int) Mem { return Mem{Base: base, Disp: disp} }
