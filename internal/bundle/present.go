// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
)

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

// presentKeys lists the keys that may be meant: those of the spec, the defaults of
// either type, and whatever holds a certificate. Messages are read by more people than
// Secrets are, so the others stay unnamed: a name that ends as those of key files do may
// tell of something else.
func (l *loader) presentKeys() string {
	if len(l.secret.Data) == 0 {
		return "no keys"
	}
	meant := slices.Concat(l.keys.all(), Keys{}.withDefaults().all())
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(l.secret.Data)), func(name string) bool {
		return !slices.Contains(meant, name) && !holdsCertificate(l.secret.Data[name])
	})
	if len(names) == 0 {
		return "no key that looks like a certificate's"
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

// holdsCertificate reports whether a value holds a certificate in PEM.
func holdsCertificate(value []byte) bool {
	return len(value) <= maxValueBytes && bytes.Contains(value, []byte(pemBegin+labelCertificate+pemDash))
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
