package intel

import (
	"bytes"
	"crypto/ecdsa"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/teems-go/teems/attest"
)

// Module is what a TDX quote says of the TDX module.
type Module struct {
	TCBSVN     [16]byte // TEE TCB SVN
	MRSigner   [48]byte // zero: Intel
	Attributes [8]byte
}

type tcbInfo struct {
	header
	FMSPC      string           `json:"fmspc"`
	PCEID      string           `json:"pceId"`
	TCBType    *int             `json:"tcbType"`
	Module     *moduleIdentity  `json:"tdxModule"`
	Identities []moduleIdentity `json:"tdxModuleIdentities"`
	Levels     []struct {
		TCB struct {
			SGX    []component `json:"sgxtcbcomponents"`
			TDX    []component `json:"tdxtcbcomponents"`
			PCESVN int         `json:"pcesvn"`
		} `json:"tcb"`
		verdict
	} `json:"tcbLevels"`
}

// header is what TCB info and enclave identities have in common.
type header struct {
	ID         string    `json:"id"`
	Version    int       `json:"version"`
	Issued     time.Time `json:"issueDate"`
	NextUpdate time.Time `json:"nextUpdate"`
	Evaluation uint32    `json:"tcbEvaluationDataNumber"`
}

type component struct {
	SVN int `json:"svn"`
}

// verdict is what is said of a level.
type verdict struct {
	Date       time.Time        `json:"tcbDate"`
	Status     attest.TCBStatus `json:"tcbStatus"`
	Advisories []string         `json:"advisoryIDs"`
}

type enclaveLevel struct {
	TCB struct {
		ISVSVN *int `json:"isvsvn"`
	} `json:"tcb"`
	verdict
}

type moduleIdentity struct {
	ID             string         `json:"id"`
	MRSigner       string         `json:"mrsigner"`
	Attributes     string         `json:"attributes"`
	AttributesMask string         `json:"attributesMask"`
	Levels         []enclaveLevel `json:"tcbLevels"`
}

// open checks the signature of what Intel's service sends,
// {"<name>":<body>,"signature":"<64 bytes, hexadecimal>"} without any space,
// and reads the body into v. What Intel signs may have fields that are not
// known here.
func (v *verification) open(what, name string, b []byte, into any) error {
	const middle, hexBytes = `,"signature":"`, 128
	prefix := `{"` + name + `":`
	if len(b) == 0 {
		return fmt.Errorf("%w: there is no collateral with it: no %s", attest.ErrEvidence, what)
	}
	end := len(b) - len(middle) - hexBytes - len(`"}`)
	if end < len(prefix) || string(b[:len(prefix)]) != prefix || string(b[end:end+len(middle)]) != middle || string(b[len(b)-2:]) != `"}` {
		return fmt.Errorf("%w: %s is not in the form that Intel's service sends", attest.ErrEvidence, what)
	}
	body, digits := b[len(prefix):end], string(b[end+len(middle):len(b)-2])
	signature, err := hex.DecodeString(digits)
	if err != nil || strings.ToLower(digits) != digits {
		return fmt.Errorf("%w: the signature of %s is not lower-case hexadecimal", attest.ErrEvidence, what)
	}
	key, ok := v.tcb.PublicKey.(*ecdsa.PublicKey)
	if !ok || !verifyRaw(key, body, signature) {
		return notGenuine("the signature of %s is wrong", what)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%w: %s: %v", attest.ErrEvidence, what, err)
	}
	return nil
}

// header checks what both kinds of collateral begin with.
func (v *verification) header(what string, h header, id string, version int) error {
	if h.ID != id || h.Version != version {
		return notGenuine("%s is of %.20q, version %d: must be %q, version %d", what, h.ID, h.Version, id, version)
	}
	if err := v.during(what, h.Issued, h.NextUpdate); err != nil {
		return err
	}
	if t := &v.result.TCB; t.Evaluation == 0 || h.Evaluation < t.Evaluation {
		t.Evaluation = h.Evaluation
	}
	return nil
}

// join lets a verdict have its part in the result.
func (v *verification) join(x verdict) error {
	t := &v.result.TCB
	if !x.Status.Known() {
		return notGenuine("the collateral has the unknown TCB status %.80q", x.Status)
	}
	if t.Status == "" {
		t.Status, t.Date = x.Status, x.Date
	} else {
		t.Status = t.Status.Worst(x.Status)
		if x.Date.Before(t.Date) {
			t.Date = x.Date
		}
	}
	t.Advisories = append(t.Advisories, x.Advisories...)
	return nil
}

// tcbInfo finds the platform's TCB level.
func (v *verification) tcbInfo(b []byte, m *Module) error {
	var info tcbInfo
	if err := v.open("the TCB info", "tcbInfo", b, &info); err != nil {
		return err
	}
	id := "SGX"
	if m != nil {
		id = "TDX"
	}
	if err := v.header("the TCB info", info.header, id, 3); err != nil {
		return err
	}
	if info.TCBType == nil || *info.TCBType != 0 {
		return notGenuine("the TCB info is of an unknown type")
	}
	if !strings.EqualFold(info.FMSPC, v.pck.fmspc) || !strings.EqualFold(info.PCEID, v.pck.pceID) {
		return notGenuine("the TCB info is of the platforms %.20q, PCE %.10q, and this one is of %s, PCE %s", info.FMSPC, info.PCEID, v.pck.fmspc, v.pck.pceID)
	}
	found := false
	for _, l := range info.Levels {
		if len(l.TCB.SGX) != 16 || m != nil && len(l.TCB.TDX) != 16 {
			return notGenuine("a level of the TCB info has not 16 components")
		}
		if v.reaches(l.TCB.SGX, l.TCB.PCESVN) && m.reaches(l.TCB.TDX) {
			if err := v.join(l.verdict); err != nil {
				return err
			}
			found = true
			break
		}
	}
	if !found {
		return notGenuine("the platform is below every TCB level that Intel lists")
	}
	if m != nil {
		if err := v.module(&info, m); err != nil {
			return err
		}
	}
	v.checked(fmt.Sprintf("Intel's TCB info, valid until %s, covers the platform", info.NextUpdate.UTC().Format(time.RFC3339)))
	return nil
}

// reaches compares the platform with a level.
func (v *verification) reaches(level []component, pceSVN int) bool {
	for i, c := range level {
		if v.pck.components[i] < c.SVN {
			return false
		}
	}
	return v.pck.pceSVN >= pceSVN
}

// reaches compares the TDX module with a level; without one there is nothing
// to compare. From version 1 of the module on, its own two components are
// judged by its identity.
func (m *Module) reaches(level []component) bool {
	if m == nil {
		return true
	}
	for i, c := range level {
		if m.TCBSVN[1] > 0 && i < 2 {
			continue
		}
		if int(m.TCBSVN[i]) < c.SVN {
			return false
		}
	}
	return true
}

// module checks the TDX module against its identity.
func (v *verification) module(info *tcbInfo, m *Module) error {
	identity := info.Module
	version := m.TCBSVN[1]
	if version > 0 {
		identity = nil
		for i := range info.Identities {
			if info.Identities[i].ID == fmt.Sprintf("TDX_%02x", version) {
				identity = &info.Identities[i]
			}
		}
	}
	if identity == nil {
		return notGenuine("Intel lists no TDX module of version %d", version)
	}
	signer, err1 := hex.DecodeString(identity.MRSigner)
	attributes, err2 := hex.DecodeString(identity.Attributes)
	mask, err3 := hex.DecodeString(identity.AttributesMask)
	if err1 != nil || err2 != nil || err3 != nil {
		return notGenuine("the identity of the TDX module is malformed")
	}
	if !bytes.Equal(signer, m.MRSigner[:]) || !masked(m.Attributes[:], mask, attributes) {
		return notGenuine("the TDX module is not the one that Intel signs")
	}
	if version > 0 {
		level, err := levelOf("TDX module", identity.Levels, int(m.TCBSVN[0]))
		if err != nil {
			return err
		}
		return v.join(level)
	}
	return nil
}

// levelOf returns the verdict on the first level that svn reaches.
func levelOf(what string, levels []enclaveLevel, svn int) (verdict, error) {
	for _, l := range levels {
		if l.TCB.ISVSVN != nil && svn >= *l.TCB.ISVSVN {
			return l.verdict, nil
		}
	}
	return verdict{}, notGenuine("the %s is below every level that Intel lists", what)
}

// masked compares the bits under the mask. All three must have one length.
func masked(got, mask, want []byte) bool {
	if len(got) != len(mask) || len(got) != len(want) {
		return false
	}
	for i := range got {
		if got[i]&mask[i] != want[i] {
			return false
		}
	}
	return true
}
