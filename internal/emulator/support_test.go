// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"
)

const (
	testAccount = "1234567890123456"
	testKeyID   = "LTAItestAccessKeyId"
	testSecret  = "test-access-key-secret"
	otherID     = "6543210987654321"
)

// epoch is when every test with a fake clock begins.
var epoch = time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)

// fakeClock moves when it is told to, and by what is slept.
type fakeClock struct {
	mu    sync.Mutex
	now   time.Time
	slept []time.Duration
}

func newClock() *fakeClock { return &fakeClock{now: epoch} }

func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *fakeClock) Sleep(_ context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	c.slept = append(c.slept, d)
	return nil
}

func (c *fakeClock) advance(d time.Duration) { _ = c.Sleep(context.Background(), d) }

// client calls a server without a network.
type client struct {
	t             *testing.T
	handler       http.Handler
	clock         Clock
	id, secret    string
	token, region string
	nonce         int
}

func newTestServer(t *testing.T, o Options) (*Server, *client, *fakeClock) {
	t.Helper()
	clock := newClock()
	if o.Clock == nil {
		o.Clock = clock
	}
	if o.Accounts == nil {
		o.Accounts = []Account{{ID: testAccount, AccessKeyID: testKeyID, AccessKeySecret: testSecret}}
	}
	s := New(o)
	t.Cleanup(s.Close)
	c := &client{t: t, handler: s.Handler(RegionChina), clock: o.Clock, id: testKeyID, secret: testSecret, region: RegionChina}
	return s, c, clock
}

// at returns the client at another region.
func (c *client) at(s *Server, region string) *client {
	other := *c
	other.handler, other.region, other.nonce = s.Handler(region), region, 0
	other.nonce = 1 << 20
	return &other
}

// signedUpload is the request of an upload whose client gives up after patience.
func signedUpload(t *testing.T, c *client, pair pair, patience time.Duration) *http.Request {
	p := c.common("UploadUserCertificate")
	p["Name"], p["Cert"], p["Key"] = "web", pair.cert, pair.key
	p["Signature"] = testSign(http.MethodPost, c.secret, p)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	request := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", strings.NewReader(form(p).Encode()))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return request
}

// result is an answer of any kind.
type result struct {
	status int
	header http.Header
	body   string
	fields map[string]any
}

func (r result) code() string { code, _ := r.fields["Code"].(string); return code }

func (r result) certID() int64 { id, _ := r.fields["CertId"].(float64); return int64(id) }

// common are the parameters of every signed call.
func (c *client) common(action string) map[string]string {
	c.nonce++
	p := map[string]string{
		"Action": action, "Version": "2020-04-07", "Format": "JSON", "AccessKeyId": c.id,
		"SignatureMethod": "HMAC-SHA1", "SignatureVersion": "1.0", "SignatureType": "",
		"SignatureNonce": fmt.Sprint("nonce-", c.nonce), "Timestamp": c.clock.Now().UTC().Format("2006-01-02T15:04:05Z"),
		"RegionId": c.region,
	}
	if actions[action].product == sts {
		p["Version"] = "2015-04-01"
	}
	if c.token != "" {
		p["SecurityToken"] = c.token
	}
	return p
}

// testSign signs in another way than the emulator verifies: with the standard
// library's escaping, mended for RFC 3986.
func testSign(method, secret string, p map[string]string) string {
	escape := func(s string) string {
		return strings.NewReplacer("+", "%20", "*", "%2A", "%7E", "~").Replace(url.QueryEscape(s))
	}
	var pairs []string
	for name, value := range p {
		if name != "Signature" {
			pairs = append(pairs, escape(name)+"="+escape(value))
		}
	}
	sort.Slice(pairs, func(a, b int) bool {
		x, _, _ := strings.Cut(pairs[a], "=")
		y, _, _ := strings.Cut(pairs[b], "=")
		return x < y
	})
	mac := hmac.New(sha1.New, []byte(secret+"&"))
	_, _ = io.WriteString(mac, method+"&%2F&"+escape(strings.Join(pairs, "&")))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func form(p map[string]string) url.Values {
	values := url.Values{}
	for name, value := range p {
		values.Set(name, value)
	}
	return values
}

// call signs and sends; change may alter the parameters before they are signed.
func (c *client) call(action string, parameters map[string]string) result {
	c.t.Helper()
	p := c.common(action)
	for name, value := range parameters {
		p[name] = value
	}
	p["Signature"] = testSign(http.MethodPost, c.secret, p)
	return c.post(form(p))
}

func (c *client) post(values url.Values) result {
	c.t.Helper()
	request := httptest.NewRequestWithContext(c.t.Context(), http.MethodPost, "/", strings.NewReader(values.Encode()))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return c.do(request)
}

func (c *client) do(request *http.Request) result {
	c.t.Helper()
	recorder := httptest.NewRecorder()
	c.handler.ServeHTTP(recorder, request)
	r := result{status: recorder.Code, header: recorder.Header(), body: recorder.Body.String()}
	_ = json.Unmarshal([]byte(r.body), &r.fields)
	return r
}

// upload uploads a pair and fails the test if it is refused.
func (c *client) upload(name string, p pair) int64 {
	c.t.Helper()
	r := c.call("UploadUserCertificate", map[string]string{"Name": name, "Cert": p.cert, "Key": p.key})
	if r.status != http.StatusOK || r.certID() < 1 {
		c.t.Fatalf("upload of %s: status %d, code %q", name, r.status, r.code())
	}
	return r.certID()
}

// list returns the entries of a list of uploads.
func (c *client) list(parameters map[string]string) []map[string]any {
	c.t.Helper()
	p := map[string]string{"OrderType": "UPLOAD"}
	for name, value := range parameters {
		p[name] = value
	}
	r := c.call("ListUserCertificateOrder", p)
	if r.status != http.StatusOK {
		c.t.Fatalf("list: status %d, code %q", r.status, r.code())
	}
	return r.entries()
}

// entries are the certificates of a list.
func (r result) entries() []map[string]any {
	var entries []map[string]any
	list, _ := r.fields["CertificateOrderList"].([]any)
	for _, entry := range list {
		entries = append(entries, entry.(map[string]any))
	}
	return entries
}

func names(entries []map[string]any) []string {
	out := []string{}
	for _, entry := range entries {
		out = append(out, entry["Name"].(string))
	}
	return out
}

func formatID(id int64) string { return fmt.Sprint(id) }

// pair is PEM to upload.
type pair struct{ cert, key string }

func pemOf(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// authority issues test certificates: a root and an intermediate.
type authority struct {
	root, intermediate       *x509.Certificate
	rootKey, intermediateKey *ecdsa.PrivateKey
}

var testCA = sync.OnceValue(func() *authority {
	a := &authority{
		rootKey:         must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)),
		intermediateKey: must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)),
	}
	ca := func(name string) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
			KeyUsage: x509.KeyUsageCertSign, NotBefore: epoch.AddDate(-1, 0, 0), NotAfter: epoch.AddDate(20, 0, 0),
		}
	}
	root := ca("Test Root")
	a.root = must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, root, root, &a.rootKey.PublicKey, a.rootKey))))
	a.intermediate = must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, ca("Test Intermediate"), a.root, &a.intermediateKey.PublicKey, a.rootKey))))
	return a
})

var serials struct {
	sync.Mutex
	n int64
}

// leafFor describes a leaf that is valid at the epoch for 90 days.
func leafFor(domain string) *x509.Certificate {
	serials.Lock()
	defer serials.Unlock()
	serials.n++
	return &x509.Certificate{
		SerialNumber: big.NewInt(0xabc000 + serials.n), Subject: pkix.Name{CommonName: domain, Organization: []string{"Example"}},
		DNSNames: []string{domain, "www." + domain}, NotBefore: epoch.Add(-time.Hour), NotAfter: epoch.AddDate(0, 0, 90),
		KeyUsage: x509.KeyUsageDigitalSignature,
	}
}

// sign returns the DER of a leaf under the intermediate.
func (a *authority) sign(leaf *x509.Certificate, public any) []byte {
	return must(x509.CreateCertificate(rand.Reader, leaf, a.intermediate, public, a.intermediateKey))
}

var leafKey = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })

func ecPEM(key *ecdsa.PrivateKey) string {
	return pemOf("EC PRIVATE KEY", must(x509.MarshalECPrivateKey(key)))
}

// issue returns a pair with leaf and intermediate. All share one key: keys of
// their own would cost time and prove nothing here.
func issue(leaf *x509.Certificate) pair {
	a := testCA()
	return pair{
		cert: pemOf("CERTIFICATE", a.sign(leaf, &leafKey().PublicKey)) + pemOf("CERTIFICATE", a.intermediate.Raw),
		key:  ecPEM(leafKey()),
	}
}

func issueFor(domain string) pair { return issue(leafFor(domain)) }

// smPair is a sign and an encryption certificate with their keys.
type smPair struct{ signCert, signKey, encryptCert, encryptKey string }

func (p smPair) parameters(name string) map[string]string {
	return map[string]string{
		"Name": name, "SignCert": p.signCert, "SignPrivateKey": p.signKey,
		"EncryptCert": p.encryptCert, "EncryptPrivateKey": p.encryptKey,
	}
}

// issueSM returns a pair of self-signed SM2 certificates, valid for 90 days.
func issueSM(domain string) smPair {
	half := func(usage x509.KeyUsage) (string, string) {
		key := must(sm2.GenerateKey(rand.Reader))
		leaf := leafFor(domain)
		leaf.KeyUsage = usage
		der := must(smx509.CreateCertificate(rand.Reader, leaf, leaf, &key.PublicKey, key))
		return pemOf("CERTIFICATE", der), pemOf("EC PRIVATE KEY", must(smx509.MarshalSM2PrivateKey(key)))
	}
	var p smPair
	p.signCert, p.signKey = half(x509.KeyUsageDigitalSignature)
	p.encryptCert, p.encryptKey = half(x509.KeyUsageKeyEncipherment | x509.KeyUsageDataEncipherment)
	return p
}

// smPKCS8 returns an SM2 key in the other form.
func smPKCS8(sec1 string) string {
	block, _ := pem.Decode([]byte(sec1))
	return pemOf("PRIVATE KEY", must(smx509.MarshalPKCS8PrivateKey(must(smx509.ParseSM2PrivateKey(block.Bytes)))))
}

// issueSMUnderRoot returns a signing certificate with its root behind it.
func issueSMUnderRoot(domain string) smPair {
	rootKey, key := must(sm2.GenerateKey(rand.Reader)), must(sm2.GenerateKey(rand.Reader))
	ca := leafFor("sm-root")
	ca.IsCA, ca.BasicConstraintsValid, ca.KeyUsage = true, true, x509.KeyUsageCertSign
	root := must(smx509.CreateCertificate(rand.Reader, ca, ca, &rootKey.PublicKey, rootKey))
	leaf := must(smx509.CreateCertificate(rand.Reader, leafFor(domain), ca, &key.PublicKey, rootKey))
	return smPair{
		signCert: pemOf("CERTIFICATE", leaf) + pemOf("CERTIFICATE", root),
		signKey:  pemOf("EC PRIVATE KEY", must(smx509.MarshalSM2PrivateKey(key))),
	}
}
