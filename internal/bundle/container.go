// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"bytes"
	"encoding/asn1"
	"encoding/binary"
	"slices"
)

// What tells the ASN.1 containers apart that users put into Secrets.
var (
	oidData             = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidSignedData       = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidSMSignedData     = asn1.ObjectIdentifier{1, 2, 156, 10197, 6, 1, 4, 2, 2}
	oidSMEnvelopedData  = asn1.ObjectIdentifier{1, 2, 156, 10197, 6, 1, 4, 2, 3}
	oidSMSignedEnvelope = asn1.ObjectIdentifier{1, 2, 156, 10197, 6, 1, 4, 2, 4}
	oidSMData           = asn1.ObjectIdentifier{1, 2, 156, 10197, 6, 1, 4, 2, 1}
	oidSM4              = asn1.ObjectIdentifier{1, 2, 156, 10197, 1, 104}
	oidSM4ECB           = asn1.ObjectIdentifier{1, 2, 156, 10197, 1, 104, 1}
	oidHMACWithSM3      = asn1.ObjectIdentifier{1, 2, 156, 10197, 1, 401, 2}
	oidDSA              = asn1.ObjectIdentifier{1, 2, 840, 10040, 4, 1}
	oidPKCS5            = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5}
	oidPKCS12PBE        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 1}
	oidRSAPSS           = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}
)

// isDER reports whether a value begins as the DER of certificates, keys and their
// containers does, or is a short one as a whole.
func isDER(value []byte) bool {
	if len(value) < 2 || value[0] != 0x30 {
		return false
	}
	return int(value[1]) == len(value)-2 || value[1] > 0x80 && beginsDER(value)
}

// recogniseContainer names the binary formats that hold a certificate or a key
// within something else. PEM lines would not help them.
func recogniseContainer(value []byte) (finding, bool) {
	switch {
	case bytes.HasPrefix(value, []byte{0xfe, 0xed, 0xfe, 0xed}), bytes.HasPrefix(value, []byte{0xce, 0xce, 0xce, 0xce}):
		return finding{"is a Java keystore (JKS)", "export it with keytool -importkeystore -deststoretype pkcs12, then convert it with openssl pkcs12 -nodes"}, true
	case bytes.HasPrefix(value, []byte{0x1f, 0x8b, 8}):
		return finding{"is compressed (gzip)", "decompress it with gunzip"}, true
	case isPKCS12(value):
		return finding{"is a PKCS#12 keystore", fixPKCS12}, true
	case hasContentType(value, oidSignedData, oidSMSignedData):
		return finding{"is PKCS#7", fixPKCS7 + " -inform der"}, true
	case isEnveloped(value):
		return findingEnveloped, true
	}
	return recogniseSMContainer(value)
}

// recogniseSMContainer names the formats of Chinese CAs and devices from which only
// their own tools take a key.
func recogniseSMContainer(value []byte) (finding, bool) {
	switch {
	case isCFCA(value):
		return finding{"is a keystore of CFCA (a .sm2 file)", "take the SM2 key out of it with the tool of CFCA and store it as PEM"}, true
	case isSKFBlob(value):
		return finding{"is an ENVELOPEDKEYBLOB of SKF (GM/T 0016)", "have the CA's tool write it as an envelope of GM/T 0009, or store the SM2 key as PEM"}, true
	}
	return finding{}, false
}

func isPKCS12(der []byte) bool {
	var pfx struct {
		Version int
		Content contentInfo
		Rest    asn1.RawValue `asn1:"optional"`
	}
	_, err := asn1.Unmarshal(der, &pfx)
	return err == nil && pfx.Version == 3 && (pfx.Content.Type.Equal(oidData) || pfx.Content.Type.Equal(oidSignedData))
}

// isCFCA reports whether DER is version 1 of CFCA's keystore: an encrypted key and
// a certificate, each as data of GM/T 0010.
func isCFCA(der []byte) bool {
	var keystore struct {
		Version          int
		Key, Certificate struct {
			Type asn1.ObjectIdentifier
			Rest asn1.RawValue
		}
	}
	_, err := asn1.Unmarshal(der, &keystore)
	return err == nil && keystore.Key.Type.Equal(oidSMData) && keystore.Certificate.Type.Equal(oidSMData)
}

// isSKFBlob reports whether a value is ENVELOPEDKEYBLOB of GM/T 0016, a structure
// in the C language: version 1, the block cipher in ECB mode, the size of the key,
// then keys and a cipher text of fixed sizes.
func isSKFBlob(value []byte) bool {
	const sizeWithoutCipherText = 3*4 + 64 + (4 + 2*64) + (2*64 + 32 + 4)
	if len(value) < sizeWithoutCipherText {
		return false
	}
	version, cipher, bits := binary.LittleEndian.Uint32(value), binary.LittleEndian.Uint32(value[4:]), binary.LittleEndian.Uint32(value[8:])
	return version == 1 && cipher&^0xf00 == 1 && bits == 256
}

type contentInfo struct {
	Type    asn1.ObjectIdentifier
	Content asn1.RawValue `asn1:"optional,explicit,tag:0"`
}

// hasContentType reports whether a PKCS#7 message is of one of the given types.
func hasContentType(der []byte, of ...asn1.ObjectIdentifier) bool {
	var info contentInfo
	if _, err := asn1.Unmarshal(der, &info); err != nil {
		return false
	}
	return slices.ContainsFunc(of, info.Type.Equal)
}
