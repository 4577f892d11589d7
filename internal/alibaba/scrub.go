// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package alibaba

import (
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// Redacted stands wherever a secret was.
const Redacted = "[redacted]"

// maxMessage and maxToken bound what of an answer gets into an error, in bytes.
const (
	maxMessage = 400
	maxToken   = 128
)

var (
	// SignatureDoesNotMatch and IncompleteSignature echo the string to sign,
	// the private key included (F50).
	stringToSign = regexp.MustCompile(`(?i)(server\s*)?string[\s_-]*to[\s_-]*sign`)
	pemKey       = regexp.MustCompile(`(?i)-----BEGIN[^-]{0,40}KEY`)
	// No honest message has so long a run of base64, percent-encoded or not. The
	// names of certificates are as long, but have a _ in them.
	longRun = regexp.MustCompile(`[A-Za-z0-9+/=%]{44,}`)
)

// closing is what may end a text of the cloud. Ours goes on after it.
const closing = " .,;:!。，；：！"

// scrub makes text that the cloud sent fit for errors and logs: cut where it
// begins to echo the string to sign or a key, without any of the secrets of the
// request in the forms in which they travel, on one line, without punctuation at its end, and
// short.
func scrub(text string, secrets []string, limit int) string {
	if at := stringToSign.FindStringIndex(text); at != nil {
		text = text[:at[0]]
	}
	if at := pemKey.FindStringIndex(text); at != nil {
		text = text[:at[0]] + Redacted
	}
	for _, form := range secretForms(secrets) {
		text = strings.ReplaceAll(text, form, Redacted)
	}
	text = longRun.ReplaceAllString(text, Redacted)
	text = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}, text)
	text = strings.TrimRight(strings.TrimSpace(text), closing)
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit-3], "") + "..."
}

// secretForms returns every form in which a server may echo one of the secrets:
// whole or line by line, raw, percent-encoded once or twice, or as JSON; longest
// first, so that no part of one is left by the replacement of another.
func secretForms(secrets []string) []string {
	var forms []string
	add := func(form string) {
		// Shorter ones would redact words that are no secret.
		if len(form) >= 8 {
			forms = append(forms, form)
		}
	}
	for _, secret := range secrets {
		for _, part := range append(strings.Split(secret, "\n"), secret) {
			once := url.QueryEscape(part)
			rfc3986 := strings.ReplaceAll(once, "+", "%20")
			quoted, _ := json.Marshal(part)
			add(part)
			add(once)
			add(rfc3986)
			add(url.QueryEscape(rfc3986))
			add(strings.Trim(string(quoted), `"`))
		}
	}
	slices.SortFunc(forms, func(a, b string) int { return len(b) - len(a) })
	return slices.Compact(forms)
}
