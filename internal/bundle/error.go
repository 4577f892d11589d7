// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Kind is the class of an Error: it decides who can mend it.
type Kind int

const (
	// KindMissing: a key of the Secret is absent or empty. An issuer may still be
	// at work, so it is no verdict; a change of the Secret brings the next try.
	KindMissing Kind = iota + 1
	// KindPending: the Secret holds a placeholder of an issuer that is at work.
	KindPending
	// KindInvalid: our own verdict. Only another Secret or spec can change it, or,
	// where Deadline is set, time.
	KindInvalid
)

// Error says why a Secret is no bundle. Its text names the Secret, the key and
// the fix, and never holds a byte of a key or a certificate other than names.
type Error struct {
	Kind Kind
	// Secret is the name of the Secret.
	Secret string
	// Key is the Secret's key that is to blame; empty where several are.
	Key string
	// Problem continues a sentence that begins with Key.
	Problem string
	// Fix says what the user should do.
	Fix string
	// Deadline is the moment at which the verdict changes by time alone: for a
	// certificate that is not yet valid, five minutes before its notBefore. Zero
	// otherwise.
	Deadline time.Time
	// NotBefore and NotAfter are the validity of the leaf where it was the reason.
	NotBefore, NotAfter time.Time
}

// Error returns one line: Secret, key, problem and fix.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Secret %s: ", quote(e.Secret))
	if e.Key != "" {
		b.WriteString(printable(e.Key, maxQuoted) + " ")
	}
	b.WriteString(e.Problem)
	if e.Fix != "" {
		b.WriteString(": " + e.Fix)
	}
	return b.String()
}

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
	WarnAlternativesDropped = "AlternativesDropped"
	WarnAuthority           = "AuthorityCertificate"
	WarnForeignContent      = "ForeignContent"
	WarnIntermediateExpired = "IntermediateNotValid"
	WarnKeyUsage            = "KeyUsage"
	WarnLargeChain          = "LargeChain"
	WarnNoSubjectAltName    = "NoSubjectAltName"
	WarnSameCertificate     = "SameCertificate"
	WarnUnusualKey          = "UnusualKey"
	WarnWeakKey             = "WeakKey"
	WarnWeakSignature       = "WeakSignature"
)

func (l *loader) invalid(key, problem, fix string) *Error {
	return &Error{Kind: KindInvalid, Secret: l.secret.Name, Key: key, Problem: problem, Fix: fix}
}

// warn records a warning once per reason and key: SM has two chains, and one
// bad habit of an issuer would otherwise be reported for every certificate.
func (l *loader) warn(reason, key, message string) {
	w := Warning{Reason: reason, Message: printable(key, maxQuoted) + " " + message}
	if !slices.Contains(l.warnings, w) {
		l.warnings = append(l.warnings, w)
	}
}

// requirePresent reports the first key that is absent or empty. White space
// alone counts as empty: issuers and templates write it before they have data.
func (l *loader) requirePresent(keys ...string) *Error {
	for _, key := range keys {
		value, ok := l.secret.Data[key]
		if len(value) > maxValueBytes {
			return l.invalid(key, fmt.Sprintf("is larger than %d bytes", maxValueBytes), "a Secret cannot hold more; remove what does not belong there")
		}
		if strings.TrimSpace(string(value)) != "" {
			continue
		}
		problem := "is empty"
		if !ok {
			problem = "is missing; the Secret has " + l.presentKeys()
		}
		return &Error{Kind: KindMissing, Secret: l.secret.Name, Key: key, Problem: problem, Fix: l.missingFix()}
	}
	return nil
}

// maxNamedKeys is how many keys of a Secret a message lists.
const maxNamedKeys = 8

func (l *loader) presentKeys() string {
	names := slices.Sorted(maps.Keys(l.secret.Data))
	if len(names) == 0 {
		return "no keys"
	}
	more := ""
	if extra := len(names) - maxNamedKeys; extra > 0 {
		names, more = names[:maxNamedKeys], fmt.Sprintf(" and %d more", extra)
	}
	for i, name := range names {
		names[i] = printable(name, maxQuoted)
	}
	return strings.Join(names, ", ") + more
}

// missingFix guesses the likeliest mistake from the names of the keys.
func (l *loader) missingFix() string {
	has := func(keys ...string) bool {
		return !slices.ContainsFunc(keys, func(k string) bool { return len(l.secret.Data[k]) == 0 })
	}
	defaults := Keys{}.withDefaults()
	switch {
	case l.as == TLS && has(defaults.SignCertificate, defaults.EncryptCertificate):
		return "this looks like an SM pair: set spec.type to SM"
	case l.as == SM && has(defaults.Certificate, defaults.PrivateKey):
		return "this looks like a TLS certificate: set spec.type to TLS"
	default:
		return "wait for the issuer, add the key, or name another in spec.keys"
	}
}

// maxQuoted bounds every name that a message repeats: names come from the user
// and from certificates, and messages end in conditions and events.
const maxQuoted = 80

func quote(s string) string { return `"` + printable(s, maxQuoted) + `"` }

// printable makes a foreign string safe for one line of text.
func printable(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '"' || r == utf8.RuneError {
			return '?'
		}
		return r
	}, truncate(s, limit))
	return s
}

// truncate cuts s to at most limit bytes, at a character, and shows that it did.
func truncate(s string, limit int) string {
	if len(s) <= limit {
		return strings.ToValidUTF8(s, "?")
	}
	return strings.ToValidUTF8(s[:limit], "") + "…"
}
