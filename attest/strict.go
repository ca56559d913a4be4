package attest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
)

// MaxPolicyBytes bounds a policy file.
const MaxPolicyBytes = 1 << 20

// ParsePolicy reads a policy file, JSON with the fields of [Policy], and
// validates it. Unknown, missing and repeated fields, other spellings of a
// value than the one that is written back, and anything behind the closing
// brace are errors.
func ParsePolicy(file []byte) (Policy, error) {
	bad := func(format string, args ...any) (Policy, error) {
		return Policy{}, fmt.Errorf("%w: policy file: "+format, append([]any{ErrPolicy}, args...)...)
	}
	if len(file) > MaxPolicyBytes {
		return bad("%d bytes, more than the %d allowed", len(file), MaxPolicyBytes)
	}
	var p Policy
	d := json.NewDecoder(bytes.NewReader(file))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return bad("%v", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return bad("something follows the closing brace")
	}
	if err := unique(file); err != nil {
		return bad("%v", err)
	}
	if len(p.Measurements) == 0 { // said of what is most likely meant
		return Policy{}, p.Validate()
	}
	again, err := json.Marshal(p)
	if err != nil {
		return bad("%v", err)
	}
	if where := differ(generic(file), generic(again), "the file"); where != "" {
		return bad("%s: a field is missing, null or spelt differently", where)
	}
	if err := p.Validate(); err != nil {
		return Policy{}, err
	}
	return p, nil
}

func generic(b []byte) any {
	var v any
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if d.Decode(&v) != nil {
		return nil
	}
	return v
}

// differ returns where two values differ, or "".
func differ(a, b any, path string) string {
	x, okx := a.(map[string]any)
	y, oky := b.(map[string]any)
	if !okx || !oky {
		if reflect.DeepEqual(a, b) {
			return ""
		}
		return path
	}
	for k := range y {
		if _, ok := x[k]; !ok {
			return path + "." + k
		}
	}
	for k := range x {
		if _, ok := y[k]; !ok {
			return path + "." + k
		}
		if d := differ(x[k], y[k], path+"."+k); d != "" {
			return d
		}
	}
	return ""
}

// unique reports a key that an object has twice. The JSON is well-formed.
func unique(file []byte) error {
	type frame struct {
		keys map[string]bool // nil in an array
		key  bool            // a key comes next
	}
	var open []frame
	d := json.NewDecoder(bytes.NewReader(file))
	for {
		t, err := d.Token()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if t == json.Delim('}') || t == json.Delim(']') {
			open = open[:len(open)-1]
			continue
		}
		if n := len(open); n > 0 && open[n-1].keys != nil {
			f := &open[n-1]
			if f.key {
				k := t.(string)
				if f.keys[k] {
					return fmt.Errorf("the field %.80q is there twice", k)
				}
				f.keys[k], f.key = true, false
				continue
			}
			f.key = true
		}
		switch t {
		case json.Delim('{'):
			open = append(open, frame{keys: map[string]bool{}, key: true})
		case json.Delim('['):
			open = append(open, frame{})
		}
	}
}
