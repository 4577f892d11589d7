// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"bytes"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestLoadTLS(t *testing.T) {
	t.Parallel()
	h := newHierarchy(t, p256(t))
	key := sec1PEM(t, h.leaf.key)
	b := mustLoad(t, tlsData(certPEM(h.leaf, h.inter, h.root), key))

	if diff := cmp.Diff([]string{"www.example.com", "Test Intermediate"}, names(chainOf(t, b.Material.Certificate))); diff != "" {
		t.Errorf("uploaded chain (-want +got):\n%s", diff)
	}
	if b.Material.PrivateKey != string(key) {
		t.Error("an EC key in SEC1 must be uploaded as it is")
	}
	sum := sha256Of(h.leaf.Raw)
	want := Facts{
		CommonName: "www.example.com", DNSNames: []string{"www.example.com"}, DNSNamesTotal: 1,
		SerialNumber: "1001", Issuer: "CN=Test Intermediate",
		NotBefore: h.leaf.NotBefore, NotAfter: h.leaf.NotAfter, FingerprintSHA256: hex.EncodeToString(sum[:]),
	}
	if diff := cmp.Diff(want, b.Facts); diff != "" {
		t.Errorf("facts (-want +got):\n%s", diff)
	}
	if b.LeafSHA256 != sum || b.EncryptLeafSHA256 != [32]byte{} || b.Type != TLS || !b.ValidUntil.Equal(h.leaf.NotAfter) {
		t.Errorf("digests or type are wrong: %v", b)
	}
	if len(b.Warnings) != 0 {
		t.Errorf("warnings for a plain certificate: %v", b.Warnings)
	}
}

func TestKeysAreSentInTheEncodingThatCASKnows(t *testing.T) {
	t.Parallel()
	for name, curve := range map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()} {
		t.Run("an ECDSA key on "+name+" is sent as SEC1", func(t *testing.T) {
			t.Parallel()
			h := newHierarchy(t, ecKey(t, curve))
			want := string(sec1PEM(t, h.leaf.key))
			for _, given := range [][]byte{sec1PEM(t, h.leaf.key), pkcs8PEM(t, h.leaf.key)} {
				if got := mustLoad(t, tlsData(certPEM(h.leaf, h.inter), given)).Material.PrivateKey; got != want {
					t.Error("the uploaded key is not the SEC1 encoding of the key")
				}
			}
		})
	}
	t.Run("an RSA key is sent as PKCS#1", func(t *testing.T) {
		t.Parallel()
		key := rsaKey(t, 2048)
		h := newHierarchy(t, key)
		pkcs1 := blockPEM("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key))
		for _, given := range [][]byte{pkcs1, pkcs8PEM(t, key)} {
			if got := mustLoad(t, tlsData(certPEM(h.leaf, h.inter), given)).Material.PrivateKey; got != string(pkcs1) {
				t.Error("the uploaded key is not the PKCS#1 encoding of the key")
			}
		}
	})
}

func TestKinds(t *testing.T) {
	t.Parallel()
	h := newHierarchy(t, p256(t))
	crt, key := certPEM(h.leaf, h.inter), sec1PEM(t, h.leaf.key)
	at := func(before, after time.Duration) data {
		h := newHierarchy(t, p256(t), func(c *x509.Certificate) { c.NotBefore, c.NotAfter = testNow.Add(before), testNow.Add(after) })
		return tlsData(certPEM(h.leaf), sec1PEM(t, h.leaf.key))
	}
	tests := map[string]struct {
		data     data
		want     Kind // 0: accepted
		key      string
		deadline time.Time
	}{
		"a sound certificate is accepted":              {data: tlsData(crt, key)},
		"a missing certificate is waited for":          {data: data{"tls.key": key}, want: KindMissing, key: "tls.crt"},
		"a missing key is waited for":                  {data: data{"tls.crt": crt}, want: KindMissing, key: "tls.key"},
		"an empty certificate is waited for":           {data: tlsData(nil, key), want: KindMissing, key: "tls.crt"},
		"white space is no certificate":                {data: tlsData([]byte(" \n"), key), want: KindMissing, key: "tls.crt"},
		"an empty Secret is waited for":                {data: nil, want: KindMissing, key: "tls.crt"},
		"a foreign key is refused":                     {data: tlsData(crt, sec1PEM(t, p256(t))), want: KindInvalid, key: "tls.key"},
		"a certificate is valid at its notAfter":       {data: at(-time.Hour, 0)},
		"a certificate expires after its notAfter":     {data: at(-time.Hour, -time.Second), want: KindInvalid, key: "tls.crt"},
		"five minutes too early are tolerated":         {data: at(5*time.Minute, time.Hour)},
		"more than five minutes too early is deferred": {data: at(5*time.Minute+time.Second, time.Hour), want: KindInvalid, key: "tls.crt", deadline: testNow.Add(time.Second)},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := load(tc.data)
			got, isError := errors.AsType[*Error](err)
			if tc.want == 0 {
				if err != nil {
					t.Fatalf("refused: %v", err)
				}
				return
			}
			if !isError {
				t.Fatalf("error is %T, want *Error", err)
			}
			if got.Kind != tc.want || got.Key != tc.key || !got.Deadline.Equal(tc.deadline) || got.Secret != "web-tls" {
				t.Errorf("got kind %d, key %s, deadline %s: %v", got.Kind, got.Key, got.Deadline, got)
			}
		})
	}
}

func TestTemporaryCertificateOfCertManagerIsPending(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		issuer, serial string
		want           Kind // 0: accepted
	}{
		"both marks make it temporary":          {"cert-manager.local", "1234567890", KindPending},
		"another issuer may use the serial":     {"Company CA", "1234567890", 0},
		"the issuer's name alone proves little": {"cert-manager.local", "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			issuer := issue(t, authority(tc.issuer), p256(t), nil)
			leaf := issue(t, template("www.example.com", func(c *x509.Certificate) { c.Subject.SerialNumber = tc.serial }), p256(t), issuer)
			_, err := load(tlsData(certPEM(leaf), sec1PEM(t, leaf.key)))
			if e, failed := errors.AsType[*Error](err); failed != (tc.want != 0) || failed && e.Kind != tc.want {
				t.Errorf("got %v, want kind %d", err, tc.want)
			}
		})
	}
}

func TestMaterialShowsNothing(t *testing.T) {
	t.Parallel()
	h := newHierarchy(t, p256(t))
	b := mustLoad(t, tlsData(certPEM(h.leaf, h.inter), sec1PEM(t, h.leaf.key)))
	private, parseErr := (&loader{secret: secretOf(nil)}).encodeKey("k", h.leaf.key)
	if parseErr != nil {
		t.Fatal(parseErr)
	}
	var out bytes.Buffer
	for _, v := range []any{b, *b, b.Material, &b.Material, []Material{b.Material}, map[string]any{"b": b, "m": &b.Material, "k": private}, struct{ B *Bundle }{b}, private, *private, block{label: "EC PRIVATE KEY", der: []byte(b.Material.PrivateKey)}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%b"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		encoded, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(encoded)
		slog.New(slog.NewTextHandler(&out, nil)).Info("Loaded", "value", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("Loaded", "value", v)
	}
	for name, leak := range keyTraces(h.leaf.key) {
		if strings.Contains(out.String(), leak) {
			t.Errorf("the output holds the private key as %s", name)
		}
	}
	if !strings.Contains(out.String(), redacted) {
		t.Error("nothing was printed in its place: the test proves nothing")
	}
}

func TestMessagesFitWhateverNamesAreLong(t *testing.T) {
	t.Parallel()
	long := func(c string) string { return strings.Repeat(c, 253) }
	s := secretOf(data{})
	s.Name = long("s")
	for i := range 50 {
		s.Data[fmt.Sprint(i)+long("\n\"é")] = []byte("x")
	}
	keys := Keys{Certificate: long("c"), SignCertificate: long("d")}
	p := newPair(t, func(c *x509.Certificate) {
		c.Subject.CommonName, c.Subject.Organization = long("n"), []string{long("o"), "\n"}
	})
	other := newPair(t)
	mismatched := p.data(t)
	mismatched["enc.crt"], mismatched["enc.key"] = certPEM(other.enc), sec1PEM(t, other.enc.key)
	mixed := secretOf(mismatched)
	mixed.Name = s.Name
	for _, load := range []func() (*Bundle, error){
		func() (*Bundle, error) { return Load(s, Options{Type: TLS, Keys: keys, Now: testNow}) },
		func() (*Bundle, error) { return Load(s, Options{Type: SM, Keys: keys, Now: testNow}) },
		func() (*Bundle, error) { return Load(s, Options{Type: Type(long("t")), Now: testNow}) },
		func() (*Bundle, error) { return Load(mixed, Options{Type: SM, Now: testNow}) },
	} {
		_, err := load()
		if err == nil {
			t.Fatal("accepted")
		}
		checkText(t, err.Error(), nil)
	}
}
