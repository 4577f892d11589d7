// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundletest

import (
	"crypto/rand"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"testing"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/sm4"
)

var (
	oidSMData      = asn1.ObjectIdentifier{1, 2, 156, 10197, 6, 1, 4, 2, 1}
	oidSM4         = asn1.ObjectIdentifier{1, 2, 156, 10197, 1, 104}
	oidSM4ECB      = asn1.ObjectIdentifier{1, 2, 156, 10197, 1, 104, 1}
	oidPBES2       = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidHMACWithSM3 = asn1.ObjectIdentifier{1, 2, 156, 10197, 1, 401, 2}
)

// smKeyRows are keys that users of SM stacks have reported, in the containers of
// their CAs and devices.
func (at Clock) smKeyRows() []Row {
	return []Row{
		{Shape: "an enveloped key of 64 bytes, half of them zeros", Want: Accepted, Note: "opened with the signing key, as SEC1", Data: at.changed(func(tb testing.TB, p Pair, d Data) {
			d["enc.key"] = inBase64(p.wideEnvelope(tb))
		})},
		{Shape: "a keystore of CFCA (`.sm2`)", Want: Refused, Data: at.changed(func(_ testing.TB, p Pair, d Data) { d["sign.key"] = inBase64(cfcaKeystore(p.Sign)) })},
		{Shape: "a keystore of CFCA between PEM lines", Want: Refused, Data: at.changed(func(_ testing.TB, p Pair, d Data) {
			d["sign.key"] = BlockPEM("SM2 PRIVATE KEY", cfcaKeystore(p.Sign))
		})},
		{Shape: "ENVELOPEDKEYBLOB of SKF (GM/T 0016)", Want: Refused, Data: at.changed(func(_ testing.TB, _ Pair, d Data) { d["enc.key"] = inBase64(skfBlob()) })},
		{Shape: "encrypted by GmSSL or Tongsuo (HMAC-SM3 and SM4)", Want: Refused, Data: at.changed(func(_ testing.TB, _ Pair, d Data) {
			d["sign.key"] = BlockPEM("ENCRYPTED PRIVATE KEY", encryptedKey(oidHMACWithSM3))
		})},
		{Shape: "the same in DER, base64 or hexadecimal", Want: Refused, Data: at.changed(func(_ testing.TB, _ Pair, d Data) { d["sign.key"] = inBase64(encryptedKey(oidHMACWithSM3)) })},
		{Shape: "an enveloped encryption key in hexadecimal, or behind a name (`EncKey=`)", Want: Accepted, Note: "opened with the signing key, as SEC1", Data: at.changed(func(tb testing.TB, p Pair, d Data) {
			d["enc.key"] = append([]byte("EncKey="), inHex(p.Envelope(tb))...)
		})},
		{Shape: "an enveloped encryption key in base64 between lines of text, or in JSON", Want: Accepted, Note: "opened with the signing key, as SEC1", Data: at.changed(func(tb testing.TB, p Pair, d Data) {
			d["enc.key"] = []byte("-- key --\n" + string(inBase64(p.Envelope(tb))) + "\n-- end of the key --\n")
		})},
		{Shape: "ENVELOPEDKEYBLOB of SKF in hexadecimal", Want: Refused, Data: at.changed(func(_ testing.TB, _ Pair, d Data) { d["enc.key"] = inHex(skfBlob()) })},
		{Shape: "ENVELOPEDKEYBLOB of SKF in base64 behind text", Want: Refused, Data: at.changed(func(_ testing.TB, _ Pair, d Data) { d["enc.key"] = append([]byte("key:\n"), inBase64(skfBlob())...) })},
		{Shape: "a PKCS#7 envelope (GM/T 0010) in base64", Want: Refused, Data: at.changed(func(_ testing.TB, _ Pair, d Data) { d["enc.key"] = inBase64(Container(oidSMSignedEnvelope)) })},
		{Shape: "an RSA-PSS key", Want: Refused, Data: at.changed(func(_ testing.TB, _ Pair, d Data) { d["sign.key"] = BlockPEM("PRIVATE KEY", pkcs8With(oidRSAPSS)) })},
		{Shape: "a DSA key", Want: Refused, Data: at.changed(func(_ testing.TB, _ Pair, d Data) { d["sign.key"] = BlockPEM("PRIVATE KEY", pkcs8With(oidDSA)) })},
		{Shape: "a key that cannot be read", Want: Refused, Data: at.changed(func(_ testing.TB, _ Pair, d Data) { d["sign.key"] = BlockPEM("PRIVATE KEY", []byte("no key")) })},
	}
}

// wideEnvelope has room for a key of 64 bytes, as the structures of GM/T 0016 do.
func (p Pair) wideEnvelope(tb testing.TB) []byte {
	tb.Helper()
	sign, key := p.Sign.Key.(*sm2.PrivateKey), p.Enc.Key.(*sm2.PrivateKey)
	secret := make([]byte, 16)
	_, _ = rand.Read(secret)
	wrapped, err := sm2.EncryptASN1(rand.Reader, &sign.PublicKey, secret)
	if err != nil {
		tb.Fatal(err)
	}
	cipher, err := sm4.NewCipher(secret)
	if err != nil {
		tb.Fatal(err)
	}
	wide := key.D.FillBytes(make([]byte, 64))
	for i := 0; i < len(wide); i += sm4.BlockSize {
		cipher.Encrypt(wide[i:], wide[i:])
	}
	point := append([]byte{4}, key.X.FillBytes(make([]byte, 32))...)
	point = append(point, key.Y.FillBytes(make([]byte, 32))...)
	return MustMarshal(struct {
		Algorithm          pkix.AlgorithmIdentifier
		WrappedKey         asn1.RawValue
		PublicKey, Private asn1.BitString
	}{pkix.AlgorithmIdentifier{Algorithm: oidSM4ECB}, asn1.RawValue{FullBytes: wrapped}, bitString(point), bitString(wide)})
}

func cfcaKeystore(c *Cert) []byte {
	type content struct {
		Type, Algorithm asn1.ObjectIdentifier
		Key             []byte
	}
	type certificate struct {
		Type asn1.ObjectIdentifier
		DER  []byte
	}
	return MustMarshal(struct {
		Version     int
		Key         content
		Certificate certificate
	}{1, content{oidSMData, oidSM4, make([]byte, 48)}, certificate{oidSMData, c.Raw}})
}

// encryptedKey is a key in PKCS#8, encrypted by a scheme, without sense.
func encryptedKey(scheme asn1.ObjectIdentifier) []byte {
	return MustMarshal(struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       []byte
	}{pkix.AlgorithmIdentifier{Algorithm: scheme}, []byte("encrypted")})
}

func skfBlob() []byte {
	blob := make([]byte, 388)
	binary.LittleEndian.PutUint32(blob, 1)         // Version
	binary.LittleEndian.PutUint32(blob[4:], 0x401) // SGD_SM4_ECB
	binary.LittleEndian.PutUint32(blob[8:], 256)   // bits of the key
	return blob
}

func bitString(b []byte) asn1.BitString { return asn1.BitString{Bytes: b, BitLength: 8 * len(b)} }
