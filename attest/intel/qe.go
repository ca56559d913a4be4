package intel

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"
)

type enclaveIdentity struct {
	header
	MiscSelect     string         `json:"miscselect"`
	MiscSelectMask string         `json:"miscselectMask"`
	Attributes     string         `json:"attributes"`
	AttributesMask string         `json:"attributesMask"`
	MRSigner       string         `json:"mrsigner"`
	ProdID         *uint16        `json:"isvprodid"`
	Levels         []enclaveLevel `json:"tcbLevels"`
}

// qeIdentity checks that the quoting enclave is Intel's, and finds its level.
func (v *verification) qeIdentity(b []byte, q *Quote) error {
	var id enclaveIdentity
	if err := v.open("the quoting enclave's identity", "enclaveIdentity", b, &id); err != nil {
		return err
	}
	name := "QE"
	if q.Module != nil {
		name = "TD_QE"
	}
	if err := v.header("the quoting enclave's identity", id.header, name, 2); err != nil {
		return err
	}
	var fields [5][]byte
	for i, s := range []string{id.MiscSelect, id.MiscSelectMask, id.Attributes, id.AttributesMask, id.MRSigner} {
		var err error
		if fields[i], err = hex.DecodeString(s); err != nil {
			return notGenuine("the quoting enclave's identity is malformed")
		}
	}
	r := q.QEReport
	misc := binary.LittleEndian.AppendUint32(nil, r.MiscSelect)
	attributes := binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, r.Flags), r.XFRM)
	switch {
	case !bytes.Equal(fields[4], r.MRSigner[:]):
		return notGenuine("the quoting enclave is not signed by Intel")
	case id.ProdID == nil || *id.ProdID != r.ProdID:
		return notGenuine("the enclave that quotes is another one of Intel's")
	case !masked(misc, fields[1], fields[0]), !masked(attributes, fields[3], fields[2]), r.Flags&FlagDebug != 0:
		return notGenuine("the quoting enclave runs with attributes that Intel does not list")
	}
	level, err := levelOf("quoting enclave", id.Levels, int(r.SVN))
	if err != nil {
		return err
	}
	level.Date = v.result.TCB.Date // its own says nothing of the platform's
	if err := v.join(level); err != nil {
		return err
	}
	v.checked(fmt.Sprintf("the quoting enclave is Intel's, by an identity valid until %s", id.NextUpdate.UTC().Format(time.RFC3339)))
	return nil
}
