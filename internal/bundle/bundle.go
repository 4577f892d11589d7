// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

// Package bundle turns a Secret into a validated certificate bundle: TLS
// certificates and SM (GM/T, SM2) pairs. It is pure: it reads what it is given,
// never the clock, the network or a disk.
//
// What is accepted, accepted with a warning and refused stands in
// docs/certificates.md; a test ties every row of it to this code.
package bundle

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Type is the kind of a bundle, as in spec.type.
type Type string

const (
	// TLS is one certificate chain with an RSA, ECDSA or Ed25519 key.
	TLS Type = "TLS"
	// SM is a sign and an encryption certificate (GM/T 0024) with SM2 keys.
	SM Type = "SM"
)

// Keys names the keys of the Secret that hold the parts of the bundle. An empty
// field stands for its default.
type Keys struct {
	Certificate        string // tls.crt
	PrivateKey         string // tls.key
	SignCertificate    string // sign.crt
	SignPrivateKey     string // sign.key
	EncryptCertificate string // enc.crt
	EncryptPrivateKey  string // enc.key
}

func (k Keys) withDefaults() Keys {
	for field, fallback := range map[*string]string{
		&k.Certificate:        corev1.TLSCertKey,
		&k.PrivateKey:         corev1.TLSPrivateKeyKey,
		&k.SignCertificate:    "sign.crt",
		&k.SignPrivateKey:     "sign.key",
		&k.EncryptCertificate: "enc.crt",
		&k.EncryptPrivateKey:  "enc.key",
	} {
		if *field == "" {
			*field = fallback
		}
	}
	return k
}

func (k Keys) all() []string {
	return []string{k.Certificate, k.PrivateKey, k.SignCertificate, k.SignPrivateKey, k.EncryptCertificate, k.EncryptPrivateKey}
}

// Options says how a Secret is to be read.
type Options struct {
	// Type of the bundle; empty means TLS.
	Type Type
	// Keys of the Secret.
	Keys Keys
	// Now is the moment at which validity is judged. It is required.
	Now time.Time
}

// Bundle is a validated certificate with its private key, ready for the upload.
type Bundle struct {
	Type Type
	// Material is the PEM that is uploaded. It redacts itself.
	Material Material
	// Hash identifies the content; see Hash.
	Hash Hash
	// LeafSHA256 is the digest of the leaf's DER; for SM of the signing certificate.
	LeafSHA256 [32]byte
	// EncryptLeafSHA256 is the digest of the encryption certificate's DER; zero for TLS.
	EncryptLeafSHA256 [32]byte
	// ValidUntil is the earliest notAfter of the leaves: after it Load refuses the
	// same Secret. For SM it may be earlier than that of Facts.
	ValidUntil time.Time
	// Facts describe the leaf; for SM the signing certificate.
	Facts Facts
	// Warnings say what was accepted although the user should know of it.
	Warnings []Warning
}

// Load validates what the Secret holds. It returns a bundle or an *Error, never
// both. Equal certificates give an equal Hash in whatever order and dress the
// Secret holds them.
func Load(secret *corev1.Secret, opts Options) (*Bundle, error) {
	l := &loader{secret: secret, as: cmp.Or(opts.Type, TLS), keys: opts.Keys.withDefaults(), now: opts.Now}
	var b *Bundle
	var err *Error
	switch l.as {
	case TLS:
		b, err = l.loadTLS()
	case SM:
		b, err = l.loadSM()
	default:
		err = l.invalid("", fmt.Sprintf("cannot be read as type %s", quote(string(l.as))), "set spec.type to TLS or SM")
	}
	if err != nil {
		return nil, err // not returned as it is: a nil *Error in an error is not nil
	}
	b.Warnings = l.warnings
	return b, nil
}

// loader carries what all steps of one Load share.
type loader struct {
	secret   *corev1.Secret
	as       Type
	keys     Keys
	now      time.Time
	warnings []Warning
}

// loadTLS proves the key before it judges anything else: no verdict about a
// certificate counts while it is not known to be the one that is meant.
func (l *loader) loadTLS() (*Bundle, *Error) {
	p := &pair{crt: l.keys.Certificate, key: l.keys.PrivateKey}
	if err := l.requirePresent(p.crt, p.key); err != nil {
		return nil, err
	}
	if err := l.readTLS(p); err != nil {
		return nil, err
	}
	if err := l.buildChain(p); err != nil {
		return nil, err
	}
	if err := l.judgeTLS(p); err != nil {
		return nil, err
	}
	return &Bundle{
		Type:       TLS,
		Material:   Material{Certificate: encodeChain(p.path), PrivateKey: p.private.pem},
		Hash:       contentHash(TLS, p.path),
		LeafSHA256: p.leaf().sum,
		ValidUntil: p.leaf().NotAfter.UTC(),
		Facts:      factsOf(p.leaf()),
	}, nil
}

func (l *loader) readTLS(p *pair) *Error {
	const fixType = "set spec.type to SM and give a sign and an encryption pair"
	var err *Error
	if p.certs, err = l.readCertificates(p.crt); err != nil {
		return err
	}
	if !slices.ContainsFunc(p.certs, func(c *certificate) bool { return !isSM2(c) }) {
		return l.invalid(p.crt, "is an SM2 certificate", fixType)
	}
	if p.private, err = l.readPrivateKey(p.key); err != nil {
		return err
	}
	if p.private.isSM2() {
		return l.invalid(p.key, "is an SM2 key", fixType)
	}
	return nil
}

// judgeTLS decides whether a proven chain is fit to be served.
func (l *loader) judgeTLS(p *pair) *Error {
	leaf := p.leaf()
	if isTemporary(leaf.Certificate) {
		return &Error{
			Kind: KindPending, Secret: l.secret.Name, Key: p.crt,
			Problem: "is the temporary certificate of cert-manager",
			Fix:     "wait for the issuer to sign the real one",
		}
	}
	if err := l.refusePrecertificate(p.crt, leaf); err != nil {
		return err
	}
	if err := l.judgeValidity(p.crt, leaf); err != nil {
		return err
	}
	if err := l.judgeKey(p.key, p.private); err != nil {
		return err
	}
	if err := l.judgeAuthority(p); err != nil {
		return err
	}
	l.warnUsage(p.crt, leaf)
	l.warnChain(p)
	l.warnStrictParsers(p.crt, p.path)
	return nil
}

// isTemporary recognises the placeholder that cert-manager writes under the
// annotation cert-manager.io/issue-temporary-certificate. It passes every other
// check, so that servers can start with it, and must never be uploaded.
func isTemporary(leaf *x509.Certificate) bool {
	return leaf.Issuer.CommonName == "cert-manager.local" && leaf.Subject.SerialNumber == "1234567890"
}
