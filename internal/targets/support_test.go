// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package targets

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	mathrand "math/rand/v2"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
	"github.com/cloudcert-io/cloudcert/internal/emulator/products"
	"github.com/cloudcert-io/cloudcert/internal/ratelimit"
)

const (
	account   = "1234567890123456"
	keyID     = "LTAItestAccessKeyId"
	keySecret = "test-access-key-secret"
	shanghai  = "cn-shanghai"
)

// theClock is the time of the operator and of the cloud. Who waits lets it pass. It begins with
// the real one, by which the SDK signs, and may be 15 minutes ahead of it.
type theClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *theClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *theClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func (c *theClock) After(d time.Duration) <-chan time.Time {
	c.advance(d)
	due := make(chan time.Time, 1)
	due <- c.Now()
	return due
}

func (c *theClock) Sleep(_ context.Context, d time.Duration) error {
	c.advance(d)
	return nil
}

// world is the operator's adapters over HTTP against the products of the emulator.
type world struct {
	t      *testing.T
	clock  *theClock
	server *emulator.Server
	cloud  *products.Cloud
	own    *Cloud
	key    alibaba.Provider
	names  int
	seeds  int
}

func newWorld(t *testing.T, o products.Options) *world {
	t.Helper()
	w := &world{t: t, clock: &theClock{now: time.Now()}}
	w.server = emulator.New(emulator.Options{
		Clock: w.clock, Accounts: []emulator.Account{{ID: account, AccessKeyID: keyID, AccessKeySecret: keySecret}},
	})
	w.cloud = products.New(w.server, o)
	endpoints := map[string]string{}
	for _, name := range products.Names() {
		listener := httptest.NewServer(w.cloud.Handler(name, ""))
		t.Cleanup(listener.Close)
		endpoints[name] = listener.URL
	}
	sts := httptest.NewServer(w.server.Handler(emulator.RegionChina))
	t.Cleanup(sts.Close)
	t.Cleanup(w.server.Close)
	caller, err := alibaba.New(alibaba.Config{STSEndpoint: sts.URL, Clock: w.clock, Observe: w.checkService})
	w.check(err)
	t.Cleanup(caller.CloseIdleConnections)
	w.own, err = New(caller, Config{Endpoints: endpoints})
	w.check(err)
	w.key, err = alibaba.Static(alibaba.Credentials{AccessKeyID: keyID, AccessKeySecret: keySecret})
	w.check(err)
	w.own.Begin()
	t.Cleanup(func() {
		if n := w.server.KeysSent(); n > 0 {
			t.Errorf("%d calls carried a private key", n)
		}
	})
	return w
}

// checkService checks that a call can be told from those of other products in metrics and logs.
func (w *world) checkService(_ context.Context, call alibaba.CallInfo) {
	if _, ok := table[Product(call.Service)]; !ok && call.Service != alibaba.ServiceSTS {
		w.t.Errorf("%s is counted for the product %q", call.Action, call.Service)
	}
}

func (w *world) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// must returns what has no error.
func must[T any](w *world, value T, err error) T {
	w.t.Helper()
	w.check(err)
	return value
}

var ecKey = sync.OnceValue(func() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
})

// certificate puts one for the domains into CAS of China.
func (w *world) certificate(domains ...string) Certificate {
	w.t.Helper()
	return w.certificateIn(emulator.RegionChina, domains...)
}

func (w *world) certificateIn(region string, domains ...string) Certificate {
	w.t.Helper()
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(mathrand.Int64()), Subject: pkix.Name{CommonName: domains[0]}, DNSNames: domains,
		NotBefore: w.clock.Now().Add(-time.Hour), NotAfter: w.clock.Now().AddDate(0, 0, 90),
	}
	der := must1(x509.CreateCertificate(rand.Reader, leaf, leaf, &ecKey().PublicKey, ecKey()))
	w.names++
	made := must1(w.server.AddForeign(account, region, emulator.Foreign{
		Name: fmt.Sprintf("certificate_%d", w.names), PEM: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
	}))
	return Certificate{CertID: made.CertID, Region: region, Name: made.Name}
}

func must1[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// adapter returns that of a product. What was called before is a second ago.
func (w *world) adapter(name Product) Adapter {
	w.t.Helper()
	w.clock.advance(time.Second)
	return must(w, must1(w.own.Adapter(name, w.key, "shop", ratelimit.Prompt)), nil)
}

func (w *world) read(t Target) State {
	w.t.Helper()
	return must1(w.tryRead(t))
}

func (w *world) tryRead(t Target) (State, error) { return w.adapter(t.Product).Read(w.t.Context(), t) }

// place places a certificate as another attempt.
func (w *world) place(t Target, s State, c Certificate) error {
	w.t.Helper()
	w.seeds++
	return w.placeAgain(t, s, c)
}

// placeAgain places a certificate in the same attempt.
func (w *world) placeAgain(t Target, s State, c Certificate) error {
	w.t.Helper()
	return w.adapter(t.Product).Place(w.t.Context(), t, s, Placement{Certificate: c, Seed: fmt.Sprintf("attempt-%d", w.seeds)})
}

func (w *world) remove(t Target, s State, entries ...Entry) error {
	w.t.Helper()
	w.seeds++
	return w.adapter(t.Product).Remove(w.t.Context(), t, s, Removal{Entries: entries, Seed: fmt.Sprintf("attempt-%d", w.seeds)})
}

// calls counts those that the cloud has received of an action.
func (w *world) calls(action string) int {
	n := 0
	for _, call := range w.server.Journal() {
		if call.Action == action {
			n++
		}
	}
	return n
}

// inWords is a state for comparison: what is wrong with it, then its entries.
func inWords(s State) string {
	var words []string
	if s.Busy {
		words = append(words, "busy")
	}
	if s.Incomplete != "" {
		words = append(words, "incomplete")
	}
	if s.Off != "" {
		words = append(words, "off")
	}
	for _, e := range s.Entries {
		words = append(words, fmt.Sprintf("%s %s %s", e.Role, e.CertIdentifier+e.name(), e.Status))
	}
	return strings.Join(words, ", ")
}

// name is what an entry has that is none of CAS.
func (e Entry) name() string {
	if e.CertIdentifier == "" {
		return e.ProviderID
	}
	return ""
}

// entry returns the one with this certificate.
func entry(t *testing.T, s State, c Certificate) Entry {
	t.Helper()
	for _, e := range s.Entries {
		if e.CertIdentifier == c.Identifier() {
			return e
		}
	}
	t.Fatalf("%s is not in %s", c.Identifier(), inWords(s))
	return Entry{}
}

// classOf returns the class of the first *Error in err's chain. Anything else is Transient.
func classOf(err error) Class {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Class
	}
	return Transient
}

// wantClass fails unless the error is of the class.
func wantClass(t *testing.T, err error, class Class) Error {
	t.Helper()
	e, ok := err.(*Error) //nolint:errorlint // it must be one itself
	if !ok || e.Class != class {
		t.Fatalf("%v is of class %s, want %s", err, classOf(err), class)
	}
	if e.Message == "" || strings.Contains(e.Message, keySecret) {
		t.Errorf("message %q", e.Message)
	}
	return *e
}
