// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import "slices"

// Warning is something that was accepted although the user should know of it.
type Warning struct {
	// Reason is one of the Warn constants.
	Reason string
	// Message names the Secret's key and what to do.
	Message string
}

// Reasons of warnings. Each stands for something that some clients or the cloud
// may refuse, but that is not known to fail for all.
const (
	// WarnAlternativesDropped: cross-signing gives several paths; one is uploaded.
	WarnAlternativesDropped = "AlternativesDropped"
	// WarnAuthority: the self-signed leaf calls itself a CA.
	WarnAuthority = "AuthorityCertificate"
	// WarnForeignContent: PEM blocks that are no certificates stand among them.
	WarnForeignContent = "ForeignContent"
	// WarnIntermediateNotValid: an intermediate has expired or is not valid yet.
	WarnIntermediateNotValid = "IntermediateNotValid"
	// WarnKeyUsage: the key usages of the leaf do not fit a server.
	WarnKeyUsage = "KeyUsage"
	// WarnLargeChain: the chain is larger than what some clients read.
	WarnLargeChain = "LargeChain"
	// WarnNoSubjectAltName: the leaf names its hosts in the common name at most.
	WarnNoSubjectAltName = "NoSubjectAltName"
	// WarnSameCertificate: one certificate serves both halves of an SM pair.
	WarnSameCertificate = "SameCertificate"
	// WarnUnusualKey: the kind of key is one that many clients refuse.
	WarnUnusualKey = "UnusualKey"
	// WarnWeakKey: the RSA key has less than 2048 bits.
	WarnWeakKey = "WeakKey"
	// WarnWeakSignature: a certificate is signed with SHA-1 or worse.
	WarnWeakSignature = "WeakSignature"
)

// warn records a warning, each once: an issuer with a bad habit has it in many
// places.
func (l *loader) warn(reason, key, message string) {
	w := Warning{Reason: reason, Message: printable(key, maxQuoted) + " " + message}
	if !slices.Contains(l.warnings, w) {
		l.warnings = append(l.warnings, w)
	}
}
