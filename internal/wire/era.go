package wire

// Era is the payload of KindEra, what a server says of the cluster's secret:
// step u32 | era u32 | held 32 | attempt 32 | next 32 | fresh 32.
type Era struct {
	Step, Era                  uint32
	Held, Attempt, Next, Fresh [32]byte
}

// Append appends the payload.
func (m *Era) Append(dst []byte) []byte {
	dst = le.AppendUint32(le.AppendUint32(dst, m.Step), m.Era)
	for _, b := range []*[32]byte{&m.Held, &m.Attempt, &m.Next, &m.Fresh} {
		dst = append(dst, b[:]...)
	}
	return dst
}

// Parse reads the payload.
func (m *Era) Parse(b []byte) error {
	if len(b) != eraBytes {
		return ErrLength
	}
	m.Step, m.Era, b = le.Uint32(b), le.Uint32(b[4:]), b[8:]
	m.Held, m.Attempt, m.Next, m.Fresh = [32]byte(b), [32]byte(b[32:]), [32]byte(b[64:]), [32]byte(b[96:])
	return nil
}

// Secret is the payload of KindSecret: era u32 | master secret 32.
type Secret struct {
	Era    uint32
	Master [32]byte
}

// Append appends the payload.
func (m *Secret) Append(dst []byte) []byte {
	return append(le.AppendUint32(dst, m.Era), m.Master[:]...)
}

// Parse reads the payload.
func (m *Secret) Parse(b []byte) error {
	if len(b) != secretBytes {
		return ErrLength
	}
	m.Era, m.Master = le.Uint32(b), [32]byte(b[4:])
	return nil
}
