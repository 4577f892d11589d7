// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package testbed

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	mathrand "math/rand/v2"
	"time"
)

// CA issues certificates for tests and the demo. Its keys live in memory only.
type CA struct {
	certificate *x509.Certificate
	key         crypto.Signer
	random      io.Reader // of keys and serial numbers
}

// Pair is a certificate chain and its private key, both PEM.
type Pair struct {
	Certificate, PrivateKey []byte
}

// NewCA makes a certification authority.
func NewCA(name string) (*CA, error) { return newCA(name, rand.Reader) }

// NewSeededCA makes an authority which issues the same keys and certificates whenever it has the same seed
// and the clock says the same: what it issues protects nothing.
func NewSeededCA(name string, seed uint64) (*CA, error) {
	return newCA(name, mathrand.NewChaCha8([32]byte(binary.BigEndian.AppendUint64(make([]byte, 24), seed))))
}

func newCA(name string, random io.Reader) (*CA, error) {
	key, err := newKey(random)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	// Without randomness a signature is that of RFC 6979.
	der, err := x509.CreateCertificate(nil, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	return &CA{certificate: certificate, key: key, random: random}, err
}

// newKey makes a key out of random bytes; ecdsa.GenerateKey draws from a secure source whatever it is given.
func newKey(random io.Reader) (*ecdsa.PrivateKey, error) {
	scalar := make([]byte, 32)
	if _, err := io.ReadFull(random, scalar); err != nil {
		return nil, err
	}
	scalar[0] &= 0x7f // less than the order of the curve
	return ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar)
}

// PEM is the authority's own certificate.
func (ca *CA) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.certificate.Raw})
}

// Issue makes a certificate for DNS names that is valid for a time from an hour
// ago; change may alter the template.
func (ca *CA) Issue(validFor time.Duration, change func(*x509.Certificate), names ...string) (Pair, error) {
	key, err := newKey(ca.random)
	if err != nil {
		return Pair{}, err
	}
	serial, err := rand.Int(ca.random, new(big.Int).Lsh(big.NewInt(1), 100))
	if err != nil {
		return Pair{}, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(validFor),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if len(names) > 0 {
		template.Subject.CommonName = names[0]
	}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(nil, template, ca.certificate, key.Public(), ca.key)
	if err != nil {
		return Pair{}, fmt.Errorf("failed to issue a certificate for %v: %w", names, err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return Pair{}, err
	}
	return Pair{
		Certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		PrivateKey:  pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}),
	}, nil
}
