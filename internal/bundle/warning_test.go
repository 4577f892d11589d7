// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestWarningsOfOneReasonAreOne is about what Kubernetes does with events: the
// second of a reason only counts the first up.
func TestWarningsOfOneReasonAreOne(t *testing.T) {
	t.Parallel()
	l := &loader{}
	for _, key := range []string{"sign.crt", "enc.crt", "sign.crt"} {
		l.warn(WarnKeyUsage, key, "has no key usage")
	}
	l.warn(WarnSameCertificate, "enc.crt", "is the signing certificate as well")
	want := []Warning{
		{WarnKeyUsage, "sign.crt has no key usage; enc.crt has no key usage"},
		{WarnSameCertificate, "enc.crt is the signing certificate as well"},
	}
	if diff := cmp.Diff(want, l.warnings); diff != "" {
		t.Error(diff)
	}

	l = &loader{}
	for i := range maxCertificates {
		l.warn(WarnWeakSignature, "tls.crt", fmt.Sprintf("holds %d %s", i, strings.Repeat("x", 200)))
	}
	if w := l.warnings; len(w) != 1 || !strings.HasPrefix(w[0].Message, "tls.crt holds 0 ") || !strings.HasSuffix(w[0].Message, "; …") {
		t.Errorf("got %+v", w)
	} else {
		checkText(t, w[0].Message, nil)
	}
}

func TestMessagesHoldPrintableCharactersOnly(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"www.例え.com — ©":            "www.例え.com — ©",
		"a\u202egnp.exe":            "a?gnp.exe",
		"a\u2066b\u2069":            "a?b?",
		"line\u2028paragraph\u2029": "line?paragraph?",
		"C1 \u0085\u009b31m":        "C1 ??31m",
		"zero\u200bwidth\ufeff":     "zero?width?",
		"tab\tnul\x00del\x7f":       "tab?nul?del?",
		"not UTF-8 \xff":            "not UTF-8 ?",
		`a "quote"`:                 "a 'quote'",
	} {
		if got := printable(in, maxQuoted); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}
