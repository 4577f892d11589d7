// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"crypto/x509"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/emmansun/gmsm/smx509"
)

const (
	maxTags     = 20  // (F7)
	maxTagKey   = 128 // characters; lenient, as the one page that bounds keys says 64 (F7)
	maxTagValue = 128 // characters; a guess (F7)
)

// uploadAnswer is the answer of UploadUserCertificate (F67).
type uploadAnswer struct {
	CertID     int64  `json:"CertId"`
	RequestID  string `json:"RequestId"`
	ResourceID string `json:"ResourceId"`
}

// upload is UploadUserCertificate: everything is verified before the name is
// looked at, and the name decides under the lock.
func (s *Server) upload(i *invocation) (any, *failure) {
	r, failed := s.readUpload(i.parameters)
	if failed != nil {
		return nil, failed
	}
	r.Region = i.region
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock.Now()
	if s.taken(i.account(), i.region, r.Name, now) {
		return nil, fail("NameRepeat")
	}
	r.Visible = now.Add(s.listLag(i))
	s.store(i.account(), r, now)
	i.commit(now, r)
	return uploadAnswer{CertID: r.CertID, RequestID: i.requestID, ResourceID: r.ResourceID}, nil
}

func (s *Server) readUpload(p map[string]string) (*record, *failure) {
	name := p["Name"]
	if name == "" {
		return nil, fail("MissingParameter", "Name is mandatory for this action.")
	}
	if !namePattern.MatchString(name) {
		return nil, fail("InvalidParameter", "Name may have up to 63 letters, digits and underscores.")
	}
	group := p["ResourceGroupId"]
	if group != "" && !groupPattern.MatchString(group) {
		return nil, fail("InvalidParameter", "ResourceGroupId is invalid.")
	}
	tags, failed := readTags(p)
	if failed != nil {
		return nil, failed
	}
	read := s.readTLS
	// The SM parameters are ignored when both of the others are set (F5).
	if p["Cert"] == "" || p["Key"] == "" {
		read = s.readSM
	}
	r, failed := read(p)
	if failed != nil {
		return nil, failed
	}
	r.Name, r.ResourceGroupID, r.Tags = strings.Clone(name), strings.Clone(group), tags
	return r, nil
}

var groupPattern = regexp.MustCompile(`^rg-[a-z0-9]{1,61}$`)

func (s *Server) readTLS(p map[string]string) (*record, *failure) {
	leaf, failed := readPair(p["Cert"], p["Key"], s.readTLSKey, false, s.clock.Now())
	if failed != nil {
		return nil, failed
	}
	r := describe(leaf)
	r.material.cert, r.material.key = p["Cert"], seal(p["Key"])
	return r, nil
}

func (s *Server) readSM(p map[string]string) (*record, *failure) {
	for _, name := range []string{"SignCert", "SignPrivateKey", "EncryptCert", "EncryptPrivateKey"} {
		if p[name] == "" {
			return nil, fail("MissingParameter", "Either Cert and Key or all four SM parameters are mandatory.")
		}
	}
	now := s.clock.Now()
	signing, failed := readHalf(p["SignCert"], p["SignPrivateKey"], x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment, now)
	if failed != nil {
		return nil, failed
	}
	const encrypts = x509.KeyUsageKeyEncipherment | x509.KeyUsageDataEncipherment | x509.KeyUsageKeyAgreement
	encrypting, failed := readHalf(p["EncryptCert"], p["EncryptPrivateKey"], encrypts, now)
	if failed != nil {
		return nil, failed
	}
	r := describe(signing)
	r.otherSHA256, r.otherSHA1 = digests(encrypting)
	r.material = material{
		signCert: p["SignCert"], signKey: seal(p["SignPrivateKey"]),
		encryptCert: p["EncryptCert"], encryptKey: seal(p["EncryptPrivateKey"]),
	}
	return r, nil
}

// readHalf verifies one certificate of an SM pair: that it is of SM2, valid, and belongs
// to its key, and, which is a guess (F77), that its key usages fit its purpose.
func readHalf(certificate, key string, purposes x509.KeyUsage, now time.Time) (*smx509.Certificate, *failure) {
	leaf, failed := readPair(certificate, key, readSMKey, true, now)
	if failed != nil {
		return nil, failed
	}
	if !usable(leaf, purposes) {
		return nil, fail("ParseCertificateFailed", "The certificate is not for its purpose in the pair.")
	}
	return leaf, nil
}

// readTags reads Tags.N.Key and Tags.N.Value, N from 1 (F7). That gaps are refused is a
// guess.
func readTags(p map[string]string) (map[string]string, *failure) {
	tags, seen := map[string]string{}, 0
	for name := range p {
		if strings.HasPrefix(name, "Tags.") {
			seen++
		}
	}
	for n := 1; seen > 0; n++ {
		prefix := "Tags." + strconv.Itoa(n)
		key, hasKey := p[prefix+".Key"]
		value, hasValue := p[prefix+".Value"]
		if !hasKey || n > maxTags {
			return nil, fail("InvalidParameter", "Tags are invalid.")
		}
		if _, twice := tags[key]; twice || !validTag(key, value) {
			return nil, fail("InvalidParameter", "Tags are invalid.")
		}
		tags[strings.Clone(key)] = strings.Clone(value)
		seen--
		if hasValue {
			seen--
		}
	}
	if len(tags) == 0 {
		return nil, nil
	}
	return tags, nil
}

func validTag(key, value string) bool {
	for _, text := range []string{key, value} {
		if strings.Contains(text, "http://") || strings.Contains(text, "https://") {
			return false
		}
	}
	lower := strings.ToLower(key)
	return key != "" && len([]rune(key)) <= maxTagKey && len([]rune(value)) <= maxTagValue &&
		!strings.HasPrefix(lower, "aliyun") && !strings.HasPrefix(lower, "acs:")
}
