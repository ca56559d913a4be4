package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// kind says why an input of the server process cannot make it do what it should
// not.
type kind string

const (
	measured  kind = "measured"  // in the measurement that evidence carries
	signed    kind = "signed"    // in the manifest, which operators sign, and whose hash is in the report data
	sealed    kind = "sealed"    // under a key that the TEE gives to this program only
	untrusted kind = "untrusted" // from the host; why says what it can do at most
	unused    kind = "not used"
	output    kind = "output" // nothing comes in
)

// input is something that comes from outside the program's code.
type input struct {
	name string // as in docs/verify-a-server.md
	kind kind
	why  string
	uses []string // where the program takes it: package, and what of which library
}

const tsmFiles = "github.com/google/go-configfs-tsm/configfs/linuxtsm"

// inputs are all there are. TestInputs compares uses with the source of every
// package that the server links, on each TEE, and names and kinds with the table
// in docs/verify-a-server.md.
var inputs = []input{
	{"the program", measured, "a TEE measures it as it is loaded; the simulated one reads its file", []string{
		"attest/simulated os.Open", "attest/simulated os.Executable",
	}},
	{"the argument", untrusted, "names the folder; anything but one argument is refused", []string{
		"cmd/teems-server os.Args",
	}},
	{"the environment", untrusted, "a variable whose name begins with GO is refused; no other is looked at", []string{
		"cmd/teems-server os.Environ", "internal/keys os.Getenv", "golang.org/x/sys/cpu os.Getenv",
	}},
	{"`manifest.json`, `manifest.N.json`", signed, "a chain from manifest 1, each signed by the operators of the one before", folder},
	{"`server.json`", untrusted, "chooses among the manifest's servers; the evidence says which, and of two that choose one only one is linked", folder},
	{"`secret.sealed`", sealed, "bound to the chain of manifests and the newest of them; without it the others are asked", folder},
	{"`collateral.bin`", untrusted, "signed by the vendors: a wrong one makes this server's evidence fail", []string{
		"attest/bundle os.ReadFile",
	}},
	{"the TEE's files", untrusted, "the vendor signs what comes from them, so forged ones give evidence that nobody accepts; the measured image decides that they are the TEE's", []string{
		"attest/sgx os.DirFS", "attest/sgx os.ReadFile", "attest/sgx os.OpenFile", "attest/tsm os.OpenFile", "attest/tsm syscall.Syscall",
		tsmFiles + " os.MkdirTemp", tsmFiles + " os.ReadFile", tsmFiles + " os.WriteFile",
		tsmFiles + " os.Remove", tsmFiles + " os.ReadDir", tsmFiles + " os.Stat",
	}},
	{"the mesh port", untrusted, "attested TLS: only servers that satisfy the same manifest say anything", []string{
		"cmd/teems-server net.Listen", "cmd/teems-server net.Dialer",
	}},
	{"the front port", untrusted, "gateways and coordinators decide when epochs start and who takes part, both public; cells are sealed", []string{
		"cmd/teems-server net.Listen",
	}},
	{"randomness", measured, "the processor's, by Go's generator; in a guest the measured kernel's", []string{
		"cmd/teems-server crypto/rand.Reader",
	}},
	{"the clock", untrusted, "timeouts, and which certificates and collateral are current: a wrong one delays, or accepts what was current at another time", []string{
		"cmd/teems-server time.Now", "cmd/teems-server time.After", "internal/mesh time.AfterFunc", "internal/node time.AfterFunc",
	}},
	{"signals", untrusted, "SIGINT and SIGTERM end it, SIGQUIT is ignored", []string{
		"cmd/teems-server os/signal.NotifyContext", "cmd/teems-server os/signal.Ignore", "cmd/teems-server os.Interrupt",
	}},
	{"the processor's features", untrusted, "choose among implementations of the same; without AES in hardware it does not start", []string{
		"golang.org/x/sys/cpu os.ReadFile",
	}},
	{"the cores", untrusted, "how many there are: of the threads that the manifest says no more run at once; how work is cut, and what comes out, is the same", []string{
		"internal/oblivious runtime.GOMAXPROCS", "internal/node syscall.RawSyscall", // the latter: sched_yield
	}},
	{"its own usage", untrusted, "CPU time and memory, which go into reports and nowhere else", []string{
		"internal/node syscall.Getrusage", "internal/node os.ReadFile", "internal/node os.Getpagesize",
	}},
	{"operators' key files", unused, "the code is linked, and the server does not call it", []string{
		"internal/manifest os.Open", "internal/manifest os.OpenFile", "internal/manifest os.Remove",
	}},
	{"`genesis.json`, `evidence.bin`, `secret.sealed`, the standard error", output, "written", []string{
		"internal/node/deployment os.CreateTemp", "internal/node/deployment os.Remove", "internal/node/deployment os.Rename", "internal/node/deployment os.Open",
		"cmd/teems-server os.Stderr", "cmd/teems-server os.NewFile", "cmd/teems-server os.DevNull", "cmd/teems-server os.Exit",
		"cmd/teems-server syscall.Open", "cmd/teems-server syscall.Close", "cmd/teems-server syscall.Dup3", "cmd/teems-server syscall.Syscall",
		"cmd/teems-server syscall.RawSyscall6", "cmd/teems-server syscall.Setrlimit", "cmd/teems-server runtime/debug.SetTraceback", "cmd/teems-server runtime/debug.SetGCPercent",
		"internal/arena syscall.Mmap", "internal/arena syscall.Munmap", "internal/arena syscall.Madvise",
	}},
}

var folder = []string{"internal/node/deployment os.Stat", "internal/node/deployment os.ReadFile"}

// harmless brings nothing in, wherever it is used: types, errors, text, times
// that are given.
func harmless(name string) bool {
	library, what, _ := strings.Cut(name, ".")
	switch library {
	case "syscall":
		return strings.ToUpper(what) == what || what == "Rlimit" || what == "Rusage"
	case "runtime":
		return what == "GOOS" || what == "GOARCH" || what == "Gosched" || what == "Pinner"
	case "os":
		return strings.HasPrefix(what, "O_") || slices.Contains([]string{"DirEntry", "ErrExist", "IsNotExist"}, what)
	case "net":
		return slices.Contains([]string{"Buffers", "Conn", "ErrClosed", "JoinHostPort", "Listener", "ParseIP", "SplitHostPort"}, what)
	case "time":
		return !slices.Contains([]string{"Now", "After", "AfterFunc", "Since", "Until", "Sleep", "Tick", "NewTimer", "NewTicker", "Local", "LoadLocation"}, what)
	case "path/filepath":
		return what == "Join"
	}
	return false
}

// sources are the Go files of every package that the server links on some TEE,
// but for the standard library.
func sources(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, tags := range []string{"", "teems_sgx", "teems_tdx", "teems_snp"} {
		out := list(t, "-tags", tags, "-f", `{{if not .Standard}}{{$p := .}}{{range .GoFiles}}{{$p.ImportPath}} {{$p.Dir}}/{{.}}{{"\n"}}{{end}}{{end}}`, ".")
		all = append(all, strings.Split(strings.TrimSpace(out), "\n")...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// outside are the libraries by which something can come in.
var outside = []string{"os", "os/signal", "os/exec", "os/user", "net", "syscall", "runtime", "runtime/debug", "plugin", "crypto/rand", "time", "io/ioutil", "path/filepath"}

// uses returns what the source takes from these libraries.
func uses(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, s := range sources(t) {
		pkg, file, _ := strings.Cut(s, " ")
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		must(t, err)
		names := map[string]string{}
		for _, i := range f.Imports {
			p := strings.Trim(i.Path.Value, `"`)
			name := path.Base(p)
			if i.Name != nil {
				name = i.Name.Name
			}
			if slices.Contains(outside, p) {
				names[name] = p
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if x, ok := n.(*ast.SelectorExpr); ok {
				if id, ok := x.X.(*ast.Ident); ok && names[id.Name] != "" {
					all = append(all, strings.TrimPrefix(pkg, "github.com/teems-go/teems/")+" "+names[id.Name]+"."+x.Sel.Name)
				}
			}
			return true
		})
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func TestInputs(t *testing.T) {
	var known []string
	for _, i := range inputs {
		known = append(known, i.uses...)
	}
	found := uses(t)
	for _, u := range found {
		if _, name, _ := strings.Cut(u, " "); !harmless(name) && !slices.Contains(known, u) {
			t.Errorf("%s: say in the table of inputs what comes in there, and why it does no harm", u)
		}
	}
	for _, u := range known {
		if !slices.Contains(found, u) {
			t.Errorf("%s is in the table of inputs, and nothing does that any more", u)
		}
	}
	doc, err := os.ReadFile("../../docs/verify-a-server.md")
	must(t, err)
	for _, i := range inputs {
		if row := "| " + i.name + " | " + string(i.kind) + " | " + i.why + " |\n"; !strings.Contains(string(doc), row) {
			t.Errorf("docs/verify-a-server.md lacks the row\n%s", row)
		}
	}
}

// variables are what the standard library itself reads of the environment, as
// far as the server links it, apart from those that begin with GO.
var variables = map[string]string{
	"crypto/x509/root_unix.go": "where the system's roots are: the server trusts none of them",
	"net/conf.go":              "LOCALDOMAIN, RES_OPTIONS, HOSTALIASES: how names are resolved, which is untrusted anyway",
	"os/file.go":               "the user's folders, which the server does not ask for",
	"os/file_unix.go":          "TMPDIR: every temporary file of the server has a folder of its own",
	"os/getwd.go":              "PWD: a name for the working directory",
	"time/zoneinfo.go":         "ZONEINFO: local time, which the server does not use",
	"time/zoneinfo_unix.go":    "TZ: likewise",
}

var getsVariable = regexp.MustCompile(`(?:\w\.)?(?:Getenv|LookupEnv|gogetenv)\(([^)]*)\)`)

// TestVariables: Go reads nothing of the environment that is not on the list.
func TestVariables(t *testing.T) {
	files := list(t, "-f", `{{if .Standard}}{{$p := .}}{{range .GoFiles}}{{$p.ImportPath}}/{{.}} {{$p.Dir}}/{{.}}{{"\n"}}{{end}}{{end}}`, ".")
	seen := map[string]bool{}
	for line := range strings.Lines(files) {
		name, file, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || strings.HasPrefix(name, "internal/testlog/") || name == "os/env.go" || strings.HasPrefix(name, "syscall/env") {
			continue // they are how the others read
		}
		b, err := os.ReadFile(file)
		must(t, err)
		for _, m := range getsVariable.FindAllSubmatch(b, -1) {
			if strings.HasPrefix(string(m[1]), `"GO`) || strings.HasPrefix(name, "runtime/") && !strings.HasPrefix(string(m[1]), `"`) {
				continue
			}
			if variables[name] == "" {
				t.Errorf("%s reads the variable %s: say in the table why that does no harm", name, m[1])
			}
			seen[name] = true
		}
	}
	for name := range variables {
		if !seen[name] {
			t.Errorf("%s reads no variable any more", name)
		}
	}
}
