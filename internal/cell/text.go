package cell

import (
	"encoding/binary"
	"errors"
)

// Errors of the text forms.
var (
	// ErrText: the text is not of the form at all.
	ErrText = errors.New("cell: not a TEEMS text")
	// ErrChecksum: the text has the form but was changed on its way.
	ErrChecksum = errors.New("cell: the checksum does not fit: there is a typing mistake")
	// ErrCluster: the text belongs to another cluster.
	ErrCluster = errors.New("cell: this belongs to another cluster")
	// ErrToken: the fields of a token contradict each other.
	ErrToken = errors.New("cell: this is no valid token or pass")
)

// Fingerprint is the first four bytes of a cluster's id. It tells people that
// they mixed up two clusters; it proves nothing.
type Fingerprint [4]byte

// FingerprintOf is the fingerprint of a cluster.
func FingerprintOf(cluster *[32]byte) Fingerprint { return Fingerprint(cluster[:4]) }

// Address is what a person gives to others to be reached: a client's ID and
// the cluster that it belongs to.
type Address struct {
	Cluster Fingerprint
	ID      uint32
}

const (
	addressPrefix = "teems"
	tokenPrefix   = "teems-token"
	passPrefix    = "teems-pass"
	addressRaw    = 8
	tokenRaw      = 60 // fingerprint 4 | MAC input without its last 8 | MAC 16
)

// String is the text form of an address, 25 characters: "teems1", 13 symbols
// and 6 of checksum (BIP 350, bech32m). Client side only.
func (a Address) String() string {
	var raw [addressRaw]byte
	copy(raw[:4], a.Cluster[:])
	binary.BigEndian.PutUint32(raw[4:], a.ID)
	return encodeText(addressPrefix, raw[:])
}

// ParseAddress reads the text form of an address of the given cluster. It
// accepts exactly what String writes. Errors: ErrText, ErrChecksum (any up to
// three changed characters are found for certain, others but for one in 2^30),
// ErrCluster.
func ParseAddress(text string, cluster Fingerprint) (Address, error) {
	a, err := ReadAddress(text)
	if err != nil {
		return Address{}, err
	}
	if a.Cluster != cluster {
		return Address{}, &textError{"the address is of another cluster than the one you are connected to", ErrCluster}
	}
	return a, nil
}

// ReadAddress is ParseAddress for any cluster.
func ReadAddress(text string) (Address, error) {
	raw, err := decodeText(text, addressPrefix, addressRaw, "address")
	if err != nil {
		return Address{}, err
	}
	return Address{Fingerprint(raw[:4]), binary.BigEndian.Uint32(raw[4:])}, nil
}

// Text is the text form of a token or pass of the given cluster:
// "teems-token1" or "teems-pass1", 96 symbols and 6 of checksum. Whoever
// reads it learns who may send to whom, so it is sent in confidence.
// Client side only.
func (t *Token) Text(cluster Fingerprint) (string, error) {
	if err := t.check(); err != nil {
		return "", err
	}
	var buf [4 + MACInputBytes]byte
	copy(buf[:4], cluster[:])
	t.PutMACInput(buf[4:])
	var raw [tokenRaw]byte
	copy(raw[:44], buf[:44])
	copy(raw[44:], t.MAC[:])
	return encodeText(t.prefix(), raw[:]), nil
}

// ParseToken reads the text form of a token or pass of the given cluster. It
// accepts exactly what Text writes. It cannot check the MAC, which only the
// servers can. Errors: ErrText, ErrChecksum, ErrCluster, ErrToken.
func ParseToken(text string, cluster Fingerprint) (Token, error) {
	prefix, what := tokenPrefix, "token"
	if len(text) > len(passPrefix) && text[:len(passPrefix)] == passPrefix {
		prefix, what = passPrefix, "pass"
	}
	raw, err := decodeText(text, prefix, tokenRaw, what)
	if err != nil {
		return Token{}, err
	}
	if Fingerprint(raw[:4]) != cluster {
		return Token{}, &textError{"the " + what + " is of another cluster than the one you are connected to", ErrCluster}
	}
	b := raw[4:]
	t := Token{
		Kind: b[0], Channel: b[1], Slot: le.Uint16(b[2:]), Sender: le.Uint32(b[4:]),
		Recipient: le.Uint32(b[8:]), Ceiling: le.Uint32(b[12:]), Era: le.Uint32(b[16:]),
		Generation: le.Uint32(b[20:]), E1: le.Uint64(b[24:]), E2: le.Uint64(b[32:]),
		MAC: [MACBytes]byte(b[40:]),
	}
	if err := t.check(); err != nil {
		return Token{}, err
	}
	if t.prefix() != prefix {
		return Token{}, &textError{"the " + what + "'s prefix and content differ", ErrToken}
	}
	return t, nil
}

// check says whether the fields fit each other. Client side only.
func (t *Token) check() error {
	switch {
	case t.Kind != KindToken && t.Kind != KindPass:
		return &textError{"a token has kind 1 or 2", ErrToken}
	case t.Channel != ChannelOf(t.Kind):
		return &textError{"a token is for the token channel, a pass for the ID channel", ErrToken}
	case t.Kind == KindToken && t.Ceiling != 0:
		return &textError{"a token has no priority", ErrToken}
	case t.Kind == KindPass && t.Slot != 0:
		return &textError{"a pass has no slot", ErrToken}
	case t.E1 >= t.E2:
		return &textError{"it is valid in no epoch", ErrToken}
	}
	return nil
}

func (t *Token) prefix() string {
	if t.Kind == KindPass {
		return passPrefix
	}
	return tokenPrefix
}

// textError is a sentinel with what was wrong; fmt is out of this layer.
type textError struct {
	text string
	kind error
}

func (e *textError) Error() string { return e.kind.Error() + ": " + e.text }
func (e *textError) Unwrap() error { return e.kind }
