// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// Secret is text that no formatting, encoding or logging shows. Convert it to
// string to use it.
type Secret string

// Format implements fmt.Formatter for every verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalJSON hides the text.
func (Secret) MarshalJSON() ([]byte, error) { return json.Marshal(redacted) }

// MarshalText hides the text.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue hides the text.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// sealed is a secret in an unexported field, where fmt calls no methods: behind
// a pointer fmt prints its address at most.
type sealed struct{ text *string }

func seal(text string) sealed {
	if text == "" {
		return sealed{}
	}
	return sealed{&text}
}

func (s sealed) open() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}
