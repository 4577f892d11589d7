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
		"192.0.2.256": false, "010.0.0.1": false, "*.192.0.2.1": false, "1.2.3": false, "127.1": false, "0x7f.0x1": false, "example.0": false,
		"-x.example.com": false, "x-.example.com": false, "x.-example.com": false, "-": false, "x--y.example.com": true, "0x7g.example.com": true,
		"*.com": false, "*.local": false, "*.example.co.uk": true, "*.a.b": true,
		strings.Repeat("a", 64) + ".com": false, strings.Repeat("a.", 127) + "com": false,
	} {
		if got := isHost(name); got != want {
			t.Errorf("%q: %t", name, got)
		}
	}
}
