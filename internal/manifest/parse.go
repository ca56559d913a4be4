package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// Parse reads a manifest file and validates what it holds. It does not check
// who signed it.
func Parse(file []byte) (*Signed, error) {
	s := new(Signed)
	if err := decodeStrict(file, s); err != nil {
		return nil, err
	}
	s.Manifest.Era = max(s.Manifest.Era, 1)
	if err := s.Manifest.Validate(); err != nil {
		return nil, err
	}
	if err := s.validateSignatures(); err != nil {
		return nil, err
	}
	return s, nil
}

// Encode returns the file: indented JSON and a newline. Parse reads it back.
func (s *Signed) Encode() ([]byte, error) {
	if err := s.Manifest.Validate(); err != nil {
		return nil, err
	}
	if err := s.validateSignatures(); err != nil {
		return nil, err
	}
	out := Signed{Manifest: s.Manifest, Signatures: s.Signatures}
	if out.Signatures == nil {
		out.Signatures = []Signature{}
	}
	b, err := json.MarshalIndent(&out, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("%w: cannot encode it: %v", ErrInvalid, err)
	}
	if len(b)+1 > MaxFileBytes {
		return nil, fmt.Errorf("%w: it takes %d bytes, more than the %d allowed", ErrInvalid, len(b)+1, MaxFileBytes)
	}
	return append(b, '\n'), nil
}

// decodeStrict decodes exactly one JSON value into v. Beyond what the
// standard library refuses it refuses duplicate keys, keys that differ from
// a field's name in case, null, invalid UTF-8, deep nesting, missing fields
// and anything behind the value.
func decodeStrict(file []byte, v *Signed) error {
	if len(file) > MaxFileBytes {
		return fmt.Errorf("%w: %d bytes, more than the %d allowed", ErrSyntax, len(file), MaxFileBytes)
	}
	if !utf8.Valid(file) {
		return fmt.Errorf("%w: not UTF-8", ErrSyntax)
	}
	d := json.NewDecoder(bytes.NewReader(file))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("%w: %v", ErrSyntax, at(file, err))
	}
	if _, err := d.Token(); err != io.EOF {
		return fmt.Errorf("%w: something follows the closing brace", ErrSyntax)
	}
	return walk(file)
}

// at adds the line to an error that has an offset.
func at(file []byte, err error) error {
	offset := int64(-1)
	var s *json.SyntaxError
	var t *json.UnmarshalTypeError
	switch {
	case errors.As(err, &s):
		offset = s.Offset
	case errors.As(err, &t):
		offset = t.Offset
	}
	if offset < 0 || offset > int64(len(file)) {
		return err
	}
	return fmt.Errorf("line %d: %v", 1+bytes.Count(file[:offset], []byte("\n")), err)
}

// required are the fields that an object must have, by the field that the
// object, or the array around it, is the value of. Objects that are not here
// have free keys.
var required = map[string][]string{
	"":                  {"manifest", "signatures"},
	"manifest":          {"format", "sequence", "predecessor", "cluster_key", "operators", "servers", "parameters", "tees"},
	"operators":         {"threshold", "keys"},
	"servers":           {"name", "roles", "weight", "threads", "mesh", "front"},
	"parameters":        {"capacity", "virtual_shards", "cell_bytes", "id_channel", "token_channel", "token_epochs", "horizon_epochs", "delivery_epochs", "attempts"},
	"id_channel":        {"out", "contacts", "strangers", "priority"},
	"token_channel":     {"out", "in"},
	"tees":              {"measurements", "allow_simulated_tee_that_protects_nothing"},
	"sgx":               {"signers", "product", "min_svn", "platforms", "tcb_statuses", "min_tcb_evaluation", "min_tcb_date"},
	"tdx":               {"platforms", "tcb_statuses", "min_tcb_evaluation", "min_tcb_date"},
	"snp":               {"signers", "platforms", "min_svn", "min_tcb", "allow_smt"},
	"min_tcb":           {"fmc", "boot_loader", "tee", "snp", "microcode"},
	"simulated_clients": {"count", "seed"},
	"signatures":        {"key", "signature"},
}

const maxDepth = 8

// frame is an object or array that the walk is in.
type frame struct {
	name string          // the field that it is the value of
	keys map[string]bool // those seen; nil in an array
	next string          // the field whose value comes next
	key  bool            // a key comes next
}

// walk goes over the tokens of well-formed JSON for what the decoder lets
// pass.
func walk(file []byte) error {
	d := json.NewDecoder(bytes.NewReader(file))
	w := walker{}
	for {
		t, err := d.Token()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = w.step(t)
		}
		if err != nil {
			end := min(d.InputOffset(), int64(len(file)))
			return fmt.Errorf("%w: line %d: %v", ErrSyntax, 1+bytes.Count(file[:end], []byte("\n")), err)
		}
	}
}

type walker struct {
	open []frame // from the outside in
}

func (w *walker) step(t json.Token) error {
	var top *frame
	if len(w.open) > 0 {
		top = &w.open[len(w.open)-1]
	}
	switch t {
	case nil:
		return errors.New("null: write the value or remove the field")
	case json.Delim('}'), json.Delim(']'):
		w.open = w.open[:len(w.open)-1]
		return top.complete()
	}
	if top != nil && top.key {
		return top.addKey(t.(string)) // the decoder has seen to its being one
	}
	name := ""
	if top != nil {
		name = top.next
		top.key = top.keys != nil
	}
	switch t {
	case json.Delim('{'):
		w.open = append(w.open, frame{name: name, keys: map[string]bool{}, key: true})
	case json.Delim('['):
		w.open = append(w.open, frame{name: name, next: name})
	}
	if len(w.open) > maxDepth {
		return fmt.Errorf("nested deeper than %d", maxDepth)
	}
	return nil
}

func (f *frame) addKey(k string) error {
	if f.keys[k] {
		return fmt.Errorf("the field %.80q is there twice", k)
	}
	if !plainKey(k) {
		return fmt.Errorf("the field %.80q has other characters than a-z, 0-9, _ and -", k)
	}
	f.keys[k], f.next, f.key = true, k, false
	return nil
}

// complete reports a field that is missing from an object.
func (f *frame) complete() error {
	if f.keys == nil {
		return nil
	}
	for _, k := range required[f.name] {
		if !f.keys[k] {
			return fmt.Errorf("the field %q is missing", k)
		}
	}
	return nil
}

// plainKey keeps the decoder's matching of names exact, which ignores case.
func plainKey(s string) bool {
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return true
}
