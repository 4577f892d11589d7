// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"crypto/sha256"
	"encoding/base32"
	"strconv"
	"strings"
)

// A cloud name is <prefix>_<identity>_<content>: at most 63 of [A-Za-z0-9_], which
// CAS allows everywhere (F2). Identity and content have a fixed width and are read
// from the right, so the prefix may hold underscores too. The formats are frozen;
// testdata/vectors.json holds golden vectors.
const (
	maxPrefix     = 32
	identityChars = 16 // 80 bits
	contentChars  = 13 // 65 bits
)

// base32hex in lower case: CAS may ignore case when it compares names (F59), and two
// names in this alphabet never differ in case alone.
var nameEncoding = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

// Identity returns the 16 characters that stand for one CloudCertificate of one
// cluster, the same before and after it is deleted and made again.
func Identity(clusterID, namespace, name string) string {
	digest := sha256.New()
	for _, field := range []string{clusterID, namespace, name} {
		writeField(digest, []byte(field))
	}
	return nameEncoding.EncodeToString(digest.Sum(nil))[:identityChars]
}

// Content returns the 13 characters that stand for the content in a cloud name.
func (h Hash) Content() string { return nameEncoding.EncodeToString(h[:])[:contentChars] }

// Name returns the cloud name. The prefix is made to fit where it does not.
func Name(prefix, identity, content string) string {
	return fitPrefix(prefix) + "_" + identity + "_" + content
}

// NumberedPrefix returns the n-th of the prefixes that stand in for one another: the
// prefix itself, then it with _2, _3 and so on, cut to fit.
func NumberedPrefix(prefix string, n int) string {
	fitted := fitPrefix(prefix)
	if n < 2 {
		return fitted
	}
	number := "_" + strconv.Itoa(n)
	return fitted[:min(len(fitted), maxPrefix-len(number))] + number
}

// LowerFields returns a name of our shape with identity and content in lower case, as
// they are uploaded, and any other name as it is. The prefix stays to the letter.
func LowerFields(name string) string {
	identity, content, ok := ParseName(name)
	if !ok {
		return name
	}
	return name[:len(name)-identityChars-contentChars-1] + identity + "_" + content
}

// DefaultPrefix returns the prefix for an object that sets none: namespace and
// name, made to fit [A-Za-z0-9_]{1,32}. It is for people to read; nothing
// depends on its being unique. The longer part gives way first.
func DefaultPrefix(namespace, name string) string {
	const room = maxPrefix - 1 // for the underscore between them
	half := room / 2
	if len(namespace)+len(name) > room {
		namespace = namespace[:min(len(namespace), max(half, room-len(name)))]
		name = name[:min(len(name), room-len(namespace))]
	}
	return fitPrefix(namespace + "_" + name)
}

// fitPrefix replaces what CAS does not allow with underscores, and cuts.
func fitPrefix(s string) string {
	fitted := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' {
			return r
		}
		return '_'
	}, s)
	if fitted == "" {
		return "cert"
	}
	return fitted[:min(len(fitted), maxPrefix)]
}

// ParseName splits a cloud name of our shape into identity and content, both in
// lower case. It ignores case, as the cloud may (F59), and takes any prefix, which
// identifies nothing. Any other name gives false.
func ParseName(name string) (identity, content string, ok bool) {
	const tail = 1 + identityChars + 1 + contentChars
	start := len(name) - tail
	if start < 1 {
		return "", "", false
	}
	fields := name[start:]
	if fields[0] != '_' || fields[1+identityChars] != '_' {
		return "", "", false
	}
	identity, okIdentity := parseField(fields[1 : 1+identityChars])
	content, okContent := parseField(fields[2+identityChars:])
	if !okIdentity || !okContent {
		return "", "", false
	}
	return identity, content, true
}

// parseField works on bytes: strings.ToLower turns some characters that are not
// ASCII into letters that are (the Kelvin sign into k).
func parseField(s string) (string, bool) {
	lower := []byte(s)
	for i, c := range lower {
		if c >= 'A' && c <= 'V' {
			c += 'a' - 'A'
			lower[i] = c
		}
		if (c < '0' || c > '9') && (c < 'a' || c > 'v') {
			return "", false
		}
	}
	return string(lower), true
}
