// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloudcert-io/cloudcert/internal/bundle/bundletest"
)

func TestLoadSM(t *testing.T) {
	t.Parallel()
	p := at.Pair(t)
	want := Material{
		SignCertificate: string(bundletest.CertPEM(p.Sign, p.Inter)), SignPrivateKey: string(bundletest.SEC1PEM(t, p.Sign.Key)),
		EncryptCertificate: string(bundletest.CertPEM(p.Enc, p.Inter)), EncryptPrivateKey: string(bundletest.SEC1PEM(t, p.Enc.Key)),
	}
	full := p.Data(t)
	full["sign.crt"] = bundletest.CertPEM(p.Root, p.Inter, p.Sign)
	pkcs8 := p.Data(t)
	pkcs8["sign.key"], pkcs8["enc.key"] = bundletest.PKCS8PEM(t, p.Sign.Key), bundletest.PKCS8PEM(t, p.Enc.Key)
	inPEM, inBase64, inDER := p.Data(t), p.Data(t), p.Data(t)
	inPEM["enc.key"] = bundletest.BlockPEM("SM2 ENVELOPED KEY", p.Envelope(t))
	inBase64["enc.key"] = []byte(base64.StdEncoding.EncodeToString(p.Envelope(t)))
	inDER["enc.key"] = p.Envelope(t)

	var first Hash
	for name, d := range map[string]data{"in order": p.Data(t), "out of order": full, "as PKCS#8": pkcs8, "enveloped in PEM": inPEM, "enveloped in base64": inBase64, "enveloped in DER": inDER} {
		b, err := Load(secretOf(d), Options{Type: SM, Now: testNow})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if b.Material != want {
			t.Errorf("%s: the material differs from the canonical one", name)
		}
		if first == (Hash{}) {
			first = b.Hash
		}
		if b.Hash != first {
			t.Errorf("%s: the same content has another hash", name)
		}
		if b.Type != SM || b.LeafSHA256 != sha256Of(p.Sign.Raw) || b.EncryptLeafSHA256 != sha256Of(p.Enc.Raw) {
			t.Errorf("%s: type or digests are wrong", name)
		}
		if diff := cmp.Diff([]string{"www.example.com"}, b.Facts.DNSNames); diff != "" || b.Facts.SerialNumber != "3001" {
			t.Errorf("%s: facts are not of the signing certificate: %s %s", name, diff, b.Facts.SerialNumber)
		}
	}
}

func TestCustomKeys(t *testing.T) {
	t.Parallel()
	p := at.Pair(t)
	d := p.Data(t)
	renamed := data{"a": d["sign.crt"], "b": d["sign.key"], "c": d["enc.crt"], "d": d["enc.key"]}
	keys := Keys{SignCertificate: "a", SignPrivateKey: "b", EncryptCertificate: "c", EncryptPrivateKey: "d"}
	if _, err := Load(secretOf(renamed), Options{Type: SM, Keys: keys, Now: testNow}); err != nil {
		t.Error(err)
	}
	tls := at.Simple()(t)
	if _, err := Load(secretOf(data{"x": tls["tls.crt"], "y": tls["tls.key"]}), Options{Keys: Keys{Certificate: "x", PrivateKey: "y"}, Now: testNow}); err != nil {
		t.Error(err)
	}
	if _, err := Load(secretOf(tls), Options{Type: "PGP", Now: testNow}); err == nil {
		t.Error("an unknown type is accepted")
	}
}

// TestBrokenEnvelopes drives the decoder of envelopes, whose cipher panics on
// lengths that are no multiple of its block.
func TestBrokenEnvelopes(t *testing.T) {
	t.Parallel()
	p := at.Pair(t)
	sound := p.Envelope(t)
	var e envelopedKey
	if _, err := asn1.Unmarshal(sound, &e); err != nil {
		t.Fatal(err)
	}
	remade := func(edit func(*envelopedKey)) []byte {
		broken := e
		edit(&broken)
		return bundletest.MustMarshal(broken)
	}
	for name, der := range map[string][]byte{
		"a key of 15 bytes":   remade(func(e *envelopedKey) { e.PrivateKey = asn1.BitString{Bytes: make([]byte, 15), BitLength: 120} }),
		"a key of 48 bytes":   remade(func(e *envelopedKey) { e.PrivateKey = asn1.BitString{Bytes: make([]byte, 48), BitLength: 384} }),
		"an empty key":        remade(func(e *envelopedKey) { e.PrivateKey = asn1.BitString{} }),
		"an empty public key": remade(func(e *envelopedKey) { e.PublicKey = asn1.BitString{} }),
		"another public key": remade(func(e *envelopedKey) {
			e.PublicKey = asn1.BitString{Bytes: bytes.Repeat([]byte{4}, 65), BitLength: 520}
		}),
		"another cipher":          remade(func(e *envelopedKey) { e.Algorithm = pkix.AlgorithmIdentifier{Algorithm: oidDSA} }),
		"an empty wrapped key":    remade(func(e *envelopedKey) { e.WrappedKey = asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true} }),
		"trailing bytes":          append(bytes.Clone(sound), 0),
		"half of an envelope":     sound[:len(sound)/2],
		"an envelope of nonsense": bundletest.Container(oidSMEnvelopedData),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := p.Data(t)
			d["enc.key"] = bundletest.BlockPEM("PRIVATE KEY", der)
			if _, err := Load(secretOf(d), Options{Type: SM, Now: testNow}); err == nil {
				t.Error("accepted")
			}
		})
	}
}

func TestAPairIsValidUntilItsFirstHalfExpires(t *testing.T) {
	t.Parallel()
	p := at.Pair(t)
	soon := testNow.Add(time.Hour)
	p.Enc = bundletest.Issue(t, at.Template("www.example.com", bundletest.ForEncryption, func(c *x509.Certificate) { c.NotAfter = soon }), p.Enc.Key, p.Inter)
	b, err := Load(secretOf(p.Data(t)), Options{Type: SM, Now: testNow})
	if err != nil {
		t.Fatal(err)
	}
	if !b.ValidUntil.Equal(soon) || !b.Facts.NotAfter.Equal(p.Sign.NotAfter) {
		t.Errorf("valid until %s, the signing certificate until %s", b.ValidUntil, b.Facts.NotAfter)
	}
	if _, err := Load(secretOf(p.Data(t)), Options{Type: SM, Now: b.ValidUntil.Add(time.Second)}); err == nil {
		t.Error("accepted after its ValidUntil")
	}
}

func TestNamesOfAPair(t *testing.T) {
	t.Parallel()
	both := []string{"www.example.com", "example.com"}
	for name, tc := range map[string]struct {
		sign, enc           string // common names
		signHosts, encHosts []string
		refused             bool
		warned              bool // of different subjects
	}{
		"the same hosts in another order":                {sign: "a", enc: "a", signHosts: both, encHosts: []string{"EXAMPLE.com", "www.example.com"}},
		"other hosts":                                    {sign: "a", enc: "a", signHosts: both, encHosts: []string{"other.example.com"}, refused: true},
		"fewer hosts":                                    {sign: "a", enc: "a", signHosts: both, encHosts: both[:1], refused: true},
		"the same hosts and other subjects":              {sign: "a sign", enc: "a enc", signHosts: both, encHosts: both, warned: true},
		"hosts in the signing certificate alone":         {sign: "www.example.com", enc: "www.example.com", signHosts: both},
		"hosts in the encryption certificate alone":      {sign: "www.example.com", enc: "www.example.com", encHosts: both},
		"a host that is the common name of the other":    {sign: "web", enc: "WWW.example.com", signHosts: both},
		"the same the other way round":                   {sign: "example.com", enc: "web", encHosts: both},
		"a common name that is no host, and one subject": {sign: "web", enc: "web", signHosts: both},
		"a common name that the other lacks":             {sign: "www.example.com", enc: "other.example.com", signHosts: both, warned: true},
		"no hosts and one subject":                       {sign: "www.example.com", enc: "www.example.com"},
		"no hosts and other subjects":                    {sign: "www.example.com", enc: "other.example.com", warned: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := at.Pair(t)
			named := func(usage func(*x509.Certificate), common string, hosts []string) *x509.Certificate {
				return at.Template(common, usage, func(c *x509.Certificate) { c.DNSNames = hosts })
			}
			p.Sign = bundletest.Issue(t, named(bundletest.ForSigning, tc.sign, tc.signHosts), p.Sign.Key, p.Inter)
			p.Enc = bundletest.Issue(t, named(bundletest.ForEncryption, tc.enc, tc.encHosts), p.Enc.Key, p.Inter)
			b, err := Load(secretOf(p.Data(t)), Options{Type: SM, Now: testNow})
			if refused := err != nil; refused != tc.refused {
				t.Fatalf("refused: %v", err)
			}
			if warned := !tc.refused && slices.Contains(reasons(b), WarnDifferentSubjects); warned != tc.warned {
				t.Errorf("warned of different subjects: %t", warned)
			}
		})
	}
}
