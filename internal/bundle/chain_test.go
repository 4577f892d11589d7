// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloudcert-io/cloudcert/internal/bundle/bundletest"
)

func hashOf(tb testing.TB, d data) Hash { tb.Helper(); return mustLoad(tb, d).Hash }

func TestHashIsOfTheSetOfCertificatesAlone(t *testing.T) {
	t.Parallel()
	leaf, a, b := at.CrossSigned(t)
	h := at.Hierarchy(t, bundletest.P256(t))
	lone := bundletest.Issue(t, at.Template("www.example.com"), bundletest.P256(t), nil)
	leafB, chain := at.LongChain(t, 12)
	random := rand.New(rand.NewPCG(3, 4))
	for name, set := range map[string][]*bundletest.Cert{
		"a chain with its root":       {h.Leaf, h.Inter, h.Root},
		"cross-signed intermediates":  {leaf, a, b},
		"a lone self-signed leaf":     {lone},
		"a long chain with its root":  chain,
		"cross-signs and a twin root": twinRoots(t),
	} {
		key := set[0].Key
		if name == "a long chain with its root" {
			key = leafB.Key
		}
		want := hashOf(t, bundletest.TLSData(bundletest.CertPEM(set...), bundletest.SEC1PEM(t, key)))
		for range 20 {
			mixed := slices.Concat(set, set[:random.IntN(len(set)+1)])
			random.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
			if got := hashOf(t, bundletest.TLSData(bundletest.CertPEM(mixed...), bundletest.PKCS8PEM(t, key))); got != want {
				t.Fatalf("%s: another order or dress gives another hash", name)
			}
		}
	}
}

// twinRoots is the shape of public CAs: a root that another root has signed too.
// The leaf comes first.
func twinRoots(tb testing.TB) []*bundletest.Cert {
	tb.Helper()
	old := bundletest.Issue(tb, at.CA("Old Root"), bundletest.P256(tb), nil)
	root := bundletest.Issue(tb, at.CA("New Root"), bundletest.P256(tb), nil)
	cross := bundletest.Issue(tb, at.CA("New Root"), root.Key, old)
	inter := bundletest.Issue(tb, at.CA("Intermediate"), bundletest.P256(tb), root)
	leaf := bundletest.Issue(tb, at.Template("www.example.com"), bundletest.P256(tb), inter)
	return []*bundletest.Cert{leaf, inter, cross, root, old}
}

func TestRootsDoNotChangeTheHash(t *testing.T) {
	t.Parallel()
	set := twinRoots(t)
	leaf, inter, cross, root, old := set[0], set[1], set[2], set[3], set[4]
	key := bundletest.SEC1PEM(t, leaf.Key)
	want := hashOf(t, bundletest.TLSData(bundletest.CertPEM(leaf, inter, cross), key))
	for name, certs := range map[string][]*bundletest.Cert{
		"with its root":            {leaf, inter, cross, root},
		"with the root of another": {leaf, inter, cross, old},
		"with both":                {leaf, inter, cross, root, old},
	} {
		if got := hashOf(t, bundletest.TLSData(bundletest.CertPEM(certs...), key)); got != want {
			t.Errorf("%s: the hash changes", name)
		}
	}
	if got := hashOf(t, bundletest.TLSData(bundletest.CertPEM(leaf, inter), key)); got == want {
		t.Error("a new intermediate must change the hash")
	}
}

func TestCrossSignsAreChosenBySmallestDigest(t *testing.T) {
	t.Parallel()
	for range 4 { // the digests are random: either may be the smaller
		leaf, a, b := at.CrossSigned(t)
		smaller := smallestFirst(a, b)[0]
		got := mustLoad(t, bundletest.TLSData(bundletest.CertPEM(leaf, a, b), bundletest.SEC1PEM(t, leaf.Key)))
		if want := string(bundletest.CertPEM(leaf, smaller)); got.Material.Certificate != want {
			t.Error("the path does not go through the certificate with the smallest digest")
		}
		if diff := cmp.Diff([]string{WarnAlternativesDropped}, reasons(got)); diff != "" {
			t.Error(diff)
		}
	}
}

func TestPathTakesTheIssuerThatIsValidLongest(t *testing.T) {
	t.Parallel()
	h := at.Hierarchy(t, bundletest.P256(t))
	twin := func(from, to time.Duration) *bundletest.Cert {
		return bundletest.Issue(t, at.CA("Test Intermediate", func(c *x509.Certificate) { c.NotBefore, c.NotAfter = testNow.Add(from), testNow.Add(to) }), h.Inter.Key, h.Root)
	}
	const day = 24 * time.Hour
	short, long, ended := twin(-day, 100*day), twin(-day, 200*day), twin(-100*day, -2*day)
	expired := twin(-100*day, -day/2) // after the leaf had begun
	for name, tc := range map[string]struct {
		issuers []*bundletest.Cert
		want    *bundletest.Cert // nil: the leaf alone
	}{
		"of two the one that is valid longer":             {[]*bundletest.Cert{short, long}, long},
		"never one that ended before the leaf began":      {[]*bundletest.Cert{ended, short}, short},
		"the path ends before such a one":                 {[]*bundletest.Cert{ended}, nil},
		"one that ended later stays if there is no other": {[]*bundletest.Cert{ended, expired}, expired},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := []*bundletest.Cert{h.Leaf}
			if tc.want != nil {
				want = append(want, tc.want)
			}
			d := bundletest.TLSData(bundletest.CertPEM(append(tc.issuers, h.Leaf)...), bundletest.SEC1PEM(t, h.Leaf.Key))
			for _, now := range []time.Time{testNow, testNow.Add(50 * day)} {
				b, err := Load(secretOf(d), Options{Now: now})
				if err != nil {
					t.Fatal(err)
				}
				if b.Material.Certificate != string(bundletest.CertPEM(want...)) {
					t.Errorf("at %s the path is %v", now, names(chainOf(t, b.Material.Certificate)))
				}
			}
		})
	}
}

// TestPathGoesOverAnIssuerThatWorks has twins of an intermediate that are valid
// longer than it, and with which clients refuse the chain.
func TestPathGoesOverAnIssuerThatWorks(t *testing.T) {
	t.Parallel()
	h := at.Hierarchy(t, bundletest.P256(t))
	const day = 24 * time.Hour
	twin := func(edits ...func(*x509.Certificate)) *bundletest.Cert {
		longer := func(c *x509.Certificate) { c.NotAfter = testNow.Add(400 * day) }
		return bundletest.Issue(t, at.CA("Test Intermediate", append([]func(*x509.Certificate){longer}, edits...)...), h.Inter.Key, h.Root)
	}
	forMail := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection} }
	late := func(c *x509.Certificate) { c.NotBefore = testNow.Add(-time.Hour) }
	critical := func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 55555, 1}, Critical: true, Value: []byte{5, 0}}}
	}
	sound, lateTwin, mailTwin := h.Inter, twin(late), twin(forMail)
	for name, tc := range map[string]struct {
		issuers []*bundletest.Cert
		want    *bundletest.Cert
	}{
		"not over one that begins after the leaf":        {[]*bundletest.Cert{sound, lateTwin}, sound},
		"not over one for mail only":                     {[]*bundletest.Cert{sound, mailTwin}, sound},
		"not over one that is no CA":                     {[]*bundletest.Cert{sound, twin(func(c *x509.Certificate) { c.IsCA = false })}, sound},
		"not over one that may not sign":                 {[]*bundletest.Cert{sound, twin(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign })}, sound},
		"not over one with a critical extension":         {[]*bundletest.Cert{sound, twin(critical)}, sound},
		"rather over one that begins late than for mail": {[]*bundletest.Cert{lateTwin, mailTwin}, lateTwin},
		"over one for mail if there is no other":         {[]*bundletest.Cert{mailTwin}, mailTwin},
		"over one that begins late if there is no other": {[]*bundletest.Cert{lateTwin}, lateTwin},
		"over the longest of those that work":            {[]*bundletest.Cert{sound, twin(), lateTwin, mailTwin}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := tc.want
			if want == nil {
				want = tc.issuers[1]
			}
			d := bundletest.TLSData(bundletest.CertPEM(append(tc.issuers, h.Leaf)...), bundletest.SEC1PEM(t, h.Leaf.Key))
			for _, now := range []time.Time{testNow.Add(-12 * time.Hour), testNow, testNow.Add(80 * day)} {
				b, err := Load(secretOf(d), Options{Now: now})
				if err != nil {
					t.Fatal(err)
				}
				if b.Material.Certificate != string(bundletest.CertPEM(h.Leaf, want)) {
					t.Errorf("at %s the path goes over another", now)
				}
			}
		})
	}
}

func TestLeafIsTheEndEntityIssuedByAnother(t *testing.T) {
	t.Parallel()
	h := at.Hierarchy(t, bundletest.P256(t))
	asCA := func(c *x509.Certificate) { c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign }
	for name, twin := range map[string]*bundletest.Cert{
		"beside a self-signed certificate of its key": bundletest.Issue(t, at.Template("www.example.com"), h.Leaf.Key, nil),
		"beside a CA certificate of its key":          bundletest.Issue(t, at.Template("CA", asCA), h.Leaf.Key, h.Inter),
		"beside a self-signed CA of its key":          bundletest.Issue(t, at.Template("CA", asCA), h.Leaf.Key, nil),
	} {
		b := mustLoad(t, bundletest.TLSData(bundletest.CertPEM(twin, h.Inter, h.Leaf), bundletest.SEC1PEM(t, h.Leaf.Key)))
		if b.Material.Certificate != string(bundletest.CertPEM(h.Leaf, h.Inter)) {
			t.Errorf("%s: another leaf is taken", name)
		}
	}
}

func TestChainsThatSignEachOtherEnd(t *testing.T) {
	t.Parallel()
	keyA, keyB := bundletest.P256(t), bundletest.P256(t)
	rootA, rootB := bundletest.Issue(t, at.CA("A"), keyA, nil), bundletest.Issue(t, at.CA("B"), keyB, nil)
	aByB, bByA := bundletest.Issue(t, at.CA("A"), keyA, rootB), bundletest.Issue(t, at.CA("B"), keyB, rootA)
	leaf := bundletest.Issue(t, at.Template("www.example.com"), bundletest.P256(t), rootA)
	b := mustLoad(t, bundletest.TLSData(bundletest.CertPEM(leaf, aByB, bByA), bundletest.SEC1PEM(t, leaf.Key)))
	if diff := cmp.Diff([]string{"www.example.com", "A", "B"}, names(chainOf(t, b.Material.Certificate))); diff != "" {
		t.Error(diff)
	}
}

func TestIssuersAreProvenBySignature(t *testing.T) {
	t.Parallel()
	h := at.Hierarchy(t, bundletest.P256(t))
	impostor := bundletest.Issue(t, at.CA("Test Intermediate"), bundletest.P256(t), h.Root)
	if _, err := load(bundletest.TLSData(bundletest.CertPEM(h.Leaf, impostor), bundletest.SEC1PEM(t, h.Leaf.Key))); err == nil {
		t.Error("an intermediate with the right name and another key is accepted")
	}
	renamed := bundletest.Issue(t, at.CA("Renamed Intermediate"), h.Inter.Key, h.Root)
	if _, err := load(bundletest.TLSData(bundletest.CertPEM(h.Leaf, renamed), bundletest.SEC1PEM(t, h.Leaf.Key))); err == nil {
		t.Error("an intermediate with the right key and another name is accepted")
	}
	b := mustLoad(t, bundletest.TLSData(bundletest.CertPEM(h.Leaf, h.Inter, impostor), bundletest.SEC1PEM(t, h.Leaf.Key)))
	if b.Material.Certificate != string(bundletest.CertPEM(h.Leaf, h.Inter)) {
		t.Error("an impostor takes the place of the right intermediate")
	}
	if diff := cmp.Diff([]string{WarnUnrelatedCertificate}, reasons(b)); diff != "" {
		t.Error(diff)
	}
}

// TestSignaturesThatNobodyChecksAnyMore has roots of another age: their MD5 is
// no proof, so names and key identifiers decide.
func TestSignaturesThatNobodyChecksAnyMore(t *testing.T) {
	t.Parallel()
	withKeyID := func(id byte) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.SubjectKeyId = []byte{id} }
	}
	rootKey, interKey := bundletest.RSAKey(t, 2048), bundletest.P256(t)
	root := bundletest.Issue(t, at.CA("Old Root", withKeyID(1)), rootKey, nil)
	inter := bundletest.Issue(t, at.CA("Intermediate", withKeyID(2)), interKey, root)
	leaf := bundletest.Issue(t, at.Template("www.example.com"), bundletest.P256(t), inter)
	stranger := bundletest.Issue(t, at.CA("Old Root", withKeyID(3)), bundletest.RSAKey(t, 1024), nil)

	b := mustLoad(t, bundletest.TLSData(bundletest.CertPEM(leaf, withMD5(t, inter), withMD5(t, root)), bundletest.SEC1PEM(t, leaf.Key)))
	if diff := cmp.Diff([]string{"www.example.com", "Intermediate"}, names(chainOf(t, b.Material.Certificate))); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{WarnWeakSignature}, reasons(b)); diff != "" {
		t.Error(diff)
	}
	b = mustLoad(t, bundletest.TLSData(bundletest.CertPEM(leaf, withMD5(t, inter), withMD5(t, stranger)), bundletest.SEC1PEM(t, leaf.Key)))
	if diff := cmp.Diff([]string{WarnUnrelatedCertificate, WarnWeakSignature}, reasons(b)); diff != "" {
		t.Errorf("a root with another key identifier is taken for the issuer: %s", diff)
	}
}

// withMD5 relabels a signature with RSA, as no library makes one with MD5.
func withMD5(tb testing.TB, c *bundletest.Cert) *bundletest.Cert {
	tb.Helper()
	sha256RSA := bundletest.MustMarshal(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11})
	md5RSA := bundletest.MustMarshal(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 4})
	relabelled, err := x509.ParseCertificate(bytes.ReplaceAll(c.Raw, sha256RSA, md5RSA))
	if err != nil {
		tb.Fatal(err)
	}
	return &bundletest.Cert{Certificate: relabelled, Key: c.Key}
}

func TestLongestChainIsUploadedWhole(t *testing.T) {
	t.Parallel()
	leaf, chain := at.LongChain(t, maxCertificates)
	b := mustLoad(t, bundletest.TLSData(bundletest.CertPEM(chain...), bundletest.SEC1PEM(t, leaf.Key)))
	if want := string(bundletest.CertPEM(chain[:len(chain)-1]...)); b.Material.Certificate != want {
		t.Error("the chain is not all certificates but the root, in order")
	}
}

func TestSignatureChecksAreBounded(t *testing.T) {
	t.Parallel()
	// Every certificate could have issued every other: same name, same key.
	key := bundletest.P256(t)
	var certs []*certificate
	for range maxCertificates - 1 {
		certs = append(certs, parsed(bundletest.Issue(t, at.CA("CA"), key, bundletest.Issue(t, at.CA("CA"), key, nil))))
	}
	leaf := bundletest.Issue(t, at.Template("www.example.com"), bundletest.P256(t), &bundletest.Cert{Certificate: certs[0].Certificate, Key: key})
	certs = append(certs, parsed(leaf))
	checks := 0
	findIssuers(certs, func(parent, child *x509.Certificate) error { checks++; return checkSignature(parent, child) })
	if limit := maxCertificates * maxCertificates; checks == 0 || checks > limit {
		t.Errorf("%d signature checks, want at most %d", checks, limit)
	}
}

func parsed(c *bundletest.Cert) *certificate {
	return &certificate{Certificate: c.Certificate, sum: sha256Of(c.Raw)}
}

func TestFactsAreBounded(t *testing.T) {
	t.Parallel()
	b := mustLoad(t, at.Simple(func(c *x509.Certificate) {
		c.DNSNames = slices.Concat([]string{strings.Repeat("a.", 2000) + "com"}, bundletest.ManyNames(10000))
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
	key := bundletest.P256(t)
	h := at.Hierarchy(t, key)
	fill := func(unit string) []byte { return []byte(strings.Repeat(unit, maxValueBytes/len(unit))) }
	var distinct bytes.Buffer
	for i := 0; distinct.Len() < maxValueBytes-100; i++ {
		distinct.Write(bundletest.BlockPEM("CERTIFICATE", fmt.Append(nil, i)))
	}
	tiny := bundletest.BlockPEM("DATA", []byte{0x30, 4, 2, 2, 1, 1})
	half := distinct.Bytes()[:bytes.LastIndex(distinct.Bytes()[:maxValueBytes/2], []byte(pemBegin))]
	leaf, chain := at.LongChain(t, 200)
	wide := bundletest.Issue(t, at.Template("www.example.com", func(c *x509.Certificate) { c.DNSNames = bundletest.ManyNames(30000) }), key, h.Inter)
	for name, d := range map[string]data{
		"BEGIN without end":          bundletest.TLSData(fill("-----BEGIN CERTIFICATE-----\n"), bundletest.SEC1PEM(t, key)),
		"END without begin":          bundletest.TLSData(fill("-----END CERTIFICATE-----\n"), bundletest.SEC1PEM(t, key)),
		"dashes":                     bundletest.TLSData(fill("-"), bundletest.SEC1PEM(t, key)),
		"one certificate many times": bundletest.TLSData(fill(string(bundletest.CertPEM(h.Leaf))), bundletest.SEC1PEM(t, key)),
		"many tiny blocks":           bundletest.TLSData(distinct.Bytes(), bundletest.SEC1PEM(t, key)),
		"many private keys":          bundletest.TLSData(bundletest.CertPEM(h.Leaf), fill(string(bundletest.SEC1PEM(t, key)))),
		"one huge block":             bundletest.TLSData(bundletest.BlockPEM("CERTIFICATE", make([]byte, 700<<10)), bundletest.SEC1PEM(t, key)),
		"one huge key":               bundletest.TLSData(bundletest.CertPEM(h.Leaf), bundletest.BlockPEM("PRIVATE KEY", make([]byte, 700<<10))),
		"no PEM at all":              bundletest.TLSData(fill("MIIB"), fill("MIIB")),
		"lines of base64":            bundletest.TLSData(fill("QUFB\n"), bundletest.SEC1PEM(t, key)),
		"hexadecimal":                bundletest.TLSData(fill("41"), bundletest.SEC1PEM(t, key)),
		"base64 of base64 of base64": bundletest.TLSData(inBase64(inBase64(inBase64(fill("QUFB")[:400<<10]))), bundletest.SEC1PEM(t, key)),
		"certificates as a key":      bundletest.TLSData(bundletest.CertPEM(h.Leaf), fill(string(bundletest.CertPEM(h.Leaf)))),
		"blocks of no known kind":    bundletest.TLSData(append(bundletest.CertPEM(h.Leaf), bytes.ReplaceAll(half, []byte("CERTIFICATE"), []byte("DATA"))...), bundletest.SEC1PEM(t, key)),
		"most blocks that may be":    bundletest.TLSData(append(bundletest.CertPEM(h.Leaf), bytes.Repeat(tiny, maxBlocks-1)...), append(bundletest.SEC1PEM(t, key), bytes.Repeat(tiny, maxBlocks-1)...)),
		"blocks with base64 in them": bundletest.TLSData(append(bundletest.CertPEM(h.Leaf), bundletest.BlockPEM("DATA", fill("QUFB")[:600<<10])...), bundletest.SEC1PEM(t, key)),
		"names":                      bundletest.TLSData(fill("a:"), bundletest.SEC1PEM(t, key)),
		"escapes":                    bundletest.TLSData(fill(`\x41%41&#65;`), bundletest.SEC1PEM(t, key)),
		"words beside a block":       bundletest.TLSData(append(bundletest.CertPEM(h.Leaf), fill("aB3/ ")[:1<<19]...), bundletest.SEC1PEM(t, key)),
		"short lines beside a block": bundletest.TLSData(append(bundletest.CertPEM(h.Leaf), fill("aa\n")[:1<<19]...), bundletest.SEC1PEM(t, key)),
		"200 certificates":           bundletest.TLSData(bundletest.CertPEM(chain...), bundletest.SEC1PEM(t, leaf.Key)),
		"30,000 names":               bundletest.TLSData(bundletest.CertPEM(wide, h.Inter), bundletest.SEC1PEM(t, key)),
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
