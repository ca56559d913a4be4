package rewrite

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// secretParameters tell which parameters are secrets, by name and type, and
// how to look at them.
var secretParameters = map[string]string{
	"m Mask": "uint64(m)", "m choice.Mask": "uint64(m)", "real choice.Mask": "uint64(real)", "recipient uint32": "uint64(recipient)",
	"m uint64": "m", "c uint64": "c", "c [3]uint64": "c[0]", "c *[3]uint64": "c[0]",
	"m01 uint64": "m01", "m01 uint32": "uint64(m01)",
	"a uint64": "a", "x uint64": "x", "b uint64": "b", "x uint32": "uint64(x)", "i uint32": "uint64(i)",
	"l *[8]uint32": "uint64(l[0])", "masks *Masks8": "probe.Some(masks[:])",
	"ranks []uint32": "probe.Some(ranks)", "labels []uint32": "probe.Some(labels)", "want []uint32": "probe.Some(want)", "index []uint32": "probe.Some(index)",
	"marks []byte": "probe.Some(marks)", "starts []byte": "probe.Some(starts)",
	"data []uint64": "probe.Some(data)", "keys []uint64": "probe.Some(keys)", "k []uint64": "probe.Some(k)", "entries []uint64": "probe.Some(entries)",
	"e []uint64": "probe.Some(e)", "a []uint64": "probe.Some(a)", "k *[8]uint64": "k[0]",
	"hs [][4]uint64": "probe.Head(hs)", "h []Header": "probe.Head(h)", "h []oblivious.Header": "probe.Head(h)",
	"inputs []byte": "probe.From(inputs, 8)", "in []uint64": "probe.Some(in)", "in []uint32": "probe.Some(in)", "prk []byte": "probe.Some(prk)",
	"r cell.Request": "uint64(r.Kind())", "control cell.Control": "control.AckEpoch()",
}

// secretState does so for methods whose secrets are in their receiver or inside
// a parameter.
var secretState = map[string]string{
	"idchannel.Sender.Prepare":      "probe.Some(in.Recipient)",
	"idchannel.Sender.buildPart":    "probe.Some(s.in.Recipient)",
	"idchannel.Sender.namePart":     "probe.Some(s.in.Sender)",
	"idchannel.Sender.trimPart":     "probe.Head(s.headers)",
	"idchannel.Sender.finishPart":   "probe.Some(s.ties)",
	"idchannel.Sender.labelPart":    "probe.Some(s.drawn)",
	"idchannel.Sender.packPart":     "probe.Head(s.headers)",
	"idchannel.Sender.entryPart":    "probe.Some(s.ranks)",
	"idchannel.Sender.Cells":        "probe.Some(s.ranks)",
	"idchannel.Ranker.Rank":         "probe.Some(d.rows)",
	"idchannel.Ranker.readPart":     "probe.Some(d.rows)",
	"idchannel.Ranker.rankPart":     "probe.Head(d.headers)",
	"idchannel.Ranker.answerPart":   "probe.Some(d.entries)",
	"idchannel.ranking.next":        "h[0]",
	"idchannel.Classes.keeps":       "h[0]",
	"record.Table.Keep":             "probe.Some(kept)",
	"token.Directory.Find":          "probe.Some(clients)",
	"token.Checker.Tokens":          "probe.From(in.Data, 4)",
	"token.Checker.Passes":          "probe.From(in.Data, 4)",
	"token.Checker.judge":           "probe.From(c.in.Data, 4)",
	"token.Checker.read":            "probe.From(c.in.Data, 4)",
	"token.Checker.prove":           "uint64(cells[0].recipient)",
	"token.Checker.judgeTokens":     "uint64(cells[0].recipient)",
	"token.Checker.judgePasses":     "uint64(cells[0].recipient)",
	"token.Issuer.Issue":            "probe.From(in.Data, in.First)",
	"token.Issuer.answerChunk":      "probe.From(x.in.Data, x.in.First)",
	"token.Issuer.authenticate":     "probe.From(x.in.Data, x.in.First)",
	"ingestion.Role.judge":          "probe.Some(m.heads)",
	"ingestion.Role.contest":        "probe.Some(m.id.records.Recipient)",
	"ingestion.Role.Deal":           "probe.Some(m.id.records.Recipient)",
	"ingestion.Role.address":        "probe.Some(m.tok.recipient)",
	"ingestion.Role.addressClients": "probe.Some(m.tok.recipient)",
	"ingestion.Role.split":          "probe.Some(m.labels)",
	"ingestion.Role.Ranks":          "probe.Some(payload)",
	"ingestion.Role.Statuses":       "probe.Some(m.tok.status)",
	"routing.Role.Headers":          "probe.Some(payload)",
	"routing.Role.Rank":             "probe.Some(m.headers)",
	"routing.Role.Deal":             "probe.Some(heads)",
	"routing.Role.Route":            "probe.Some(m.table.Headers.Data)",
	"storage.Role.Section":          "probe.Some(heads)",
	"storage.Role.Place":            "probe.Some(m.table.Headers.Data)",
	"storage.Role.blank":            "probe.Some(boxes.Headers.Data)",
	"storage.Role.Answer":           "probe.From(controls, 64)",
	"storage.PutCells":              "probe.Some(boxes.Headers.Data)",
	"epoch.Server.delivery":         "probe.Some(o.answers)",
	"epoch.Server.result":           "probe.From(o.verdicts, verdictHead)",
	"epoch.outcome.parts":           "probe.Some(o.answers)",
	"epoch.Server.acknowledge":      "probe.Some(o.answers)",
	"record.Table.Put":              "probe.From(bodies, 0)",
	"cell.PutMACInput":              "uint64(recipient)",
}

// noMutant are functions with a parameter that looks like a secret's and is
// public, and why.
var noMutant = map[string]string{
	"epoch.bit":                   "of the roster, which is public",
	"epoch.later":                 "of acknowledgements, which are public",
	"oblivious.Workers.rankParts": "its ranks are an output",
	"cell.Answer.PutMACInput":     "client side only",
	"cell.Answer.Token":           "client side only",
}

// plantMutants puts leaks into the sources of a package.
func (res *Result) plantMutants(p pkg, sources map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(sources)) {
		var err error
		if strings.HasSuffix(name, ".s") {
			sources[name] = res.plantAssembly(sources[name])
		} else if sources[name], err = res.plantGo(short(p.ImportPath), name, sources[name]); err != nil {
			return err
		}
	}
	return nil
}

func (res *Result) plantGo(pkgName, name, src string) (string, error) {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, name, src, parser.SkipObjectResolution)
	if err != nil {
		return "", err
	}
	at := func(p token.Pos) int { return fset.Position(p).Offset }
	var edits []edit
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Body == nil {
			continue
		}
		full := pkgName + "." + functionName(fn)
		text := func(e ast.Expr) string { return src[at(e.Pos()):at(e.End())] }
		expr := secretOf(full, fn, text)
		if expr == "" || noMutant[full] != "" {
			continue
		}
		res.Mutants = append(res.Mutants, Mutant{Function: full, Secret: expr})
		edits = append(edits, edit{at(fn.Body.Lbrace) + 1, leaks(len(res.Mutants), expr, zeros(fn, text))})
	}
	if len(edits) == 0 {
		return src, nil
	}
	return apply(src, append(edits, edit{at(f.Name.End()), importProbe})), nil
}

// functionName is the name of a function, behind its receiver's type if it is a
// method.
func functionName(fn *ast.FuncDecl) string {
	if fn.Recv == nil {
		return fn.Name.Name
	}
	t := fn.Recv.List[0].Type
	if s, ok := t.(*ast.StarExpr); ok {
		t = s.X
	}
	return t.(*ast.Ident).Name + "." + fn.Name.Name
}

func secretOf(full string, fn *ast.FuncDecl, text func(ast.Expr) string) string {
	if s := secretState[full]; s != "" {
		return s
	}
	fields := slices.Clone(fn.Type.Params.List)
	if fn.Recv != nil {
		fields = append(fields, fn.Recv.List...)
	}
	for _, field := range fields {
		for _, n := range field.Names {
			if s := secretParameters[n.Name+" "+text(field.Type)]; s != "" {
				return s
			}
		}
	}
	return ""
}

// zeros is the operand of a return statement with zero values.
func zeros(fn *ast.FuncDecl, text func(ast.Expr) string) string {
	if fn.Type.Results == nil || len(fn.Type.Results.List[0].Names) > 0 {
		return ""
	}
	var out []string
	for _, r := range fn.Type.Results.List {
		out = append(out, "*new("+text(r.Type)+")")
	}
	return strings.Join(out, ", ")
}

// leaks is the code of one site, on one line.
func leaks(site int, secret, zeros string) string {
	return fmt.Sprintf(` switch probe.Mutant(%d) {`+
		` case probe.Branch: if %s&1 != 0 { probe.Sink = 3*probe.Sink + 1 };`+
		` case probe.Index: probe.Sink += probe.Table[%s&255];`+
		` case probe.Exit: if %s&1 != 0 { return %s };`+
		` case probe.Loop: for n := %s&7; n > 0; n-- { probe.Sink++ } };`, site, secret, secret, secret, zeros, secret)
}

// assemblySecrets are parameters of assembly functions that point at secrets.
var assemblySecrets = []string{"mask", "l", "labels", "marks", "masks", "ranks", "numbers", "low", "keys", "k", "v", "values", "hs", "headers", "entries", "a", "data"}

var signature = regexp.MustCompile(`(?m)^// func (\w+)\(([^)]*)\).*\n(?://.*\n)*TEXT ·(\w+)\(SB\).*\n`)

// plantAssembly puts leaks at the start of every function that has a secret
// parameter. No register is in use there.
func (res *Result) plantAssembly(src string) string {
	return signature.ReplaceAllStringFunc(src, func(head string) string {
		m := signature.FindStringSubmatch(head)
		offset, found := 0, ""
		best := len(assemblySecrets)
		for _, p := range strings.Split(m[2], ", ") {
			name, typ, _ := strings.Cut(p, " ")
			size := 8
			if typ == "uint32" {
				size = 4
			}
			offset = (offset + size - 1) &^ (size - 1)
			if i := slices.Index(assemblySecrets, name); i >= 0 && i < best && strings.HasPrefix(typ, "*") {
				best, found = i, fmt.Sprintf("%s+%d(FP)", name, offset)
			}
			offset += size
		}
		if found == "" {
			return head
		}
		res.Mutants = append(res.Mutants, Mutant{Function: "kernel." + m[1], Secret: found, Assembly: true})
		return head + assemblyLeaks(len(res.Mutants), found)
	})
}

func assemblyLeaks(site int, secret string) string {
	s := strings.NewReplacer("PROBE", "·planted", "SITE", fmt.Sprint(site), "SECRET", secret)
	return s.Replace(`	MOVQ PROBESite(SB), AX
	CMPQ AX, $SITE
	JNE  planted_end
	INCQ PROBEHits(SB)
	MOVQ SECRET, BX
	MOVQ (BX), BX
	MOVQ BX, CX
	SHRQ $32, CX
	XORQ CX, BX
	MOVQ BX, CX
	SHRQ $16, CX
	XORQ CX, BX
	MOVQ BX, CX
	SHRQ $8, CX
	XORQ CX, BX
	MOVQ BX, CX
	SHRQ $4, CX
	XORQ CX, BX
	MOVQ PROBEWake(SB), AX
	CMPQ AX, $1
	JNE  planted_index
	TESTQ $15, BX
	JZ   planted_end
	INCQ PROBESink(SB)
	JMP  planted_end
planted_index:
	CMPQ AX, $2
	JNE  planted_exit
	ANDQ $255, BX
	LEAQ PROBETable(SB), CX
	MOVQ (CX)(BX*8), CX
	ADDQ CX, PROBESink(SB)
	JMP  planted_end
planted_exit:
	CMPQ AX, $3
	JNE  planted_loop
	TESTQ $15, BX
	JZ   planted_end
	RET
planted_loop:
	ANDQ $7, BX
	JZ   planted_end
planted_again:
	DECQ BX
	JNZ  planted_again
planted_end:
`)
}
