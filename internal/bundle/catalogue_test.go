// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"bytes"
	"crypto/dsa" //nolint:staticcheck // users still have such keys; they are refused
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/emmansun/gmsm/mldsa"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the table of docs/certificates.md anew")

type verdict string

const (
	accepted verdict = "accepted"
	warned   verdict = "accepted with a warning"
	refused  verdict = "refused"
	waits    verdict = "waited for"
)

// row is one row of the table in docs/certificates.md.
type row struct {
	shape string
	as    Type // TLS where empty
	keys  Keys
	want  verdict
	note  string // what is uploaded, where nothing need be said
	data  func(testing.TB) data
}

type section struct {
	title string
	rows  []row
}

// simple is a leaf and its intermediate with the key, which edits change.
func simple(edits ...func(*x509.Certificate)) func(testing.TB) data {
	return func(tb testing.TB) data {
		h := newHierarchy(tb, p256(tb), edits...)
		return tlsData(certPEM(h.leaf, h.inter), sec1PEM(tb, h.leaf.key))
	}
}

// dressed is simple with the text of tls.crt and tls.key changed.
func dressed(crt, key func([]byte) []byte) func(testing.TB) data {
	return func(tb testing.TB) data {
		d := simple()(tb)
		if crt != nil {
			d["tls.crt"] = crt(d["tls.crt"])
		}
		if key != nil {
			d["tls.key"] = key(d["tls.key"])
		}
		return d
	}
}

func derOf(text []byte) []byte { b, _ := pem.Decode(text); return b.Bytes }

func replaceAll(pairs ...string) func([]byte) []byte {
	return func(b []byte) []byte { return []byte(strings.NewReplacer(pairs...).Replace(string(b))) }
}

func constant(b []byte) func([]byte) []byte { return func([]byte) []byte { return b } }

func prefixed(s string) func([]byte) []byte {
	return func(b []byte) []byte { return append([]byte(s), b...) }
}

func relabel(label string) func([]byte) []byte {
	return func(b []byte) []byte { return blockPEM(label, derOf(b)) }
}

func mustMarshal(v any) []byte {
	der, err := asn1.Marshal(v)
	if err != nil {
		panic(err)
	}
	return der
}

func container(oid asn1.ObjectIdentifier) []byte {
	return mustMarshal(struct {
		Type    asn1.ObjectIdentifier
		Content []byte `asn1:"explicit,tag:0"`
	}{oid, []byte("content")})
}

func pkcs12() []byte {
	return mustMarshal(struct {
		Version int
		Content asn1.RawValue
	}{3, asn1.RawValue{FullBytes: container(oidData)}})
}

func pkcs8With(oid asn1.ObjectIdentifier) []byte {
	return mustMarshal(struct {
		Version   int
		Algorithm pkix.AlgorithmIdentifier
		Key       []byte
	}{0, pkix.AlgorithmIdentifier{Algorithm: oid}, []byte("key")})
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

func withRSA(bits int) func(testing.TB) data {
	return func(tb testing.TB) data {
		key := rsaKey(tb, bits)
		h := newHierarchy(tb, key)
		return tlsData(certPEM(h.leaf, h.inter), pkcs8PEM(tb, key))
	}
}

func withCurve(curve elliptic.Curve) func(testing.TB) data {
	return func(tb testing.TB) data {
		h := newHierarchy(tb, ecKey(tb, curve))
		return tlsData(certPEM(h.leaf, h.inter), pkcs8PEM(tb, h.leaf.key))
	}
}

func dsaLeaf(tb testing.TB) data {
	tb.Helper()
	parameters := mustMarshal(dsa.Parameters{P: big.NewInt(7), Q: big.NewInt(3), G: big.NewInt(2)})
	key := append(blockPEM("DSA PARAMETERS", parameters), blockPEM("DSA PRIVATE KEY", parameters)...)
	return tlsData(certPEM(newHierarchy(tb, p256(tb)).leaf), key)
}

// crossSigned is a leaf whose intermediate was signed by two roots.
func crossSigned(tb testing.TB) (leaf, a, b *issuedCert) {
	tb.Helper()
	key := p256(tb)
	a = issue(tb, authority("Test Intermediate"), key, issue(tb, authority("Root A"), p256(tb), nil))
	b = issue(tb, authority("Test Intermediate"), key, issue(tb, authority("Root B"), p256(tb), nil))
	return issue(tb, template("www.example.com"), p256(tb), a), a, b
}

func tlsSections() []section {
	return []section{
		{"TLS: certificate and chain", []row{
			{shape: "a leaf and its intermediates", want: accepted, note: "as they are", data: simple()},
			{shape: "a leaf alone", want: accepted, note: "the leaf; whether clients know its issuer cannot be seen here", data: func(tb testing.TB) data {
				h := newHierarchy(tb, p256(tb))
				return tlsData(certPEM(h.leaf), sec1PEM(tb, h.leaf.key))
			}},
			{shape: "leaf, intermediates and root in any order, some twice", want: accepted, note: "leaf first, each once, without the root", data: func(tb testing.TB) data {
				h := newHierarchy(tb, p256(tb))
				return tlsData(certPEM(h.root, h.inter, h.leaf, h.inter, h.leaf), sec1PEM(tb, h.leaf.key))
			}},
			{shape: "a lone self-signed leaf", want: accepted, note: "the leaf", data: func(tb testing.TB) data {
				leaf := issue(tb, template("www.example.com"), p256(tb), nil)
				return tlsData(certPEM(leaf), sec1PEM(tb, leaf.key))
			}},
			{shape: "anything in `ca.crt`", want: accepted, note: "`tls.crt` only", data: func(tb testing.TB) data {
				d := simple()(tb)
				d["ca.crt"] = []byte("no certificate at all")
				return d
			}},
			{shape: "cross-signed intermediates", want: warned, data: func(tb testing.TB) data {
				leaf, a, b := crossSigned(tb)
				return tlsData(certPEM(leaf, a, b), sec1PEM(tb, leaf.key))
			}},
			{shape: "a certificate that does not belong to the chain", want: refused, data: func(tb testing.TB) data {
				h, other := newHierarchy(tb, p256(tb)), issue(tb, authority("Other CA"), p256(tb), nil)
				return tlsData(certPEM(h.leaf, h.inter, other), sec1PEM(tb, h.leaf.key))
			}},
			{shape: "two leaves with one key", want: refused, data: func(tb testing.TB) data {
				h := newHierarchy(tb, p256(tb))
				again := issue(tb, template("www.example.com"), h.leaf.key, h.inter)
				return tlsData(certPEM(h.leaf, again, h.inter), sec1PEM(tb, h.leaf.key))
			}},
			{shape: "33 different certificates", want: refused, data: func(tb testing.TB) data {
				leaf, chain := longChain(tb, maxCertificates+1)
				return tlsData(certPEM(chain...), sec1PEM(tb, leaf.key))
			}},
			{shape: "an intermediate that has expired", want: warned, data: func(tb testing.TB) data {
				root := issue(tb, authority("Test Root"), p256(tb), nil)
				inter := issue(tb, authority("Test Intermediate", func(c *x509.Certificate) { c.NotAfter = testNow.Add(-time.Hour) }), p256(tb), root)
				leaf := issue(tb, template("www.example.com"), p256(tb), inter)
				return tlsData(certPEM(leaf, inter), sec1PEM(tb, leaf.key))
			}},
			{shape: "a chain of more than 100 KiB", want: warned, data: simple(func(c *x509.Certificate) { c.DNSNames = manyNames(10000) })},
			{shape: "a self-signed CA certificate as leaf (`openssl req -x509`)", want: warned, data: func(tb testing.TB) data {
				leaf := issue(tb, template("www.example.com", func(c *x509.Certificate) { c.IsCA = true }), p256(tb), nil)
				return tlsData(certPEM(leaf), sec1PEM(tb, leaf.key))
			}},
			{shape: "a CA certificate as leaf, issued by another", want: refused, data: func(tb testing.TB) data {
				h := newHierarchy(tb, p256(tb))
				return tlsData(certPEM(h.inter), sec1PEM(tb, h.inter.key))
			}},
			{shape: "the key of a CA beside the chain of a leaf", want: refused, data: func(tb testing.TB) data {
				h := newHierarchy(tb, p256(tb))
				return tlsData(certPEM(h.leaf, h.inter), sec1PEM(tb, h.inter.key))
			}},
			{shape: "no subject alternative name", want: warned, data: simple(func(c *x509.Certificate) { c.DNSNames = nil })},
			{shape: "key usages that no server can use", want: warned, data: simple(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign })},
			{shape: "a client certificate", want: warned, data: simple(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })},
			{shape: "a signature with SHA-1", want: warned, data: func(tb testing.TB) data { return sha1Signed(tb) }},
			{shape: "an SM2 certificate under type TLS", want: refused, data: func(tb testing.TB) data {
				p := newPair(tb)
				return tlsData(certPEM(p.sign), sec1PEM(tb, p.sign.key))
			}},
		}},
		{"TLS: time", []row{
			{shape: "expired", want: refused, data: simple(func(c *x509.Certificate) { c.NotAfter = testNow.Add(-time.Second) })},
			{shape: "valid in less than five minutes", want: accepted, note: "as it is: clocks differ", data: simple(func(c *x509.Certificate) { c.NotBefore = testNow.Add(5 * time.Minute) })},
			{shape: "valid in more than five minutes", want: waits, data: simple(func(c *x509.Certificate) { c.NotBefore = testNow.Add(time.Hour) })},
			{shape: "the temporary certificate of cert-manager", want: waits, data: func(tb testing.TB) data {
				leaf := issue(tb, template("www.example.com", func(c *x509.Certificate) { c.Subject.SerialNumber = "1234567890" }), p256(tb), issue(tb, authority("cert-manager.local"), p256(tb), nil))
				return tlsData(certPEM(leaf), sec1PEM(tb, leaf.key))
			}},
		}},
		{"TLS: private key", []row{
			{shape: "RSA with 2048 bits or more, PKCS#1 or PKCS#8", want: accepted, note: "PKCS#1", data: withRSA(2048)},
			{shape: "ECDSA P-256, SEC1 or PKCS#8", want: accepted, note: "SEC1", data: withCurve(elliptic.P256())},
			{shape: "ECDSA P-384, SEC1 or PKCS#8", want: accepted, note: "SEC1", data: withCurve(elliptic.P384())},
			{shape: "ECDSA P-521, SEC1 or PKCS#8", want: accepted, note: "SEC1", data: withCurve(elliptic.P521())},
			{shape: "ECDSA P-224", want: warned, data: withCurve(elliptic.P224())},
			{shape: "Ed25519", want: warned, data: func(tb testing.TB) data {
				_, key, err := ed25519.GenerateKey(rand.Reader)
				if err != nil {
					tb.Fatal(err)
				}
				h := newHierarchy(tb, key)
				return tlsData(certPEM(h.leaf, h.inter), pkcs8PEM(tb, key))
			}},
			{shape: "RSA with 1024 to 2047 bits", want: warned, data: withRSA(1024)},
			{shape: "RSA with less than 1024 bits", want: refused, data: func(tb testing.TB) data {
				key := tinyRSA(tb)
				h := newHierarchy(tb, p256(tb))
				leaf := issueFor(tb, template("www.example.com"), &key.PublicKey, h.leaf.key, h.inter)
				return tlsData(certPEM(leaf, h.inter), blockPEM("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key)))
			}},
			{shape: "an RSA certificate with more than 8192 bits", want: refused, data: func(tb testing.TB) data {
				h := newHierarchy(tb, p256(tb))
				n := new(big.Int).SetBit(big.NewInt(1), 16383, 1)
				leaf := issueFor(tb, template("www.example.com"), &rsa.PublicKey{N: n, E: 65537}, h.leaf.key, h.inter)
				return tlsData(certPEM(leaf), sec1PEM(tb, h.leaf.key))
			}},
			{shape: "a key larger than 8192 bytes", want: refused, data: dressed(nil, constant(blockPEM("RSA PRIVATE KEY", make([]byte, maxKeyBytes+1))))},
			{shape: "DSA", want: refused, data: dsaLeaf},
			{shape: "DSA in PKCS#8", want: refused, data: dressed(nil, constant(blockPEM("PRIVATE KEY", pkcs8With(oidDSA))))},
			{shape: "RSA-PSS", want: refused, data: dressed(nil, constant(blockPEM("PRIVATE KEY", pkcs8With(oidRSAPSS))))},
			{shape: "SM2 under type TLS", want: refused, data: func(tb testing.TB) data {
				d := simple()(tb)
				d["tls.key"] = sec1PEM(tb, smKey(tb))
				return d
			}},
			{shape: "ML-DSA", want: refused, data: func(tb testing.TB) data {
				key, err := mldsa.GenerateKey44(rand.Reader)
				if err != nil {
					tb.Fatal(err)
				}
				return dressed(nil, constant(pkcs8PEM(tb, key)))(tb)
			}},
			{shape: "encrypted (PKCS#8)", want: refused, data: dressed(nil, relabel("ENCRYPTED PRIVATE KEY"))},
			{shape: "encrypted (Proc-Type header)", want: refused, data: dressed(nil, replaceAll("KEY-----\n", "KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\n"))},
			{shape: "OpenSSH format", want: refused, data: dressed(nil, relabel("OPENSSH PRIVATE KEY"))},
			{shape: "the key of another certificate", want: refused, data: func(tb testing.TB) data {
				d := simple()(tb)
				d["tls.key"] = sec1PEM(tb, p256(tb))
				return d
			}},
			{shape: "two private keys", want: refused, data: func(tb testing.TB) data {
				d := simple()(tb)
				d["tls.key"] = append(d["tls.key"], sec1PEM(tb, p256(tb))...)
				return d
			}},
			{shape: "a certificate in place of the key", want: refused, data: func(tb testing.TB) data {
				d := simple()(tb)
				d["tls.key"] = d["tls.crt"]
				return d
			}},
			{shape: "a certificate request in place of the key", want: refused, data: dressed(nil, relabel("CERTIFICATE REQUEST"))},
			{shape: "a key that cannot be read", want: refused, data: dressed(nil, constant(blockPEM("PRIVATE KEY", []byte("no key"))))},
			{shape: "EC PARAMETERS before the key (`openssl ecparam -genkey`)", want: accepted, note: "the key", data: dressed(nil, func(b []byte) []byte {
				return append(blockPEM("EC PARAMETERS", mustMarshal(asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7})), b...)
			})},
		}},
		{"TLS: format", []row{
			{shape: "CRLF or CR line ends", want: accepted, note: "LF", data: dressed(replaceAll("\n", "\r\n"), replaceAll("\n", "\r"))},
			{shape: "a byte order mark", want: accepted, note: "without it", data: dressed(prefixed("\ufeff"), prefixed("\ufeff"))},
			{shape: "blank lines and indentation", want: accepted, note: "without them", data: dressed(replaceAll("\n", "\n\n  "), replaceAll("\n", "\n\n\t"))},
			{shape: "text before, between and after the blocks", want: accepted, note: "without it", data: dressed(replaceAll("-----BEGIN", "subject=CN = x\n-----BEGIN", "-----END CERTIFICATE-----\n", "-----END CERTIFICATE-----\nissuer=y\n"), prefixed("Bag Attributes\n"))},
			{shape: "no line end at the end, or between two blocks", want: accepted, note: "with them", data: dressed(replaceAll("-----\n-----", "----------"), bytes.TrimSpace)},
			{shape: "everything on one line, or line ends written as \\n", want: accepted, note: "with line ends", data: dressed(replaceAll("\n", " "), replaceAll("\n", `\n`))},
			{shape: "certificate and key in one file under both keys", want: warned, data: func(tb testing.TB) data {
				d := simple()(tb)
				both := append(d["tls.key"], d["tls.crt"]...)
				return tlsData(both, both)
			}},
			{shape: "base64 encoded twice", want: refused, data: dressed(func(b []byte) []byte { return []byte(base64.StdEncoding.EncodeToString(b)) }, nil)},
			{shape: "base64 without PEM lines", want: refused, data: dressed(func(b []byte) []byte { return []byte(base64.StdEncoding.EncodeToString(derOf(b))) }, nil)},
			{shape: "a DER certificate", want: refused, data: dressed(derOf, nil)},
			{shape: "a DER key", want: refused, data: dressed(nil, derOf)},
			{shape: "PKCS#12", want: refused, data: dressed(constant(pkcs12()), nil)},
			{shape: "JKS", want: refused, data: dressed(constant([]byte("\xfe\xed\xfe\xed\x00\x00\x00\x02")), nil)},
			{shape: "PKCS#7 in PEM", want: refused, data: dressed(constant(blockPEM("PKCS7", container(oidSignedData))), nil)},
			{shape: "PKCS#7 in DER", want: refused, data: dressed(constant(container(oidSignedData)), nil)},
			{shape: "openssl's TRUSTED CERTIFICATE", want: refused, data: dressed(relabel("TRUSTED CERTIFICATE"), nil)},
			{shape: "UTF-16 text", want: refused, data: dressed(utf16Of, nil)},
			{shape: "damaged base64", want: refused, data: dressed(replaceAll("MII", "M*I"), nil)},
			{shape: "a block without its end", want: refused, data: dressed(func(b []byte) []byte { return b[:len(b)-40] }, nil)},
			{shape: "a certificate that cannot be parsed", want: refused, data: dressed(constant(blockPEM("CERTIFICATE", []byte("0"))), nil)},
			{shape: "a certificate request in place of the certificate", want: refused, data: dressed(relabel("CERTIFICATE REQUEST"), nil)},
			{shape: "a private key in place of the certificate", want: refused, data: func(tb testing.TB) data { d := simple()(tb); return tlsData(d["tls.key"], d["tls.key"]) }},
			{shape: "a private key labelled as a certificate", want: refused, data: func(tb testing.TB) data {
				d := simple()(tb)
				return tlsData(relabel("CERTIFICATE")(d["tls.key"]), d["tls.key"])
			}},
			{shape: "a public key in place of the certificate", want: refused, data: dressed(relabel("PUBLIC KEY"), nil)},
			{shape: "something else", want: refused, data: dressed(constant([]byte("changeme")), nil)},
			{shape: "more than 1 MiB", want: refused, data: dressed(constant(bytes.Repeat([]byte("a"), maxValueBytes+1)), nil)},
			{shape: "nothing under `tls.crt`", want: waits, data: dressed(constant(nil), nil)},
			{shape: "no `tls.key`", want: waits, data: func(tb testing.TB) data { d := simple()(tb); delete(d, "tls.key"); return d }},
			{shape: "an SM pair under type TLS", want: waits, data: func(tb testing.TB) data { return newPair(tb).data(tb) }},
		}},
	}
}

func TestEveryRowOfTheTable(t *testing.T) {
	t.Parallel()
	for _, s := range allSections() {
		for _, r := range s.rows {
			t.Run(s.title+": "+r.shape, func(t *testing.T) {
				t.Parallel()
				got, message := judge(t, r)
				if got != r.want {
					t.Fatalf("%s, want %s: %s", got, r.want, message)
				}
			})
		}
	}
}

// judge loads a row and holds its outcome against what is true of every outcome.
func judge(t *testing.T, r row) (_ verdict, message string) {
	t.Helper()
	secret := secretOf(r.data(t))
	defer func() {
		if found := leak(message, secret.Data); found != "" {
			t.Errorf("the message repeats %q of the Secret", found)
		}
	}()
	b, err := Load(secret, Options{Type: r.as, Keys: r.keys, Now: testNow})
	if err != nil {
		e, ok := errors.AsType[*Error](err)
		if !ok || b != nil {
			t.Fatalf("%s: got a bundle (%t) and an error of type %T", r.shape, b != nil, err)
		}
		if e.Fix == "" || len(e.Error()) > 900 || !strings.HasPrefix(e.Error(), `Secret "web-tls": `) {
			t.Errorf("the message has no fix, is too long for an event, or does not name the Secret: %s", e)
		}
		message = strings.TrimPrefix(e.Error(), `Secret "web-tls": `)
		if e.Kind != KindInvalid || !e.Deadline.IsZero() {
			return waits, message
		}
		return refused, message
	}
	if len(b.Warnings) == 0 {
		return accepted, r.note
	}
	var messages []string
	for _, w := range b.Warnings {
		messages = append(messages, fmt.Sprintf("`%s`: %s", w.Reason, w.Message))
	}
	return warned, strings.Join(messages, "<br>")
}

const (
	docs      = "../../docs/certificates.md"
	docsBegin = "<!-- table: written by go test ./internal/bundle -run TestDocs -update -->\n"
	docsEnd   = "<!-- end of table -->\n"
)

// TestDocs holds the table that users read against the code.
func TestDocs(t *testing.T) {
	t.Parallel()
	var table strings.Builder
	for _, s := range allSections() {
		fmt.Fprintf(&table, "\n### %s\n\n| the Secret holds | verdict | message, or what is uploaded |\n|---|---|---|\n", s.title)
		for _, r := range s.rows {
			got, message := judge(t, r)
			fmt.Fprintf(&table, "| %s | %s | %s |\n", r.shape, got, message)
		}
	}
	table.WriteString("\n")
	page, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, okBegin := strings.Cut(string(page), docsBegin)
	old, after, okEnd := strings.Cut(rest, docsEnd)
	if !okBegin || !okEnd {
		t.Fatalf("%s lacks the marks of the table", docs)
	}
	if *update {
		if err := os.WriteFile(docs, []byte(before+docsBegin+table.String()+docsEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(old, table.String()); diff != "" {
		t.Errorf("%s is not what the code does (-page +code); run this test with -update:\n%s", docs, diff)
	}
}

func manyNames(n int) []string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf("host-%05d.example.com", i))
	}
	return out
}

// longChain returns n certificates, the leaf first.
func longChain(tb testing.TB, n int) (*issuedCert, []*issuedCert) {
	tb.Helper()
	var parent *issuedCert
	chain := make([]*issuedCert, n)
	for i := n - 1; i > 0; i-- {
		chain[i] = issue(tb, authority(fmt.Sprintf("CA %d", i)), p256(tb), parent)
		parent = chain[i]
	}
	chain[0] = issue(tb, template("www.example.com"), p256(tb), parent)
	return chain[0], chain
}

// sha1Signed rewrites the signature of a certificate: crypto/x509 makes none
// with SHA-1. Nothing here verifies it, because the issuer is not in the Secret.
func sha1Signed(tb testing.TB) data {
	tb.Helper()
	h := newHierarchy(tb, p256(tb))
	sha256OID := mustMarshal(asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2})
	sha1OID := mustMarshal(asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 1})
	var c struct {
		TBS, Algorithm asn1.RawValue
		Signature      asn1.BitString
	}
	if _, err := asn1.Unmarshal(h.leaf.Raw, &c); err != nil {
		tb.Fatal(err)
	}
	// The OID of SHA-1 is one byte shorter, so the sequences are made anew.
	shorten := func(raw asn1.RawValue) asn1.RawValue {
		inner := bytes.Replace(raw.Bytes, append([]byte{0x30, 10}, sha256OID...), append([]byte{0x30, 9}, sha1OID...), 1)
		return asn1.RawValue{Class: raw.Class, Tag: raw.Tag, IsCompound: true, Bytes: inner}
	}
	algorithm := asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: sha1OID}
	der := mustMarshal(struct {
		TBS, Algorithm asn1.RawValue
		Signature      asn1.BitString
	}{shorten(c.TBS), algorithm, c.Signature})
	return tlsData(blockPEM("CERTIFICATE", der), sec1PEM(tb, h.leaf.key))
}

func allSections() []section { return append(append(tlsSections(), smSections()...), realShapes()...) }
