// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func hashOf(tb testing.TB, d data) Hash { tb.Helper(); return mustLoad(tb, d).Hash }

func TestHashIsOfTheSetOfCertificatesAlone(t *testing.T) {
	t.Parallel()
	leaf, a, b := crossSigned(t)
	h := newHierarchy(t, p256(t))
	lone := issue(t, template("www.example.com"), p256(t), nil)
	leafB, chain := longChain(t, 12)
	random := rand.New(rand.NewPCG(3, 4))
	for name, set := range map[string][]*issuedCert{
		"a chain with its root":       {h.leaf, h.inter, h.root},
		"cross-signed intermediates":  {leaf, a, b},
		"a lone self-signed leaf":     {lone},
		"a long chain with its root":  chain,
		"cross-signs and a twin root": twinRoots(t),
	} {
		key := set[0].key
		if name == "a long chain with its root" {
			key = leafB.key
		}
		want := hashOf(t, tlsData(certPEM(set...), sec1PEM(t, key)))
		for range 20 {
			mixed := slices.Concat(set, set[:random.IntN(len(set)+1)])
			random.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
			if got := hashOf(t, tlsData(certPEM(mixed...), pkcs8PEM(t, key))); got != want {
				t.Fatalf("%s: another order or dress gives another hash", name)
			}
		}
	}
}

// twinRoots is the shape of public CAs: a root that another root has signed too.
// The leaf comes first.
func twinRoots(tb testing.TB) []*issuedCert {
	tb.Helper()
	old := issue(tb, authority("Old Root"), p256(tb), nil)
	root := issue(tb, authority("New Root"), p256(tb), nil)
	cross := issue(tb, authority("New Root"), root.key, old)
	inter := issue(tb, authority("Intermediate"), p256(tb), root)
	leaf := issue(tb, template("www.example.com"), p256(tb), inter)
	return []*issuedCert{leaf, inter, cross, root, old}
}

func TestRootsDoNotChangeTheHash(t *testing.T) {
	t.Parallel()
	set := twinRoots(t)
	leaf, inter, cross, root, old := set[0], set[1], set[2], set[3], set[4]
	key := sec1PEM(t, leaf.key)
	want := hashOf(t, tlsData(certPEM(leaf, inter, cross), key))
	for name, certs := range map[string][]*issuedCert{
		"with its root":            {leaf, inter, cross, root},
		"with the root of another": {leaf, inter, cross, old},
		"with both":                {leaf, inter, cross, root, old},
	} {
		if got := hashOf(t, tlsData(certPEM(certs...), key)); got != want {
			t.Errorf("%s: the hash changes", name)
		}
	}
	if got := hashOf(t, tlsData(certPEM(leaf, inter), key)); got == want {
		t.Error("a new intermediate must change the hash")
	}
}

func TestCrossSignsAreChosenBySmallestDigest(t *testing.T) {
	t.Parallel()
	for range 4 { // the digests are random: either may be the smaller
		leaf, a, b := crossSigned(t)
		smaller := smallestFirst(a, b)[0]
		got := mustLoad(t, tlsData(certPEM(leaf, a, b), sec1PEM(t, leaf.key)))
		if want := string(certPEM(leaf, smaller)); got.Material.Certificate != want {
			t.Error("the path does not go through the certificate with the smallest digest")
		}
		if diff := cmp.Diff([]string{WarnAlternativesDropped}, reasons(got)); diff != "" {
			t.Error(diff)
		}
	}
}

func TestLeafIsTheEndEntityIssuedByAnother(t *testing.T) {
	t.Parallel()
	h := newHierarchy(t, p256(t))
	asCA := func(c *x509.Certificate) { c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign }
	for name, twin := range map[string]*issuedCert{
		"beside a self-signed certificate of its key": issue(t, template("www.example.com"), h.leaf.key, nil),
		"beside a CA certificate of its key":          issue(t, template("CA", asCA), h.leaf.key, h.inter),
		"beside a self-signed CA of its key":          issue(t, template("CA", asCA), h.leaf.key, nil),
	} {
		b := mustLoad(t, tlsData(certPEM(twin, h.inter, h.leaf), sec1PEM(t, h.leaf.key)))
		if b.Material.Certificate != string(certPEM(h.leaf, h.inter)) {
			t.Errorf("%s: another leaf is taken", name)
		}
	}
}

func TestChainsThatSignEachOtherEnd(t *testing.T) {
	t.Parallel()
	keyA, keyB := p256(t), p256(t)
	rootA, rootB := issue(t, authority("A"), keyA, nil), issue(t, authority("B"), keyB, nil)
	aByB, bByA := issue(t, authority("A"), keyA, rootB), issue(t, authority("B"), keyB, rootA)
	leaf := issue(t, template("www.example.com"), p256(t), rootA)
	b := mustLoad(t, tlsData(certPEM(leaf, aByB, bByA), sec1PEM(t, leaf.key)))
	if diff := cmp.Diff([]string{"www.example.com", "A", "B"}, names(chainOf(t, b.Material.Certificate))); diff != "" {
		t.Error(diff)
	}
}

func TestIssuersAreProvenBySignature(t *testing.T) {
	t.Parallel()
	h := newHierarchy(t, p256(t))
	impostor := issue(t, authority("Test Intermediate"), p256(t), h.root)
	if _, err := load(tlsData(certPEM(h.leaf, impostor), sec1PEM(t, h.leaf.key))); err == nil {
		t.Error("an intermediate with the right name and another key is accepted")
	}
	renamed := issue(t, authority("Renamed Intermediate"), h.inter.key, h.root)
	if _, err := load(tlsData(certPEM(h.leaf, renamed), sec1PEM(t, h.leaf.key))); err == nil {
		t.Error("an intermediate with the right key and another name is accepted")
	}
	if _, err := load(tlsData(certPEM(h.leaf, h.inter, impostor), sec1PEM(t, h.leaf.key))); err == nil {
		t.Error("an impostor beside the right intermediate is accepted")
	}
}

// TestSignaturesThatNobodyChecksAnyMore has roots of another age: their MD5 is
// no proof, so names and key identifiers decide.
func TestSignaturesThatNobodyChecksAnyMore(t *testing.T) {
	t.Parallel()
	withKeyID := func(id byte) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.SubjectKeyId = []byte{id} }
	}
	rootKey, interKey := rsaKey(t, 2048), p256(t)
	root := issue(t, authority("Old Root", withKeyID(1)), rootKey, nil)
	inter := issue(t, authority("Intermediate", withKeyID(2)), interKey, root)
	leaf := issue(t, template("www.example.com"), p256(t), inter)
	stranger := issue(t, authority("Old Root", withKeyID(3)), rsaKey(t, 1024), nil)

	b := mustLoad(t, tlsData(certPEM(leaf, withMD5(t, inter), withMD5(t, root)), sec1PEM(t, leaf.key)))
	if diff := cmp.Diff([]string{"www.example.com", "Intermediate"}, names(chainOf(t, b.Material.Certificate))); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{WarnWeakSignature}, reasons(b)); diff != "" {
		t.Error(diff)
	}
	if _, err := load(tlsData(certPEM(leaf, withMD5(t, inter), withMD5(t, stranger)), sec1PEM(t, leaf.key))); err == nil {
		t.Error("a root with another key identifier is accepted")
	}
}

// withMD5 relabels a signature with RSA, as no library makes one with MD5.
func withMD5(tb testing.TB, c *issuedCert) *issuedCert {
	tb.Helper()
	sha256RSA := mustMarshal(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11})
	md5RSA := mustMarshal(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 4})
	relabelled, err := x509.ParseCertificate(bytes.ReplaceAll(c.Raw, sha256RSA, md5RSA))
	if err != nil {
		tb.Fatal(err)
	}
	return &issuedCert{relabelled, c.key}
}

func TestLongestChainIsUploadedWhole(t *testing.T) {
	t.Parallel()
	leaf, chain := longChain(t, maxCertificates)
	b := mustLoad(t, tlsData(certPEM(chain...), sec1PEM(t, leaf.key)))
	if want := string(certPEM(chain[:len(chain)-1]...)); b.Material.Certificate != want {
		t.Error("the chain is not all certificates but the root, in order")
	}
}

func TestSignatureChecksAreBounded(t *testing.T) {
	t.Parallel()
	// Every certificate could have issued every other: same name, same key.
	key := p256(t)
	var certs []*certificate
	for range maxCertificates - 1 {
		certs = append(certs, parsed(issue(t, authority("CA"), key, issue(t, authority("CA"), key, nil))))
	}
	leaf := issue(t, template("www.example.com"), p256(t), &issuedCert{certs[0].Certificate, key})
	certs = append(certs, parsed(leaf))
	checks := 0
	counting := scheme{check: func(parent, child *x509.Certificate) error { checks++; return tlsScheme.check(parent, child) }}
	l := &loader{secret: secretOf(nil)}
	if _, err := l.buildChain("tls.crt", "tls.key", certs, &privateKey{signer: leaf.key}, counting); err != nil {
		t.Fatal(err)
	}
	if limit := 2 * maxCertificates * maxCertificates; checks == 0 || checks > limit {
		t.Errorf("%d signature checks, want at most %d", checks, limit)
	}
}

func parsed(c *issuedCert) *certificate { return &certificate{c.Certificate, sha256Of(c.Raw)} }

func TestFactsAreBounded(t *testing.T) {
	t.Parallel()
	b := mustLoad(t, simple(func(c *x509.Certificate) {
		c.DNSNames = slices.Concat([]string{strings.Repeat("a.", 2000) + "com"}, manyNames(10000))
		c.Subject.CommonName = strings.Repeat("x", 5000)
	})(t))
	if len(b.Facts.DNSNames) != 100 || b.Facts.DNSNamesTotal != 10001 || b.Facts.DNSNames[0] != "host-00000.example.com" {
		t.Errorf("%d of %d names, the first is %s", len(b.Facts.DNSNames), b.Facts.DNSNamesTotal, b.Facts.DNSNames[0])
	}
	if len(b.Facts.CommonName) > maxCommonName+len("…") {
		t.Errorf("the common name has %d bytes", len(b.Facts.CommonName))
	}
}

// TestMemoryIsBounded feeds values of the size of a whole Secret, each built to
// be expensive. It does not run in parallel: it measures what is allocated.
func TestMemoryIsBounded(t *testing.T) {
	key := p256(t)
	h := newHierarchy(t, key)
	fill := func(unit string) []byte { return []byte(strings.Repeat(unit, maxValueBytes/len(unit))) }
	var distinct bytes.Buffer
	for i := 0; distinct.Len() < maxValueBytes-100; i++ {
		distinct.Write(blockPEM("CERTIFICATE", fmt.Append(nil, i)))
	}
	leaf, chain := longChain(t, 200)
	wide := issue(t, template("www.example.com", func(c *x509.Certificate) { c.DNSNames = manyNames(30000) }), key, h.inter)
	for name, d := range map[string]data{
		"BEGIN without end":          tlsData(fill("-----BEGIN CERTIFICATE-----\n"), sec1PEM(t, key)),
		"END without begin":          tlsData(fill("-----END CERTIFICATE-----\n"), sec1PEM(t, key)),
		"dashes":                     tlsData(fill("-"), sec1PEM(t, key)),
		"one certificate many times": tlsData(fill(string(certPEM(h.leaf))), sec1PEM(t, key)),
		"many tiny blocks":           tlsData(distinct.Bytes(), sec1PEM(t, key)),
		"many private keys":          tlsData(certPEM(h.leaf), fill(string(sec1PEM(t, key)))),
		"one huge block":             tlsData(blockPEM("CERTIFICATE", make([]byte, 700<<10)), sec1PEM(t, key)),
		"one huge key":               tlsData(certPEM(h.leaf), blockPEM("PRIVATE KEY", make([]byte, 700<<10))),
		"no PEM at all":              tlsData(fill("MIIB"), fill("MIIB")),
		"200 certificates":           tlsData(certPEM(chain...), sec1PEM(t, leaf.key)),
		"30,000 names":               tlsData(certPEM(wide, h.inter), sec1PEM(t, key)),
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := load(d)
			runtime.ReadMemStats(&after)
			const limit = 32 << 20
			if used := after.TotalAlloc - before.TotalAlloc; used > limit {
				t.Errorf("%d bytes allocated in all, want at most %d (%v)", used, limit, err)
			}
		})
	}
}
