// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"cmp"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	defaultShowSize = 50  // (F19)
	maxShowSize     = 500 // the largest that is seen in use (F19)
	// expiresSoon is how long before its end a certificate is WILLEXPIRED: a guess (F65).
	expiresSoon = 30 * 24 * time.Hour
)

// listAnswer is the answer of ListUserCertificateOrder.
type listAnswer struct {
	TotalCount, CurrentPage, ShowSize int
	RequestID                         string `json:"RequestId"`
	CertificateOrderList              []listEntry
}

// listEntry is an uploaded certificate in a list. Rows of uploads have no Status,
// Algorithm, CertStartTime and CertEndTime (F20).
type listEntry struct {
	// CertificateID is a number, unless a fault makes it unreadable.
	CertificateID             any `json:"CertificateId,omitempty"`
	Name                      string
	InstanceID                string `json:"InstanceId"`
	CommonName, Sans, OrgName string
	Fingerprint, Sha2         string
	SerialNo, Issuer          string
	StartDate, EndDate        string
	ResourceGroupID           string `json:"ResourceGroupId"`
	Expired, Upload           bool
}

// statusOf is a certificate's state in a list.
func statusOf(r *record, now time.Time) string {
	switch {
	case now.After(r.NotAfter):
		return "EXPIRED"
	case now.After(r.NotAfter.Add(-expiresSoon)):
		return "WILLEXPIRED"
	}
	return "ISSUED"
}

// orderStatuses belong to orders, which this cloud has none of.
var orderStatuses = []string{"PAYED", "CHECKING", "CHECKED_FAIL", "REVOKED", "NOTACTIVATED"} //nolint:misspell // the cloud spells it so

// listQuery is the parsed request of a list.
type listQuery struct {
	statuses    []string
	keyword     string
	group       string
	page, size  int
	withUploads bool
	// nothing is set for a keyword that cannot find any certificate.
	nothing bool
}

func (s *Server) readList(p map[string]string) (q listQuery, failed *failure) {
	q = listQuery{keyword: strings.ToLower(p["Keyword"]), group: p["ResourceGroupId"], page: 1, size: defaultShowSize}
	q.nothing = s.options.KeywordWithoutWildcards && strings.Contains(q.keyword, "*")
	status := p["Status"]
	if status == "REVOKED" && p["OrderType"] == "UPLOAD" {
		if status, failed = s.revokedUploads(); failed != nil {
			return q, failed
		}
	}
	switch {
	case status == "":
		q.statuses = []string{"ISSUED", "WILLEXPIRED"}
	case slices.Contains([]string{"ISSUED", "WILLEXPIRED", "EXPIRED"}, status):
		q.statuses = []string{status}
	case !slices.Contains(orderStatuses, status):
		return q, fail("InvalidParameter", "Status is invalid.")
	}
	// The default lists orders, which are not certificates (F14).
	switch p["OrderType"] {
	case "UPLOAD", "CERT":
		q.withUploads = true
	case "", "CPACK", "BUY":
	default:
		return q, fail("InvalidParameter", "OrderType is invalid.")
	}
	for name, target := range map[string]*int{"CurrentPage": &q.page, "ShowSize": &q.size} {
		if p[name] == "" {
			continue
		}
		n, err := strconv.Atoi(p[name])
		if err != nil || n < 1 || n > 1<<20 {
			return q, fail("InvalidParameter", name+" is invalid.")
		}
		*target = n
	}
	if q.size > maxShowSize {
		return q, fail("InvalidParameter", "ShowSize is invalid.")
	}
	return q, nil
}

// revokedUploads returns the status to list by when a client asks for revoked uploads. An
// upload cannot be revoked, and what the cloud answers is unknown (F17).
func (s *Server) revokedUploads() (status string, failed *failure) {
	switch s.options.RevokedUploads {
	case RevokedIgnored:
		return "", nil
	case RevokedRefused:
		return "", fail(cmp.Or(s.options.RevokedUploadsCode, "InvalidParameter"))
	default:
		return "REVOKED", nil
	}
}

// selects reports whether a certificate belongs into the list.
func (q listQuery) selects(r *record, now time.Time) bool {
	if r.Hidden || now.Before(r.Visible) || q.group != "" && q.group != r.ResourceGroupID {
		return false
	}
	return !q.nothing && strings.Contains(r.searched, q.keyword) && slices.Contains(q.statuses, statusOf(r, now))
}

// list is ListUserCertificateOrder: a part of the list as it is at this moment, so that what
// was listed before moves when certificates come and go (F79).
func (s *Server) list(i *invocation) (any, *failure) {
	q, failed := s.readList(i.parameters)
	if failed != nil {
		return nil, failed
	}
	answer := listAnswer{RequestID: i.requestID, CurrentPage: q.page, ShowSize: q.size, CertificateOrderList: []listEntry{}}
	if !q.withUploads {
		return answer, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now, skip := s.clock.Now(), (q.page-1)*q.size
	for _, r := range s.inOrder(i.shelf()) {
		if i.hides(r) || !q.selects(r, now) {
			continue
		}
		if answer.TotalCount >= skip && len(answer.CertificateOrderList) < q.size {
			answer.CertificateOrderList = append(answer.CertificateOrderList, s.entry(i, r, now))
		}
		answer.TotalCount++
	}
	i.distort(&answer)
	return answer, nil
}

// inOrder yields the certificates of a shelf in the order of lists, which is a guess (F65).
func (s *Server) inOrder(h *shelf) iter.Seq2[int, *record] {
	if s.options.ListOldestFirst {
		return slices.All(h.records)
	}
	return slices.Backward(h.records)
}

// entry shows a certificate in a list.
func (s *Server) entry(i *invocation, r *record, now time.Time) listEntry {
	e := listEntry{
		CertificateID: r.CertID, Name: r.Name, InstanceID: r.ResourceID,
		CommonName: r.CommonName, Sans: strings.Join(r.SANs, ","), OrgName: r.Organization,
		Fingerprint: r.SHA1, Sha2: r.SHA256,
		SerialNo: r.SerialNumber, Issuer: r.Issuer,
		StartDate: r.NotBefore.Format(time.DateOnly), EndDate: r.NotAfter.Format(time.DateOnly),
		ResourceGroupID: r.ResourceGroupID, Expired: now.After(r.NotAfter), Upload: true,
	}
	for _, f := range i.faults {
		if f.Kind == FaultUnreadableID && strings.Contains(r.Name, f.NameContains) {
			e.CertificateID = nil
			if f.Message != "" {
				e.CertificateID = f.Message
			}
		}
	}
	if i.meets(FaultOtherDigests, r.Name) && r.otherSHA256 != "" {
		e.Sha2, e.Fingerprint = r.otherSHA256, r.otherSHA1
	}
	if s.options.NoDigests || i.meets(FaultNoDigests, r.Name) {
		e.Sha2, e.Fingerprint = "", ""
	}
	return e
}
