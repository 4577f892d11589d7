// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"

	"github.com/emmansun/gmsm/sm2"

	"github.com/cloudcert-io/cloudcert/internal/bundle/bundletest"
)

// TestGoldenBundles loads committed certificates and compares with hashes that
// were computed from the description of the rule by a program that shares no
// code with this package: it freezes which certificates are uploaded, and in
// which order, among them cross-signed ones. FROZEN: no release may change one.
// The keys are derived here, so that none is committed; they guard nothing.
func TestGoldenBundles(t *testing.T) {
	t.Parallel()
	v := readVectors(t)
	if len(v.Bundles) == 0 {
		t.Fatal("testdata/vectors.json lacks bundles")
	}
	for _, g := range v.Bundles {
		t.Run(g.Name, func(t *testing.T) {
			t.Parallel()
			d := data{}
			for key, file := range g.Certificates {
				d[key] = readGolden(t, file)
			}
			for key, seed := range g.Keys {
				d[key] = bundletest.SEC1PEM(t, derivedSigner(t, g.Type, seed))
			}
			b, err := Load(secretOf(d), Options{Type: g.Type, Now: testNow})
			if err != nil {
				t.Fatal(err)
			}
			if b.Hash.String() != g.Hash {
				t.Errorf("got %s, want %s", b.Hash, g.Hash)
			}
			for i := range 3 { // any order, any line ends
				for key := range g.Certificates {
					d[key] = rotated(d[key], i)
				}
				again, err := Load(secretOf(d), Options{Type: g.Type, Now: testNow})
				if err != nil || again.Hash != b.Hash {
					t.Errorf("rotated by %d: another hash, or %v", i, err)
				}
			}
		})
	}
}

func readGolden(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// derivedSigner returns the same key in every process.
func derivedSigner(tb testing.TB, as Type, seed string) crypto.Signer {
	tb.Helper()
	sum := sha256.Sum256([]byte("cloudcert test key: " + seed))
	var key crypto.Signer
	var err error
	if as == SM {
		key, err = sm2.NewPrivateKey(sum[:])
	} else {
		key, err = ecdsa.ParseRawPrivateKey(elliptic.P256(), sum[:])
	}
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// rotated moves the first n certificates to the end.
func rotated(text []byte, n int) []byte {
	var blocks [][]byte
	for rest := text; ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
		blocks = append(blocks, bytes.ReplaceAll(pem.EncodeToMemory(b), []byte("\n"), []byte("\r\n")))
	}
	n %= len(blocks)
	return bytes.Join(append(blocks[n:], blocks[:n]...), []byte("\r\n"))
}
