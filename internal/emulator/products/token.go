// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package products

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cloudcert-io/cloudcert/internal/emulator"
)

// tokenKey is a client token as it is remembered (T11).
type tokenKey struct{ account, product, action, token string }

type token struct {
	content string
	answer  map[string]any
	at      time.Time
}

// content is everything of a call but what differs from one sending to the next.
func content(c *emulator.ServiceCall) string {
	sent := maps.Clone(c.Parameters)
	for _, name := range []string{"Signature", "SignatureNonce", "Timestamp", "AccessKeyId", "SecurityToken"} {
		delete(sent, name)
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(sent)) {
		b.WriteString(name + "=" + sent[name] + "\n")
	}
	return b.String()
}

// once carries out a call that may have a client token: with the token of an earlier call it
// has that call's answer and no effect, and with other parameters it is refused. Only what
// succeeds is remembered. c.mu is held.
func (c *Cloud) once(call *emulator.ServiceCall, product string, do func() (map[string]any, *emulator.Refusal)) (map[string]any, *emulator.Refusal) {
	given := call.Parameters["ClientToken"]
	if given == "" {
		return do()
	}
	if len(given) > 64 {
		return nil, emulator.Refuse("IllegalParam.ClientToken", "The param of ClientToken is illegal.")
	}
	key := tokenKey{call.Account, product, call.Parameters["Action"], given}
	if t, ok := c.tokens[key]; ok && (c.options.TokenLife == 0 || c.now().Sub(t.at) < c.options.TokenLife) {
		if t.content != content(call) {
			return nil, emulator.Refuse("IdempotenceSignatureMismatch", "The request signature is not the same as that of the same client token.")
		}
		return maps.Clone(t.answer), nil
	}
	answer, refused := do()
	if refused == nil {
		c.tokens[key] = token{content(call), maps.Clone(answer), c.now()}
	}
	return answer, refused
}
