// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"crypto/x509/pkix"
	"encoding/asn1"
)

var (
	oidRSA         = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	oidECPublicKey = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}
)

// algorithms and curves are the names of those that openssl makes keys of, and that no
// browser takes. Others are named by their number.
var (
	algorithms = map[string]string{
		"1.2.840.113549.1.3.1": "DH",
		"1.3.101.110":          "X25519",
		"1.3.101.111":          "X448",
		"1.3.101.113":          "Ed448",
	}
	curves = map[string]string{
		"1.2.840.10045.3.1.1":   "prime192v1",
		"1.3.36.3.3.2.8.1.1.7":  "brainpoolP256r1",
		"1.3.36.3.3.2.8.1.1.11": "brainpoolP384r1",
		"1.3.36.3.3.2.8.1.1.13": "brainpoolP512r1",
		"1.3.132.0.10":          "secp256k1",
	}
	// readableCurves are P-224, P-256, P-384, P-521 and SM2.
	readableCurves = map[string]bool{
		"1.3.132.0.33": true, "1.2.840.10045.3.1.7": true, "1.3.132.0.34": true, "1.3.132.0.35": true, "1.2.156.10197.1.301": true,
	}
)

// explainUnreadable says of a key that no parser reads what its structure shows. The
// parser's own words are left out: they are about secret bytes.
func (l *loader) explainUnreadable(der []byte) finding {
	switch numbers, isRSA := parseRSA(der); {
	case isRSA && l.as == SM:
		return finding{"is no SM2 key", "set spec.type to TLS, or store the SM2 key"}
	case isRSA:
		return explainRSA(numbers)
	}
	algorithm, parameters, ok := structureOf(der)
	if !ok {
		return finding{"is no private key that can be read", "store " + l.goodKey() + ", as openssl pkey writes it"}
	}
	return l.explainAlgorithm(algorithm, parameters)
}

// explainAlgorithm says why a private or public key cannot be read, by its algorithm
// and the parameters of that.
func (l *loader) explainAlgorithm(algorithm asn1.ObjectIdentifier, parameters []byte) finding {
	reissue := "issue the certificate with " + l.goodKey()
	again := "store the key again from where it was made, whole and unchanged"
	switch {
	case algorithm.Equal(oidRSA):
		return finding{"is a damaged RSA key", again}
	case algorithm.Equal(oidRSAPSS):
		return finding{"is an RSA-PSS key", reissue}
	case !algorithm.Equal(oidECPublicKey):
		return finding{"is a key of the algorithm " + nameOf(algorithm, algorithms) + ", which browsers do not take from servers", reissue}
	}
	var curve asn1.ObjectIdentifier
	switch _, err := asn1.Unmarshal(parameters, &curve); {
	case len(parameters) == 0:
		return finding{"is an EC key that does not name its curve", "write it again with openssl pkey, from where it was made"}
	case err != nil:
		return finding{"is an EC key with explicit parameters in place of the name of its curve", "issue the certificate with a key on a named curve (openssl: -pkeyopt ec_param_enc:named_curve)"}
	case readableCurves[curve.String()]:
		return finding{"is a damaged EC key", again}
	}
	return finding{"is an EC key on the curve " + nameOf(curve, curves) + ", which browsers do not know", reissue + l.onCurve()}
}

// explainPublicKey does the same for a certificate whose public key is not known.
func (l *loader) explainPublicKey(c *certificate) finding {
	var public struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	_, err := asn1.Unmarshal(c.RawSubjectPublicKeyInfo, &public)
	algorithm := public.Algorithm.Algorithm
	if c.flaw != nil && (err != nil || algorithm.Equal(oidRSA)) {
		return *c.flaw
	}
	found := l.explainAlgorithm(algorithm, public.Algorithm.Parameters.FullBytes)
	return finding{"whose key " + found.problem, found.fix}
}

func (l *loader) onCurve() string {
	if l.as == SM {
		return ""
	}
	return " on P-256"
}

// structureOf reads the algorithm of a private key in PKCS#8 or SEC1 and, for the
// latter, the parameters of its curve.
func structureOf(der []byte) (algorithm asn1.ObjectIdentifier, parameters []byte, ok bool) {
	var pkcs8 struct {
		Version   int
		Algorithm pkix.AlgorithmIdentifier
		Key       []byte
		Rest      asn1.RawValue `asn1:"optional"`
	}
	if _, err := asn1.Unmarshal(der, &pkcs8); err == nil {
		parameters := pkcs8.Algorithm.Parameters.FullBytes
		if len(parameters) == 0 && pkcs8.Algorithm.Algorithm.Equal(oidECPublicKey) {
			_, parameters, _ = structureOf(pkcs8.Key)
		}
		return pkcs8.Algorithm.Algorithm, parameters, true
	}
	var sec1 struct {
		Version    int
		Key        []byte
		Parameters asn1.RawValue  `asn1:"optional,tag:0"`
		Public     asn1.BitString `asn1:"optional,explicit,tag:1"`
	}
	_, err := asn1.Unmarshal(der, &sec1)
	return oidECPublicKey, sec1.Parameters.Bytes, err == nil && sec1.Version == 1
}

func nameOf(oid asn1.ObjectIdentifier, names map[string]string) string {
	number := oid.String()
	if name, ok := names[number]; ok {
		return name
	}
	return printable(number, maxQuoted)
}
