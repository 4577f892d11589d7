// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"bytes"
	"strings"
	"testing"

	"github.com/cloudcert-io/cloudcert/internal/bundle/bundletest"
)

func TestPrivateKeysAreCountedAndNothingElse(t *testing.T) {
	t.Parallel()
	h := at.Hierarchy(t, bundletest.P256(t))
	sec1, pkcs8 := bundletest.SEC1PEM(t, h.Leaf.Key), bundletest.PKCS8PEM(t, h.Leaf.Key)
	other := bundletest.PKCS8PEM(t, bundletest.P256(t))
	labelled := func(label string, of []byte) []byte { return bundletest.BlockPEM(label, bundletest.DEROf(of)) }
	nonsense := []byte("nonsense")
	for name, tc := range map[string]struct {
		value [][]byte
		want  string // in the message; empty: accepted
	}{
		"a key":                           {[][]byte{sec1}, ""},
		"a key under another label":       {[][]byte{labelled("MY KEY", sec1)}, ""},
		"the key three times":             {[][]byte{sec1, pkcs8, sec1}, ""},
		"the key under three labels":      {[][]byte{sec1, labelled("PRIVATE KEY", sec1), labelled("MY KEY", sec1)}, ""},
		"a request":                       {[][]byte{sec1, bundletest.BlockPEM("NEW CERTIFICATE REQUEST", nonsense)}, ""},
		"public keys":                     {[][]byte{bundletest.BlockPEM("PUBLIC KEY", nonsense), sec1, bundletest.BlockPEM("EC PUBLIC KEY", nonsense)}, ""},
		"parameters":                      {[][]byte{bundletest.BlockPEM("X9.42 DH PARAMETERS", nonsense), bundletest.BlockPEM("PARAMETERS", nonsense), sec1}, ""},
		"certificates and a list":         {[][]byte{bundletest.CertPEM(h.Leaf), sec1, bundletest.BlockPEM("X509 CRL", nonsense)}, ""},
		"a block of no known kind":        {[][]byte{sec1, bundletest.BlockPEM("SSH2 COMMENT", nonsense)}, ""},
		"another key":                     {[][]byte{sec1, other}, "2 different private keys"},
		"another key under another label": {[][]byte{sec1, labelled("MY KEY", other)}, "2 different private keys"},
		"a key that cannot be read":       {[][]byte{sec1, bundletest.BlockPEM("PRIVATE KEY", nonsense)}, "2 private keys, of which not all can be compared"},
		"a key that is encrypted":         {[][]byte{sec1, bundletest.BlockPEM("ENCRYPTED PRIVATE KEY", nonsense)}, "2 private keys, of which not all can be compared"},
		"an encrypted key before it":      {[][]byte{bundletest.BlockPEM("ENCRYPTED PRIVATE KEY", nonsense), sec1, other}, "3 private keys, of which not all can be compared"},
		"no key":                          {[][]byte{bundletest.CertPEM(h.Leaf)}, "no private key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := load(bundletest.TLSData(bundletest.CertPEM(h.Leaf, h.Inter), bytes.Join(tc.value, nil)))
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}
