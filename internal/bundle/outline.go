// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"time"

	"github.com/emmansun/gmsm/smx509"
)

var oidCommonName = asn1.ObjectIdentifier{2, 5, 4, 3}

// outlineOf reads of a certificate what places it in a chain: names, serial
// number, validity and, where it can be read and is not too large, the public key.
// It takes what parsers refuse in the values of names and extensions, and reports
// whether the DER has the structure of a certificate.
func outlineOf(der []byte) (*x509.Certificate, bool) {
	var c struct {
		TBS struct {
			Raw          asn1.RawContent
			Version      int `asn1:"optional,explicit,default:0,tag:0"`
			SerialNumber *big.Int
			Algorithm    asn1.RawValue
			Issuer       asn1.RawValue
			Validity     struct{ NotBefore, NotAfter time.Time }
			Subject      asn1.RawValue
			PublicKey    asn1.RawValue
		}
		Algorithm asn1.RawValue
		Signature asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &c); err != nil {
		return nil, false
	}
	t := c.TBS
	public, _ := smx509.ParsePKIXPublicKey(t.PublicKey.FullBytes) // nil matches no key
	if rsaBits(public) > maxRSABits {
		public = nil // so that no signature is checked with it
	}
	return &x509.Certificate{
		Raw: der, RawTBSCertificate: t.Raw, Signature: c.Signature.RightAlign(),
		RawIssuer: t.Issuer.FullBytes, RawSubject: t.Subject.FullBytes,
		Subject:                 pkix.Name{CommonName: commonNameOf(t.Subject.FullBytes)},
		RawSubjectPublicKeyInfo: t.PublicKey.FullBytes, PublicKey: public,
		SerialNumber: t.SerialNumber, NotBefore: t.Validity.NotBefore, NotAfter: t.Validity.NotAfter,
	}, true
}

// commonNameOf reads a common name whatever its string type and characters.
func commonNameOf(name []byte) string {
	var rdns []asn1.RawValue
	if _, err := asn1.Unmarshal(name, &rdns); err != nil {
		return ""
	}
	for _, rdn := range rdns {
		var attribute struct {
			Type  asn1.ObjectIdentifier
			Value asn1.RawValue
		}
		if _, err := asn1.Unmarshal(rdn.Bytes, &attribute); err == nil && attribute.Type.Equal(oidCommonName) {
			return string(attribute.Value.Bytes)
		}
	}
	return ""
}
