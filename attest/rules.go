package attest

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Any, alone in a list of signers or platforms, says in so many words that
// any will do. None, alone in a list of signers, asks for code that nobody
// signed. An empty list is an error.
const (
	Any  = "any"
	None = "none"
)

// dateLayout is that of a minimum TCB date.
const dateLayout = "2006-01-02"

// IntelRules are what SGX and TDX rules have in common.
type IntelRules struct {
	// Platforms lists the PPIDs of the accepted platforms, 16 bytes in
	// hexadecimal each, or says Any.
	Platforms []string `json:"platforms"`
	// TCBStatuses lists the accepted statuses. Revoked cannot be accepted.
	TCBStatuses []TCBStatus `json:"tcb_statuses"`
	// MinTCBEvaluation is the lowest evaluation data number that the
	// collateral may have. Raising it is how a TCB recovery is enforced.
	MinTCBEvaluation uint32 `json:"min_tcb_evaluation"`
	// MinTCBDate is the earliest date of a TCB level, as 2024-03-13.
	MinTCBDate string `json:"min_tcb_date"`
}

// SGXRules are what SGX evidence must satisfy besides its measurement.
type SGXRules struct {
	Signers []string `json:"signers"` // MRSIGNER, 32 bytes in hexadecimal each, or Any
	Product uint16   `json:"product"` // ISVPRODID
	MinSVN  uint16   `json:"min_svn"` // ISVSVN
	IntelRules
}

// TDXRules are what TDX evidence must satisfy besides its measurement. The
// TDX module must be signed by Intel always.
type TDXRules struct {
	IntelRules
}

// SNPRules are what SEV-SNP evidence must satisfy besides its measurement.
// Ciphertext hiding is demanded always: without it, the host sees from
// ciphertexts which of two records a conditional swap moved.
type SNPRules struct {
	Signers   []string `json:"signers"`   // digest of the author's or the ID block's key, 48 bytes in hexadecimal each, or Any, or None
	Platforms []string `json:"platforms"` // chip IDs, 64 bytes in hexadecimal each, or Any
	MinSVN    uint32   `json:"min_svn"`   // the guest SVN
	MinTCB    AMDTCB   `json:"min_tcb"`
	AllowSMT  bool     `json:"allow_smt"` // the guest may run with SMT on
}

// validateList checks a list of hexadecimal values of n bytes, or one of the
// words.
func validateList(tee, field string, list []string, n int, words ...string) error {
	if len(list) == 0 {
		return fmt.Errorf("%w: %s: %s is empty: list values, or write [%q]", ErrEmptyPolicy, tee, field, Any)
	}
	if len(list) == 1 && slices.Contains(words, list[0]) {
		return nil
	}
	for i, s := range list {
		b, err := hex.DecodeString(s)
		if err != nil || len(b) != n || strings.ToLower(s) != s {
			return fmt.Errorf("%w: %s: %.140q in %s is not %d bytes in lower-case hexadecimal", ErrPolicy, tee, s, field, n)
		}
		if slices.Contains(list[:i], s) {
			return fmt.Errorf("%w: %s: %s lists %s twice", ErrPolicy, tee, field, s)
		}
	}
	return nil
}

func (r *IntelRules) validate(tee string) error {
	if err := validateList(tee, "platforms", r.Platforms, 16, Any); err != nil {
		return err
	}
	if len(r.TCBStatuses) == 0 {
		return fmt.Errorf("%w: %s: tcb_statuses is empty: list the accepted ones, %q at least", ErrEmptyPolicy, tee, UpToDate)
	}
	for i, s := range r.TCBStatuses {
		if !s.Known() || s == Revoked {
			return fmt.Errorf("%w: %s: tcb_statuses: %.80q cannot be accepted: choose from %v", ErrPolicy, tee, s, tcbStatuses[:len(tcbStatuses)-1])
		}
		if slices.Contains(r.TCBStatuses[:i], s) {
			return fmt.Errorf("%w: %s: tcb_statuses lists %s twice", ErrPolicy, tee, s)
		}
	}
	if r.MinTCBEvaluation == 0 {
		return fmt.Errorf("%w: %s: min_tcb_evaluation is 0: write the number of the newest TCB recovery that must be in place", ErrEmptyPolicy, tee)
	}
	if _, err := time.Parse(dateLayout, r.MinTCBDate); err != nil {
		return fmt.Errorf("%w: %s: min_tcb_date %.80q is not a date such as 2024-03-13", ErrPolicy, tee, r.MinTCBDate)
	}
	return nil
}

func (r *SGXRules) validate() error {
	if err := validateList(SGX, "signers", r.Signers, 32, Any); err != nil {
		return err
	}
	return r.IntelRules.validate(SGX)
}

func (r *TDXRules) validate() error { return r.IntelRules.validate(TDX) }

func (r *SNPRules) validate() error {
	if err := validateList(SNP, "signers", r.Signers, 48, Any, None); err != nil {
		return err
	}
	if err := validateList(SNP, "platforms", r.Platforms, 64, Any); err != nil {
		return err
	}
	if r.MinTCB == (AMDTCB{}) {
		return fmt.Errorf("%w: %s: min_tcb is all zero: write the lowest versions that are safe", ErrEmptyPolicy, SNP)
	}
	return nil
}

func listed(list []string, value string) bool {
	return value != "" && slices.Contains(list, value) || len(list) == 1 && list[0] == Any
}

func (x *examination) signer(list []string, c Claims) {
	s := c.Signer.String()
	ok := listed(list, s) || len(list) == 1 && list[0] == None && s == ""
	if s == "" {
		s = "nobody"
	}
	x.add("signer", ok, s, fmt.Sprintf("the code is signed by %s, which the policy does not list", s))
}

func (x *examination) platform(list []string, c Claims) {
	x.add("platform", listed(list, c.Platform), c.Platform, fmt.Sprintf("the platform %q is not on the list", c.Platform))
}

func (r *IntelRules) examine(x *examination, c Claims) {
	x.platform(r.Platforms, c)
	t := c.Intel
	if t == nil {
		x.add("TCB status", false, "", "the evidence says nothing of the platform's TCB")
		return
	}
	words := string(t.Status)
	if len(t.Advisories) > 0 {
		words += " (" + strings.Join(t.Advisories, ", ") + ")"
	}
	x.add("TCB status", t.Status != Revoked && slices.Contains(r.TCBStatuses, t.Status), words,
		fmt.Sprintf("it is %s, and the policy accepts %v", words, r.TCBStatuses))
	x.add("TCB evaluation", t.Evaluation >= r.MinTCBEvaluation, fmt.Sprint(t.Evaluation),
		fmt.Sprintf("the collateral is of evaluation %d, the policy asks for %d: renew the collateral, update the platform", t.Evaluation, r.MinTCBEvaluation))
	least, err := time.Parse(dateLayout, r.MinTCBDate)
	x.add("TCB date", err == nil && !t.Date.Before(least), t.Date.Format(dateLayout),
		fmt.Sprintf("the platform's TCB level is of %s, the policy asks for %s: update the platform", t.Date.Format(dateLayout), r.MinTCBDate))
}

func (r *SGXRules) examine(x *examination, c Claims) {
	if r == nil {
		x.add("rules", false, "", "the policy has no rules for SGX")
		return
	}
	x.signer(r.Signers, c)
	x.add("product", c.Product == r.Product, fmt.Sprint(c.Product), fmt.Sprintf("the product is %d, the policy accepts %d", c.Product, r.Product))
	x.add("version", c.SVN >= uint32(r.MinSVN), fmt.Sprint(c.SVN), fmt.Sprintf("the security version is %d, the policy asks for %d", c.SVN, r.MinSVN))
	r.IntelRules.examine(x, c)
}

func (r *TDXRules) examine(x *examination, c Claims) {
	if r == nil {
		x.add("rules", false, "", "the policy has no rules for TDX")
		return
	}
	r.IntelRules.examine(x, c)
}

func (r *SNPRules) examine(x *examination, c Claims, recorded RecordedEvidence) {
	if r == nil || c.AMD == nil {
		x.add("rules", false, "", "the policy has no rules for SEV-SNP, or the evidence says nothing of the platform")
		return
	}
	x.signer(r.Signers, c)
	x.platform(r.Platforms, c)
	x.add("version", c.SVN >= r.MinSVN, fmt.Sprint(c.SVN), fmt.Sprintf("the guest's security version is %d, the policy asks for %d", c.SVN, r.MinSVN))
	x.add("TCB", c.AMD.TCB.AtLeast(r.MinTCB), fmt.Sprintf("%+v", c.AMD.TCB),
		fmt.Sprintf("the firmware is %+v, the policy asks for %+v at least: update the platform", c.AMD.TCB, r.MinTCB))
	x.addUnless("ciphertext hiding", c.AMD.CiphertextHiding, "on, and demanded by the guest",
		"it is not on in the platform, or not demanded by the guest's policy: the host sees every conditional swap in the ciphertext", recorded.AcceptNoCiphertextHidingThatShowsEveryChoice)
	x.add("SMT", r.AllowSMT || !c.AMD.SMT, fmt.Sprintf("allowed for the guest: %v", c.AMD.SMT), "the guest may run with SMT on, and the policy does not allow that")
}
