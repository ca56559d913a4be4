package attest

import (
	"slices"
	"time"
)

// Claims is what genuine evidence says. It is worth nothing before a policy
// has been asked about it.
type Claims struct {
	TEE         string
	Measurement Measurement
	ReportData  ReportData
	Debug       bool // the TEE lets its host look inside
	Simulated   bool // there is no TEE

	// Signer is the hash of the key that signed the code, if anything did:
	// MRSIGNER on SGX, on SEV-SNP the digest of the author's key or else of
	// the ID block's, on TDX the signer of the TDX module (zero: Intel).
	Signer Measurement
	// Product and SVN are what the signer gave the code: ISVPRODID and ISVSVN
	// on SGX, the guest SVN on SEV-SNP.
	Product uint16
	SVN     uint32
	// Platform is what an allow-list names: in hexadecimal the PPID (Intel) or
	// the chip ID (AMD).
	Platform string

	Intel *IntelTCB // on SGX and TDX
	AMD   *AMDState // on SEV-SNP

	// Unsafe lists, in words, what in the state of the TEE no policy accepts.
	Unsafe []string
	// RevocationChecked says that the vendor's revocation lists were there,
	// were current, and do not name the platform or its issuers.
	RevocationChecked bool
	// Until is when the first certificate, list or statement ends on which
	// all this rests. Zero: nothing ends.
	Until time.Time

	Checked []string // what the verifier checked, in words
	Details []Detail // what the evidence says besides, for people
}

// Detail is a named fact, both in words for people.
type Detail struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// IntelTCB is what Intel's collateral says about a platform.
type IntelTCB struct {
	// Status is the worst of the platform's, the quoting enclave's and, on
	// TDX, the TDX module's.
	Status TCBStatus
	// Evaluation is the lower of the evaluation data numbers of the TCB info
	// and of the quoting enclave's identity: it grows with each TCB recovery.
	Evaluation uint32
	// Date is that of the TCB level: all advisories published before it are
	// dealt with, as far as the status says so.
	Date       time.Time
	Advisories []string // that apply to the level
	FMSPC      string   // the family of platforms, in hexadecimal
}

// TCBStatus is Intel's word on a TCB level.
type TCBStatus string

// The statuses, as Intel writes them.
const (
	UpToDate                          TCBStatus = "UpToDate"
	SWHardeningNeeded                 TCBStatus = "SWHardeningNeeded"
	ConfigurationNeeded               TCBStatus = "ConfigurationNeeded"
	ConfigurationAndSWHardeningNeeded TCBStatus = "ConfigurationAndSWHardeningNeeded"
	OutOfDate                         TCBStatus = "OutOfDate"
	OutOfDateConfigurationNeeded      TCBStatus = "OutOfDateConfigurationNeeded"
	Revoked                           TCBStatus = "Revoked"
)

// tcbStatuses lists them, the best first.
var tcbStatuses = []TCBStatus{
	UpToDate, SWHardeningNeeded, ConfigurationNeeded, ConfigurationAndSWHardeningNeeded,
	OutOfDate, OutOfDateConfigurationNeeded, Revoked,
}

// TCBStatuses returns all statuses, the best first.
func TCBStatuses() []TCBStatus { return slices.Clone(tcbStatuses) }

// Known reports whether s is a status that Intel documents.
func (s TCBStatus) Known() bool { return slices.Contains(tcbStatuses, s) }

// Worst joins the status of a platform with that of an enclave or module on
// which the evidence depends as well, the way Intel's own library does. A
// status that is not known makes the result Revoked.
func (s TCBStatus) Worst(o TCBStatus) TCBStatus {
	switch {
	case !s.Known() || !o.Known() || s == Revoked || o == Revoked:
		return Revoked
	case o == UpToDate:
		return s
	case o == OutOfDate && (s == ConfigurationNeeded || s == ConfigurationAndSWHardeningNeeded || s == OutOfDateConfigurationNeeded):
		return OutOfDateConfigurationNeeded
	}
	return tcbStatuses[max(slices.Index(tcbStatuses, s), slices.Index(tcbStatuses, o))]
}

// AMDState is what an SEV-SNP report says about the platform and the guest's
// policy, as far as a policy here asks.
type AMDState struct {
	TCB AMDTCB // the reported one, for which the signing key was made
	// CiphertextHiding is on in the platform, and the guest's policy demands
	// it, so that it cannot be launched without.
	CiphertextHiding bool
	SMT              bool // the guest's policy lets it run with SMT on
	Family           string
}

// AMDTCB holds the security version numbers of AMD's firmware. FMC exists
// from the fifth generation on and is 0 before.
type AMDTCB struct {
	FMC        uint8 `json:"fmc"`
	BootLoader uint8 `json:"boot_loader"`
	TEE        uint8 `json:"tee"`
	SNP        uint8 `json:"snp"`
	Microcode  uint8 `json:"microcode"`
}

// AtLeast reports whether no number is lower than that of min.
func (t AMDTCB) AtLeast(min AMDTCB) bool {
	return t.FMC >= min.FMC && t.BootLoader >= min.BootLoader && t.TEE >= min.TEE && t.SNP >= min.SNP && t.Microcode >= min.Microcode
}
