// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package testbed

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"
)

// SMCA issues pairs of SM2 certificates (GM/T) for tests. Its key lives in memory only.
type SMCA struct {
	certificate *smx509.Certificate
	key         *sm2.PrivateKey
}

// NewSMCA makes a certification authority.
func NewSMCA(name string) (*SMCA, error) {
	key, err := sm2.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := smx509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	certificate, err := smx509.ParseCertificate(der)
	return &SMCA{certificate: certificate, key: key}, err
}

// Issue makes a pair for a DNS name: a certificate to sign and one to encrypt, of
// one subject.
func (ca *SMCA) Issue(validFor time.Duration, name string) (sign, encrypt Pair, err error) {
	if sign, err = ca.issue(validFor, name, x509.KeyUsageDigitalSignature); err != nil {
		return sign, encrypt, err
	}
	encrypt, err = ca.issue(validFor, name, x509.KeyUsageKeyEncipherment|x509.KeyUsageDataEncipherment)
	return sign, encrypt, err
}

func (ca *SMCA) issue(validFor time.Duration, name string, usage x509.KeyUsage) (Pair, error) {
	key, err := sm2.GenerateKey(rand.Reader)
	if err != nil {
		return Pair{}, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 100))
	if err != nil {
		return Pair{}, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(validFor), KeyUsage: usage,
	}
	der, err := smx509.CreateCertificate(rand.Reader, template, ca.certificate.ToX509(), key.Public(), ca.key)
	if err != nil {
		return Pair{}, fmt.Errorf("failed to issue an SM2 certificate for %s: %w", name, err)
	}
	keyDER, err := smx509.MarshalSM2PrivateKey(key)
	if err != nil {
		return Pair{}, err
	}
	return Pair{
		Certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		PrivateKey:  pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}),
	}, nil
}
