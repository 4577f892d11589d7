// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package alibaba

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// Text is a string of an answer. The cloud's fields are not always of their
// documented type (a Code may be a number): a scalar is taken as it is written,
// anything else as empty.
type Text string

// UnmarshalJSON never fails.
func (t *Text) UnmarshalJSON(raw []byte) error {
	*t = ""
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || raw[0] == '{' || raw[0] == '[' || bytes.Equal(raw, []byte("null")) {
		return nil
	}
	if raw[0] != '"' {
		*t = Text(raw)
		return nil
	}
	var s string
	if json.Unmarshal(raw, &s) == nil {
		*t = Text(s)
	}
	return nil
}

// Int64 returns 0 for what is no number.
func (t Text) Int64() int64 {
	n, err := strconv.ParseInt(strings.TrimSpace(string(t)), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
