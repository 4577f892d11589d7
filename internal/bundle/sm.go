// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"slices"
	"time"

	"github.com/emmansun/gmsm/sm2"
)

// half is one of the two pairs of an SM bundle.
type half struct {
	crt, key string // keys of the Secret
	certs    []*certificate
	private  *privateKey
	path     []*certificate
}

func (h *half) leaf() *certificate { return h.path[0] }

// loadSM loads a sign and an encryption pair (GM/T 0015, GM/T 0024).
func (l *loader) loadSM() (*Bundle, *Error) {
	sign := &half{crt: l.keys.SignCertificate, key: l.keys.SignPrivateKey}
	enc := &half{crt: l.keys.EncryptCertificate, key: l.keys.EncryptPrivateKey}
	if err := l.requirePresent(sign.crt, sign.key, enc.crt, enc.key); err != nil {
		return nil, err
	}
	if err := l.readHalves(sign, enc); err != nil {
		return nil, err
	}
	if err := l.findSwapped(sign, enc); err != nil {
		return nil, err
	}
	for _, h := range []*half{sign, enc} {
		var err *Error
		if h.path, err = l.buildChain(h.crt, h.key, h.certs, h.private, smScheme); err != nil {
			return nil, err
		}
	}
	if err := l.judgeSM(sign, enc); err != nil {
		return nil, err
	}
	return &Bundle{
		Type: SM,
		Material: Material{
			SignCertificate: encodeChain(sign.path), SignPrivateKey: sign.private.pem,
			EncryptCertificate: encodeChain(enc.path), EncryptPrivateKey: enc.private.pem,
		},
		Hash:              contentHash(SM, sign.path, enc.path),
		LeafSHA256:        sign.leaf().sum,
		EncryptLeafSHA256: enc.leaf().sum,
		ValidUntil:        slices.MinFunc([]time.Time{sign.leaf().NotAfter, enc.leaf().NotAfter}, time.Time.Compare).UTC(),
		Facts:             factsOf(sign.leaf()),
	}, nil
}

func (l *loader) readHalves(sign, enc *half) *Error {
	var err *Error
	for _, h := range []*half{sign, enc} {
		if h.certs, err = l.readCertificates(h.crt, smScheme); err != nil {
			return err
		}
		if !containsSM2(h.certs) {
			return l.invalid(h.crt, "is no SM2 certificate", "set spec.type to TLS, or store the SM2 certificate")
		}
	}
	if sign.private, err = l.readPrivateKey(sign.key); err != nil {
		return err
	}
	signKey, ok := sign.private.signer.(*sm2.PrivateKey)
	if !ok {
		return l.invalid(sign.key, "is no SM2 key", "set spec.type to TLS, or store the SM2 key of "+printable(sign.crt, maxQuoted))
	}
	if enc.private, err = l.readEncryptKey(enc.key, sign.key, signKey); err != nil {
		return err
	}
	if !enc.private.isSM2() {
		return l.invalid(enc.key, "is no SM2 key", "store the SM2 key of "+printable(enc.crt, maxQuoted))
	}
	return nil
}

func containsSM2(certs []*certificate) bool {
	return slices.ContainsFunc(certs, func(c *certificate) bool { return sm2.IsSM2PublicKey(c.PublicKey) })
}

// findSwapped names the commonest mistake with two pairs before the checks that
// would only say that something does not match.
func (l *loader) findSwapped(sign, enc *half) *Error {
	if !sign.matches(enc) || !enc.matches(sign) {
		return nil
	}
	if sign.matches(sign) || enc.matches(enc) {
		return nil // one key for both: nothing is swapped
	}
	what, fix := sign.key+" and "+enc.key, "exchange the two keys"
	if c := enc.certOf(sign.private); c != nil && fitsSigning(c) && !fitsEncryption(c) {
		what, fix = sign.crt+" and "+enc.crt, "exchange the two certificates"
	}
	return l.invalid("", printable(what, 2*maxQuoted)+" are swapped", fix)
}

// matches says whether the key of h is the one of a certificate in other.
func (h *half) matches(other *half) bool { return other.certOf(h.private) != nil }

func (h *half) certOf(k *privateKey) *certificate {
	for _, c := range h.certs {
		if k.matches(c) {
			return c
		}
	}
	return nil
}

// judgeSM decides whether two proven pairs belong together and may be served.
func (l *loader) judgeSM(sign, enc *half) *Error {
	if err := l.judgeSMUsage(sign, enc); err != nil {
		return err
	}
	if sign.leaf().sum == enc.leaf().sum {
		l.warn(WarnSameCertificate, enc.crt, "is the sign certificate as well: servers that follow GM/T 0024 need two")
	}
	if !sameName(sign.leaf().Subject, enc.leaf().Subject) {
		return l.invalid(enc.crt, "has the subject "+quote(enc.leaf().Subject.String())+", but "+printable(sign.crt, maxQuoted)+" has "+quote(sign.leaf().Subject.String()), "store two certificates that were issued as a pair")
	}
	if !sameName(sign.leaf().Issuer, enc.leaf().Issuer) {
		return l.invalid(enc.crt, "was issued by "+quote(enc.leaf().Issuer.String())+", but "+printable(sign.crt, maxQuoted)+" by "+quote(sign.leaf().Issuer.String()), "store two certificates that were issued as a pair")
	}
	for _, h := range []*half{sign, enc} {
		if err := l.judgeValidity(h.crt, h.leaf()); err != nil {
			return err
		}
		if err := l.judgeAuthority(h.crt, h.leaf(), smScheme); err != nil {
			return err
		}
		l.warnChain(h.crt, h.path)
	}
	if !hasSubjectAltName(sign.leaf().Certificate) {
		l.warn(WarnNoSubjectAltName, sign.crt, "has no subject alternative name: clients may ignore the common name; issue it with DNS names")
	}
	return nil
}

func (l *loader) judgeSMUsage(sign, enc *half) *Error {
	s, e := sign.leaf(), enc.leaf()
	if s.KeyUsage != 0 && e.KeyUsage != 0 && !fitsSigning(s) && !fitsEncryption(e) {
		return l.invalid("", printable(sign.crt+" and "+enc.crt, 2*maxQuoted)+" are swapped, and so are their keys", "exchange the sign pair and the encryption pair")
	}
	for _, h := range []*half{sign, enc} {
		if h.leaf().KeyUsage == 0 {
			l.warn(WarnKeyUsage, h.crt, "has no key usage: servers that follow GM/T 0024 may refuse it")
		}
	}
	if s.KeyUsage != 0 && !fitsSigning(s) {
		return l.invalid(sign.crt, "lacks the key usage digital signature", "store the sign certificate of the pair")
	}
	if e.KeyUsage != 0 && !fitsEncryption(e) {
		return l.invalid(enc.crt, "lacks the key usages key encipherment, data encipherment and key agreement", "store the encryption certificate of the pair")
	}
	return nil
}

func fitsSigning(c *certificate) bool { return c.KeyUsage&x509.KeyUsageDigitalSignature != 0 }

func fitsEncryption(c *certificate) bool {
	return c.KeyUsage&(x509.KeyUsageKeyEncipherment|x509.KeyUsageDataEncipherment|x509.KeyUsageKeyAgreement) != 0
}

// sameName compares what names say, not how they are encoded: CAs have issued
// the halves of a pair with different string types.
func sameName(a, b pkix.Name) bool { return a.String() == b.String() }
