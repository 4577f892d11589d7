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

	"github.com/cloudcert-io/cloudcert/internal/bundle/bundletest"
)

func TestLoadTLS(t *testing.T) {
	t.Parallel()
	h := at.Hierarchy(t, bundletest.P256(t))
	key := bundletest.SEC1PEM(t, h.Leaf.Key)
	b := mustLoad(t, bundletest.TLSData(bundletest.CertPEM(h.Leaf, h.Inter, h.Root), key))

	if diff := cmp.Diff([]string{"www.example.com", "Test Intermediate"}, names(chainOf(t, b.Material.Certificate))); diff != "" {
		t.Errorf("uploaded chain (-want +got):\n%s", diff)
	}
	if b.Material.PrivateKey != string(key) {
		t.Error("an EC key in SEC1 must be uploaded as it is")
	}
	sum := sha256Of(h.Leaf.Raw)
	want := Facts{
		CommonName: "www.example.com", DNSNames: []string{"www.example.com"}, DNSNamesTotal: 1,
		SerialNumber: "1001", Issuer: "CN=Test Intermediate",
		NotBefore: h.Leaf.NotBefore, NotAfter: h.Leaf.NotAfter, FingerprintSHA256: hex.EncodeToString(sum[:]),
	}
	if diff := cmp.Diff(want, b.Facts); diff != "" {
		t.Errorf("facts (-want +got):\n%s", diff)
	}
	if b.LeafSHA256 != sum || b.EncryptLeafSHA256 != [32]byte{} || b.Type != TLS || !b.ValidUntil.Equal(h.Leaf.NotAfter) {
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
			h := at.Hierarchy(t, bundletest.ECKey(t, curve))
			want := string(bundletest.SEC1PEM(t, h.Leaf.Key))
			for _, given := range [][]byte{bundletest.SEC1PEM(t, h.Leaf.Key), bundletest.PKCS8PEM(t, h.Leaf.Key)} {
				if got := mustLoad(t, bundletest.TLSData(bundletest.CertPEM(h.Leaf, h.Inter), given)).Material.PrivateKey; got != want {
					t.Error("the uploaded key is not the SEC1 encoding of the key")
				}
			}
		})
	}
	t.Run("an RSA key is sent as PKCS#1", func(t *testing.T) {
		t.Parallel()
		key := bundletest.RSAKey(t, 2048)
		h := at.Hierarchy(t, key)
		pkcs1 := bundletest.BlockPEM("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key))
		for _, given := range [][]byte{pkcs1, bundletest.PKCS8PEM(t, key)} {
			if got := mustLoad(t, bundletest.TLSData(bundletest.CertPEM(h.Leaf, h.Inter), given)).Material.PrivateKey; got != string(pkcs1) {
				t.Error("the uploaded key is not the PKCS#1 encoding of the key")
			}
		}
	})
}

func TestKinds(t *testing.T) {
	t.Parallel()
	h := at.Hierarchy(t, bundletest.P256(t))
	crt, key := bundletest.CertPEM(h.Leaf, h.Inter), bundletest.SEC1PEM(t, h.Leaf.Key)
	at := func(before, after time.Duration) data {
		h := at.Hierarchy(t, bundletest.P256(t), func(c *x509.Certificate) { c.NotBefore, c.NotAfter = testNow.Add(before), testNow.Add(after) })
		return bundletest.TLSData(bundletest.CertPEM(h.Leaf), bundletest.SEC1PEM(t, h.Leaf.Key))
	}
	tests := map[string]struct {
		data     data
		want     Kind // 0: accepted
		key      string
		deadline time.Time
	}{
		"a sound certificate is accepted":              {data: bundletest.TLSData(crt, key)},
		"a missing certificate is waited for":          {data: data{"tls.key": key}, want: KindMissing, key: "tls.crt"},
		"a missing key is waited for":                  {data: data{"tls.crt": crt}, want: KindMissing, key: "tls.key"},
		"an empty certificate is waited for":           {data: bundletest.TLSData(nil, key), want: KindMissing, key: "tls.crt"},
		"white space is no certificate":                {data: bundletest.TLSData([]byte(" \n"), key), want: KindMissing, key: "tls.crt"},
		"an empty Secret is waited for":                {data: nil, want: KindMissing, key: "tls.crt"},
		"a foreign key is refused":                     {data: bundletest.TLSData(crt, bundletest.SEC1PEM(t, bundletest.P256(t))), want: KindMismatch, key: "tls.key"},
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
			issuer := bundletest.Issue(t, at.CA(tc.issuer), bundletest.P256(t), nil)
			leaf := bundletest.Issue(t, at.Template("www.example.com", func(c *x509.Certificate) { c.Subject.SerialNumber = tc.serial }), bundletest.P256(t), issuer)
			_, err := load(bundletest.TLSData(bundletest.CertPEM(leaf), bundletest.SEC1PEM(t, leaf.Key)))
			if e, failed := errors.AsType[*Error](err); failed != (tc.want != 0) || failed && e.Kind != tc.want {
				t.Errorf("got %v, want kind %d", err, tc.want)
			}
		})
	}
}

func TestMaterialShowsNothing(t *testing.T) {
	t.Parallel()
	h := at.Hierarchy(t, bundletest.P256(t))
	b := mustLoad(t, bundletest.TLSData(bundletest.CertPEM(h.Leaf, h.Inter), bundletest.SEC1PEM(t, h.Leaf.Key)))
	private, parseErr := (&loader{secret: secretOf(nil)}).encodeKey("k", h.Leaf.Key)
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
	for name, leak := range keyTraces(h.Leaf.Key) {
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
	p := at.Pair(t, func(c *x509.Certificate) {
		c.Subject.CommonName, c.Subject.Organization = long("n"), []string{long("o"), "\n"}
	})
	other := at.Pair(t, func(c *x509.Certificate) { c.DNSNames = []string{long("h") + ".example.com"} })
	mismatched := p.Data(t)
	mismatched["enc.crt"], mismatched["enc.key"] = bundletest.CertPEM(other.Enc), bundletest.SEC1PEM(t, other.Enc.Key)
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
