// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import "encoding/asn1"

// caKey is where cert-manager and others store the certificate of the CA.
const caKey = "ca.crt"

// warnIssuerElsewhere tells of a chain that ends too early because its next
// certificate was stored under ca.crt. That key decides nothing, so what it holds
// may be anything.
func (l *loader) warnIssuerElsewhere(p *pair) {
	top := p.path[len(p.path)-1]
	if len(p.issuers[top]) > 0 {
		return // the rest of the chain is here, or it is a root
	}
	for _, c := range l.certificatesElsewhere() {
		if hasEmptySM2ID(c, top) {
			l.warn(WarnBrokenChain, p.crt, "holds "+describe(top)+", which "+describe(c)+" of ca.crt signed with an empty SM2 id: no client verifies it; "+fixEmptySM2ID)
			return
		}
	}
	if c := l.issuerElsewhere(top); c != nil {
		l.warn(WarnIssuerElsewhere, p.crt, "lacks "+describe(c)+", the issuer of "+describe(top)+", which stands in ca.crt: clients may not find it; append it to "+printable(p.crt, maxQuoted))
	}
}

// issuerElsewhere returns a certificate of ca.crt that issued another and is no root,
// nil if there is none.
func (l *loader) issuerElsewhere(child *certificate) *certificate {
	for _, c := range l.certificatesElsewhere() {
		if !issued(c, c, checkSignature) && issued(c, child, checkSignature) {
			return c
		}
	}
	return nil
}

// certificatesElsewhere reads what it can of ca.crt: PEM, DER, and either under any
// encoding.
func (l *loader) certificatesElsewhere() []*certificate {
	value := l.secret.Data[caKey]
	if len(value) > maxValueBytes {
		return nil
	}
	u, ok := undress(value)
	if !ok {
		return nil
	}
	blocks := dersOf(u.core)
	if holdsPEM(u.core) {
		blocks, _ = pemBlocks(u.core) // none where it is damaged
	}
	if len(blocks) > maxCertificates {
		return nil
	}
	var certs []*certificate
	for _, b := range blocks {
		if c, err := parseCertificate(b.der); err == nil {
			certs = append(certs, c)
		}
	}
	return certs
}

// dersOf takes DER apart that stands there one after the other.
func dersOf(value []byte) []block {
	var blocks []block
	for len(blocks) <= maxCertificates {
		var one asn1.RawValue
		rest, err := asn1.Unmarshal(value, &one)
		if err != nil {
			break
		}
		blocks, value = append(blocks, block{der: one.FullBytes}), rest
	}
	return blocks
}
