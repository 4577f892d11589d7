// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

// Package bundletest makes the certificates, keys and Secrets that tests feed to
// cloudcert, and the table of docs/certificates.md. It knows nothing of package
// bundle: it states what is documented, not what the code does.
package bundletest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"sync"
	"testing"
	"time"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"
)

// Clock is the moment that certificates are made for.
type Clock time.Time

// In returns the moment a time from now.
func (at Clock) In(d time.Duration) time.Time { return time.Time(at).Add(d) }

// Cert is a certificate with its key.
type Cert struct {
	*x509.Certificate
	Key crypto.Signer
}

// Template returns a certificate for a server; edits change it.
func (at Clock) Template(name string, edits ...func(*x509.Certificate)) *x509.Certificate {
	c := &x509.Certificate{
		SerialNumber:          big.NewInt(0x1001),
		Subject:               pkix.Name{CommonName: name},
		DNSNames:              []string{name},
		NotBefore:             at.In(-24 * time.Hour),
		NotAfter:              at.In(90 * 24 * time.Hour),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	for _, edit := range edits {
		edit(c)
	}
	return c
}

// CA returns a certificate for a CA; edits change it.
func (at Clock) CA(name string, edits ...func(*x509.Certificate)) *x509.Certificate {
	return at.Template(name, append([]func(*x509.Certificate){func(c *x509.Certificate) {
		c.SerialNumber = big.NewInt(0x2002)
		c.IsCA, c.DNSNames, c.ExtKeyUsage = true, nil, nil
		c.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	}}, edits...)...)
}

// Issue signs a certificate for key; a nil parent makes it self-signed.
func Issue(tb testing.TB, template *x509.Certificate, key crypto.Signer, parent *Cert) *Cert {
	tb.Helper()
	return issueFor(tb, template, key.Public(), key, parent)
}

func issueFor(tb testing.TB, template *x509.Certificate, public any, key crypto.Signer, parent *Cert) *Cert {
	tb.Helper()
	signer, parentCert := key, template
	if parent != nil {
		signer, parentCert = parent.Key, parent.Certificate
	}
	create := x509.CreateCertificate
	if _, ok := signer.(*sm2.PrivateKey); ok {
		create = func(r io.Reader, t, p *x509.Certificate, pub, priv any) ([]byte, error) {
			return smx509.CreateCertificate(r, t, p, pub, priv)
		}
	}
	der, err := create(rand.Reader, template, parentCert, public, signer)
	if err != nil {
		tb.Fatalf("failed to issue %s: %v", template.Subject, err)
	}
	c, err := smx509.ParseCertificate(der)
	if err != nil {
		tb.Fatalf("failed to parse %s: %v", template.Subject, err)
	}
	return &Cert{Certificate: c.ToX509(), Key: key}
}

// ECKey makes a key on a curve.
func ECKey(tb testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// P256 makes a key on P-256.
func P256(tb testing.TB) *ecdsa.PrivateKey { tb.Helper(); return ECKey(tb, elliptic.P256()) }

// SMKey makes an SM2 key.
func SMKey(tb testing.TB) *sm2.PrivateKey {
	tb.Helper()
	key, err := sm2.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// RSA keys are slow to make; one of each size serves all tests.
var rsaKeys sync.Map

// RSAKey returns the key of a size.
func RSAKey(tb testing.TB, bits int) *rsa.PrivateKey {
	tb.Helper()
	once, _ := rsaKeys.LoadOrStore(bits, sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, bits) }))
	key, err := once.(func() (*rsa.PrivateKey, error))()
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// CertPEM encodes certificates.
func CertPEM(certs ...*Cert) []byte {
	var out bytes.Buffer
	for _, c := range certs {
		out.Write(BlockPEM("CERTIFICATE", c.Raw))
	}
	return out.Bytes()
}

// BlockPEM encodes one block.
func BlockPEM(label string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der})
}

// PKCS8PEM encodes a key of any kind.
func PKCS8PEM(tb testing.TB, key any) []byte {
	tb.Helper()
	der, err := smx509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	return BlockPEM("PRIVATE KEY", der)
}

// SEC1PEM encodes an ECDSA or SM2 key.
func SEC1PEM(tb testing.TB, key crypto.Signer) []byte {
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
	return BlockPEM("EC PRIVATE KEY", der)
}

// DEROf is what the first block of a text holds.
func DEROf(text []byte) []byte { b, _ := pem.Decode(text); return b.Bytes }

// MustMarshal encodes a value as DER.
func MustMarshal(v any) []byte {
	der, err := asn1.Marshal(v)
	if err != nil {
		panic(err)
	}
	return der
}

// Container is a ContentInfo of PKCS#7 without sense.
func Container(oid asn1.ObjectIdentifier) []byte {
	return MustMarshal(struct {
		Type    asn1.ObjectIdentifier
		Content []byte `asn1:"explicit,tag:0"`
	}{oid, []byte("content")})
}

// Hierarchy is a root, an intermediate and a leaf.
type Hierarchy struct{ Root, Inter, Leaf *Cert }

// Hierarchy makes one whose leaf has the key; edits change the leaf.
func (at Clock) Hierarchy(tb testing.TB, leafKey crypto.Signer, edits ...func(*x509.Certificate)) Hierarchy {
	tb.Helper()
	var h Hierarchy
	h.Root = Issue(tb, at.CA("Test Root"), P256(tb), nil)
	h.Inter = Issue(tb, at.CA("Test Intermediate"), P256(tb), h.Root)
	h.Leaf = Issue(tb, at.Template("www.example.com", edits...), leafKey, h.Inter)
	return h
}

// CrossSigned makes a leaf whose intermediate was signed by two roots.
func (at Clock) CrossSigned(tb testing.TB) (leaf, a, b *Cert) {
	tb.Helper()
	key := P256(tb)
	a = Issue(tb, at.CA("Test Intermediate"), key, Issue(tb, at.CA("Root A"), P256(tb), nil))
	b = Issue(tb, at.CA("Test Intermediate"), key, Issue(tb, at.CA("Root B"), P256(tb), nil))
	return Issue(tb, at.Template("www.example.com"), P256(tb), a), a, b
}

// LongChain makes n certificates, the leaf first.
func (at Clock) LongChain(tb testing.TB, n int) (*Cert, []*Cert) {
	tb.Helper()
	var parent *Cert
	chain := make([]*Cert, n)
	for i := n - 1; i > 0; i-- {
		chain[i] = Issue(tb, at.CA(fmt.Sprintf("CA %d", i)), P256(tb), parent)
		parent = chain[i]
	}
	chain[0] = Issue(tb, at.Template("www.example.com"), P256(tb), parent)
	return chain[0], chain
}

// ManyNames makes DNS names.
func ManyNames(n int) []string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf("host-%05d.example.com", i))
	}
	return out
}

// Data is the data of a Secret.
type Data = map[string][]byte

// TLSData is a Secret's data under the default keys of type TLS.
func TLSData(crt, key []byte) Data { return Data{"tls.crt": crt, "tls.key": key} }

// SMData is a Secret's data under the default keys of type SM.
func SMData(signCrt, signKey, encCrt, encKey []byte) Data {
	return Data{"sign.crt": signCrt, "sign.key": signKey, "enc.crt": encCrt, "enc.key": encKey}
}

// Simple is a leaf and its intermediate with the key, which edits change.
func (at Clock) Simple(edits ...func(*x509.Certificate)) func(testing.TB) Data {
	return func(tb testing.TB) Data {
		h := at.Hierarchy(tb, P256(tb), edits...)
		return TLSData(CertPEM(h.Leaf, h.Inter), SEC1PEM(tb, h.Leaf.Key))
	}
}
