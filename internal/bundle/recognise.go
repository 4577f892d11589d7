// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"bytes"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"slices"
)

// What tells the ASN.1 containers apart that users put into Secrets.
var (
	oidData             = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidSignedData       = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidSMSignedData     = asn1.ObjectIdentifier{1, 2, 156, 10197, 6, 1, 4, 2, 2}
	oidSMEnvelopedData  = asn1.ObjectIdentifier{1, 2, 156, 10197, 6, 1, 4, 2, 3}
	oidSMSignedEnvelope = asn1.ObjectIdentifier{1, 2, 156, 10197, 6, 1, 4, 2, 4}
	oidDSA              = asn1.ObjectIdentifier{1, 2, 840, 10040, 4, 1}
	oidRSAPSS           = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}
)

// finding is a recognised mistake: what it is, and how to mend it.
type finding struct{ problem, fix string }

const (
	fixPEM       = "store PEM, beginning with -----BEGIN"
	fixPKCS12    = "convert it with openssl pkcs12 -nodes and store certificate and key as PEM; a cert-manager keystore belongs to another key of the Secret"
	fixPKCS7     = "convert it with openssl pkcs7 -print_certs"
	fixEncrypted = "decrypt it with openssl pkey -in FILE -out plain.key"
)

// recognise explains a value in which no PEM block was found.
func recognise(value []byte) finding {
	trimmed := bytes.TrimSpace(value)
	switch {
	case bytes.HasPrefix(value, []byte{0xfe, 0xed, 0xfe, 0xed}), bytes.HasPrefix(value, []byte{0xce, 0xce, 0xce, 0xce}):
		return finding{"is a Java keystore (JKS), not PEM", "export it with keytool -importkeystore -deststoretype pkcs12, then convert it with openssl pkcs12 -nodes"}
	case bytes.HasPrefix(value, []byte{0xff, 0xfe}), bytes.HasPrefix(value, []byte{0xfe, 0xff}):
		return finding{"is UTF-16 text", "save it as UTF-8 or ASCII"}
	case bytes.HasPrefix(trimmed, []byte("LS0tLS1CRUdJTi")): // base64 of "-----BEGIN"
		return finding{"is base64 of PEM: it was encoded twice", "encode it once, or use stringData"}
	case len(value) > 0 && value[0] == 0x30:
		return recogniseDER(value)
	}
	if der, err := base64.StdEncoding.DecodeString(string(bytes.Join(bytes.Fields(trimmed), nil))); err == nil && len(der) > 0 && der[0] == 0x30 {
		return finding{"is base64 without its PEM lines", "add the -----BEGIN and -----END lines"}
	}
	return finding{"holds no PEM block", fixPEM}
}

func recogniseDER(der []byte) finding {
	var pfx struct {
		Version int
		Content contentInfo
		Rest    asn1.RawValue `asn1:"optional"`
	}
	if _, err := asn1.Unmarshal(der, &pfx); err == nil && pfx.Version == 3 && (pfx.Content.Type.Equal(oidData) || pfx.Content.Type.Equal(oidSignedData)) {
		return finding{"is a PKCS#12 keystore, not PEM", fixPKCS12}
	}
	if hasContentType(der, oidSignedData, oidSMSignedData) {
		return finding{"is PKCS#7, not PEM certificates", fixPKCS7 + " -inform der"}
	}
	if isEnveloped(der) {
		return finding{"is an enveloped SM2 key", "it belongs to the encryption key of type SM"}
	}
	return finding{"is DER, not PEM", "convert it with openssl x509 -inform der (a key: openssl pkey -inform der)"}
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

// keyAlgorithm returns the algorithm that a PKCS#8 key names.
func keyAlgorithm(der []byte) (asn1.ObjectIdentifier, bool) {
	var outer struct {
		Version   int
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.RawValue
		Rest      asn1.RawValue `asn1:"optional"`
	}
	_, err := asn1.Unmarshal(der, &outer)
	return outer.Algorithm.Algorithm, err == nil
}
