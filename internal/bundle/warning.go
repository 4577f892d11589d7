// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"slices"
	"strings"
)

// Warning is something that was accepted although the user should know of it.
type Warning struct {
	// Reason is one of the Warn constants.
	Reason string
	// Message names the Secret's keys and what to do.
	Message string
}

// Reasons of warnings. Each stands for something that some clients or the cloud
// may refuse, but that is not known to fail for all.
const (
	// WarnAlternativesDropped: cross-signing gives several paths; one is uploaded.
	WarnAlternativesDropped = "AlternativesDropped"
	// WarnAuthority: the self-signed leaf calls itself a CA.
	WarnAuthority = "AuthorityCertificate"
	// WarnBrokenChain: clients refuse the chain for the rights of an issuer, or do not
	// find one.
	WarnBrokenChain = "BrokenChain"
	// WarnCriticalExtension: a certificate has a critical extension that clients do
	// not know.
	WarnCriticalExtension = "CriticalExtension"
	// WarnDifferentSubjects: the certificates of an SM pair have different subjects.
	WarnDifferentSubjects = "DifferentSubjects"
	// WarnForeignContent: PEM blocks that are no certificates stand among them.
	WarnForeignContent = "ForeignContent"
	// WarnIntermediateEndsFirst: an intermediate expires before the leaf.
	WarnIntermediateEndsFirst = "IntermediateEndsFirst"
	// WarnIntermediateNotValid: an intermediate has expired or is not valid yet.
	WarnIntermediateNotValid = "IntermediateNotValid"
	// WarnIssuerElsewhere: the next issuer of the chain stands in ca.crt only.
	WarnIssuerElsewhere = "IssuerElsewhere"
	// WarnKeyUsage: the key usages of the leaf do not fit a server.
	WarnKeyUsage = "KeyUsage"
	// WarnLargeChain: the chain is larger than what some clients read.
	WarnLargeChain = "LargeChain"
	// WarnLongValidity: the leaf is valid for longer than some clients take.
	WarnLongValidity = "LongValidity"
	// WarnMustStaple: the leaf demands a TLS extension of the listener, as a rule a
	// stapled OCSP response.
	WarnMustStaple = "MustStaple"
	// WarnNoSubjectAltName: no alternative name of the leaf is a host's.
	WarnNoSubjectAltName = "NoSubjectAltName"
	// WarnRootEndsFirst: the root in the file expires before the leaf.
	WarnRootEndsFirst = "RootEndsFirst"
	// WarnRootNotValid: the root in the file has expired or is not valid yet.
	WarnRootNotValid = "RootNotValid"
	// WarnSameCertificate: one certificate serves both parts of an SM pair.
	WarnSameCertificate = "SameCertificate"
	// WarnUnrelatedCertificate: a certificate beside the chain was left out.
	WarnUnrelatedCertificate = "UnrelatedCertificate"
	// WarnUnusableName: a DNS name of the leaf can be no host's.
	WarnUnusableName = "UnusableName"
	// WarnUnusualCertificate: some parsers refuse a certificate of the chain.
	WarnUnusualCertificate = "UnusualCertificate"
	// WarnUnusualKey: the kind of a key, of the leaf or a CA, is one that many clients
	// refuse.
	WarnUnusualKey = "UnusualKey"
	// WarnWeakKey: an RSA key, of the leaf or a CA, has less than 2048 bits.
	WarnWeakKey = "WeakKey"
	// WarnWeakSignature: a certificate is signed with SHA-1 or worse.
	WarnWeakSignature = "WeakSignature"
)

// maxWarning bounds a warning: an event takes 1024 bytes.
const maxWarning = 900

// warn records a warning. There is one for each reason, because Kubernetes keeps
// but one event of a reason: what else has it is added while it fits. An issuer
// with a bad habit has it in many places, of which one is enough.
func (l *loader) warn(reason, key, message string) {
	message = printable(key, maxQuoted) + " " + message
	i := slices.IndexFunc(l.warnings, func(w Warning) bool { return w.Reason == reason })
	if i < 0 {
		l.warnings = append(l.warnings, Warning{Reason: reason, Message: message})
		return
	}
	switch sum := &l.warnings[i].Message; {
	case strings.Contains(*sum, message) || strings.HasSuffix(*sum, "; …"):
	case len(*sum)+len(message) > maxWarning:
		*sum += "; …"
	default:
		*sum += "; " + message
	}
}
