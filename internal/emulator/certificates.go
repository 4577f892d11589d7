// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// simpleAnswer holds nothing but the request's id.
type simpleAnswer struct {
	RequestID string `json:"RequestId"`
}

func readID(p map[string]string, name string) (int64, *failure) {
	if p[name] == "" {
		return 0, fail("MissingParameter", name+" is mandatory for this action.")
	}
	id, err := strconv.ParseInt(p[name], 10, 64)
	if err != nil || id < 1 {
		return 0, fail("InvalidParameter", name+" is invalid.")
	}
	return id, nil
}

// delete is DeleteUserCertificate. A certificate that does not exist is NotFound with
// status 400 (F25).
func (s *Server) delete(i *invocation) (any, *failure) {
	id, failed := readID(i.parameters, "CertId")
	if failed != nil {
		return nil, failed
	}
	inUse := s.guarded(i, id)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock.Now()
	r := i.shelf().find(id)
	if r == nil {
		return nil, fail("NotFound")
	}
	if inUse != "" {
		return nil, fail(inUse)
	}
	if r.InUse != "" {
		return nil, fail(r.InUse)
	}
	s.remove(i.account(), i.region, id, now)
	i.commit(now, r)
	return simpleAnswer{i.requestID}, nil
}

// userDetail is the answer of GetUserCertificateDetail.
type userDetail struct {
	RequestID                      string `json:"RequestId"`
	ID                             int64  `json:"Id"`
	InstanceID                     string `json:"InstanceId"`
	CertIdentifier                 string
	Name, Common, Sans, OrgName    string
	Fingerprint, Sha2, SerialNo    string
	Issuer, Algorithm              string
	StartDate, EndDate             string
	ResourceGroupID                string `json:"ResourceGroupId"`
	Expired, BuyInAliyun           bool
	Cert, Key                      string `json:",omitempty"`
	SignCert, SignPrivateKey       string `json:",omitempty"`
	EncryptCert, EncryptPrivateKey string `json:",omitempty"`
}

// userCertificateDetail is GetUserCertificateDetail. It answers with certificate
// and private key unless CertFilter is true (F23).
func (s *Server) userCertificateDetail(i *invocation) (any, *failure) {
	id, failed := readID(i.parameters, "CertId")
	if failed != nil {
		return nil, failed
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := i.shelf().find(id)
	if r == nil {
		return nil, fail("NotFound")
	}
	i.entry.CertID, i.entry.Name = id, r.Name
	d := userDetail{
		RequestID: i.requestID, ID: id, InstanceID: r.ResourceID, CertIdentifier: certIdentifier(r),
		Name: r.Name, Common: r.CommonName, Sans: strings.Join(r.SANs, ","), OrgName: r.Organization,
		Fingerprint: r.SHA1, Sha2: r.SHA256, SerialNo: r.SerialNumber, Issuer: r.Issuer, Algorithm: r.Algorithm,
		StartDate: r.NotBefore.Format(time.DateOnly), EndDate: r.NotAfter.Format(time.DateOnly),
		ResourceGroupID: r.ResourceGroupID, Expired: s.clock.Now().After(r.NotAfter),
	}
	if !strings.EqualFold(i.parameters["CertFilter"], "true") {
		m := r.material
		d.Cert, d.Key = m.cert, m.key.open()
		d.SignCert, d.SignPrivateKey = m.signCert, m.signKey.open()
		d.EncryptCert, d.EncryptPrivateKey = m.encryptCert, m.encryptKey.open()
		i.entry.KeyReturned = d.Key != "" || d.SignPrivateKey != ""
	}
	return d, nil
}

// certIdentifier is what other products take as a certificate's id (F27).
func certIdentifier(r *record) string { return fmt.Sprintf("%d-%s", r.CertID, r.Region) }

// certificateDetail is the answer of GetCertificateDetail: no body, no key (F24).
type certificateDetail struct {
	RequestID        string `json:"RequestId"`
	CertIdentifier   string
	InstanceID       string `json:"InstanceId"`
	CertificateName  string
	FingerPrint      string
	Algorithm        string
	CommonName       string
	Issuer, SerialNo string
	NotBefore        int64
	NotAfter         int64
	CertificateState string `json:"CertificateStatus"`
	ResourceGroupID  string `json:"ResourceGroupId"`
	UsingProductList []string
}

func (s *Server) certificateDetail(i *invocation) (any, *failure) {
	id, failed := readID(i.parameters, "CertificateId")
	if failed != nil {
		return nil, failed
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := i.shelf().find(id)
	if r == nil {
		return nil, fail("NotFound")
	}
	i.entry.CertID, i.entry.Name = id, r.Name
	return certificateDetail{
		RequestID: i.requestID, CertIdentifier: certIdentifier(r), InstanceID: r.ResourceID,
		CertificateName: r.Name, FingerPrint: r.SHA1, Algorithm: r.Algorithm, CommonName: r.CommonName,
		Issuer: r.Issuer, SerialNo: r.SerialNumber, NotBefore: r.NotBefore.UnixMilli(), NotAfter: r.NotAfter.UnixMilli(),
		CertificateState: statusOf(r, s.clock.Now()), ResourceGroupID: r.ResourceGroupID, UsingProductList: []string{},
	}, nil
}
