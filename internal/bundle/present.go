// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
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
