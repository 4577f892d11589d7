// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"encoding/hex"
	"time"
)

// Facts describe a certificate for status. Every string is bounded and valid
// UTF-8: certificates can hold neither, and status has to fit into etcd.
type Facts struct {
	// CommonName of the subject; may be empty.
	CommonName string
	// DNSNames are the first 100 DNS names, in the order of the certificate.
	DNSNames []string
	// DNSNamesTotal is how many DNS names the certificate has.
	DNSNamesTotal int
	// SerialNumber in lower-case hexadecimal, without leading zeros.
	SerialNumber string
	// Issuer is the distinguished name of the issuer (RFC 2253).
	Issuer string
	// NotBefore and NotAfter are the validity of the certificate, in UTC.
	NotBefore, NotAfter time.Time
	// FingerprintSHA256 is the digest of the DER in lower-case hexadecimal.
	FingerprintSHA256 string
}

const (
	maxDNSNames     = 100
	maxDNSName      = 253 // RFC 1035; a longer one resolves nowhere and is only counted
	maxCommonName   = 256
	maxIssuer       = 1024
	maxSerialDigits = 64 // RFC 5280 allows 40
)

func factsOf(leaf *certificate) Facts {
	f := Facts{
		CommonName:        truncate(leaf.Subject.CommonName, maxCommonName),
		DNSNamesTotal:     len(leaf.DNSNames),
		SerialNumber:      truncate(leaf.SerialNumber.Text(16), maxSerialDigits),
		Issuer:            truncate(leaf.Issuer.String(), maxIssuer),
		NotBefore:         leaf.NotBefore.UTC(),
		NotAfter:          leaf.NotAfter.UTC(),
		FingerprintSHA256: hex.EncodeToString(leaf.sum[:]),
	}
	for _, name := range leaf.DNSNames {
		if len(f.DNSNames) == maxDNSNames {
			break
		}
		if len(name) <= maxDNSName {
			f.DNSNames = append(f.DNSNames, name)
		}
	}
	return f
}
