// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package cas

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// text is a string of an answer. The cloud's fields are not always of their
// documented type (a Code may be a number): a scalar is taken as it is written,
// anything else as empty.
type text string

// UnmarshalJSON never fails.
func (t *text) UnmarshalJSON(raw []byte) error {
	*t = ""
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || raw[0] == '{' || raw[0] == '[' || bytes.Equal(raw, []byte("null")) {
		return nil
	}
	if raw[0] != '"' {
		*t = text(raw)
		return nil
	}
	var s string
	if json.Unmarshal(raw, &s) == nil {
		*t = text(s)
	}
	return nil
}

func (t text) int64() int64 {
	n, err := strconv.ParseInt(strings.TrimSpace(string(t)), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// dates are the forms in which CAS writes StartDate and EndDate.
var dates = []string{time.DateOnly, time.DateTime, time.RFC3339}

// time returns the zero time for what it cannot read.
func (t text) time() time.Time {
	for _, layout := range dates {
		if at, err := time.Parse(layout, string(t)); err == nil {
			return at.UTC()
		}
	}
	if ms := t.int64(); ms > 0 {
		return time.UnixMilli(ms).UTC()
	}
	return time.Time{}
}

// digest returns size bytes of hex in lower case, and "" for anything else: a
// digest that cannot be read proves nothing.
func (t text) digest(size int) string {
	plain := strings.ToLower(strings.ReplaceAll(strings.TrimSpace(string(t)), ":", ""))
	raw, err := hex.DecodeString(plain)
	if err != nil || len(raw) != size {
		return ""
	}
	return plain
}

// answerError is the error of an answer that is JSON but says nothing.
type answerError string

func (e answerError) Error() string { return string(e) }

type uploadAnswer struct {
	CertID     text `json:"CertId"`
	ResourceID text `json:"ResourceId"`
	RequestID  text `json:"RequestId"`
}

// validate refuses the empty answer, which the SDK decodes to CertId 0 without
// an error (F56).
func (a *uploadAnswer) validate() error {
	if a.CertID.int64() <= 0 {
		return answerError("the answer carries no CertId")
	}
	return nil
}

type deleteAnswer struct {
	RequestID text `json:"RequestId"`
}

// validate refuses the empty answer: a delete that is reported must have
// happened.
func (a *deleteAnswer) validate() error {
	if a.RequestID == "" {
		return answerError("the answer carries no RequestId")
	}
	return nil
}

type callerIdentityAnswer struct {
	AccountID text `json:"AccountId"`
}

func (a *callerIdentityAnswer) validate() error {
	if id := string(a.AccountID); id == "" || len(id) > 64 || strings.Trim(id, "0123456789") != "" {
		return answerError("the answer carries no AccountId")
	}
	return nil
}

type listAnswer struct {
	TotalCount           *text
	CurrentPage          text
	RequestID            text `json:"RequestId"`
	CertificateOrderList []certificateAnswer
}

// validate refuses an answer without a total: an empty list must be told from
// no list, because absence is acted on.
func (a *listAnswer) validate() error {
	if a.TotalCount == nil {
		return answerError("the answer carries no TotalCount")
	}
	if n, err := strconv.ParseInt(string(*a.TotalCount), 10, 64); err != nil || n < 0 {
		return answerError("the answer's TotalCount is no count")
	}
	return nil
}

type certificateAnswer struct {
	CertificateID   text `json:"CertificateId"`
	InstanceID      text `json:"InstanceId"`
	ResourceGroupID text `json:"ResourceGroupId"`
	Name            text
	CommonName      text
	Sans            text
	Fingerprint     text
	Sha2            text
	SerialNo        text
	Issuer          text
	StartDate       text
	EndDate         text
	Expired         text
	Status          text
}

// UnmarshalJSON never fails: what is no entry has no id, and is counted as unreadable.
func (a *certificateAnswer) UnmarshalJSON(raw []byte) error {
	type plain certificateAnswer
	if json.Unmarshal(raw, (*plain)(a)) != nil {
		*a = certificateAnswer{}
	}
	return nil
}

func (a certificateAnswer) certificate() Certificate {
	return Certificate{
		CertID:          a.CertificateID.int64(),
		ResourceID:      string(a.InstanceID),
		Name:            string(a.Name),
		SHA1:            a.Fingerprint.digest(20),
		SHA256:          a.Sha2.digest(32),
		CommonName:      string(a.CommonName),
		DNSNames:        strings.FieldsFunc(string(a.Sans), func(r rune) bool { return r == ',' || r == ' ' }),
		SerialNumber:    strings.TrimLeft(strings.ToLower(string(a.SerialNo)), "0"),
		Issuer:          string(a.Issuer),
		NotBefore:       a.StartDate.time(),
		NotAfter:        a.EndDate.time(),
		Expired:         strings.EqualFold(string(a.Expired), "true"),
		Status:          string(a.Status),
		ResourceGroupID: string(a.ResourceGroupID),
	}
}
