// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Certificate is what the cloud knows of a certificate, without bodies and keys.
type Certificate struct {
	CertID     int64  `json:"certId"`
	ResourceID string `json:"resourceId"`
	Name       string `json:"name"`
	AccountID  string `json:"accountId"`
	Region     string `json:"region"`
	CommonName string `json:"commonName"`
	// SANs are names and addresses.
	SANs []string `json:"sans,omitempty"`
	// SHA256 and SHA1 are digests of the leaf's DER in upper-case hex (F21). Of an SM
	// pair they describe the signing certificate, which is a guess (F61).
	SHA256 string `json:"sha256"`
	SHA1   string `json:"sha1"`
	// SerialNumber is lower-case hex, padded with zeros.
	SerialNumber string    `json:"serialNumber"`
	Issuer       string    `json:"issuer"`
	Organization string    `json:"organization,omitempty"`
	NotBefore    time.Time `json:"notBefore"`
	NotAfter     time.Time `json:"notAfter"`
	// Algorithm is RSA, ECC or SM2, KeyBits the length of the key, and Signature what the
	// issuer signed with.
	Algorithm       string            `json:"algorithm"`
	KeyBits         int               `json:"keyBits"`
	Signature       string            `json:"signature"`
	ResourceGroupID string            `json:"resourceGroupId,omitempty"`
	Tags            map[string]string `json:"tags,omitempty"`
	// Foreign certificates came by AddForeign, Hidden ones show in no list.
	Foreign bool `json:"foreign,omitempty"`
	Hidden  bool `json:"hidden,omitempty"`
	// InUse is the error code of calls that delete it; empty where they succeed.
	InUse string `json:"inUse,omitempty"`
	// Uploaded is when it was committed, Visible when lists begin to show it.
	Uploaded time.Time `json:"uploaded"`
	Visible  time.Time `json:"visible"`
}

// record is a certificate as it is kept. Nothing parsed is kept.
type record struct {
	Certificate
	// otherSHA256 and otherSHA1 are the digests of the encryption certificate of an SM
	// pair.
	otherSHA256, otherSHA1 string
	// searched is what Keyword has to be a part of, in lower case: the domains and the
	// resource id, but not the name (F18).
	searched string
	material material
}

// material is PEM as it was uploaded.
type material struct {
	cert, encryptCert, signCert string
	key, encryptKey, signKey    sealed
}

// nameKey is a taken name; region is empty where the regions share names.
type nameKey struct{ region, name string }

// hold says until when a name is taken. The zero value is for ever.
type hold struct{ until time.Time }

func (s *Server) nameKey(region, name string) nameKey {
	if !s.options.NamesCaseSensitive {
		name = strings.ToLower(name)
	}
	if s.options.NamesSharedAcrossRegions {
		region = ""
	}
	return nameKey{region, name}
}

// taken reports whether a name cannot be used; the caller holds the lock.
func (s *Server) taken(a *account, region, name string, now time.Time) bool {
	held, ok := a.names[s.nameKey(region, name)]
	return ok && (held.until.IsZero() || now.Before(held.until))
}

// shelf holds the certificates of an account on a region, by CertID.
type shelf struct{ records []*record }

func (h *shelf) index(id int64) (int, bool) {
	return slices.BinarySearchFunc(h.records, id, func(r *record, id int64) int { return cmp.Compare(r.CertID, id) })
}

func (h *shelf) find(id int64) *record {
	if at, ok := h.index(id); ok {
		return h.records[at]
	}
	return nil
}

func (h *shelf) insert(r *record) {
	at, _ := h.index(r.CertID)
	h.records = slices.Insert(h.records, at, r)
}

// store gives a record its ids and time of upload, takes its name, and keeps it. The
// caller holds the lock and has seen that the name is free.
func (s *Server) store(a *account, r *record, now time.Time) {
	s.uploads++
	r.CertID, r.ResourceID = s.newCertID(r.Region), resourceID(s.options.Seed, s.uploads)
	r.searched = strings.ToLower(strings.Join(append([]string{r.ResourceID, r.CommonName}, r.SANs...), "\n"))
	r.AccountID = a.id
	r.Uploaded = now
	a.names[s.nameKey(r.Region, r.Name)] = hold{}
	a.shelves[r.Region].insert(r)
}

// remove deletes a certificate; the caller holds the lock.
func (s *Server) remove(a *account, region string, id int64, now time.Time) bool {
	h := a.shelves[region]
	at, ok := h.index(id)
	if !ok {
		return false
	}
	key := s.nameKey(region, h.records[at].Name)
	h.records = slices.Delete(h.records, at, at+1)
	switch wait := s.options.NameHeldAfterDelete; {
	case wait == 0:
		delete(a.names, key)
	case wait > 0:
		a.names[key] = hold{until: now.Add(wait)}
	}
	return true
}

// firstIDs returns the last CertIds that were given before the emulator began, by region:
// about those of September 2026 (F73).
func firstIDs(same bool) map[string]int64 {
	first := map[string]int64{RegionChina: 27_100_000, RegionInternational: 585_000}
	if same {
		first[RegionInternational] = first[RegionChina]
	}
	return first
}

// newCertID returns the next id of a region. Each region counts for itself (F9) and without
// gaps (F8), over all accounts.
func (s *Server) newCertID(region string) int64 {
	s.lastIDs[region]++
	return s.lastIDs[region]
}

// resourceID permutes the numbers of six base-36 digits, so that no two are the
// same before all are used up.
func resourceID(seed, n int64) string {
	const all = 36 * 36 * 36 * 36 * 36 * 36
	x := (uint64(n)*1_103_515_243 + uint64(seed)%all) % all //nolint:gosec // wraps on purpose
	digits := strconv.FormatUint(x, 36)
	return "cas-upload-" + strings.Repeat("0", 6-len(digits)) + digits
}

// Certificates returns the certificates of an account on a region by CertID, the
// expired and hidden ones included.
func (s *Server) Certificates(accountID, region string) []Certificate {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.accounts[accountID]
	if a == nil || a.shelves[region] == nil {
		return nil
	}
	var all []Certificate
	for _, r := range a.shelves[region].records {
		c := r.Certificate
		c.SANs, c.Tags = slices.Clone(c.SANs), maps.Clone(c.Tags)
		all = append(all, c)
	}
	return all
}

// DeleteOutOfBand removes a certificate as a person in the console would, and
// reports whether it was there.
func (s *Server) DeleteOutOfBand(accountID, region string, certID int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.accounts[accountID]
	return a != nil && a.shelves[region] != nil && s.remove(a, region, certID, s.clock.Now())
}

// SetInUse marks a certificate as used by another product: calls that delete it are
// refused with the code, for instance InvalidStatus.DeleteProtection or one that nobody
// knows. An empty code ends that. It reports whether the certificate was there. Whether
// the cloud refuses such calls, and with which code, is unknown (F62); by default nothing
// is in use.
func (s *Server) SetInUse(accountID, region string, certID int64, code string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.accounts[accountID]
	if a == nil || a.shelves[region] == nil {
		return false
	}
	r := a.shelves[region].find(certID)
	if r != nil {
		r.InUse = code
	}
	return r != nil
}

// maxForeignName bounds a name in characters.
const maxForeignName = 63

// Foreign is a certificate that somebody else put into the account.
type Foreign struct {
	// Name may hold any characters, up to 63: the cloud stores names of others with
	// characters that its pages do not list (F2).
	Name string `json:"name"`
	// PEM is the certificate, leaf first; it may have expired. It need not be
	// TLS: an SM2 certificate is taken too.
	PEM string `json:"pem"`
	// Hidden makes it occupy its name without showing in any list, as one of a
	// resource group that the caller may not see.
	Hidden          bool   `json:"hidden"`
	ResourceGroupID string `json:"resourceGroupId"`
}

// AddForeign puts a certificate into an account without a call: no limit, no
// list lag, no journal. It fails for an unknown account or region, a name that is
// empty, too long or taken, and a certificate that cannot be parsed.
func (s *Server) AddForeign(accountID, region string, f Foreign) (Certificate, error) {
	a := s.accounts[accountID]
	if a == nil || !slices.Contains(Regions, region) {
		return Certificate{}, fmt.Errorf("no account %q in region %q", accountID, region)
	}
	if n := utf8.RuneCountInString(f.Name); n < 1 || n > maxForeignName {
		return Certificate{}, fmt.Errorf("the name has %d characters, want 1 to %d", n, maxForeignName)
	}
	chain, failed := parseChain(f.PEM)
	if failed != nil {
		return Certificate{}, fmt.Errorf("invalid certificate: %s", failed.message)
	}
	r := describe(chain[0])
	r.Name, r.Region, r.ResourceGroupID = f.Name, region, f.ResourceGroupID
	r.Foreign, r.Hidden = true, f.Hidden
	r.material.cert = f.PEM
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock.Now()
	if s.taken(a, region, f.Name, now) {
		return Certificate{}, fmt.Errorf("the name %q is taken", f.Name)
	}
	r.Visible = now
	s.store(a, r, now)
	return r.Certificate, nil
}
