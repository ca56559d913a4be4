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
			"	if slices.Contains(tags, Tag{}) {\n		return\n",
			"	n := 0\n	for _, t := range tags {\n		if t != (Tag{}) {\n			n++\n		}\n	}\n	if 2*n <= len(tags) {\n		return\n"}}},
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
			"	p := m.prepared[len(m.prepared)-1]\n	tags := slices.Clone(m.ballot(p.attempt, p.a).tags)\n	tags[m.self] = p.tag\n	if slices.Contains(tags, Tag{}) {\n		return\n	}\n	m.commit(m.outcome(p.attempt, p.a, tags))\n",
			"	for _, p := range m.prepared {\n		tags := slices.Clone(m.ballot(p.attempt, p.a).tags)\n		tags[m.self] = p.tag\n		if !slices.Contains(tags, Tag{}) {\n			m.commit(m.outcome(p.attempt, p.a, tags))\n			return\n		}\n	}\n"}}},
	{"R2: a peer's COMMITTED is not enough", "TestModel$", [][3]string{{"votes.go",
		"	if m.decided == nil {\n		if !m.holds", "	if m.decided == nil && m.highest() != v.Attempt {\n		return nil\n	}\n	if m.decided == nil {\n		if !m.holds"}}},
	{"R2: adopt COMMITTED without holding its data", "TestModelRollback$", [][3]string{
		{"votes.go", "		if !m.holds(v.Attempt, v.A, v.Tags[m.self]) {\n", "		if false {\n"},
		{"load.go", "	if !m.holds(d.attempt, d.a, d.tags[m.self]) {\n", "	if false {\n"}}},
	{"R3: compare A and not the tags", "TestModelRollback$", [][3]string{{"votes.go",
		"v.A == o.a && slices.Equal(v.Tags, o.tags)", "v.A == o.a && len(v.Tags) == len(o.tags)"}}},
	{"R1: say PREPARED before it is durable", "TestModelSlowDisk$", [][3]string{{"machine.go",
		"	m.sayAll(m.preparedVote(p), p.batch)\n", "	m.sayAll(m.preparedVote(p), 0)\n"}}},
	{"R2: say COMMITTED before it is durable", "TestModelSlowDisk$", [][3]string{{"machine.go",
		"	m.sayAll(o.vote(), o.batch)\n", "	m.sayAll(o.vote(), 0)\n"}}},
	{"votes that are repeated do not wait for the disk", "TestModelSlowDisk$", [][3]string{{"votes.go",
		"		m.say(peer, m.preparedVote(p), p.batch)\n", "		m.say(peer, m.preparedVote(p), 0)\n"},
		{"machine.go", "	m.dropBallots(attempt)\n", "	m.dropBallots(attempt)\n	m.PeerUp((m.self + 1) % m.servers)\n"}}},
	{"R1: release PREPARED after COMMITTED was queued", "TestPreparedIsDropped", [][3]string{{"machine.go",
		"	m.ballots = nil\n	m.dropPrepared()\n", "	m.ballots = nil\n"}}},
	{"R1: the guard reads the durable COMMITTED, not the queued one", "TestModelSlowDisk$", [][3]string{{"machine.go",
		"	if m.decided != nil {\n		return fail(ErrDecided", "	if m.decided != nil && m.durable(m.decided.batch) {\n		return fail(ErrDecided"}}},
	{"R1, R2: guards read what is durable, not what is queued", "TestModelSlowDisk$", [][3]string{
		{"machine.go", "	m.ballots = nil\n	m.dropPrepared()\n", "	m.ballots = nil\n"},
		{"votes.go", "	if v.Attempt < m.highest() {\n", "	if false {\n"},
		{"votes.go", "return b.attempt < below", "return false"},
		{"votes.go",
			"	p := m.prepared[len(m.prepared)-1]\n	tags := slices.Clone(m.ballot(p.attempt, p.a).tags)\n",
			"	p := m.prepared[0]\n	for _, q := range m.prepared {\n		if m.durable(q.batch) {\n			p = q\n		}\n	}\n	tags := slices.Clone(m.ballot(p.attempt, p.a).tags)\n"}}},
	{"R3: final before this server's own COMMITTED is durable", "TestFinalWaits", [][3]string{{"machine.go",
		" || !m.durable(m.decided.batch) {", " {"}}},
	{"R4: keep the newest prepared attempt only", "TestModel$", [][3]string{{"machine.go",
		"	m.prepared = append(m.prepared, p)\n", "	m.prepared = []prepared{p}\n"}}},
	{"R4: delete at COMMITTED, before R3", "TestModel$", [][3]string{{"machine.go",
		"	m.decided = o\n", "	m.decided = o\n	for _, a := range m.listed {\n		m.queue(Write{Name: namePrepared(m.epoch, a), Delete: true})\n	}\n"}}},
	{"Finish deletes before the outcome is durable", "TestModel$", [][3]string{{"machine.go",
		"	m.put(nameFinal", "	m.clear(m.epoch, m.listed)\n	m.put(nameFinal"}}},
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
