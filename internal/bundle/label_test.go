// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"github.com/cloudcert-io/cloudcert/internal/bundle/bundletest"
)

// TestBlocksAreWhatTheirBytesAre has an intermediate, and what is none, under labels
// of all kinds.
func TestBlocksAreWhatTheirBytesAre(t *testing.T) {
	t.Parallel()
	h := at.Hierarchy(t, bundletest.P256(t))
	chain := bundletest.CertPEM(h.Leaf, h.Inter)
	request, err := x509.CreateCertificateRequest(nil, &x509.CertificateRequest{}, h.Leaf.Key)
	if err != nil {
		t.Fatal(err)
	}
	privateKey := bundletest.DEROf(bundletest.PKCS8PEM(t, h.Leaf.Key))
	pkcs7 := bundletest.Container(oidSignedData)
	for name, tc := range map[string]struct {
		label   string
		der     []byte
		whole   bool   // the block is the intermediate of the chain
		refused string // in the message
		warned  string
	}{
		"a certificate":                         {label: "CERTIFICATE", der: h.Inter.Raw, whole: true},
		"a certificate of X.509":                {label: "X.509 CERTIFICATE", der: h.Inter.Raw, whole: true},
		"a certificate of a CA":                 {label: "CA CERTIFICATE", der: h.Inter.Raw, whole: true},
		"a certificate of a user":               {label: "USER CERTIFICATE", der: h.Inter.Raw, whole: true},
		"a certificate as a private key":        {label: "PRIVATE KEY", der: h.Inter.Raw, whole: true},
		"a certificate as a public key":         {label: "PUBLIC KEY", der: h.Inter.Raw, whole: true},
		"a certificate as a request":            {label: "CERTIFICATE REQUEST", der: h.Inter.Raw, whole: true},
		"a certificate as PKCS#7":               {label: "PKCS7", der: h.Inter.Raw, whole: true},
		"a certificate as nothing known":        {label: "DATA", der: h.Inter.Raw, whole: true},
		"no certificate under its label":        {label: "CERTIFICATE", der: []byte("nonsense"), refused: "(number 2) that cannot be parsed"},
		"no certificate under a label of it":    {label: "CA CERTIFICATE", der: []byte("nonsense"), refused: "(number 2) that cannot be parsed"},
		"no certificate under a shorter one":    {label: "CERT", der: []byte("nonsense"), refused: "(number 2) that cannot be parsed"},
		"PKCS#7":                                {label: "PKCS7", der: pkcs7, refused: "PKCS#7"},
		"PKCS#7 that cannot be read":            {label: "CMS", der: []byte("nonsense"), refused: "PKCS#7"},
		"PKCS#7 as a certificate":               {label: "CERTIFICATE", der: pkcs7, refused: "PKCS#7"},
		"PKCS#7 as nothing known":               {label: "DATA", der: pkcs7, refused: "PKCS#7"},
		"PEM of a certificate as a certificate": {label: "CERTIFICATE", der: bundletest.CertPEM(h.Inter), refused: "encoded twice"},
		"PEM of a certificate as nothing known": {label: "DATA", der: bundletest.CertPEM(h.Inter), refused: "encoded twice"},
		"base64 of a certificate as nothing":    {label: "DATA", der: []byte(base64.StdEncoding.EncodeToString(h.Inter.Raw)), refused: "encoded twice"},
		"a private key":                         {label: "PRIVATE KEY", der: privateKey, warned: "that are no certificates"},
		"an enveloped key":                      {label: "ENVELOPED PRIVATE KEY", der: at.Pair(t).Envelope(t), warned: "that are no certificates"},
		"an enveloped key as nothing known":     {label: "DATA", der: at.Pair(t).Envelope(t), warned: "that are no certificates"},
		"a private key as a certificate":        {label: "CERTIFICATE", der: privateKey, refused: "labelled as a certificate"},
		"a request":                             {label: "CERTIFICATE REQUEST", der: request, warned: "that are no certificates"},
		"a request as a certificate":            {label: "CERTIFICATE", der: request, refused: "(number 2) that cannot be parsed"},
		"a list of revoked ones":                {label: "X509 CRL", der: bundletest.MustMarshal(1), warned: "that are no certificates"},
		"nothing known":                         {label: "SSH2 COMMENT", der: []byte("nonsense"), warned: "of a kind that is not known"},
		"the leaf twice under two labels":       {label: "CA CERTIFICATE", der: h.Leaf.Raw, warned: ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			crt := slices.Concat(bundletest.CertPEM(h.Leaf), bundletest.BlockPEM(tc.label, tc.der))
			want := string(bundletest.CertPEM(h.Leaf))
			if tc.whole {
				want = string(chain)
			}
			b, err := load(bundletest.TLSData(crt, bundletest.SEC1PEM(t, h.Leaf.Key)))
			if tc.refused != "" {
				if err == nil || !strings.Contains(err.Error(), tc.refused) {
					t.Errorf("got %v, want %q", err, tc.refused)
				}
				return
			}
			if err != nil || b.Material.Certificate != want {
				t.Fatalf("another chain, or %v", err)
			}
			if warned := len(b.Warnings) > 0; warned != (tc.warned != "") || warned && !strings.Contains(b.Warnings[0].Message, tc.warned) {
				t.Errorf("got %v, want %q", b.Warnings, tc.warned)
			}
		})
	}
}

func TestPrivateKeysAreFoundUnderAnyLabel(t *testing.T) {
	t.Parallel()
	h := at.Hierarchy(t, bundletest.P256(t))
	key := bundletest.DEROf(bundletest.PKCS8PEM(t, h.Leaf.Key))
	for name, value := range map[string][]byte{
		"of a certificate":                       bundletest.BlockPEM("CERTIFICATE", key),
		"of a public key":                        bundletest.BlockPEM("PUBLIC KEY", key),
		"of a request":                           bundletest.BlockPEM("CERTIFICATE REQUEST", key),
		"of parameters":                          bundletest.BlockPEM("EC PARAMETERS", key),
		"beside a certificate that calls itself": bytes.Join([][]byte{bundletest.BlockPEM("PRIVATE KEY", key), bundletest.BlockPEM("PRIVATE KEY", h.Leaf.Raw)}, nil),
	} {
		if _, err := load(bundletest.TLSData(bundletest.CertPEM(h.Leaf, h.Inter), value)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
