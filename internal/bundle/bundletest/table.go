// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundletest

import (
	"bytes"
	"crypto/dsa" //nolint:staticcheck // users still have such keys; they are refused
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"math/big"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/emmansun/gmsm/mldsa"
)

// Verdict is what the table says of a row.
type Verdict int

// The verdicts; the last three are those that wait, for data, for the issuer and
// for the time.
const (
	Accepted Verdict = iota
	Warned
	Refused
	Missing
	Pending
	Early
)

// String returns the verdict as the table spells it.
func (v Verdict) String() string {
	return []string{"accepted", "accepted with a warning", "refused", "waited for", "waited for", "waited for"}[v]
}

// Row is one row of the table in docs/certificates.md.
type Row struct {
	Shape string
	SM    bool // type SM
	Keys  Keys
	Want  Verdict
	Note  string // what is uploaded, where nothing need be said
	Data  func(testing.TB) Data
}

// Keys are the spec.keys of a row of type TLS; empty ones stand for the defaults.
type Keys struct{ Certificate, PrivateKey string }

// Section is a part of the table.
type Section struct {
	Title string
	Rows  []Row
}

// Table returns the whole table, whose rows make what they are about.
func (at Clock) Table() []Section {
	return append(at.tlsSections(), at.damagedSection(), at.keysSection(), at.strangersSection(), at.parsersSection(), at.clientsSection(), at.smSection(), at.toolsSection())
}

// The limits of docs/certificates.md, and the identifiers of what is recognised.
const (
	maxCertificates = 32
	maxKeyBytes     = 8192
	maxValueBytes   = 1 << 20
	maxBlocks       = 1024
)

var (
	oidData             = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidSignedData       = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidSMSignedEnvelope = asn1.ObjectIdentifier{1, 2, 156, 10197, 6, 1, 4, 2, 4}
	oidDSA              = asn1.ObjectIdentifier{1, 2, 840, 10040, 4, 1}
	oidRSAPSS           = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}
	oidP256             = asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7}
)

// dressed is Simple with the text of tls.crt and tls.key changed.
func (at Clock) dressed(crt, key func([]byte) []byte) func(testing.TB) Data {
	return func(tb testing.TB) Data {
		d := at.Simple()(tb)
		if crt != nil {
			d["tls.crt"] = crt(d["tls.crt"])
		}
		if key != nil {
			d["tls.key"] = key(d["tls.key"])
		}
		return d
	}
}

func replaceAll(pairs ...string) func([]byte) []byte {
	return func(b []byte) []byte { return []byte(strings.NewReplacer(pairs...).Replace(string(b))) }
}

func constant(b []byte) func([]byte) []byte { return func([]byte) []byte { return b } }

func prefixed(s string) func([]byte) []byte {
	return func(b []byte) []byte { return append([]byte(s), b...) }
}

func relabel(label string) func([]byte) []byte {
	return func(b []byte) []byte { return BlockPEM(label, DEROf(b)) }
}

func pkcs12() []byte {
	return MustMarshal(struct {
		Version int
		Content asn1.RawValue
	}{3, asn1.RawValue{FullBytes: Container(oidData)}})
}

func pkcs8With(oid asn1.ObjectIdentifier) []byte {
	return MustMarshal(struct {
		Version   int
		Algorithm pkix.AlgorithmIdentifier
		Key       []byte
	}{0, pkix.AlgorithmIdentifier{Algorithm: oid}, []byte("key")})
}

func sec1With(parameters any) []byte {
	return MustMarshal(struct {
		Version    int
		Key        []byte
		Parameters any `asn1:"explicit,tag:0"`
	}{1, make([]byte, 32), parameters})
}

func utf16Of(b []byte) []byte {
	out := []byte{0xff, 0xfe}
	for _, u := range utf16.Encode([]rune(string(b))) {
		out = append(out, byte(u), byte(u>>8))
	}
	return out
}

// tinyRSA makes what crypto/rsa refuses to make.
func tinyRSA(tb testing.TB) *rsa.PrivateKey {
	tb.Helper()
	for {
		p, err := rand.Prime(rand.Reader, 256)
		if err != nil {
			tb.Fatal(err)
		}
		q, err := rand.Prime(rand.Reader, 256)
		if err != nil {
			tb.Fatal(err)
		}
		phi := new(big.Int).Mul(new(big.Int).Sub(p, big.NewInt(1)), new(big.Int).Sub(q, big.NewInt(1)))
		d := new(big.Int).ModInverse(big.NewInt(65537), phi)
		if n := new(big.Int).Mul(p, q); d != nil && n.BitLen() == 512 && p.Cmp(q) != 0 {
			return &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: n, E: 65537}, D: d, Primes: []*big.Int{p, q}}
		}
	}
}

func (at Clock) withRSA(bits int) func(testing.TB) Data {
	return func(tb testing.TB) Data {
		key := RSAKey(tb, bits)
		h := at.Hierarchy(tb, key)
		return TLSData(CertPEM(h.Leaf, h.Inter), PKCS8PEM(tb, key))
	}
}

func (at Clock) withCurve(curve elliptic.Curve) func(testing.TB) Data {
	return func(tb testing.TB) Data {
		h := at.Hierarchy(tb, ECKey(tb, curve))
		return TLSData(CertPEM(h.Leaf, h.Inter), PKCS8PEM(tb, h.Leaf.Key))
	}
}

func (at Clock) dsaLeaf(tb testing.TB) Data {
	tb.Helper()
	parameters := MustMarshal(dsa.Parameters{P: big.NewInt(7), Q: big.NewInt(3), G: big.NewInt(2)})
	key := append(BlockPEM("DSA PARAMETERS", parameters), BlockPEM("DSA PRIVATE KEY", parameters)...)
	return TLSData(CertPEM(at.Hierarchy(tb, P256(tb)).Leaf), key)
}

func (at Clock) tlsSections() []Section {
	return []Section{
		{"TLS: certificate and chain", []Row{
			{Shape: "a leaf and its intermediates", Want: Accepted, Note: "as they are", Data: at.Simple()},
			{Shape: "a leaf alone", Want: Accepted, Note: "the leaf; whether clients know its issuer cannot be seen here", Data: func(tb testing.TB) Data {
				h := at.Hierarchy(tb, P256(tb))
				return TLSData(CertPEM(h.Leaf), SEC1PEM(tb, h.Leaf.Key))
			}},
			{Shape: "leaf, intermediates and root in any order, some twice", Want: Accepted, Note: "leaf first, each once, without the root", Data: func(tb testing.TB) Data {
				h := at.Hierarchy(tb, P256(tb))
				return TLSData(CertPEM(h.Root, h.Inter, h.Leaf, h.Inter, h.Leaf), SEC1PEM(tb, h.Leaf.Key))
			}},
			{Shape: "a lone self-signed leaf", Want: Accepted, Note: "the leaf", Data: func(tb testing.TB) Data {
				leaf := Issue(tb, at.Template("www.example.com"), P256(tb), nil)
				return TLSData(CertPEM(leaf), SEC1PEM(tb, leaf.Key))
			}},
			{Shape: "anything in `ca.crt`", Want: Accepted, Note: "`tls.crt` only", Data: func(tb testing.TB) Data {
				d := at.Simple()(tb)
				d["ca.crt"] = []byte("no certificate at all")
				return d
			}},
			{Shape: "cross-signed intermediates", Want: Warned, Data: func(tb testing.TB) Data {
				leaf, a, b := at.CrossSigned(tb)
				return TLSData(CertPEM(leaf, a, b), SEC1PEM(tb, leaf.Key))
			}},
			{Shape: "a certificate that does not belong to the chain", Want: Warned, Data: func(tb testing.TB) Data {
				h, other := at.Hierarchy(tb, P256(tb)), Issue(tb, at.CA("Other CA"), P256(tb), nil)
				return TLSData(CertPEM(h.Leaf, h.Inter, other), SEC1PEM(tb, h.Leaf.Key))
			}},
			{Shape: "two leaves with one key", Want: Refused, Data: func(tb testing.TB) Data {
				h := at.Hierarchy(tb, P256(tb))
				again := Issue(tb, at.Template("www.example.com"), h.Leaf.Key, h.Inter)
				return TLSData(CertPEM(h.Leaf, again, h.Inter), SEC1PEM(tb, h.Leaf.Key))
			}},
			{Shape: "33 different certificates", Want: Refused, Data: func(tb testing.TB) Data {
				leaf, chain := at.LongChain(tb, maxCertificates+1)
				return TLSData(CertPEM(chain...), SEC1PEM(tb, leaf.Key))
			}},
			{Shape: "an intermediate that has expired", Want: Warned, Data: func(tb testing.TB) Data {
				root := Issue(tb, at.CA("Test Root"), P256(tb), nil)
				inter := Issue(tb, at.CA("Test Intermediate", func(c *x509.Certificate) { c.NotAfter = at.In(-time.Hour) }), P256(tb), root)
				leaf := Issue(tb, at.Template("www.example.com"), P256(tb), inter)
				return TLSData(CertPEM(leaf, inter), SEC1PEM(tb, leaf.Key))
			}},
			{Shape: "a chain of more than 100 KiB", Want: Warned, Data: at.Simple(func(c *x509.Certificate) { c.DNSNames = ManyNames(10000) })},
			{Shape: "a self-signed CA certificate as leaf (`openssl req -x509`)", Want: Warned, Data: func(tb testing.TB) Data {
				leaf := Issue(tb, at.Template("www.example.com", func(c *x509.Certificate) { c.IsCA = true }), P256(tb), nil)
				return TLSData(CertPEM(leaf), SEC1PEM(tb, leaf.Key))
			}},
			{Shape: "a CA certificate as leaf, issued by another", Want: Refused, Data: func(tb testing.TB) Data {
				h := at.Hierarchy(tb, P256(tb))
				return TLSData(CertPEM(h.Inter), SEC1PEM(tb, h.Inter.Key))
			}},
			{Shape: "the key of a CA beside the chain of a leaf", Want: Refused, Data: func(tb testing.TB) Data {
				h := at.Hierarchy(tb, P256(tb))
				return TLSData(CertPEM(h.Leaf, h.Inter), SEC1PEM(tb, h.Inter.Key))
			}},
			{Shape: "no subject alternative name", Want: Warned, Data: at.Simple(func(c *x509.Certificate) { c.DNSNames = nil })},
			{Shape: "key usages that no server can use", Want: Warned, Data: at.Simple(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign })},
			{Shape: "a client certificate", Want: Warned, Data: at.Simple(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })},
			{Shape: "a signature with SHA-1", Want: Warned, Data: at.sha1Signed},
			{Shape: "an SM2 certificate under type TLS", Want: Refused, Data: func(tb testing.TB) Data {
				p := at.Pair(tb)
				return TLSData(CertPEM(p.Sign), SEC1PEM(tb, p.Sign.Key))
			}},
		}},
		{"TLS: time", []Row{
			{Shape: "expired", Want: Refused, Data: at.Simple(func(c *x509.Certificate) { c.NotAfter = at.In(-time.Second) })},
			{Shape: "valid in less than five minutes", Want: Accepted, Note: "as it is: clocks differ", Data: at.Simple(func(c *x509.Certificate) { c.NotBefore = at.In(5 * time.Minute) })},
			{Shape: "valid in more than five minutes", Want: Early, Data: at.Simple(func(c *x509.Certificate) { c.NotBefore = at.In(time.Hour) })},
			{Shape: "the temporary certificate of cert-manager", Want: Pending, Data: func(tb testing.TB) Data {
				leaf := Issue(tb, at.Template("www.example.com", func(c *x509.Certificate) { c.Subject.SerialNumber = "1234567890" }), P256(tb), Issue(tb, at.CA("cert-manager.local"), P256(tb), nil))
				return TLSData(CertPEM(leaf), SEC1PEM(tb, leaf.Key))
			}},
		}},
		{"TLS: private key", []Row{
			{Shape: "RSA with 2048 bits or more, PKCS#1 or PKCS#8", Want: Accepted, Note: "PKCS#1", Data: at.withRSA(2048)},
			{Shape: "ECDSA P-256, SEC1 or PKCS#8", Want: Accepted, Note: "SEC1", Data: at.withCurve(elliptic.P256())},
			{Shape: "ECDSA P-384, SEC1 or PKCS#8", Want: Accepted, Note: "SEC1", Data: at.withCurve(elliptic.P384())},
			{Shape: "ECDSA P-521", Want: Warned, Data: at.withCurve(elliptic.P521())},
			{Shape: "ECDSA P-224", Want: Warned, Data: at.withCurve(elliptic.P224())},
			{Shape: "Ed25519", Want: Warned, Data: func(tb testing.TB) Data {
				_, key, err := ed25519.GenerateKey(rand.Reader)
				if err != nil {
					tb.Fatal(err)
				}
				h := at.Hierarchy(tb, key)
				return TLSData(CertPEM(h.Leaf, h.Inter), PKCS8PEM(tb, key))
			}},
			{Shape: "RSA with 1024 to 2047 bits", Want: Warned, Data: at.withRSA(1024)},
			{Shape: "RSA with less than 1024 bits", Want: Refused, Data: func(tb testing.TB) Data {
				key := tinyRSA(tb)
				h := at.Hierarchy(tb, P256(tb))
				leaf := issueFor(tb, at.Template("www.example.com"), &key.PublicKey, h.Leaf.Key, h.Inter)
				return TLSData(CertPEM(leaf, h.Inter), BlockPEM("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key)))
			}},
			{Shape: "an RSA certificate with more than 8192 bits", Want: Refused, Data: func(tb testing.TB) Data {
				h := at.Hierarchy(tb, P256(tb))
				n := new(big.Int).SetBit(big.NewInt(1), 16383, 1)
				leaf := issueFor(tb, at.Template("www.example.com"), &rsa.PublicKey{N: n, E: 65537}, h.Leaf.Key, h.Inter)
				return TLSData(CertPEM(leaf), SEC1PEM(tb, h.Leaf.Key))
			}},
			{Shape: "a key larger than 8192 bytes", Want: Refused, Data: at.dressed(nil, constant(BlockPEM("RSA PRIVATE KEY", make([]byte, maxKeyBytes+1))))},
			{Shape: "DSA", Want: Refused, Data: at.dsaLeaf},
			{Shape: "DSA in PKCS#8", Want: Refused, Data: at.dressed(nil, constant(BlockPEM("PRIVATE KEY", pkcs8With(oidDSA))))},
			{Shape: "RSA-PSS", Want: Refused, Data: at.dressed(nil, constant(BlockPEM("PRIVATE KEY", pkcs8With(oidRSAPSS))))},
			{Shape: "SM2 under type TLS", Want: Refused, Data: func(tb testing.TB) Data {
				d := at.Simple()(tb)
				d["tls.key"] = SEC1PEM(tb, SMKey(tb))
				return d
			}},
			{Shape: "ML-DSA", Want: Refused, Data: func(tb testing.TB) Data {
				key, err := mldsa.GenerateKey44(rand.Reader)
				if err != nil {
					tb.Fatal(err)
				}
				return at.dressed(nil, constant(PKCS8PEM(tb, key)))(tb)
			}},
			{Shape: "ECDSA on another curve (secp256k1, Brainpool)", Want: Refused, Data: at.dressed(nil, constant(BlockPEM("EC PRIVATE KEY", sec1With(asn1.ObjectIdentifier{1, 3, 132, 0, 10}))))},
			{Shape: "ECDSA with explicit parameters", Want: Refused, Data: at.dressed(nil, constant(BlockPEM("EC PRIVATE KEY", sec1With([]int{1}))))},
			{Shape: "Ed448", Want: Refused, Data: at.dressed(nil, constant(BlockPEM("PRIVATE KEY", pkcs8With(asn1.ObjectIdentifier{1, 3, 101, 113}))))},
			{Shape: "encrypted (PKCS#8)", Want: Refused, Data: at.dressed(nil, relabel("ENCRYPTED PRIVATE KEY"))},
			{Shape: "encrypted (Proc-Type header)", Want: Refused, Data: at.dressed(nil, replaceAll("KEY-----\n", "KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\n"))},
			{Shape: "OpenSSH format", Want: Refused, Data: at.dressed(nil, relabel("OPENSSH PRIVATE KEY"))},
			{Shape: "the key of another certificate", Want: Refused, Data: func(tb testing.TB) Data {
				d := at.Simple()(tb)
				d["tls.key"] = SEC1PEM(tb, P256(tb))
				return d
			}},
			{Shape: "two private keys", Want: Refused, Data: func(tb testing.TB) Data {
				d := at.Simple()(tb)
				d["tls.key"] = append(d["tls.key"], SEC1PEM(tb, P256(tb))...)
				return d
			}},
			{Shape: "a certificate in place of the key", Want: Refused, Data: func(tb testing.TB) Data {
				d := at.Simple()(tb)
				d["tls.key"] = d["tls.crt"]
				return d
			}},
			{Shape: "a certificate request in place of the key", Want: Refused, Data: at.dressed(nil, constant(requestPEM()))},
			{Shape: "a key that cannot be read", Want: Refused, Data: at.dressed(nil, constant(BlockPEM("PRIVATE KEY", []byte("no key"))))},
			{Shape: "EC PARAMETERS before the key (`openssl ecparam -genkey`)", Want: Accepted, Note: "the key", Data: at.dressed(nil, func(b []byte) []byte {
				return append(BlockPEM("EC PARAMETERS", MustMarshal(oidP256)), b...)
			})},
		}},
		{"TLS: format", []Row{
			{Shape: "CRLF or CR line ends", Want: Accepted, Note: "LF", Data: at.dressed(replaceAll("\n", "\r\n"), replaceAll("\n", "\r"))},
			{Shape: "a byte order mark", Want: Accepted, Note: "without it", Data: at.dressed(prefixed("\ufeff"), prefixed("\ufeff"))},
			{Shape: "blank lines and indentation", Want: Accepted, Note: "without them", Data: at.dressed(replaceAll("\n", "\n\n  "), replaceAll("\n", "\n\n\t"))},
			{Shape: "text before, between and after the blocks", Want: Accepted, Note: "without it", Data: at.dressed(replaceAll("-----BEGIN", "subject=CN = x\n-----BEGIN", "-----END CERTIFICATE-----\n", "-----END CERTIFICATE-----\nissuer=y\n"), prefixed("Bag Attributes\n"))},
			{Shape: "no line end at the end, or between two blocks", Want: Accepted, Note: "with them", Data: at.dressed(replaceAll("-----\n-----", "----------"), bytes.TrimSpace)},
			{Shape: "everything on one line, or line ends written as \\n", Want: Accepted, Note: "with line ends", Data: at.dressed(replaceAll("\n", " "), replaceAll("\n", `\n`))},
			{Shape: "certificate and key in one file under both keys", Want: Warned, Data: func(tb testing.TB) Data {
				d := at.Simple()(tb)
				both := append(d["tls.key"], d["tls.crt"]...)
				return TLSData(both, both)
			}},
			{Shape: "base64 encoded twice", Want: Refused, Data: at.dressed(func(b []byte) []byte { return []byte(base64.StdEncoding.EncodeToString(b)) }, nil)},
			{Shape: "base64 without PEM lines", Want: Refused, Data: at.dressed(func(b []byte) []byte { return []byte(base64.StdEncoding.EncodeToString(DEROf(b))) }, nil)},
			{Shape: "a DER certificate", Want: Refused, Data: at.dressed(DEROf, nil)},
			{Shape: "a DER key", Want: Refused, Data: at.dressed(nil, DEROf)},
			{Shape: "PKCS#12", Want: Refused, Data: at.dressed(constant(pkcs12()), nil)},
			{Shape: "JKS", Want: Refused, Data: at.dressed(constant([]byte("\xfe\xed\xfe\xed\x00\x00\x00\x02")), nil)},
			{Shape: "PKCS#7 in PEM", Want: Refused, Data: at.dressed(constant(BlockPEM("PKCS7", Container(oidSignedData))), nil)},
			{Shape: "PKCS#7 in DER", Want: Refused, Data: at.dressed(constant(Container(oidSignedData)), nil)},
			{Shape: "openssl's TRUSTED CERTIFICATE", Want: Refused, Data: at.dressed(relabel("TRUSTED CERTIFICATE"), nil)},
			{Shape: "UTF-16 text", Want: Refused, Data: at.dressed(utf16Of, nil)},
			{Shape: "damaged base64", Want: Refused, Data: at.dressed(replaceAll("MII", "M*I"), nil)},
			{Shape: "a block without its end", Want: Refused, Data: at.dressed(func(b []byte) []byte { return b[:len(b)-40] }, nil)},
			{Shape: "a certificate that cannot be parsed", Want: Refused, Data: at.dressed(constant(BlockPEM("CERTIFICATE", []byte("0"))), nil)},
			{Shape: "a certificate request in place of the certificate", Want: Refused, Data: at.dressed(constant(requestPEM()), nil)},
			{Shape: "a private key in place of the certificate", Want: Refused, Data: func(tb testing.TB) Data { d := at.Simple()(tb); return TLSData(d["tls.key"], d["tls.key"]) }},
			{Shape: "a private key labelled as a certificate", Want: Refused, Data: func(tb testing.TB) Data {
				d := at.Simple()(tb)
				return TLSData(relabel("CERTIFICATE")(d["tls.key"]), d["tls.key"])
			}},
			{Shape: "a public key in place of the certificate", Want: Refused, Data: func(tb testing.TB) Data {
				d := at.Simple()(tb)
				public, err := x509.MarshalPKIXPublicKey(P256(tb).Public())
				if err != nil {
					tb.Fatal(err)
				}
				return TLSData(BlockPEM("PUBLIC KEY", public), d["tls.key"])
			}},
			{Shape: "something else", Want: Refused, Data: at.dressed(constant([]byte("changeme")), nil)},
			{Shape: "more than 1024 PEM blocks", Want: Refused, Data: at.dressed(func(b []byte) []byte { return bytes.Repeat(b, maxBlocks/2+1) }, nil)},
			{Shape: "more than 1 MiB", Want: Refused, Data: at.dressed(constant(bytes.Repeat([]byte("a"), maxValueBytes+1)), nil)},
			{Shape: "nothing under `tls.crt`", Want: Missing, Data: at.dressed(constant(nil), nil)},
			{Shape: "no `tls.key`", Want: Missing, Data: func(tb testing.TB) Data { d := at.Simple()(tb); delete(d, "tls.key"); return d }},
			{Shape: "an SM pair under type TLS", Want: Missing, Data: func(tb testing.TB) Data { return at.Pair(tb).Data(tb) }},
		}},
	}
}

// sha1Signed rewrites the signature of a certificate: crypto/x509 makes none
// with SHA-1. Nothing here verifies it, because the issuer is not in the Secret.
func (at Clock) sha1Signed(tb testing.TB) Data {
	tb.Helper()
	h := at.Hierarchy(tb, P256(tb))
	sha256OID := MustMarshal(asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2})
	sha1OID := MustMarshal(asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 1})
	var c struct {
		TBS, Algorithm asn1.RawValue
		Signature      asn1.BitString
	}
	if _, err := asn1.Unmarshal(h.Leaf.Raw, &c); err != nil {
		tb.Fatal(err)
	}
	// The OID of SHA-1 is one byte shorter, so the sequences are made anew.
	shorten := func(raw asn1.RawValue) asn1.RawValue {
		inner := bytes.Replace(raw.Bytes, append([]byte{0x30, 10}, sha256OID...), append([]byte{0x30, 9}, sha1OID...), 1)
		return asn1.RawValue{Class: raw.Class, Tag: raw.Tag, IsCompound: true, Bytes: inner}
	}
	algorithm := asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: sha1OID}
	der := MustMarshal(struct {
		TBS, Algorithm asn1.RawValue
		Signature      asn1.BitString
	}{shorten(c.TBS), algorithm, c.Signature})
	return TLSData(BlockPEM("CERTIFICATE", der), SEC1PEM(tb, h.Leaf.Key))
}

// requestPEM is a certificate request with a key of its own.
func requestPEM() []byte {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		panic(err)
	}
	return BlockPEM("CERTIFICATE REQUEST", der)
}
