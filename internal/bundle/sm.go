// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"slices"
	"strings"
	"time"

	"github.com/emmansun/gmsm/sm2"
)

// loadSM loads a sign and an encryption pair (GM/T 0015, GM/T 0024).
func (l *loader) loadSM() (*Bundle, *Error) {
	sign := &pair{crt: l.keys.SignCertificate, key: l.keys.SignPrivateKey}
	enc := &pair{crt: l.keys.EncryptCertificate, key: l.keys.EncryptPrivateKey}
	if err := l.requirePresent(sign.crt, sign.key, enc.crt, enc.key); err != nil {
		return nil, err
	}
	if err := l.readSM(sign, enc); err != nil {
		return nil, err
	}
	if err := l.findSwapped(sign, enc); err != nil {
		return nil, err
	}
	if err := l.findMixed(sign, enc); err != nil {
		return nil, err
	}
	for _, p := range []*pair{sign, enc} {
		if err := l.buildChain(p); err != nil {
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

func (l *loader) readSM(sign, enc *pair) *Error {
	var err *Error
	for _, p := range []*pair{sign, enc} {
		if p.certs, err = l.readCertificates(p.crt); err != nil {
			return err
		}
		if !slices.ContainsFunc(p.certs, isSM2) {
			return l.invalid(p.crt, "is no SM2 certificate", "set spec.type to TLS, or store the SM2 certificate")
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

// findSwapped names the commonest mistake with two pairs before the checks that
// would only say that something does not match.
func (l *loader) findSwapped(sign, enc *pair) *Error {
	if !sign.matches(enc) || !enc.matches(sign) {
		return nil
	}
	if sign.matches(sign) || enc.matches(enc) {
		return nil // one key for both, or both certificates under one key: nothing is swapped
	}
	what, fix := sign.key+" and "+enc.key, "exchange the two keys"
	if c := enc.certOf(sign.private); c != nil && fitsSigning(c) && !fitsEncryption(c) {
		what, fix = sign.crt+" and "+enc.crt, "exchange the two certificates"
	}
	return l.invalid("", printable(what, 2*maxQuoted)+" are swapped", fix)
}

// findMixed refuses one file with both certificates, as some CAs deliver them.
func (l *loader) findMixed(sign, enc *pair) *Error {
	if sign.private.equal(enc.private) {
		return nil
	}
	if c := sign.certOf(enc.private); c != nil && sign.matches(sign) {
		return l.invalid(sign.crt, "holds the encryption certificate "+describe(c)+" beside the signing certificate", "keep the signing certificate with its chain there, and the encryption certificate in "+printable(enc.crt, maxQuoted))
	}
	if c := enc.certOf(sign.private); c != nil && enc.matches(enc) {
		return l.invalid(enc.crt, "holds the signing certificate "+describe(c)+" beside the encryption certificate", "keep the encryption certificate with its chain there, and the signing certificate in "+printable(sign.crt, maxQuoted))
	}
	return nil
}

// judgeSM decides whether two proven pairs belong together and may be served.
func (l *loader) judgeSM(sign, enc *pair) *Error {
	if err := l.judgeSMUsage(sign, enc); err != nil {
		return err
	}
	if err := l.judgeSMNames(sign, enc); err != nil {
		return err
	}
	for _, p := range []*pair{sign, enc} {
		if err := l.refusePrecertificate(p.crt, p.leaf()); err != nil {
			return err
		}
		if err := l.judgeValidity(p.crt, p.leaf()); err != nil {
			return err
		}
		if err := l.judgeAuthority(p); err != nil {
			return err
		}
		l.warnChain(p)
	}
	l.warnHosts(sign.crt, sign.leaf())
	return nil
}

// judgeSMNames decides whether two certificates are a pair. Their subjects may
// differ: the recipes of Tongsuo and TASSL put "sign" and "enc" into them. Some CAs
// give alternative names to one of the two only; the other is then known by its
// common name.
func (l *loader) judgeSMNames(sign, enc *pair) *Error {
	const fix = "store two certificates that were issued as a pair"
	s, e := sign.leaf(), enc.leaf()
	if s.sum == e.sum {
		l.warn(WarnSameCertificate, enc.crt, "is the signing certificate as well: servers that follow GM/T 0024 need two")
		return nil
	}
	if !sameName(s.Issuer, e.Issuer) {
		return l.invalid(enc.crt, "was issued by "+quote(e.Issuer.String())+", but "+printable(sign.crt, maxQuoted)+" by "+quote(s.Issuer.String()), fix)
	}
	ours, theirs := hostsOf(s), hostsOf(e)
	both := len(ours) > 0 && len(theirs) > 0
	if both && !slices.Equal(ours, theirs) {
		return l.invalid(enc.crt, "has the hosts "+quote(strings.Join(theirs, ", "))+", but "+printable(sign.crt, maxQuoted)+" has "+quote(strings.Join(ours, ", ")), fix)
	}
	if !both && (isNamedAmong(s, theirs) || isNamedAmong(e, ours)) {
		return nil
	}
	if !sameName(s.Subject, e.Subject) {
		l.warn(WarnDifferentSubjects, enc.crt, "has the subject "+quote(e.Subject.String())+", but "+printable(sign.crt, maxQuoted)+" has "+quote(s.Subject.String())+": make sure that they were issued as a pair")
	}
	return nil
}

func (l *loader) judgeSMUsage(sign, enc *pair) *Error {
	s, e := sign.leaf(), enc.leaf()
	if s.KeyUsage != 0 && e.KeyUsage != 0 && !fitsSigning(s) && !fitsEncryption(e) {
		return l.invalid("", printable(sign.crt+" and "+enc.crt, 2*maxQuoted)+" are swapped, and so are their keys", "exchange the sign pair and the encryption pair")
	}
	for _, p := range []*pair{sign, enc} {
		if p.leaf().KeyUsage == 0 {
			l.warn(WarnKeyUsage, p.crt, "has no key usage: servers that follow GM/T 0024 may refuse it")
		}
	}
	if s.KeyUsage != 0 && !fitsSigning(s) {
		return l.invalid(sign.crt, "lacks the key usage digital signature", "store the signing certificate of the pair")
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
// the two of a pair with different string types.
func sameName(a, b pkix.Name) bool { return a.String() == b.String() }
