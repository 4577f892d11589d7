// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"
	corev1 "k8s.io/api/core/v1"
)

// testNow is the moment at which all tests judge.
var testNow = time.Date(2026, time.July, 1, 12, 0, 0, 0, time.UTC)

// issuedCert is a certificate of a test with its key.
type issuedCert struct {
	*x509.Certificate
	key crypto.Signer
}

// template returns a certificate for a server; edits change it.
func template(name string, edits ...func(*x509.Certificate)) *x509.Certificate {
	c := &x509.Certificate{
		SerialNumber:          big.NewInt(0x1001),
		Subject:               pkix.Name{CommonName: name},
		DNSNames:              []string{name},
		NotBefore:             testNow.Add(-24 * time.Hour),
		NotAfter:              testNow.Add(90 * 24 * time.Hour),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	for _, edit := range edits {
		edit(c)
	}
	return c
}

func authority(name string, edits ...func(*x509.Certificate)) *x509.Certificate {
	return template(name, append([]func(*x509.Certificate){func(c *x509.Certificate) {
		c.SerialNumber = big.NewInt(0x2002)
		c.IsCA, c.DNSNames, c.ExtKeyUsage = true, nil, nil
		c.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	}}, edits...)...)
}

// issue signs a certificate for key; a nil parent makes it self-signed.
func issue(tb testing.TB, tmpl *x509.Certificate, key crypto.Signer, parent *issuedCert) *issuedCert {
	tb.Helper()
	return issueFor(tb, tmpl, key.Public(), key, parent)
}

func issueFor(tb testing.TB, tmpl *x509.Certificate, public any, key crypto.Signer, parent *issuedCert) *issuedCert {
	tb.Helper()
	signer, parentCert := key, tmpl
	if parent != nil {
		signer, parentCert = parent.key, parent.Certificate
	}
	create := x509.CreateCertificate
	if _, ok := signer.(*sm2.PrivateKey); ok {
		create = func(r io.Reader, t, p *x509.Certificate, pub, priv any) ([]byte, error) {
			return smx509.CreateCertificate(r, t, p, pub, priv)
		}
	}
	der, err := create(rand.Reader, tmpl, parentCert, public, signer)
	if err != nil {
		tb.Fatalf("failed to issue %s: %v", tmpl.Subject, err)
	}
	c, err := smx509.ParseCertificate(der)
	if err != nil {
		tb.Fatalf("failed to parse %s: %v", tmpl.Subject, err)
	}
	return &issuedCert{Certificate: c.ToX509(), key: key}
}

func ecKey(tb testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

func p256(tb testing.TB) *ecdsa.PrivateKey { tb.Helper(); return ecKey(tb, elliptic.P256()) }

func smKey(tb testing.TB) *sm2.PrivateKey {
	tb.Helper()
	key, err := sm2.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// RSA keys are slow to make; one of each size serves all tests.
var rsaKeys sync.Map

func rsaKey(tb testing.TB, bits int) *rsa.PrivateKey {
	tb.Helper()
	once, _ := rsaKeys.LoadOrStore(bits, sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, bits) }))
	key, err := once.(func() (*rsa.PrivateKey, error))()
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

func certPEM(certs ...*issuedCert) []byte {
	var out bytes.Buffer
	for _, c := range certs {
		out.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	}
	return out.Bytes()
}

func blockPEM(label string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der})
}

func pkcs8PEM(tb testing.TB, key any) []byte {
	tb.Helper()
	der, err := smx509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	return blockPEM("PRIVATE KEY", der)
}

func sec1PEM(tb testing.TB, key crypto.Signer) []byte {
	tb.Helper()
	var der []byte
	var err error
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		der, err = x509.MarshalECPrivateKey(k)
	case *sm2.PrivateKey:
		der, err = smx509.MarshalSM2PrivateKey(k)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return blockPEM("EC PRIVATE KEY", der)
}

// hierarchy is a root, an intermediate and a leaf, all ECDSA.
type hierarchy struct{ root, inter, leaf *issuedCert }

func newHierarchy(tb testing.TB, leafKey crypto.Signer, edits ...func(*x509.Certificate)) hierarchy {
	tb.Helper()
	var h hierarchy
	h.root = issue(tb, authority("Test Root"), p256(tb), nil)
	h.inter = issue(tb, authority("Test Intermediate"), p256(tb), h.root)
	h.leaf = issue(tb, template("www.example.com", edits...), leafKey, h.inter)
	return h
}

type data = map[string][]byte

func tlsData(crt, key []byte) data { return data{"tls.crt": crt, "tls.key": key} }

func secretOf(d data) *corev1.Secret {
	s := &corev1.Secret{Data: d}
	s.Namespace, s.Name = "shop", "web-tls"
	return s
}

func load(d data) (*Bundle, error) {
	return Load(secretOf(d), Options{Type: TLS, Now: testNow})
}

func mustLoad(tb testing.TB, d data) *Bundle {
	tb.Helper()
	b, err := load(d)
	if err != nil {
		tb.Fatalf("Load: %v", err)
	}
	return b
}

// chainOf parses uploaded PEM back, with the standard library's decoder.
func chainOf(tb testing.TB, text string) []*x509.Certificate {
	tb.Helper()
	var chain []*x509.Certificate
	rest := []byte(text)
	for len(rest) > 0 {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			tb.Fatalf("uploaded PEM has trailing text: %q", rest)
		}
		c, err := smx509.ParseCertificate(b.Bytes)
		if err != nil {
			tb.Fatal(err)
		}
		chain = append(chain, c.ToX509())
	}
	return chain
}

func names(chain []*x509.Certificate) []string {
	var out []string
	for _, c := range chain {
		out = append(out, c.Subject.CommonName)
	}
	return out
}

func reasons(b *Bundle) []string {
	var out []string
	for _, w := range b.Warnings {
		out = append(out, w.Reason)
	}
	slices.Sort(out)
	return out
}

// smallestFirst orders certificates by the digest that breaks ties.
func smallestFirst(certs ...*issuedCert) []*issuedCert {
	return slices.SortedFunc(slices.Values(certs), func(a, b *issuedCert) int {
		x, y := sha256.Sum256(a.Raw), sha256.Sum256(b.Raw)
		return bytes.Compare(x[:], y[:])
	})
}

func sha256Of(b []byte) [32]byte { return sha256.Sum256(b) }

// keyTraces returns the spellings of a private key that no output may hold.
func keyTraces(key crypto.Signer) map[string]string {
	var d []byte
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		d, _ = k.Bytes()
	case *sm2.PrivateKey:
		d = k.D.Bytes()
	case *rsa.PrivateKey:
		d = k.D.Bytes()
	}
	der, _ := smx509.MarshalPKCS8PrivateKey(key)
	return map[string]string{
		"raw bytes":         string(d),
		"hexadecimal":       hex.EncodeToString(d),
		"upper hexadecimal": strings.ToUpper(hex.EncodeToString(d)),
		"a decimal number":  new(big.Int).SetBytes(d).String(),
		"base64 of PKCS#8":  base64.StdEncoding.EncodeToString(der)[48:96],
		"base64 of SEC1":    base64.StdEncoding.EncodeToString(der[26:])[16:56],
		"bytes as %v":       strings.Trim(fmt.Sprintf("%v", d), "[]"),
		"a PEM line":        "-----BEGIN",
	}
}

// leak returns a stretch of a value that a text repeats; empty if there is none.
// Twenty characters of base64 in a row are in no message, and in every key.
func leak(text string, d data) string {
	const width = 20
	for _, value := range d {
		for _, word := range strings.FieldsFunc(string(value), func(r rune) bool {
			return r != '+' && r != '/' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
		}) {
			for i := 0; i+width <= len(word); i++ {
				if strings.Contains(text, word[i:i+width]) {
					return word[i : i+width]
				}
			}
		}
	}
	return ""
}
