// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"bytes"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/sm4"
)

// readEncryptKey reads the encryption key, which the CA makes and hands over in
// an envelope for the signing key (GM/T 0009): as PEM under any label, as DER, or as
// base64 or hexadecimal of it, which may stand behind a name.
func (l *loader) readEncryptKey(key, signKeyName string, signKey *sm2.PrivateKey) (*privateKey, *Error) {
	envelope, ok := findEnvelope(l.secret.Data[key])
	if !ok {
		return l.readPrivateKey(key)
	}
	opened, err := openEnvelope(signKey, envelope)
	if err != nil {
		err := l.invalid(key, "is an enveloped key that "+printable(signKeyName, maxQuoted)+" does not open", "store the envelope that the CA made for this signing key")
		err.Kind = KindMismatch
		return nil, err
	}
	return l.encodeKey(key, opened)
}

func findEnvelope(value []byte) ([]byte, bool) {
	blocks, err := pemBlocks(value)
	if err != nil || len(blocks) > maxBlocks {
		return nil, false
	}
	for _, b := range blocks {
		if isEnveloped(b.der) {
			return b.der, true
		}
	}
	if u, ok := undress(value); ok {
		blocks = dersOf(u.core)
	}
	if len(blocks) == 0 || !isEnveloped(blocks[0].der) {
		return nil, false
	}
	return blocks[0].der, true
}

// envelopedKey is SM2EnvelopedKey of GM/T 0009 and GB/T 35276.
type envelopedKey struct {
	Algorithm  pkix.AlgorithmIdentifier
	WrappedKey asn1.RawValue
	PublicKey  asn1.BitString
	PrivateKey asn1.BitString
}

func isEnveloped(der []byte) bool {
	if len(der) > maxKeyBytes {
		return false
	}
	var e envelopedKey
	rest, err := asn1.Unmarshal(der, &e)
	// The cipher works on blocks of 16 bytes and panics on anything else.
	return err == nil && len(rest) == 0 && e.WrappedKey.Tag == asn1.TagSequence &&
		e.PrivateKey.BitLength > 0 && e.PrivateKey.BitLength%128 == 0
}

const sm2KeyBytes = 32

var errEnvelope = errors.New("envelope cannot be opened")

// openEnvelope decrypts an enveloped key and proves it by its public key. The
// package sm2 has the same, but not for keys with zeros before them: the
// structures of GM/T 0016, from which many envelopes are made, have room for 64
// bytes.
func openEnvelope(signKey *sm2.PrivateKey, der []byte) (*sm2.PrivateKey, error) {
	var e envelopedKey
	if _, err := asn1.Unmarshal(der, &e); err != nil {
		return nil, err
	}
	if !e.Algorithm.Algorithm.Equal(oidSM4) && !e.Algorithm.Algorithm.Equal(oidSM4ECB) {
		return nil, errEnvelope
	}
	wrapped, err := sm2.Decrypt(signKey, e.WrappedKey.FullBytes)
	if err != nil {
		return nil, err
	}
	block, err := sm4.NewCipher(wrapped)
	if err != nil {
		return nil, err
	}
	plain := e.PrivateKey.RightAlign()
	for i := 0; i < len(plain); i += sm4.BlockSize {
		block.Decrypt(plain[i:], plain[i:])
	}
	zeros := len(plain) - sm2KeyBytes
	if zeros < 0 || !bytes.Equal(plain[:zeros], make([]byte, zeros)) {
		return nil, errEnvelope
	}
	key, err := sm2.NewPrivateKey(plain[zeros:])
	if err != nil {
		return nil, err
	}
	if public, err := sm2.NewPublicKey(e.PublicKey.RightAlign()); err != nil || !key.PublicKey.Equal(public) {
		return nil, errEnvelope
	}
	return key, nil
}
