// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"math/big"
	"testing"
	"time"

	"github.com/emmansun/gmsm/sm2"
	"github.com/google/go-cmp/cmp"
)

// pair is an SM pair under one intermediate and root.
type pair struct{ root, inter, sign, enc *issuedCert }

func forSigning(c *x509.Certificate) {
	c.SerialNumber, c.KeyUsage = big.NewInt(0x3001), x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment
}

func forEncryption(c *x509.Certificate) {
	c.SerialNumber = big.NewInt(0x3002)
	c.KeyUsage = x509.KeyUsageKeyEncipherment | x509.KeyUsageDataEncipherment | x509.KeyUsageKeyAgreement
}

func newPair(tb testing.TB, edits ...func(*x509.Certificate)) pair {
	tb.Helper()
	var p pair
	p.root = issue(tb, authority("SM Root"), smKey(tb), nil)
	p.inter = issue(tb, authority("SM Intermediate"), smKey(tb), p.root)
	p.sign = issue(tb, template("www.example.com", append([]func(*x509.Certificate){forSigning}, edits...)...), smKey(tb), p.inter)
	p.enc = issue(tb, template("www.example.com", append([]func(*x509.Certificate){forEncryption}, edits...)...), smKey(tb), p.inter)
	return p
}

func smData(signCrt, signKey, encCrt, encKey []byte) data {
	return data{"sign.crt": signCrt, "sign.key": signKey, "enc.crt": encCrt, "enc.key": encKey}
}

func (p pair) data(tb testing.TB) data {
	tb.Helper()
	return smData(certPEM(p.sign, p.inter), sec1PEM(tb, p.sign.key), certPEM(p.enc, p.inter), sec1PEM(tb, p.enc.key))
}

// envelope wraps the encryption key for the sign key, as a CA does.
func (p pair) envelope(tb testing.TB) []byte {
	tb.Helper()
	der, err := sm2.MarshalEnvelopedPrivateKey(rand.Reader, &p.sign.key.(*sm2.PrivateKey).PublicKey, p.enc.key.(*sm2.PrivateKey))
	if err != nil {
		tb.Fatal(err)
	}
	return der
}

// changed is a sound pair with its Secret changed.
func changed(change func(testing.TB, pair, data)) func(testing.TB) data {
	return func(tb testing.TB) data {
		p := newPair(tb)
		d := p.data(tb)
		change(tb, p, d)
		return d
	}
}

func pairOf(edits ...func(*x509.Certificate)) func(testing.TB) data {
	return func(tb testing.TB) data { return newPair(tb, edits...).data(tb) }
}

func smSections() []section {
	encrypting := func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }
	signing := func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }
	rows := []row{
		{shape: "a sign and an encryption pair with their chains", want: accepted, note: "both chains without the root, keys as SEC1", data: pairOf()},
		{shape: "keys in PKCS#8", want: accepted, note: "SEC1", data: changed(func(tb testing.TB, p pair, d data) {
			d["sign.key"], d["enc.key"] = pkcs8PEM(tb, p.sign.key), pkcs8PEM(tb, p.enc.key)
		})},
		{shape: "keys labelled SM2 PRIVATE KEY, as openssl 3 does", want: accepted, note: "EC PRIVATE KEY", data: changed(func(_ testing.TB, _ pair, d data) {
			d["sign.key"], d["enc.key"] = relabel("SM2 PRIVATE KEY")(d["sign.key"]), relabel("SM2 PRIVATE KEY")(d["enc.key"])
		})},
		{shape: "an enveloped encryption key (GM/T 0009) in PEM", want: accepted, note: "opened with the sign key, as SEC1", data: changed(func(tb testing.TB, p pair, d data) {
			d["enc.key"] = blockPEM("ENVELOPED PRIVATE KEY", p.envelope(tb))
		})},
		{shape: "an enveloped encryption key in base64 or DER", want: accepted, note: "opened with the sign key, as SEC1", data: changed(func(tb testing.TB, p pair, d data) {
			d["enc.key"] = []byte(base64.StdEncoding.EncodeToString(p.envelope(tb)) + "\n")
		})},
		{shape: "an envelope for another sign key", want: refused, data: changed(func(tb testing.TB, _ pair, d data) {
			d["enc.key"] = blockPEM("PRIVATE KEY", newPair(tb).envelope(tb))
		})},
		{shape: "an enveloped sign key in PEM", want: refused, data: changed(func(tb testing.TB, p pair, d data) {
			d["sign.key"] = blockPEM("PRIVATE KEY", p.envelope(tb))
		})},
		{shape: "a PKCS#7 envelope (GM/T 0010)", want: refused, data: changed(func(_ testing.TB, _ pair, d data) {
			d["enc.key"] = blockPEM("PKCS7", container(oidSMSignedEnvelope))
		})},
		{shape: "the two keys swapped", want: refused, data: changed(func(_ testing.TB, _ pair, d data) {
			d["sign.key"], d["enc.key"] = d["enc.key"], d["sign.key"]
		})},
		{shape: "the two certificates swapped", want: refused, data: changed(func(_ testing.TB, _ pair, d data) {
			d["sign.crt"], d["enc.crt"] = d["enc.crt"], d["sign.crt"]
		})},
		{shape: "the two pairs swapped", want: refused, data: changed(func(_ testing.TB, _ pair, d data) {
			d["sign.crt"], d["enc.crt"] = d["enc.crt"], d["sign.crt"]
			d["sign.key"], d["enc.key"] = d["enc.key"], d["sign.key"]
		})},
		{shape: "the sign pair twice", want: refused, data: changed(func(_ testing.TB, _ pair, d data) {
			d["enc.crt"], d["enc.key"] = d["sign.crt"], d["sign.key"]
		})},
		{shape: "one certificate for both uses", want: warned, data: func(tb testing.TB) data {
			p := newPair(tb, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment })
			p.enc = p.sign
			return p.data(tb)
		}},
		{shape: "the key of another certificate", want: refused, data: changed(func(tb testing.TB, _ pair, d data) { d["enc.key"] = sec1PEM(tb, smKey(tb)) })},
		{shape: "a sign certificate that cannot sign", want: refused, data: pairOf(encrypting)},
		{shape: "an encryption certificate that cannot encrypt", want: refused, data: pairOf(signing)},
		{shape: "no key usage", want: warned, data: pairOf(func(c *x509.Certificate) { c.KeyUsage = 0 })},
		{shape: "different subjects", want: refused, data: changed(func(tb testing.TB, p pair, d data) {
			d["enc.crt"] = certPEM(issue(tb, template("other.example.com", forEncryption), p.enc.key, p.inter))
		})},
		{shape: "different issuers", want: refused, data: changed(func(tb testing.TB, p pair, d data) {
			d["enc.crt"] = certPEM(issue(tb, template("www.example.com", forEncryption), p.enc.key, p.root))
		})},
		{shape: "the encryption certificate has expired", want: refused, data: changed(func(tb testing.TB, p pair, d data) {
			expired := issue(tb, template("www.example.com", forEncryption, func(c *x509.Certificate) { c.NotAfter = testNow.Add(-time.Hour) }), p.enc.key, p.inter)
			d["enc.crt"] = certPEM(expired, p.inter)
		})},
		{shape: "valid in more than five minutes", want: waits, data: pairOf(func(c *x509.Certificate) { c.NotBefore = testNow.Add(time.Hour) })},
		{shape: "self-signed certificates that call themselves a CA", want: warned, data: func(tb testing.TB) data {
			p := pair{}
			asCA := func(c *x509.Certificate) { c.IsCA = true }
			p.sign = issue(tb, template("www.example.com", forSigning, asCA), smKey(tb), nil)
			p.enc = issue(tb, template("www.example.com", forEncryption, asCA), smKey(tb), nil)
			return smData(certPEM(p.sign), sec1PEM(tb, p.sign.key), certPEM(p.enc), sec1PEM(tb, p.enc.key))
		}},
		{shape: "CA certificates, issued by another", want: refused, data: pairOf(func(c *x509.Certificate) { c.IsCA = true })},
		{shape: "no subject alternative name", want: warned, data: pairOf(func(c *x509.Certificate) { c.DNSNames = nil })},
		{shape: "the encryption certificate in the sign chain", want: refused, data: changed(func(_ testing.TB, p pair, d data) { d["sign.crt"] = certPEM(p.sign, p.enc, p.inter) })},
		{shape: "an RSA or ECDSA certificate under type SM", want: refused, data: changed(func(tb testing.TB, _ pair, d data) { d["sign.crt"] = simple()(tb)["tls.crt"] })},
		{shape: "an RSA or ECDSA key under type SM", want: refused, data: changed(func(tb testing.TB, _ pair, d data) { d["sign.key"] = sec1PEM(tb, p256(tb)) })},
		{shape: "an RSA or ECDSA encryption key", want: refused, data: changed(func(tb testing.TB, _ pair, d data) { d["enc.key"] = sec1PEM(tb, p256(tb)) })},
		{shape: "an encryption key that is damaged", want: refused, data: changed(func(_ testing.TB, _ pair, d data) { d["enc.key"] = d["enc.key"][:100] })},
		{shape: "an encryption key larger than 8192 bytes", want: refused, data: changed(func(_ testing.TB, _ pair, d data) {
			d["enc.key"] = blockPEM("PRIVATE KEY", make([]byte, maxKeyBytes+1))
		})},
		{shape: "an enveloped sign key in DER", want: refused, data: changed(func(tb testing.TB, p pair, d data) { d["sign.key"] = p.envelope(tb) })},
		{shape: "an encrypted key", want: refused, data: changed(func(_ testing.TB, _ pair, d data) { d["enc.key"] = relabel("ENCRYPTED PRIVATE KEY")(d["enc.key"]) })},
		{shape: "CRLF, blank lines, text between blocks", want: accepted, note: "without them", data: changed(func(_ testing.TB, _ pair, d data) {
			for k := range d {
				d[k] = replaceAll("\n", "\r\n\r\n", "-----BEGIN", "text\n-----BEGIN")(d[k])
			}
		})},
		{shape: "no `enc.key` yet", want: waits, data: changed(func(_ testing.TB, _ pair, d data) { delete(d, "enc.key") })},
		{shape: "a TLS Secret under type SM", want: waits, data: simple()},
	}
	for i := range rows {
		rows[i].as = SM
	}
	return []section{{"SM pairs", rows}}
}

func TestLoadSM(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	want := Material{
		SignCertificate: string(certPEM(p.sign, p.inter)), SignPrivateKey: string(sec1PEM(t, p.sign.key)),
		EncryptCertificate: string(certPEM(p.enc, p.inter)), EncryptPrivateKey: string(sec1PEM(t, p.enc.key)),
	}
	full := p.data(t)
	full["sign.crt"] = certPEM(p.root, p.inter, p.sign)
	pkcs8 := p.data(t)
	pkcs8["sign.key"], pkcs8["enc.key"] = pkcs8PEM(t, p.sign.key), pkcs8PEM(t, p.enc.key)
	inPEM, inBase64, inDER := p.data(t), p.data(t), p.data(t)
	inPEM["enc.key"] = blockPEM("SM2 ENVELOPED KEY", p.envelope(t))
	inBase64["enc.key"] = []byte(base64.StdEncoding.EncodeToString(p.envelope(t)))
	inDER["enc.key"] = p.envelope(t)

	var first Hash
	for name, d := range map[string]data{"in order": p.data(t), "out of order": full, "as PKCS#8": pkcs8, "enveloped in PEM": inPEM, "enveloped in base64": inBase64, "enveloped in DER": inDER} {
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
		if b.Type != SM || b.LeafSHA256 != sha256Of(p.sign.Raw) || b.EncryptLeafSHA256 != sha256Of(p.enc.Raw) {
			t.Errorf("%s: type or digests are wrong", name)
		}
		if diff := cmp.Diff([]string{"www.example.com"}, b.Facts.DNSNames); diff != "" || b.Facts.SerialNumber != "3001" {
			t.Errorf("%s: facts are not of the sign certificate: %s %s", name, diff, b.Facts.SerialNumber)
		}
	}
}

func TestCustomKeys(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	d := p.data(t)
	renamed := data{"a": d["sign.crt"], "b": d["sign.key"], "c": d["enc.crt"], "d": d["enc.key"]}
	keys := Keys{SignCertificate: "a", SignPrivateKey: "b", EncryptCertificate: "c", EncryptPrivateKey: "d"}
	if _, err := Load(secretOf(renamed), Options{Type: SM, Keys: keys, Now: testNow}); err != nil {
		t.Error(err)
	}
	tls := simple()(t)
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
	p := newPair(t)
	sound := p.envelope(t)
	var e envelopedKey
	if _, err := asn1.Unmarshal(sound, &e); err != nil {
		t.Fatal(err)
	}
	remade := func(edit func(*envelopedKey)) []byte {
		broken := e
		edit(&broken)
		return mustMarshal(broken)
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
		"an envelope of nonsense": container(oidSMEnvelopedData),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := p.data(t)
			d["enc.key"] = blockPEM("PRIVATE KEY", der)
			if _, err := Load(secretOf(d), Options{Type: SM, Now: testNow}); err == nil {
				t.Error("accepted")
			}
		})
	}
}

func TestAPairIsValidUntilItsFirstHalfExpires(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	soon := testNow.Add(time.Hour)
	p.enc = issue(t, template("www.example.com", forEncryption, func(c *x509.Certificate) { c.NotAfter = soon }), p.enc.key, p.inter)
	b, err := Load(secretOf(p.data(t)), Options{Type: SM, Now: testNow})
	if err != nil {
		t.Fatal(err)
	}
	if !b.ValidUntil.Equal(soon) || !b.Facts.NotAfter.Equal(p.sign.NotAfter) {
		t.Errorf("valid until %s, the sign certificate until %s", b.ValidUntil, b.Facts.NotAfter)
	}
	if _, err := Load(secretOf(p.data(t)), Options{Type: SM, Now: b.ValidUntil.Add(time.Second)}); err == nil {
		t.Error("accepted after its ValidUntil")
	}
}
