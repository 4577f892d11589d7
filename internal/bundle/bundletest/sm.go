// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundletest

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/emmansun/gmsm/sm2"
)

// Pair is an SM pair under one intermediate and root.
type Pair struct{ Root, Inter, Sign, Enc *Cert }

// ForSigning makes a template one of a certificate to sign with.
func ForSigning(c *x509.Certificate) {
	c.SerialNumber, c.KeyUsage = big.NewInt(0x3001), x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment
}

// ForEncryption makes a template one of a certificate to encrypt with.
func ForEncryption(c *x509.Certificate) {
	c.SerialNumber = big.NewInt(0x3002)
	c.KeyUsage = x509.KeyUsageKeyEncipherment | x509.KeyUsageDataEncipherment | x509.KeyUsageKeyAgreement
}

// Pair makes one; edits change both leaves.
func (at Clock) Pair(tb testing.TB, edits ...func(*x509.Certificate)) Pair {
	tb.Helper()
	var p Pair
	p.Root = Issue(tb, at.CA("SM Root"), SMKey(tb), nil)
	p.Inter = Issue(tb, at.CA("SM Intermediate"), SMKey(tb), p.Root)
	p.Sign = Issue(tb, at.Template("www.example.com", append([]func(*x509.Certificate){ForSigning}, edits...)...), SMKey(tb), p.Inter)
	p.Enc = Issue(tb, at.Template("www.example.com", append([]func(*x509.Certificate){ForEncryption}, edits...)...), SMKey(tb), p.Inter)
	return p
}

// Data is the Secret of the pair.
func (p Pair) Data(tb testing.TB) Data {
	tb.Helper()
	return SMData(CertPEM(p.Sign, p.Inter), SEC1PEM(tb, p.Sign.Key), CertPEM(p.Enc, p.Inter), SEC1PEM(tb, p.Enc.Key))
}

// Envelope wraps the encryption key for the signing key, as a CA does.
func (p Pair) Envelope(tb testing.TB) []byte {
	tb.Helper()
	der, err := sm2.MarshalEnvelopedPrivateKey(rand.Reader, &p.Sign.Key.(*sm2.PrivateKey).PublicKey, p.Enc.Key.(*sm2.PrivateKey))
	if err != nil {
		tb.Fatal(err)
	}
	return der
}

// changed is a sound pair with its Secret changed.
func (at Clock) changed(change func(testing.TB, Pair, Data)) func(testing.TB) Data {
	return func(tb testing.TB) Data {
		p := at.Pair(tb)
		d := p.Data(tb)
		change(tb, p, d)
		return d
	}
}

func (at Clock) pairOf(edits ...func(*x509.Certificate)) func(testing.TB) Data {
	return func(tb testing.TB) Data { return at.Pair(tb, edits...).Data(tb) }
}

func (at Clock) smSection() Section {
	encrypting := func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }
	signing := func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }
	rows := []Row{
		{Shape: "a sign and an encryption pair with their chains", Want: Accepted, Note: "both chains without the root, keys as SEC1", Data: at.pairOf()},
		{Shape: "keys in PKCS#8", Want: Accepted, Note: "SEC1", Data: at.changed(func(tb testing.TB, p Pair, d Data) {
			d["sign.key"], d["enc.key"] = PKCS8PEM(tb, p.Sign.Key), PKCS8PEM(tb, p.Enc.Key)
		})},
		{Shape: "keys labelled SM2 PRIVATE KEY, as openssl 3 does", Want: Accepted, Note: "EC PRIVATE KEY", Data: at.changed(func(_ testing.TB, _ Pair, d Data) {
			d["sign.key"], d["enc.key"] = relabel("SM2 PRIVATE KEY")(d["sign.key"]), relabel("SM2 PRIVATE KEY")(d["enc.key"])
		})},
		{Shape: "an enveloped encryption key (GM/T 0009) in PEM", Want: Accepted, Note: "opened with the signing key, as SEC1", Data: at.changed(func(tb testing.TB, p Pair, d Data) {
			d["enc.key"] = BlockPEM("ENVELOPED PRIVATE KEY", p.Envelope(tb))
		})},
		{Shape: "an enveloped encryption key in base64 or DER", Want: Accepted, Note: "opened with the signing key, as SEC1", Data: at.changed(func(tb testing.TB, p Pair, d Data) {
			d["enc.key"] = []byte(base64.StdEncoding.EncodeToString(p.Envelope(tb)) + "\n")
		})},
		{Shape: "an envelope for another signing key", Want: Refused, Data: at.changed(func(tb testing.TB, _ Pair, d Data) {
			d["enc.key"] = BlockPEM("PRIVATE KEY", at.Pair(tb).Envelope(tb))
		})},
		{Shape: "an enveloped signing key in PEM", Want: Refused, Data: at.changed(func(tb testing.TB, p Pair, d Data) {
			d["sign.key"] = BlockPEM("PRIVATE KEY", p.Envelope(tb))
		})},
		{Shape: "a PKCS#7 envelope (GM/T 0010)", Want: Refused, Data: at.changed(func(_ testing.TB, _ Pair, d Data) {
			d["enc.key"] = BlockPEM("PKCS7", Container(oidSMSignedEnvelope))
		})},
		{Shape: "the two keys swapped", Want: Refused, Data: at.changed(func(_ testing.TB, _ Pair, d Data) {
			d["sign.key"], d["enc.key"] = d["enc.key"], d["sign.key"]
		})},
		{Shape: "the two certificates swapped", Want: Refused, Data: at.changed(func(_ testing.TB, _ Pair, d Data) {
			d["sign.crt"], d["enc.crt"] = d["enc.crt"], d["sign.crt"]
		})},
		{Shape: "the two pairs swapped", Want: Refused, Data: at.changed(func(_ testing.TB, _ Pair, d Data) {
			d["sign.crt"], d["enc.crt"] = d["enc.crt"], d["sign.crt"]
			d["sign.key"], d["enc.key"] = d["enc.key"], d["sign.key"]
		})},
		{Shape: "the sign pair twice", Want: Refused, Data: at.changed(func(_ testing.TB, _ Pair, d Data) {
			d["enc.crt"], d["enc.key"] = d["sign.crt"], d["sign.key"]
		})},
		{Shape: "one certificate for both uses", Want: Warned, Data: func(tb testing.TB) Data {
			p := at.Pair(tb, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment })
			p.Enc = p.Sign
			return p.Data(tb)
		}},
		{Shape: "the key of another certificate", Want: Refused, Data: at.changed(func(tb testing.TB, _ Pair, d Data) { d["enc.key"] = SEC1PEM(tb, SMKey(tb)) })},
		{Shape: "a signing certificate that cannot sign", Want: Refused, Data: at.pairOf(encrypting)},
		{Shape: "an encryption certificate that cannot encrypt", Want: Refused, Data: at.pairOf(signing)},
		{Shape: "no key usage", Want: Warned, Data: at.pairOf(func(c *x509.Certificate) { c.KeyUsage = 0 })},
		{Shape: "different hosts", Want: Refused, Data: at.changed(func(tb testing.TB, p Pair, d Data) {
			d["enc.crt"] = CertPEM(Issue(tb, at.Template("other.example.com", ForEncryption), p.Enc.Key, p.Inter))
		})},
		{Shape: "different issuers", Want: Refused, Data: at.changed(func(tb testing.TB, p Pair, d Data) {
			d["enc.crt"] = CertPEM(Issue(tb, at.Template("www.example.com", ForEncryption), p.Enc.Key, p.Root))
		})},
		{Shape: "the encryption certificate has expired", Want: Refused, Data: at.changed(func(tb testing.TB, p Pair, d Data) {
			expired := Issue(tb, at.Template("www.example.com", ForEncryption, func(c *x509.Certificate) { c.NotAfter = at.In(-time.Hour) }), p.Enc.Key, p.Inter)
			d["enc.crt"] = CertPEM(expired, p.Inter)
		})},
		{Shape: "valid in more than five minutes", Want: Early, Data: at.pairOf(func(c *x509.Certificate) { c.NotBefore = at.In(time.Hour) })},
		{Shape: "self-signed certificates that call themselves a CA", Want: Warned, Data: func(tb testing.TB) Data {
			p := Pair{}
			asCA := func(c *x509.Certificate) { c.IsCA = true }
			p.Sign = Issue(tb, at.Template("www.example.com", ForSigning, asCA), SMKey(tb), nil)
			p.Enc = Issue(tb, at.Template("www.example.com", ForEncryption, asCA), SMKey(tb), nil)
			return SMData(CertPEM(p.Sign), SEC1PEM(tb, p.Sign.Key), CertPEM(p.Enc), SEC1PEM(tb, p.Enc.Key))
		}},
		{Shape: "CA certificates, issued by another", Want: Refused, Data: at.pairOf(func(c *x509.Certificate) { c.IsCA = true })},
		{Shape: "no subject alternative name", Want: Warned, Data: at.pairOf(func(c *x509.Certificate) { c.DNSNames = nil })},
		{Shape: "the encryption certificate in the sign chain", Want: Refused, Data: at.changed(func(_ testing.TB, p Pair, d Data) { d["sign.crt"] = CertPEM(p.Sign, p.Enc, p.Inter) })},
		{Shape: "an RSA or ECDSA certificate under type SM", Want: Refused, Data: at.changed(func(tb testing.TB, _ Pair, d Data) { d["sign.crt"] = at.Simple()(tb)["tls.crt"] })},
		{Shape: "an RSA or ECDSA key under type SM", Want: Refused, Data: at.changed(func(tb testing.TB, _ Pair, d Data) { d["sign.key"] = SEC1PEM(tb, P256(tb)) })},
		{Shape: "an RSA or ECDSA encryption key", Want: Refused, Data: at.changed(func(tb testing.TB, _ Pair, d Data) { d["enc.key"] = SEC1PEM(tb, P256(tb)) })},
		{Shape: "an encryption key that is damaged", Want: Refused, Data: at.changed(func(_ testing.TB, _ Pair, d Data) { d["enc.key"] = d["enc.key"][:100] })},
		{Shape: "an encryption key larger than 8192 bytes", Want: Refused, Data: at.changed(func(_ testing.TB, _ Pair, d Data) {
			d["enc.key"] = BlockPEM("PRIVATE KEY", make([]byte, maxKeyBytes+1))
		})},
		{Shape: "an enveloped signing key in DER", Want: Refused, Data: at.changed(func(tb testing.TB, p Pair, d Data) { d["sign.key"] = p.Envelope(tb) })},
		{Shape: "an encrypted key", Want: Refused, Data: at.changed(func(_ testing.TB, _ Pair, d Data) { d["enc.key"] = relabel("ENCRYPTED PRIVATE KEY")(d["enc.key"]) })},
		{Shape: "CRLF, blank lines, text between blocks", Want: Accepted, Note: "without them", Data: at.changed(func(_ testing.TB, _ Pair, d Data) {
			for k := range d {
				d[k] = replaceAll("\n", "\r\n\r\n", "-----BEGIN", "text\n-----BEGIN")(d[k])
			}
		})},
		{Shape: "no `enc.key` yet", Want: Missing, Data: at.changed(func(_ testing.TB, _ Pair, d Data) { delete(d, "enc.key") })},
		{Shape: "a TLS Secret under type SM", Want: Missing, Data: at.Simple()},
	}
	rows = slices.Concat(rows, at.smKeyRows(), at.smPairRows())
	for i := range rows {
		rows[i].SM = true
	}
	return Section{"SM pairs", rows}
}
