// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package cas

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/inventory"
)

// dates are the forms in which CAS writes EndDate.
var dates = []string{time.DateOnly, time.DateTime, time.RFC3339}

// parseTime returns the zero time for what it cannot read.
func parseTime(t alibaba.Text) time.Time {
	for _, layout := range dates {
		if at, err := time.Parse(layout, string(t)); err == nil {
			return at.UTC()
		}
	}
	if ms := t.Int64(); ms > 0 {
		return time.UnixMilli(ms).UTC()
	}
	return time.Time{}
}

// parseDigest returns the hex of a SHA-256 in lower case, and "" for anything else: a
// digest that cannot be read proves nothing.
func parseDigest(t alibaba.Text) string {
	plain := strings.ToLower(strings.ReplaceAll(strings.TrimSpace(string(t)), ":", ""))
	raw, err := hex.DecodeString(plain)
	if err != nil || len(raw) != sha256.Size {
		return ""
	}
	return plain
}

type uploadAnswer struct {
	CertID     alibaba.Text `json:"CertId"`
	ResourceID alibaba.Text `json:"ResourceId"`
}

// Validate refuses the empty answer, which the SDK decodes to CertId 0 without
// an error (F56).
func (a *uploadAnswer) Validate() error {
	if a.CertID.Int64() <= 0 {
		return errors.New("the answer carries no CertId")
	}
	return nil
}

type deleteAnswer struct {
	RequestID alibaba.Text `json:"RequestId"`
}

// Validate refuses the empty answer: a delete that is reported must have
// happened.
func (a *deleteAnswer) Validate() error {
	if a.RequestID == "" {
		return errors.New("the answer carries no RequestId")
	}
	return nil
}

// listAnswer is a page of certificates.
type listAnswer struct {
	TotalCount *alibaba.Text
	page       inventory.Page
}

// List names the field that holds the certificates.
func (a *listAnswer) List() string { return "CertificateOrderList" }

// Take adds a certificate to the page. What is no entry has no id, and is counted as
// unreadable.
func (a *listAnswer) Take(entry []byte) {
	var answer certificateAnswer
	if json.Unmarshal(entry, &answer) != nil || answer.CertificateID.Int64() <= 0 {
		a.page.Unreadable++
		return
	}
	certificate := answer.certificate()
	certificate.Row = len(a.page.Certificates) + a.page.Unreadable
	a.page.Certificates = append(a.page.Certificates, certificate)
}

// Validate refuses an answer without a total: an empty list must be told from
// no list, because absence is acted on.
func (a *listAnswer) Validate() error {
	if a.TotalCount == nil {
		return errors.New("the answer carries no TotalCount")
	}
	total, err := strconv.ParseInt(string(*a.TotalCount), 10, 64)
	if err != nil || total < 0 {
		return errors.New("the answer's TotalCount is no count")
	}
	a.page.Total = total
	return nil
}

type certificateAnswer struct {
	CertificateID alibaba.Text `json:"CertificateId"`
	InstanceID    alibaba.Text `json:"InstanceId"`
	Name          alibaba.Text
	Sha2          alibaba.Text
	EndDate       alibaba.Text
}

// maxField bounds what is kept of a field, in bytes. What is longer is no name or id of ours:
// a name has at most 63.
const maxField = 256

func bounded(t alibaba.Text) string {
	if len(t) > maxField {
		return ""
	}
	return string(t)
}

func (a certificateAnswer) certificate() inventory.Certificate {
	return inventory.Certificate{
		CertID:     a.CertificateID.Int64(),
		ResourceID: bounded(a.InstanceID),
		Name:       bounded(a.Name),
		SHA256:     parseDigest(a.Sha2),
		NotAfter:   parseTime(a.EndDate),
	}
}
