package commit

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// weaker are rules that look almost right. Each is planted into the source and
// has to be caught by the model check: the check can fail, and every rule is
// needed.
var weaker = []struct {
	name  string
	test  string // which catches it
	edits [][3]string
}{
	{"R2: commit on a majority of PREPARED", "TestModel$", [][3]string{
		{"votes.go", "len(v.Tags) != want || slices.Contains(v.Tags, Tag{})", "len(v.Tags) != want"},
		{"votes.go",
			"	if slices.Contains(tags, Tag{}) {\n		return nil\n",
			"	n := 0\n	for _, t := range tags {\n		if t != (Tag{}) {\n			n++\n		}\n	}\n	if 2*n <= len(tags) {\n		return nil\n"}}},
	{"R3: deliver at COMMITTED", "TestModelRollback$", [][3]string{{"machine.go",
		"		if !ok && s != m.self {\n", "		if !ok && s != m.self && false {\n"}}},
	{"R3: deliver on COMMITTED from a majority", "TestModelRollback$", [][3]string{{"machine.go",
		"	for s, ok := range m.agreed {\n		if !ok && s != m.self {\n			return false\n		}\n	}\n	return true\n",
		"	n := 1\n	for _, ok := range m.agreed {\n		if ok {\n			n++\n		}\n	}\n	return 2*n > m.servers\n"}}},
	{"R1: prepare lower attempts", "TestModel$", [][3]string{{"machine.go",
		"	if attempt <= m.highest() {\n", "	if attempt == m.highest() {\n"}}},
	{"R1: prepare after COMMITTED", "TestModel$", [][3]string{{"machine.go",
		"	if m.decided != nil {\n		return fail(ErrDecided", "	if m.decided != nil && false {\n		return fail(ErrDecided"}}},
	{"R2: commit any attempt, not only the highest", "TestModel$", [][3]string{
		{"votes.go", "	if v.Attempt < m.highest() {\n", "	if false {\n"},
		{"votes.go", "return b.attempt < below", "return false"},
		{"votes.go",
			"	p := m.prepared[len(m.prepared)-1]\n	tags := slices.Clone(m.ballot(p.attempt, p.a).tags)\n	tags[m.self] = p.tag\n	if slices.Contains(tags, Tag{}) {\n		return nil\n	}\n	return m.commit(m.outcome(p.attempt, p.a, tags))\n",
			"	for _, p := range m.prepared {\n		tags := slices.Clone(m.ballot(p.attempt, p.a).tags)\n		tags[m.self] = p.tag\n		if !slices.Contains(tags, Tag{}) {\n			return m.commit(m.outcome(p.attempt, p.a, tags))\n		}\n	}\n	return nil\n"}}},
	{"R2: a peer's COMMITTED is not enough", "TestModel$", [][3]string{{"votes.go",
		"	if m.decided == nil {\n		if !m.holds", "	if m.decided == nil && m.highest() != v.Attempt {\n		return nil\n	}\n	if m.decided == nil {\n		if !m.holds"}}},
	{"R2: adopt COMMITTED without holding its data", "TestModelRollback$", [][3]string{
		{"votes.go", "		if !m.holds(v.Attempt, v.A, v.Tags[m.self]) {\n", "		if false {\n"},
		{"load.go", "	if !m.holds(d.attempt, d.a, d.tags[m.self]) {\n", "	if false {\n"}}},
	{"R3: compare A and not the tags", "TestModelRollback$", [][3]string{{"votes.go",
		"v.A == o.a && slices.Equal(v.Tags, o.tags)", "v.A == o.a && len(v.Tags) == len(o.tags)"}}},
	{"R1: say PREPARED before it is durable", "TestModel$", [][3]string{
		{"machine.go", "	if err := m.writePrepared(", "	m.sayAll(m.preparedVote(prepared{attempt, a, tag}))\n	if err := m.writePrepared("},
		{"machine.go", "		m.out = nil\n", ""}}},
	{"R2: say COMMITTED before it is durable", "TestModel$", [][3]string{
		{"machine.go", "	if err := m.put(nameDecided", "	m.sayAll(o.vote())\n	if err := m.put(nameDecided"},
		{"machine.go", "		m.out = nil\n", ""}}},
	{"R4: keep the newest prepared attempt only", "TestModel$", [][3]string{{"machine.go",
		"	m.prepared = append(m.prepared, p)\n", "	m.prepared = []prepared{p}\n"}}},
	{"R4: delete at COMMITTED, before R3", "TestModel$", [][3]string{{"machine.go",
		"	m.decided = o\n", "	m.decided = o\n	for _, a := range m.listed {\n		m.store.Delete(namePrepared(m.epoch, a))\n	}\n"}}},
	{"Finish deletes before the outcome is durable", "TestModel$", [][3]string{{"machine.go",
		"	if err := m.put(nameFinal", "	if err := m.clear(m.epoch, m.listed); err != nil {\n		return err\n	}\n	if err := m.put(nameFinal"}}},
}

func TestWeakerRulesAreCaught(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the package once for each rule")
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range weaker {
		t.Run(w.name, func(t *testing.T) {
			out := runMutant(t, here, w.test, w.edits)
			if !strings.Contains(out, "violated") {
				t.Errorf("not caught by %s:\n%s", w.test, out)
			}
			t.Log(out)
		})
	}
}

// runMutant compiles the package's tests with the edits and runs one of them.
func runMutant(t *testing.T, here, test string, edits [][3]string) string {
	dir := t.TempDir()
	source := map[string]string{}
	for _, e := range edits {
		if source[e[0]] == "" {
			b, err := os.ReadFile(e[0])
			if err != nil {
				t.Fatal(err)
			}
			source[e[0]] = string(b)
		}
		if strings.Count(source[e[0]], e[1]) != 1 {
			t.Fatalf("%s no longer has exactly one:\n%s", e[0], e[1])
		}
		source[e[0]] = strings.Replace(source[e[0]], e[1], e[2], 1)
	}
	replace := map[string]string{}
	for name, text := range source {
		replace[filepath.Join(here, name)] = filepath.Join(dir, name)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "test", "-vet=off", "-count=1", "-overlay", filepath.Join(dir, "overlay.json"), "-run", test, ".")
	out, err := cmd.CombinedOutput()
	if err == nil {
		return "the tests pass:\n" + string(out)
	}
	return string(out)
}
