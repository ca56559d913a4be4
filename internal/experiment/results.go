package experiment

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// The kinds of error.
var (
	// ErrData says that a folder of results cannot be read or written.
	ErrData = errors.New("experiment: results")
	// ErrRun says that a run did not give a row.
	ErrRun = errors.New("experiment: run failed")
)

// FileName returns the name of a channel's CSV file.
func FileName(channel string) string { return channel + "-channel.csv" }

// Results is the folder of a reproduction: a CSV file for each channel, and raw
// rows, seeds and configurations in the folder "raw". It is not for concurrent
// use, nor for two processes at once.
type Results struct {
	dir  string
	rows []Row
}

// Open makes the folder if it is not there, both CSV files with their header,
// and reads the rows that there are. A line that was cut off (no line break, or
// the last one and not whole) is dropped from the file and told to say.
func Open(dir string, say func(string)) (*Results, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, remedy(err)
	}
	b := &Results{dir: dir}
	for _, channel := range Channels {
		path := filepath.Join(dir, FileName(channel))
		data, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, remedy(err)
		}
		p, err := parseFile(path, data)
		if err != nil {
			return nil, err
		}
		if p.cut != "" {
			say(fmt.Sprintf("%s: dropped a row that was cut off (%q); its experiment runs again", path, p.cut))
		}
		if p.header != nil && !slices.Equal(p.header, Columns()) {
			return nil, fmt.Errorf("%w: %s has the columns of another version: use another folder (--data), or move it away", ErrData, path)
		}
		whole := data[:p.whole]
		if p.header == nil {
			whole = line(Columns())
		}
		if !bytes.Equal(whole, data) {
			if err := replace(path, whole); err != nil {
				return nil, err
			}
		}
		b.rows = append(b.rows, p.rows...)
	}
	return b, nil
}

// Read returns the rows of a folder and changes nothing in it. A file that is
// not there has no rows; a line that was cut off is left out and told to say.
func Read(dir fs.FS, say func(string)) ([]Row, error) {
	var rows []Row
	for _, channel := range Channels {
		name := FileName(channel)
		data, err := fs.ReadFile(dir, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, remedy(err)
		}
		p, err := parseFile(name, data)
		if err != nil {
			return nil, err
		}
		if p.cut != "" {
			say(fmt.Sprintf("%s: left out a row that was cut off (%q)", name, p.cut))
		}
		rows = append(rows, p.rows...)
	}
	return rows, nil
}

// Rows returns all rows, those of the ID channel first.
func (b *Results) Rows() []Row { return slices.Clone(b.rows) }

// Done tells which experiments have a row.
func (b *Results) Done() map[Key]bool {
	done := map[Key]bool{}
	for i := range b.rows {
		done[b.rows[i].Key()] = true
	}
	return done
}

// Add keeps a result: first what is beside the row, then the row, in one write
// that is on the disk when Add returns. If it fails, the file is as before.
func (b *Results) Add(r Result) error {
	if err := r.Row.Check(); err != nil {
		return err
	}
	if err := b.addRaw(&r); err != nil {
		return err
	}
	path := filepath.Join(b.dir, FileName(r.Row.Channel))
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return remedy(err)
	}
	defer f.Close()
	before, err := f.Stat()
	if err != nil {
		return remedy(err)
	}
	_, err = f.Write(line(r.Row.Fields()))
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		_ = f.Truncate(before.Size())
		return remedy(err)
	}
	b.rows = append(b.rows, r.Row)
	return nil
}

// addRaw writes the raw rows and the configuration.
func (b *Results) addRaw(r *Result) error {
	dir := filepath.Join(b.dir, "raw")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return remedy(err)
	}
	k := r.Row.Key()
	name := filepath.Join(dir, fmt.Sprintf("%s-%s-N%d-M%d-T%d-B%d", k.System, k.Channel, k.N, k.M, k.T, k.B))
	var raw bytes.Buffer
	raw.Write(line([]string{"epoch", "server", "epoch_seconds", "wn_seconds", "bytes", "core_seconds", "routing_core_seconds"}))
	for _, x := range r.Raw {
		f := func(v float64) string { return strconv.FormatFloat(v, 'f', 6, 64) }
		raw.Write(line([]string{strconv.Itoa(x.Epoch), strconv.Itoa(x.Server), f(x.EpochSeconds), f(x.AheadSeconds),
			strconv.FormatInt(x.Bytes, 10), f(x.CoreSeconds), f(x.RoutingCoreSeconds)}))
	}
	config, err := json.MarshalIndent(struct {
		Seed   uint64          `json:"seed"`
		Commit string          `json:"commit"`
		Config json.RawMessage `json:"config,omitempty"`
	}{r.Seed, r.Row.Commit, r.Config}, "", "  ")
	if err != nil {
		return fmt.Errorf("%w: the configuration of a run is not JSON: %v", ErrRun, err)
	}
	if err := replace(name+".csv", raw.Bytes()); err != nil {
		return err
	}
	return replace(name+".json", append(config, '\n'))
}

// parsed is what is in a CSV file.
type parsed struct {
	header []string
	rows   []Row
	whole  int    // bytes that are whole lines
	cut    string // what was behind them
}

// parseFile reads a CSV file. Rows hold no line breaks, so lines are rows.
func parseFile(path string, data []byte) (parsed, error) {
	var p parsed
	for number := 1; len(data[p.whole:]) > 0; number++ {
		rest := data[p.whole:]
		end := bytes.IndexByte(rest, '\n') + 1
		if end == 0 {
			p.cut = string(rest)
			if number == 1 && !bytes.HasPrefix(line(Columns()), rest) {
				return p, notOurs(path)
			}
			break
		}
		fields, err := csv.NewReader(bytes.NewReader(rest[:end])).Read()
		if err == nil && number == 1 {
			if !startsAlike(fields, Columns()) {
				return p, notOurs(path)
			}
			p.header = fields
		} else {
			var row Row
			if err == nil && len(fields) != len(p.header) {
				err = fmt.Errorf("%d fields, not %d", len(fields), len(p.header))
			}
			if err == nil {
				row, err = parseRow(fields)
			}
			if err != nil && end == len(rest) && number > 1 {
				p.cut = strings.TrimSuffix(string(rest), "\n")
				break
			}
			if err != nil {
				return p, fmt.Errorf("%w: %s, line %d: %v: mend or delete the line", ErrData, path, number, err)
			}
			p.rows = append(p.rows, row)
		}
		p.whole += end
	}
	return p, nil
}

func notOurs(path string) error {
	return fmt.Errorf("%w: %s does not start with the header of this program's CSV files: use another folder (--data)", ErrData, path)
}

func startsAlike(a, b []string) bool {
	n := min(len(a), len(b))
	return n > 0 && slices.Equal(a[:n], b[:n])
}

// line returns a line of CSV.
func line(fields []string) []byte {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	_ = w.Write(fields) // a Buffer does not fail
	w.Flush()
	return b.Bytes()
}

// replace writes a file whole or not at all.
func replace(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return remedy(err)
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Chmod(f.Name(), 0o644)
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return remedy(err)
	}
	return nil
}

// remedy adds to an error of the file system what to do about it.
func remedy(err error) error {
	what := "see to the folder, or use another one (--data)"
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		what = "the disk is full: free some space and start again; finished rows are kept"
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		what = "make the folder writable, or use another one (--data)"
	}
	return fmt.Errorf("%w: %w: %s", ErrData, err, what)
}
