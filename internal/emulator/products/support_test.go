// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package products

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	mathrand "math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"

	"github.com/cloudcert-io/cloudcert/internal/emulator"
)

const (
	account = "1234567890123456"
	// otherAccount is somebody else's.
	otherAccount = "6543210987654321"
	keyID        = "LTAItestAccessKeyId"
	keySecret    = "test-access-key-secret"
	shanghai     = "cn-shanghai"
)

var epoch = time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)

// fakeClock moves when it is told to.
type fakeClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *fakeClock) Sleep(context.Context, time.Duration) error { return nil }

func (c *fakeClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// world is a cloud with a listener, and a client of it.
type world struct {
	t      *testing.T
	clock  *fakeClock
	server *emulator.Server
	cloud  *Cloud
	nonce  int
	names  int
}

func newWorld(t *testing.T, o Options) *world {
	t.Helper()
	w := &world{t: t, clock: &fakeClock{now: epoch}}
	w.server = emulator.New(emulator.Options{
		Clock: w.clock, Accounts: []emulator.Account{{ID: account, AccessKeyID: keyID, AccessKeySecret: keySecret}, {ID: otherAccount}},
	})
	t.Cleanup(w.server.Close)
	w.cloud = New(w.server, o)
	return w
}

func (w *world) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// listener makes a load balancer with a listener, whose default is what it returns.
func (w *world) listener(id string, additional ...string) string {
	w.t.Helper()
	standard := w.certificate("default.example.com")
	w.check(w.cloud.AddLoadBalancer(LoadBalancer{Product: "alb", ID: "alb-" + id, Account: account, Region: shanghai}))
	w.check(w.cloud.AddListener(Listener{ID: id, LoadBalancer: "alb-" + id, Protocol: "HTTPS", Port: 443, Default: standard, Additional: additional}))
	return standard
}

// leaf describes a certificate that is valid for 90 days.
func leaf(domains ...string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(mathrand.Int64()), Subject: pkix.Name{CommonName: domains[0]}, DNSNames: domains,
		NotBefore: epoch.Add(-time.Hour), NotAfter: epoch.AddDate(0, 0, 90),
	}
}

var ecKey = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })

var rsaKey = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// certificate puts one for the domains into CAS of China and returns its identifier.
func (w *world) certificate(domains ...string) string {
	w.t.Helper()
	return w.put(emulator.RegionChina, must(x509.CreateCertificate(rand.Reader, leaf(domains...), leaf(domains...), &ecKey().PublicKey, ecKey())))
}

func (w *world) put(region string, der []byte) string {
	w.t.Helper()
	w.names++
	c, err := w.server.AddForeign(account, region, emulator.Foreign{
		Name: fmt.Sprintf("certificate_%d", w.names), PEM: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
	})
	w.check(err)
	return fmt.Sprintf("%d-%s", c.CertID, region)
}

func (w *world) smCertificate(domain string) string {
	w.t.Helper()
	key := must(sm2.GenerateKey(rand.Reader))
	return w.put(emulator.RegionChina, must(smx509.CreateCertificate(rand.Reader, leaf(domain), leaf(domain), &key.PublicKey, key)))
}

// result is an answer.
type result struct {
	status int
	code   string
	fields map[string]any
}

func escape(s string) string {
	return strings.NewReplacer("+", "%20", "*", "%2A", "%7E", "~").Replace(url.QueryEscape(s))
}

// call sends an action of a product.
func (w *world) call(product, region, action string, parameters map[string]string) result {
	w.t.Helper()
	return w.send(w.cloud.Handler(product, ""), w.cloud.service(product).Version, region, action, parameters)
}

// send signs and sends an action. A limit of a second is waited for.
func (w *world) send(handler http.Handler, version, region, action string, parameters map[string]string) result {
	w.t.Helper()
	w.nonce++
	w.clock.advance(time.Second)
	p := map[string]string{
		"Action": action, "Version": version, "Format": "JSON", "AccessKeyId": keyID,
		"SignatureMethod": "HMAC-SHA1", "SignatureVersion": "1.0", "SignatureNonce": fmt.Sprint(w.nonce),
		"Timestamp": w.clock.Now().Format("2006-01-02T15:04:05Z"), "RegionId": region,
	}
	for name, value := range parameters {
		p[name] = value
	}
	var pairs []string
	form := url.Values{}
	for name, value := range p {
		pairs = append(pairs, escape(name)+"="+escape(value))
		form.Set(name, value)
	}
	slices.SortFunc(pairs, func(a, b string) int {
		x, _, _ := strings.Cut(a, "=")
		y, _, _ := strings.Cut(b, "=")
		return strings.Compare(x, y)
	})
	mac := hmac.New(sha1.New, []byte(keySecret+"&"))
	_, _ = io.WriteString(mac, "POST&%2F&"+escape(strings.Join(pairs, "&")))
	form.Set("Signature", base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	request := httptest.NewRequestWithContext(w.t.Context(), http.MethodPost, "/", strings.NewReader(form.Encode()))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, request)
	r := result{status: recorder.Code}
	w.check(json.Unmarshal(recorder.Body.Bytes(), &r.fields))
	r.code, _ = r.fields["Code"].(string)
	return r
}

// alb calls ALB in Shanghai for a listener, with the certificates in its list.
func (w *world) alb(action, listener string, more map[string]string, certificates ...string) result {
	w.t.Helper()
	p := map[string]string{"ListenerId": listener}
	for name, value := range more {
		p[name] = value
	}
	for n, id := range certificates {
		p[fmt.Sprintf("Certificates.%d.CertificateId", n+1)] = id
	}
	return w.call("alb", shanghai, action, p)
}

// state is what a listener is, in words: its status, its default and the others.
func (w *world) state(id string) string {
	w.t.Helper()
	s, ok := w.cloud.ListenerState(id)
	if !ok {
		w.t.Fatalf("no listener %s", id)
	}
	words := []string{s.Status, s.Default}
	for _, a := range s.Additional {
		words = append(words, a.CertIdentifier+" "+a.Status)
	}
	return strings.Join(words, ", ")
}

// served is the identifier that a client gets.
func (w *world) served(listener, sni string) string {
	w.t.Helper()
	h, ok := w.cloud.Shake(listener, sni)
	if !ok {
		w.t.Fatalf("no listener %s", listener)
	}
	return h.CertIdentifier
}

// casDelete deletes a certificate of CAS by its number.
func (w *world) casDelete(certID string) result {
	w.t.Helper()
	return w.send(w.server.Handler(emulator.RegionChina), "2020-04-07", emulator.RegionChina, "DeleteUserCertificate", map[string]string{"CertId": certID})
}
