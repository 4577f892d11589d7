// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"strings"
	"testing"
)

func TestHosts(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"www.example.com": true, "*.example.com": true, "localhost": true, "xn--mnchen-3ya.example": true,
		"my_host.example.com": true, "1.example.com": true, strings.Repeat("a", 63) + ".com": true,
		"": false, "*": false, "https://www.example.com": false, "www.example.com:443": false, "www.example.com/x": false,
		"w*.example.com": false, "*.": false, "*.*.example.com": false, "a.*.example.com": false, "www..example.com": false, "www.example.com.": false, ".example.com": false,
		"192.0.2.1": false, "2001:db8::1": false, "www example.com": false, "web@example.com": false, "münchen.example": false,
		strings.Repeat("a", 64) + ".com": false, strings.Repeat("a.", 127) + "com": false,
	} {
		if got := isHost(name); got != want {
			t.Errorf("%q: %t", name, got)
		}
	}
}
