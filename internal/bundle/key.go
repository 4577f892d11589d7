// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
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

// matches says whether the key is the one of this certificate.
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

// readPrivateKey finds the one private key under a key of the Secret. Blocks
// that openssl and combined files put beside it are ignored.
func (l *loader) readPrivateKey(key string) (*privateKey, *Error) {
	b, err := l.readKeyBlock(key)
	if err != nil {
		return nil, err
	}
	return l.parsePrivateKey(key, b)
}

func (l *loader) readKeyBlock(key string) (block, *Error) {
	blocks, err := l.readBlocks(key)
	if err != nil {
		return block{}, err
	}
	var keys []block
	for _, b := range blocks {
		if !isBystander(b.label) {
			keys = append(keys, b)
		}
	}
	switch len(keys) {
	case 1:
		return keys[0], nil
	case 0:
		return block{}, l.invalid(key, "holds no private key", "store the private key as PEM under it, or name another key in spec.keys")
	default:
		return block{}, l.invalid(key, fmt.Sprintf("holds %d private keys", len(keys)), "keep the one that belongs to the certificate")
	}
}

// isBystander says whether a block is known to stand beside private keys:
// openssl writes parameters before the key, combined files hold certificates.
func isBystander(label string) bool {
	return strings.HasSuffix(label, "CERTIFICATE") || strings.HasSuffix(label, " PARAMETERS") || label == "PUBLIC KEY"
}

// readBlocks returns the PEM blocks of a value, at least one.
func (l *loader) readBlocks(key string) ([]block, *Error) {
	value := l.secret.Data[key]
	if isUTF16(value) {
		return nil, l.invalid(key, "holds UTF-16 text, or other NUL bytes", "save the whole file as UTF-8 or ASCII; > and >> of PowerShell write UTF-16")
	}
	blocks, err := pemBlocks(value)
	if err != nil {
		return nil, l.invalid(key, "is damaged PEM ("+err.Error()+")", "store the file again, whole and unchanged")
	}
	if len(blocks) == 0 {
		found := recognise(value)
		return nil, l.invalid(key, found.problem, found.fix)
	}
	return blocks, nil
}

func (l *loader) parsePrivateKey(key string, b block) (*privateKey, *Error) {
	if found, bad := explainKey(b); bad {
		return nil, l.invalid(key, found.problem, found.fix)
	}
	signer, ok := parseSigner(b.der)
	if !ok {
		// The parser's own words are left out: they are about secret bytes.
		return nil, l.invalid(key, "is no private key that can be read", "store an RSA, ECDSA (P-256, P-384, P-521) or SM2 key with a named curve, as openssl pkey writes it")
	}
	return l.encodeKey(key, signer)
}

// explainKey recognises keys that no parser here opens.
func explainKey(b block) (finding, bool) {
	algorithm, isPKCS8 := keyAlgorithm(b.der)
	switch {
	case b.encrypted, b.label == "ENCRYPTED PRIVATE KEY":
		return finding{"is encrypted", fixEncrypted}, true
	case len(b.der) > maxKeyBytes:
		return finding{fmt.Sprintf("is larger than %d bytes", maxKeyBytes), fmt.Sprintf("use RSA with at most %d bits, or ECDSA", maxRSABits)}, true
	case b.label == "OPENSSH PRIVATE KEY":
		return finding{"is an OpenSSH key", "convert it with ssh-keygen -p -m PEM"}, true
	case b.label == "DSA PRIVATE KEY", isPKCS8 && algorithm.Equal(oidDSA):
		return finding{"is a DSA key, which TLS no longer knows", "issue the certificate with an RSA or ECDSA key"}, true
	case isPKCS8 && algorithm.Equal(oidRSAPSS):
		return finding{"is an RSA-PSS key", "issue the certificate with a plain RSA or an ECDSA key"}, true
	case b.label == "CERTIFICATE REQUEST", b.label == "NEW CERTIFICATE REQUEST":
		return finding{"holds a certificate request", "store the private key"}, true
	}
	if hasContentType(b.der, oidSMEnvelopedData, oidSMSignedEnvelope) {
		return finding{"is a PKCS#7 envelope (GM/T 0010)", "open it with the tool of the CA and store the SM2 key, or its GM/T 0009 envelope"}, true
	}
	if isEnveloped(b.der) {
		return findingEnveloped, true
	}
	return finding{}, false
}

// parseSigner tries every encoding whatever the label says, as openssl and
// crypto/tls do: labels are often wrong.
func parseSigner(der []byte) (crypto.Signer, bool) {
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
	return nil, false
}

// encodeKey gives a key the encoding that CAS is known to take: PKCS#1 for RSA
// and SEC1 for EC [src]. Ed25519 has no encoding but PKCS#8.
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
		return nil, l.invalid(key, "is of an algorithm that servers do not know", "issue the certificate with an RSA or ECDSA key")
	}
	return &privateKey{signer: signer, pem: string(pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der}))}, nil
}

const (
	labelCertificate = "CERTIFICATE"
	labelECKey       = "EC PRIVATE KEY"
)

// judgeKey decides on the strength and the kind of a TLS key.
func (l *loader) judgeKey(key string, private *privateKey) *Error {
	switch k := private.signer.(type) {
	case *rsa.PrivateKey:
		bits := k.N.BitLen()
		if bits < minRSABits {
			return l.invalid(key, fmt.Sprintf("is an RSA key of %d bits", bits), fmt.Sprintf("issue the certificate with at least %d bits", soundRSABits))
		}
		if bits < soundRSABits {
			l.warn(WarnWeakKey, key, fmt.Sprintf("is an RSA key of %d bits: browsers refuse it; use at least %d", bits, soundRSABits))
		}
	case *ecdsa.PrivateKey:
		if k.Curve == elliptic.P224() {
			l.warn(WarnUnusualKey, key, "is an ECDSA key on P-224: TLS 1.3 and browsers refuse it; use P-256")
		}
	case ed25519.PrivateKey:
		l.warn(WarnUnusualKey, key, "is an Ed25519 key: browsers refuse it and the cloud is not known to serve it; use ECDSA P-256")
	}
	return nil
}

// isPrivateLabel says whether a PEM label announces a private key.
func isPrivateLabel(label string) bool { return strings.HasSuffix(label, "PRIVATE KEY") }
