// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"crypto"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/cloudcert-io/cloudcert/internal/bundle/bundletest"
)

// The seeds are the rows of the table, made anew by each run: no private key is
// committed. testdata/fuzz holds inputs without key material.

func FuzzTLS(f *testing.F) {
	for _, s := range at.Table() {
		for _, r := range s.Rows {
			if keys := optionsOf(r).Keys.withDefaults(); !r.SM {
				d := r.Data(f)
				f.Add(d[keys.Certificate], d[keys.PrivateKey])
			}
		}
	}
	f.Fuzz(func(t *testing.T, crt, key []byte) {
		b := checkInvariants(t, bundletest.TLSData(crt, key), TLS)
		if b == nil {
			return
		}
		if slices.ContainsFunc(b.Warnings, func(w Warning) bool { return w.Reason == WarnUnusualCertificate }) {
			return // said to be refused by crypto/x509
		}
		// What servers do with it, by code that is not ours.
		if _, err := tls.X509KeyPair([]byte(b.Material.Certificate), []byte(b.Material.PrivateKey)); err != nil {
			t.Errorf("crypto/tls does not serve what is uploaded: %v", err)
		}
	})
}

func FuzzSM(f *testing.F) {
	for _, s := range at.Table() {
		for _, r := range s.Rows {
			if r.SM {
				d := r.Data(f)
				f.Add(d["sign.crt"], d["sign.key"], d["enc.crt"], d["enc.key"])
			}
		}
	}
	f.Fuzz(func(t *testing.T, signCrt, signKey, encCrt, encKey []byte) {
		checkInvariants(t, bundletest.SMData(signCrt, signKey, encCrt, encKey), SM)
	})
}

// FuzzDER goes below the PEM that hides most mutations from the parsers: a
// certificate and a key of type TLS, and the encryption half of an SM pair whose
// sign half is sound.
func FuzzDER(f *testing.F) {
	var p bundletest.Pair
	p.Sign = bundletest.Issue(f, at.Template("www.example.com", bundletest.ForSigning), derivedSigner(f, SM, "sign"), nil)
	p.Enc = bundletest.Issue(f, at.Template("www.example.com", bundletest.ForEncryption), derivedSigner(f, SM, "encrypt"), nil)
	f.Add(p.Enc.Raw, p.Envelope(f))
	f.Add(p.Enc.Raw, bundletest.DEROf(bundletest.PKCS8PEM(f, p.Enc.Key)))
	f.Add(p.Enc.Raw, bundletest.DEROf(bundletest.SEC1PEM(f, p.Enc.Key)))
	for _, key := range []crypto.Signer{bundletest.RSAKey(f, 2048), bundletest.P256(f)} {
		h := at.Hierarchy(f, key)
		f.Add(h.Leaf.Raw, bundletest.DEROf(bundletest.PKCS8PEM(f, key)))
		f.Add(h.Root.Raw, bundletest.DEROf(bundletest.PKCS8PEM(f, h.Root.Key)))
	}
	sign := data{"sign.crt": bundletest.CertPEM(p.Sign), "sign.key": bundletest.SEC1PEM(f, p.Sign.Key)}
	f.Fuzz(func(t *testing.T, crt, key []byte) {
		crtPEM, keyPEM := bundletest.BlockPEM("CERTIFICATE", crt), bundletest.BlockPEM("PRIVATE KEY", key)
		checkInvariants(t, bundletest.TLSData(crtPEM, keyPEM), TLS)
		checkInvariants(t, bundletest.SMData(sign["sign.crt"], sign["sign.key"], crtPEM, keyPEM), SM)
	})
}

// checkInvariants holds what is true of every Secret. It returns the bundle if
// there is one.
func checkInvariants(t *testing.T, d data, as Type) *Bundle {
	t.Helper()
	b, err := Load(secretOf(d), Options{Type: as, Now: testNow})
	if err != nil {
		checkError(t, err, d)
		return nil
	}
	m := b.Material
	again, err := Load(secretOf(data{
		"tls.crt": []byte(m.Certificate), "tls.key": []byte(m.PrivateKey),
		"sign.crt": []byte(m.SignCertificate), "sign.key": []byte(m.SignPrivateKey),
		"enc.crt": []byte(m.EncryptCertificate), "enc.key": []byte(m.EncryptPrivateKey),
	}), Options{Type: as, Now: testNow})
	if err != nil {
		t.Fatalf("what is uploaded is not accepted again: %v", err)
	}
	if again.Material != m || again.Hash != b.Hash || again.LeafSHA256 != b.LeafSHA256 || again.EncryptLeafSHA256 != b.EncryptLeafSHA256 {
		t.Fatal("what is uploaded does not load as the same bundle")
	}
	if diff := cmp.Diff(b.Facts, again.Facts); diff != "" {
		t.Fatalf("facts change:\n%s", diff)
	}
	checkFacts(t, b.Facts)
	for _, w := range b.Warnings {
		checkText(t, w.Message, d)
	}
	return b
}

func checkError(t *testing.T, err error, d data) {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Kind < KindMissing || e.Kind > KindMismatch || e.Problem == "" || e.Fix == "" {
		t.Fatalf("an error without kind, problem or fix: %T %v", err, err)
	}
	checkText(t, err.Error(), d)
}

// checkText holds what is true of every message: events take 1024 bytes.
func checkText(t *testing.T, text string, d data) {
	t.Helper()
	if len(text) > 1000 || !utf8.ValidString(text) || strings.ContainsAny(text, "\r\n\x00") {
		t.Fatalf("the message is unfit for an event: %q", text)
	}
	if found := leak(text, d); found != "" {
		t.Fatalf("the message repeats %q of the Secret: %s", found, text)
	}
}

func checkFacts(t *testing.T, f Facts) {
	t.Helper()
	for _, s := range append(f.DNSNames, f.CommonName, f.Issuer, f.SerialNumber) {
		if len(s) > maxIssuer+len("…") || !utf8.ValidString(s) {
			t.Fatalf("a fact is unfit for status: %q", s)
		}
	}
	if len(f.DNSNames) > maxDNSNames || len(f.DNSNames) > f.DNSNamesTotal {
		t.Fatalf("%d of %d DNS names", len(f.DNSNames), f.DNSNamesTotal)
	}
}

func FuzzPEM(f *testing.F) {
	for _, text := range []string{
		"", "-----BEGIN A-----\nAAAA\n-----END A-----\n",
		"-----BEGIN A-----AAAA-----END A----------BEGIN B-----AAAA-----END B-----",
		"-----BEGIN A-----\nAAAA\n-----END B-----", "-----BEGIN ", "-----BEGIN A-----\\nAAAA\\n-----END A-----\\n",
		"-----BEGIN A-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END A-----",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		blocks, err := pemBlocks(text)
		if err != nil {
			if blocks != nil {
				t.Fatal("blocks beside an error")
			}
			return
		}
		var canonical []byte
		for _, b := range blocks {
			if b.encrypted {
				return
			}
			if strings.ContainsAny(b.label, "\r\n") || len(b.der) == 0 {
				t.Fatalf("label %q, %d bytes", b.label, len(b.der))
			}
			canonical = append(canonical, pem.EncodeToMemory(&pem.Block{Type: b.label, Bytes: b.der})...)
		}
		again, err := pemBlocks(canonical)
		if err != nil || len(again) != len(blocks) {
			t.Fatalf("%d blocks become %d: %v", len(blocks), len(again), err)
		}
		for i := range blocks {
			if again[i].label != blocks[i].label || string(again[i].der) != string(blocks[i].der) {
				t.Fatal("a block changes")
			}
		}
		// Whatever the standard library reads, this reads too.
		if b, _ := pem.Decode(text); b != nil && len(b.Headers) == 0 && len(b.Bytes) > 0 && len(blocks) == 0 {
			t.Fatal("a block that encoding/pem finds is missed")
		}
	})
}
