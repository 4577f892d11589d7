// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"
)

// secret is embedded by what holds key material, so that fmt shows none of it.
type secret struct{}

// Format implements fmt.Formatter.
func (secret) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// privateKey is a parsed private key and its canonical PEM.
type privateKey struct {
	secret
	signer crypto.Signer
	pem    string
}

func (k *privateKey) isSM2() bool {
	_, ok := k.signer.(*sm2.PrivateKey)
	return ok
}

// equal reports whether two keys are the same, whatever encoding they came in.
func (k *privateKey) equal(other *privateKey) bool { return k.pem == other.pem }

// matches reports whether the key is the one of this certificate.
func (k *privateKey) matches(c *certificate) bool {
	public, ok := k.signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(c.PublicKey)
}

const (
	// maxKeyBytes bounds the DER of a private key: RSA with 8192 bits takes 4.7 KiB.
	maxKeyBytes = 8 << 10
	// maxRSABits bounds the time that a signature takes. Go's TLS client refuses more.
	maxRSABits = 8192
	// minRSABits: no TLS library of today accepts less.
	minRSABits = 1024
	// soundRSABits is what the CA/Browser Forum asks for since 2014.
	soundRSABits = 2048
)

// readPrivateKey finds the one private key under a key of the Secret. What stands
// beside it is no private key and is not counted; a key that stands there twice,
// in whatever encoding, is one.
func (l *loader) readPrivateKey(key string) (*privateKey, *Error) {
	blocks, err := l.readBlocks(key)
	if err != nil {
		return nil, err
	}
	keys := keyBlocks(blocks)
	if len(keys) == 0 {
		return nil, l.explainNoKey(key, blocks)
	}
	if len(keys) == 1 {
		return l.parsePrivateKey(key, keys[0])
	}
	return l.parseEqualKeys(key, keys)
}

// parseEqualKeys reads a private key that stands there several times.
func (l *loader) parseEqualKeys(key string, blocks []block) (*privateKey, *Error) {
	const fix = "keep the one that belongs to the certificate"
	if len(blocks) > maxKeyEncodings {
		return nil, l.invalid(key, fmt.Sprintf("holds more than %d private keys", maxKeyEncodings), fix)
	}
	var keys []*privateKey
	for _, b := range blocks {
		k, err := l.parsePrivateKey(key, b)
		if err != nil {
			return nil, l.invalid(key, fmt.Sprintf("holds %d private keys, of which not all can be compared", len(blocks)), fix)
		}
		keys = append(keys, k)
	}
	if slices.ContainsFunc(keys, func(k *privateKey) bool { return !k.equal(keys[0]) }) {
		return nil, l.invalid(key, fmt.Sprintf("holds %d different private keys", len(keys)), fix)
	}
	return keys[0], nil
}

// maxKeyEncodings bounds the work for one key that stands there several times.
const maxKeyEncodings = 4

// keyBlocks returns what is a private key under whatever label, or was meant to be
// one, each once. It stops at one more than are compared.
func keyBlocks(blocks []block) []block {
	seen := map[string]bool{}
	var keys []block
	for _, b := range blocks {
		if seen[string(b.der)] || !b.isPrivateKey() {
			continue
		}
		seen[string(b.der)] = true
		if keys = append(keys, b); len(keys) > maxKeyEncodings {
			break
		}
	}
	return keys
}

// isPrivateKey reports whether a block is a private key, or is labelled as one and is
// no certificate.
func (b block) isPrivateKey() bool {
	if isPrivateKey(b.der) {
		return true
	}
	_, isCertificate := outlineOf(b.der)
	return isPrivateLabel(b.label) && !isCertificate
}

// isPrivateKey reports whether DER is a private key, plain or in an envelope. The
// numbers of RSA are not validated for that: there may be thousands of blocks.
func isPrivateKey(der []byte) bool {
	if len(der) > maxKeyBytes {
		return false
	}
	if _, ok := parseRSA(der); ok {
		return true
	}
	_, ok := parseSigner(der)
	return ok || isEnveloped(der) || isSMEnvelope(der)
}

func (l *loader) explainNoKey(key string, blocks []block) *Error {
	if slices.ContainsFunc(blocks, func(b block) bool { return isRequestLabel(b.label) }) {
		return l.invalid(key, "holds a certificate request", "store the private key")
	}
	return l.invalid(key, "holds no private key", "store the private key as PEM under it, or name another key in spec.keys")
}

// isBystander reports whether a label is known to stand beside private keys:
// openssl writes parameters before the key, tools keep the request and the public
// key with it, combined files hold certificates.
func isBystander(label string) bool {
	return strings.HasSuffix(label, "CERTIFICATE") || strings.HasSuffix(label, "PARAMETERS") ||
		strings.HasSuffix(label, "PUBLIC KEY") || strings.HasSuffix(label, "CRL") || isRequestLabel(label)
}

func isRequestLabel(label string) bool { return strings.HasSuffix(label, "CERTIFICATE REQUEST") }

// isPrivateLabel reports whether a PEM label announces a private key.
func isPrivateLabel(label string) bool { return strings.HasSuffix(label, "PRIVATE KEY") }

func (l *loader) parsePrivateKey(key string, b block) (*privateKey, *Error) {
	if found, bad := l.explainKey(b); bad {
		return nil, l.invalid(key, found.problem, found.fix)
	}
	signer, ok := parseSigner(b.der)
	if !ok {
		found := l.explainUnreadable(b.der)
		return nil, l.invalid(key, found.problem, found.fix)
	}
	return l.encodeKey(key, signer)
}

// explainKey recognises keys that no parser here opens.
func (l *loader) explainKey(b block) (finding, bool) {
	algorithm, _, _ := structureOf(b.der)
	reissue := "issue the certificate with " + l.goodKey()
	switch {
	case isEncryptedWithSM3(b.der):
		return finding{"is encrypted with HMAC-SM3 (openssl cannot open that)", "decrypt it with the tool that wrote it, gmssl or tongsuo"}, true
	case b.encrypted, b.label == "ENCRYPTED PRIVATE KEY", isEncrypted(b.der):
		return finding{"is encrypted", fixEncrypted}, true
	case len(b.der) > maxKeyBytes:
		return finding{fmt.Sprintf("is larger than %d bytes", maxKeyBytes), l.fixLargeKey()}, true
	case largeRSA(b.der) > 0:
		return finding{fmt.Sprintf("is an RSA key of %d bits, the limit is %d", largeRSA(b.der), maxRSABits), l.fixLargeKey()}, true
	case b.label == "OPENSSH PRIVATE KEY":
		return finding{"is an OpenSSH key", "convert it with ssh-keygen -p -m PEM"}, true
	case b.label == "DSA PRIVATE KEY", algorithm.Equal(oidDSA):
		return finding{"is a DSA key, which TLS no longer knows", reissue}, true
	case algorithm.Equal(oidRSAPSS):
		return l.explainAlgorithm(algorithm, nil), true
	case isSMEnvelope(b.der):
		return finding{"is a PKCS#7 envelope (GM/T 0010)", "open it with the tool of the CA and store the SM2 key, or its GM/T 0009 envelope"}, true
	case isEnveloped(b.der):
		return findingEnveloped, true
	}
	return recogniseSMContainer(b.der)
}

func (l *loader) fixLargeKey() string {
	if l.as == SM {
		return "store the SM2 key alone, which takes less than 200 bytes"
	}
	return fmt.Sprintf("use RSA with at most %d bits, or ECDSA", maxRSABits)
}

func isSMEnvelope(der []byte) bool {
	return hasContentType(der, oidSMEnvelopedData, oidSMSignedEnvelope)
}

// isEncrypted reports whether DER is a private key that is encrypted with a password
// (PKCS#8), by the schemes of PKCS#5 or PKCS#12.
func isEncrypted(der []byte) bool {
	var key struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       []byte
	}
	_, err := asn1.Unmarshal(der, &key)
	scheme := key.Algorithm.Algorithm
	return err == nil && len(scheme) > len(oidPKCS5) && (oidPKCS5.Equal(scheme[:len(oidPKCS5)]) || oidPKCS12PBE.Equal(scheme[:len(oidPKCS12PBE)]))
}

// isEncryptedWithSM3 reports whether an encrypted PKCS#8 key names the pseudorandom
// function of GmSSL and Tongsuo, which openssl lacks.
func isEncryptedWithSM3(der []byte) bool {
	encoded, err := asn1.Marshal(oidHMACWithSM3)
	return err == nil && bytes.Contains(der[:min(len(der), maxKeyBytes)], encoded)
}

// parseSigner tries every encoding whatever the label says, as openssl and
// crypto/tls do: labels are often wrong. It bounds RSA before any parser validates it.
func parseSigner(der []byte) (crypto.Signer, bool) {
	numbers, isRSA := parseRSA(der)
	if isRSA && !numbers.isBounded() {
		return nil, false
	}
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, true
	}
	if key, err := smx509.ParsePKCS8PrivateKey(der); err == nil {
		signer, ok := key.(crypto.Signer)
		return signer, ok
	}
	if key, err := smx509.ParseTypedECPrivateKey(der); err == nil {
		signer, ok := key.(crypto.Signer)
		return signer, ok
	}
	if isRSA {
		key, err := numbers.mend()
		return key, err == nil
	}
	return nil, false
}

// encodeKey gives a key an encoding that CAS is known to take: PKCS#1 for RSA (F10),
// SEC1 for ECDSA (F10) and SM2 (F5). Whether CAS takes Ed25519 is unknown (F66); it has
// no encoding but PKCS#8.
func (l *loader) encodeKey(key string, signer crypto.Signer) (*privateKey, *Error) {
	label, der := "", []byte(nil)
	var err error
	switch k := signer.(type) {
	case *rsa.PrivateKey:
		label, der = "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(k)
	case *ecdsa.PrivateKey:
		label = labelECKey
		der, err = x509.MarshalECPrivateKey(k)
	case *sm2.PrivateKey:
		label = labelECKey
		der, err = smx509.MarshalSM2PrivateKey(k)
	case ed25519.PrivateKey:
		label = "PRIVATE KEY"
		der, err = x509.MarshalPKCS8PrivateKey(k)
	default:
		err = errors.ErrUnsupported
	}
	if err != nil {
		return nil, l.invalid(key, "is of an algorithm that servers do not know", "issue the certificate with "+l.goodKey())
	}
	return &privateKey{signer: signer, pem: string(pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der}))}, nil
}

const (
	labelCertificate = "CERTIFICATE"
	labelECKey       = "EC PRIVATE KEY"
)

// judgeKey decides on the strength and the kind of a TLS key.
func (l *loader) judgeKey(key string, private *privateKey) *Error {
	public := private.signer.Public()
	if bits := rsaBits(public); bits > 0 && bits < minRSABits {
		return l.invalid(key, fmt.Sprintf("is an RSA key of %d bits", bits), fmt.Sprintf("issue the certificate with at least %d bits", soundRSABits))
	}
	if reason, what := weaknessOf(public); reason != "" {
		l.warn(reason, key, "is "+what)
	}
	return nil
}

// weaknessOf says what keeps clients from a public key. Empty if nothing does.
func weaknessOf(public any) (reason, what string) {
	switch k := public.(type) {
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits < soundRSABits {
			return WarnWeakKey, fmt.Sprintf("an RSA key of %d bits: browsers refuse it; use at least %d", bits, soundRSABits)
		}
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P224():
			return WarnUnusualKey, "an ECDSA key on P-224: TLS 1.3 and browsers refuse it; use P-256"
		case elliptic.P521():
			return WarnUnusualKey, "an ECDSA key on P-521: most browsers refuse it; use P-256 or P-384"
		}
	case ed25519.PublicKey:
		return WarnUnusualKey, "an Ed25519 key: browsers refuse it and the cloud is not known to serve it; use ECDSA P-256"
	}
	return "", ""
}
