// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cloudcert-io/cloudcert/internal/bundle/bundletest"
)

func TestIssuersInCACrtAreFoundInAnyDress(t *testing.T) {
	t.Parallel()
	h := at.Hierarchy(t, bundletest.P256(t))
	_, many := at.LongChain(t, maxCertificates+1)
	both := bundletest.CertPEM(h.Root, h.Inter)
	for name, tc := range map[string]struct {
		value []byte
		found bool
	}{
		"PEM":                     {both, true},
		"DER":                     {h.Inter.Raw, true},
		"DER of two":              {slices.Concat(h.Root.Raw, h.Inter.Raw), true},
		"base64 of DER":           {inBase64(h.Inter.Raw), true},
		"base64 of PEM":           {inBase64(both), true},
		"hexadecimal of DER":      {inHex(h.Inter.Raw), true},
		"under any label":         {bundletest.BlockPEM("CA CERTIFICATE", h.Inter.Raw), true},
		"the root alone":          {bundletest.CertPEM(h.Root), false},
		"damaged":                 {both[:len(both)-40], false},
		"among too many":          {append(bundletest.CertPEM(many...), both...), false},
		"DER of too many":         {slices.Concat(bytes.Repeat(h.Root.Raw, maxCertificates), h.Inter.Raw), false},
		"no certificate":          {[]byte("changeme"), false},
		"larger than a Secret is": {append(bytes.Clone(both), make([]byte, maxValueBytes)...), false},
		"nothing":                 {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := bundletest.TLSData(bundletest.CertPEM(h.Leaf), bundletest.SEC1PEM(t, h.Leaf.Key))
			d[caKey] = tc.value
			var want []string
			if tc.found {
				want = []string{WarnIssuerElsewhere}
			}
			if diff := cmp.Diff(want, reasons(mustLoad(t, d))); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
			d["tls.crt"] = bundletest.CertPEM(h.Leaf, h.Root)
			if _, err := load(d); err == nil || strings.Contains(err.Error(), "which stands in ca.crt: append it to tls.crt") != tc.found {
				t.Errorf("with the root beside the leaf: %v", err)
			}
		})
	}
}

// TestWhatIsMissingIsSaidFirst has a chain of four with holes.
func TestWhatIsMissingIsSaidFirst(t *testing.T) {
	t.Parallel()
	h := at.Hierarchy(t, bundletest.P256(t))
	issuing := bundletest.Issue(t, at.CA("Issuing CA"), bundletest.P256(t), h.Inter)
	leaf := bundletest.Issue(t, at.Template("www.example.com"), bundletest.P256(t), issuing)
	other := bundletest.Issue(t, at.CA("Issuing CA"), bundletest.P256(t), h.Inter)
	const lacks = `tls.crt lacks "Test Intermediate", the issuer of "Issuing CA" (serial 2002): append it, unless it is a root; tls.crt holds "Test Root"`
	for name, tc := range map[string]struct {
		certs []*bundletest.Cert
		ca    []*bundletest.Cert
		want  string // begins the first warning; empty: none
	}{
		"none":                       {[]*bundletest.Cert{leaf, issuing, h.Inter, h.Root}, nil, ""},
		"one below the root":         {[]*bundletest.Cert{leaf, issuing, h.Root}, nil, lacks},
		"the same, and it elsewhere": {[]*bundletest.Cert{leaf, issuing, h.Root}, []*bundletest.Cert{h.Inter}, `tls.crt holds "Test Root"`},
		"no root":                    {[]*bundletest.Cert{leaf, issuing}, nil, ""},
		"a predecessor and no root":  {[]*bundletest.Cert{leaf, issuing, other}, nil, `tls.crt holds "Issuing CA"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := bundletest.TLSData(bundletest.CertPEM(tc.certs...), bundletest.SEC1PEM(t, leaf.Key))
			d[caKey] = bundletest.CertPEM(tc.ca...)
			b := mustLoad(t, d)
			if len(b.Warnings) == 0 && tc.want == "" {
				return
			}
			if tc.want == "" || len(b.Warnings) == 0 || !strings.HasPrefix(b.Warnings[0].Message, tc.want) {
				t.Errorf("got %v, want %s", b.Warnings, tc.want)
			}
		})
	}
}
