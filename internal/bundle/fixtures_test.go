// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"
	corev1 "k8s.io/api/core/v1"

	"github.com/cloudcert-io/cloudcert/internal/bundle/bundletest"
)

// testNow is the moment at which all tests judge.
var (
	testNow = time.Date(2026, time.July, 1, 12, 0, 0, 0, time.UTC)
	at      = bundletest.Clock(testNow)
)

type data = bundletest.Data

func secretOf(d data) *corev1.Secret {
	s := &corev1.Secret{Data: d}
	s.Namespace, s.Name = "shop", "web-tls"
	return s
}

func load(d data) (*Bundle, error) {
	return Load(secretOf(d), Options{Type: TLS, Now: testNow})
}

func mustLoad(tb testing.TB, d data) *Bundle {
	tb.Helper()
	b, err := load(d)
	if err != nil {
		tb.Fatalf("Load: %v", err)
	}
	return b
}

// chainOf parses uploaded PEM back, with the standard library's decoder.
func chainOf(tb testing.TB, text string) []*x509.Certificate {
	tb.Helper()
	var chain []*x509.Certificate
	rest := []byte(text)
	for len(rest) > 0 {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			tb.Fatalf("uploaded PEM has trailing text: %q", rest)
		}
		c, err := smx509.ParseCertificate(b.Bytes)
		if err != nil {
			tb.Fatal(err)
		}
		chain = append(chain, c.ToX509())
	}
	return chain
}

func names(chain []*x509.Certificate) []string {
	var out []string
	for _, c := range chain {
		out = append(out, c.Subject.CommonName)
	}
	return out
}

func reasons(b *Bundle) []string {
	var out []string
	for _, w := range b.Warnings {
		out = append(out, w.Reason)
	}
	slices.Sort(out)
	return out
}

// smallestFirst orders certificates by the digest that breaks ties.
func smallestFirst(certs ...*bundletest.Cert) []*bundletest.Cert {
	return slices.SortedFunc(slices.Values(certs), func(a, b *bundletest.Cert) int {
		x, y := sha256.Sum256(a.Raw), sha256.Sum256(b.Raw)
		return bytes.Compare(x[:], y[:])
	})
}

func sha256Of(b []byte) [32]byte { return sha256.Sum256(b) }

// keyTraces returns the spellings of a private key that no output may hold.
func keyTraces(key crypto.Signer) map[string]string {
	var d []byte
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		d, _ = k.Bytes()
	case *sm2.PrivateKey:
		d = k.D.Bytes()
	case *rsa.PrivateKey:
		d = k.D.Bytes()
	}
	der, _ := smx509.MarshalPKCS8PrivateKey(key)
	return map[string]string{
		"raw bytes":         string(d),
		"hexadecimal":       hex.EncodeToString(d),
		"upper hexadecimal": strings.ToUpper(hex.EncodeToString(d)),
		"a decimal number":  new(big.Int).SetBytes(d).String(),
		"base64 of PKCS#8":  base64.StdEncoding.EncodeToString(der)[48:96],
		"base64 of SEC1":    base64.StdEncoding.EncodeToString(der[26:])[16:56],
		"bytes as %v":       strings.Trim(fmt.Sprintf("%v", d), "[]"),
		"a PEM line":        "-----BEGIN",
	}
}

// leak returns a stretch of a value that a text repeats; empty if there is none.
// Twenty characters of base64 in a row are in no message, and in every key.
func leak(text string, d data) string {
	const width = 20
	for _, value := range d {
		for _, word := range strings.FieldsFunc(string(value), func(r rune) bool {
			return r != '+' && r != '/' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
		}) {
			for i := 0; i+width <= len(word); i++ {
				if strings.Contains(text, word[i:i+width]) {
					return word[i : i+width]
				}
			}
		}
	}
	return ""
}
