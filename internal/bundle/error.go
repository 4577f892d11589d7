// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"fmt"
	"strings"
	"time"
	"unicode"
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
	// KindMismatch: the verdict that a private key does not belong to its
	// certificate. It is KindInvalid for whoever looks at a Secret that is complete;
	// but some tools write the two one after the other.
	KindMismatch
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

func (l *loader) invalid(key, problem, fix string) *Error {
	return &Error{Kind: KindInvalid, Secret: l.secret.Name, Key: key, Problem: problem, Fix: fix}
}

// goodKey and digest name what the type of the bundle asks for.
func (l *loader) goodKey() string {
	if l.as == SM {
		return "an SM2 key"
	}
	return "a plain RSA or an ECDSA key"
}

func (l *loader) digest() string {
	if l.as == SM {
		return "SM3"
	}
	return "SHA-256"
}

// maxQuoted bounds every name that a message repeats: names come from the user
// and from certificates, and messages end in conditions and events.
const maxQuoted = 80

func quote(s string) string { return `"` + printable(s, maxQuoted) + `"` }

// printable makes a foreign string safe for one line of text: without control
// characters, line separators and what turns the direction of writing.
func printable(s string, limit int) string {
	return strings.Map(func(r rune) rune {
		switch {
		case !unicode.IsPrint(r), r == utf8.RuneError:
			return '?'
		case r == '"':
			return '\''
		}
		return r
	}, truncate(s, limit))
}

// truncate cuts s to at most limit bytes, at a character, and shows that it did.
func truncate(s string, limit int) string {
	if len(s) <= limit {
		return strings.ToValidUTF8(s, "?")
	}
	return strings.ToValidUTF8(s[:limit], "") + "…"
}
