// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package cas

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	mathrand "math/rand/v2"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"
	"github.com/google/go-cmp/cmp"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
	"github.com/cloudcert-io/cloudcert/internal/inventory"
	"github.com/cloudcert-io/cloudcert/internal/ratelimit"
)

const (
	testAccount = "1234567890123456"
	testRole    = "acs:ram::1234567890123456:role/cloudcert"
	testOIDC    = "acs:ram::1234567890123456:oidc-provider/ack"

	envRoleARN         = "ALIBABA_CLOUD_ROLE_ARN"
	envOIDCProviderARN = "ALIBABA_CLOUD_OIDC_PROVIDER_ARN"
)

// The emulator's client has long-lived credentials without a token.
func longLived() alibaba.Credentials {
	return alibaba.Credentials{AccessKeyID: testID, AccessKeySecret: testSecret}
}

func newEmulator(t *testing.T, o emulator.Options) *emulator.Server {
	t.Helper()
	o.Accounts = []emulator.Account{{
		ID: testAccount, AccessKeyID: testID, AccessKeySecret: testSecret,
		Roles: []emulator.Role{{RoleARN: testRole, OIDCProviderARN: testOIDC, Token: "oidc-token-one"}},
	}}
	server := emulator.New(o)
	t.Cleanup(server.Close)
	return server
}

// clientsOf returns clients of both regions over HTTP, whose limiters never wait.
func clientsOf(t *testing.T, server *emulator.Server) map[string]*Client {
	t.Helper()
	endpoints := map[string]string{}
	for _, region := range Regions() {
		listener := httptest.NewServer(server.Handler(region))
		t.Cleanup(listener.Close)
		endpoints[region] = listener.URL
	}
	clock := newFreeClock()
	cloud := newTestCloud(t, alibaba.Config{STSEndpoint: endpoints[RegionChina], Clock: clock}, Config{Endpoints: endpoints, ParseName: anyName})
	p, err := alibaba.Static(longLived())
	if err != nil {
		t.Fatal(err)
	}
	clients := map[string]*Client{}
	for _, region := range Regions() {
		if clients[region], err = cloud.Client(region, p); err != nil {
			t.Fatal(err)
		}
		limiterOf(cloud, clients[region].identity, region, ActionUpload)
	}
	clock.advance(2 * ratelimit.QuietStart)
	return clients
}

// rrsaEnv is the environment of a role that the emulator knows.
func rrsaEnv(t *testing.T) map[string]string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("oidc-token-one\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return map[string]string{envRoleARN: testRole, envOIDCProviderARN: testOIDC, "ALIBABA_CLOUD_OIDC_TOKEN_FILE": file}
}

// newCertificate returns an upload of a fresh certificate, valid in any bubble,
// and the digest of its leaf.
func newCertificate(t *testing.T, domain string) (UploadRequest, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template(domain), template(domain), key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(der)
	return UploadRequest{Name: "shop_web", Certificate: encode("CERTIFICATE", der), PrivateKey: encode("EC PRIVATE KEY", keyDER)},
		hex.EncodeToString(digest[:])
}

func newSMPair(t *testing.T, domain string) UploadRequest {
	t.Helper()
	half := func(usage x509.KeyUsage) (certificate, private string) {
		key, err := sm2.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		leaf := template(domain)
		leaf.KeyUsage = usage
		der, err := smx509.CreateCertificate(rand.Reader, leaf, leaf, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		keyDER, err := smx509.MarshalSM2PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return encode("CERTIFICATE", der), encode("EC PRIVATE KEY", keyDER)
	}
	r := UploadRequest{Name: "shop_sm"}
	r.SignCertificate, r.SignPrivateKey = half(x509.KeyUsageDigitalSignature)
	r.EncryptCertificate, r.EncryptPrivateKey = half(x509.KeyUsageKeyEncipherment)
	return r
}

func template(domain string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(mathrand.Int64()), Subject: pkix.Name{CommonName: domain}, DNSNames: []string{domain},
		NotBefore: time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC),
	}
}

func encode(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func TestEmulatorTakesTheWholeLifeOfACertificate(t *testing.T) {
	t.Parallel()
	server := newEmulator(t, emulator.Options{})
	clients := clientsOf(t, server)
	for _, region := range Regions() {
		t.Run(region, func(t *testing.T) {
			client := clients[region]
			if account, err := client.Account(t.Context()); err != nil || account != testAccount {
				t.Fatalf("account %q, %v", account, err)
			}
			upload, digest := newCertificate(t, "shop.example")
			upload.ResourceGroupID, upload.Tags = "rg-acfm", []Tag{{"env", "prod *~+ä"}, {"team", ""}}
			uploaded, err := client.Upload(t.Context(), nil, upload)
			if err != nil {
				t.Fatal(err)
			}
			held := server.Certificates(testAccount, region)
			if len(held) != 1 || held[0].CertID != uploaded.CertID || held[0].ResourceID != uploaded.ResourceID {
				t.Fatalf("uploaded %v, held %v", uploaded, held)
			}
			if diff := cmp.Diff(map[string]string{"env": "prod *~+ä", "team": ""}, held[0].Tags); diff != "" {
				t.Error(diff)
			}
			if _, err := client.Upload(t.Context(), nil, upload); !alibaba.IsNameTaken(err) {
				t.Errorf("again: %v", err)
			}
			named := func(c inventory.Entry) bool { return c.Name == upload.Name }
			for _, keyword := range []string{"shop.example", uploaded.ResourceID} {
				found, err := find(t, client, keyword, named)
				if err != nil || len(found) != 1 {
					t.Fatalf("found %v, %v", found, err)
				}
				want := inventory.Entry{
					CertID: uploaded.CertID, ResourceID: uploaded.ResourceID, Name: upload.Name, SHA256: digest, NotAfter: template("").NotAfter, Seen: found[0].Seen,
				}
				if diff := cmp.Diff(want, found[0]); diff != "" {
					t.Error(diff)
				}
			}
			if found, err := find(t, client, "other.example", named); err != nil || len(found) != 0 {
				t.Errorf("found %v, %v", found, err)
			}
			if err := client.Delete(t.Context(), uploaded.CertID); err != nil {
				t.Error(err)
			}
			if err := client.Delete(t.Context(), uploaded.CertID); !alibaba.IsNotFound(err) {
				t.Errorf("again: %v", err)
			}
			pair := newSMPair(t, "shop.example")
			if _, err := client.Upload(t.Context(), nil, pair); err != nil {
				t.Error(err)
			}
			pair.Name, pair.SignPrivateKey = "other", pair.EncryptPrivateKey
			if _, err := client.Upload(t.Context(), nil, pair); !alibaba.IsRefused(err) {
				t.Errorf("a key of another certificate: %v", err)
			}
		})
	}
	for _, call := range server.Journal() {
		if call.SecretInURL {
			t.Errorf("a secret in a URL of %s", call.Action)
		}
	}
}

func TestEveryFaultIsClassifiedAndSurvived(t *testing.T) {
	t.Parallel()
	// The upload is repeated until the cloud says that it is there: no fault may
	// leave none or two.
	for name, tc := range map[string]struct {
		fault    emulator.Fault
		class    alibaba.Class
		happened bool // MayHaveHappened
	}{
		"a failure before the commit":      {emulator.Fault{Kind: emulator.FaultFail}, alibaba.Transient, true},
		"a failure after the commit":       {emulator.Fault{Kind: emulator.FaultFail, AfterCommit: true}, alibaba.Transient, true},
		"an internal error of status 400":  {emulator.Fault{Kind: emulator.FaultFail, Code: "InternalError", Status: 400, AfterCommit: true}, alibaba.Transient, true},
		"an unknown code":                  {emulator.Fault{Kind: emulator.FaultFail, Code: "Brand.New", Status: 400, AfterCommit: true}, alibaba.Transient, true},
		"an unknown code of a refusal":     {emulator.Fault{Kind: emulator.FaultFail, Code: "Forbidden.MadeUpPolicy", Status: 403}, alibaba.Denied, false},
		"a refused certificate":            {emulator.Fault{Kind: emulator.FaultFail, Code: "CertificateChainNotMatch"}, alibaba.Refused, false},
		"no quota":                         {emulator.Fault{Kind: emulator.FaultFail, Code: "InsufficientQuota"}, alibaba.Quota, false},
		"an inactive key":                  {emulator.Fault{Kind: emulator.FaultFail, Code: "InvalidAccessKeyId.Inactive"}, alibaba.Unauthenticated, false},
		"a clock that is wrong":            {emulator.Fault{Kind: emulator.FaultFail, Code: "InvalidTimeStamp.Expired"}, alibaba.Transient, false},
		"a reset before the commit":        {emulator.Fault{Kind: emulator.FaultReset}, alibaba.Transient, true},
		"a reset after the commit":         {emulator.Fault{Kind: emulator.FaultReset, AfterCommit: true}, alibaba.Transient, true},
		"HTML":                             {emulator.Fault{Kind: emulator.FaultHTML}, alibaba.Transient, true},
		"HTML of status 200":               {emulator.Fault{Kind: emulator.FaultHTML, Status: 200, AfterCommit: true}, alibaba.Transient, true},
		"a number as a code":               {emulator.Fault{Kind: emulator.FaultNumericCode, AfterCommit: true}, alibaba.Transient, true},
		"an empty answer":                  {emulator.Fault{Kind: emulator.FaultEmpty, AfterCommit: true}, alibaba.Transient, true},
		"half an answer":                   {emulator.Fault{Kind: emulator.FaultTruncated}, alibaba.Transient, true},
		"certificate id zero":              {emulator.Fault{Kind: emulator.FaultZeroCertID, AfterCommit: true}, alibaba.Transient, true},
		"throttling":                       {emulator.Fault{Kind: emulator.FaultThrottle, TimeLeft: 300 * time.Millisecond}, alibaba.Throttled, false},
		"throttling by flow control":       {emulator.Fault{Kind: emulator.FaultThrottle, Code: "FlowControlError"}, alibaba.Throttled, false},
		"no permission":                    {emulator.Fault{Kind: emulator.FaultDenied}, alibaba.Denied, false},
		"a name that is taken invisibly":   {emulator.Fault{Kind: emulator.FaultNameTaken}, alibaba.NameTaken, false},
		"the string to sign, with the key": {emulator.Fault{Kind: emulator.FaultEchoSignature}, alibaba.Unauthenticated, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newEmulator(t, emulator.Options{})
			client := clientsOf(t, server)[RegionChina]
			tc.fault.Action, tc.fault.Count = string(ActionUpload), 1
			server.Inject(tc.fault)
			upload, _ := newCertificate(t, "shop.example")

			_, err := client.Upload(t.Context(), nil, upload)
			if err == nil || alibaba.ClassOf(err) != tc.class || alibaba.MayHaveHappened(err) != tc.happened {
				t.Fatalf("got %v of class %v, may have happened: %v", err, alibaba.ClassOf(err), alibaba.MayHaveHappened(err))
			}
			raw, _ := json.Marshal(err)
			if secret := findSecret(fmt.Sprintf("%+v %#v %s", err, err, raw), secretParts(upload)); secret != "" {
				t.Error("the error shows a secret")
			}
			if wait, ok := alibaba.RetryAfter(err); ok != (tc.class == alibaba.Throttled) || wait < tc.fault.TimeLeft {
				t.Errorf("retry after %v", wait)
			}
			if _, err := client.Upload(t.Context(), nil, upload); err != nil && !alibaba.IsNameTaken(err) {
				t.Errorf("again: %v", err)
			}
			if held := server.Certificates(testAccount, RegionChina); len(held) != 1 {
				t.Errorf("%d certificates", len(held))
			}
		})
	}
}

func TestAHangingCallEndsWithItsContext(t *testing.T) {
	t.Parallel()
	for name, after := range map[string]bool{"before the commit": false, "after the commit": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newEmulator(t, emulator.Options{})
			client := clientsOf(t, server)[RegionChina]
			server.Inject(emulator.Fault{Kind: emulator.FaultHang, AfterCommit: after, Count: 1})
			upload, _ := newCertificate(t, "shop.example")
			ctx, cancel := context.WithCancel(t.Context())
			var err error
			var wg sync.WaitGroup
			wg.Go(func() { _, err = client.Upload(ctx, nil, upload) })
			for len(server.Journal()) == 0 {
				time.Sleep(time.Millisecond)
			}
			cancel()
			wg.Wait()
			if err == nil || !alibaba.MayHaveHappened(err) || alibaba.ClassOf(err) != alibaba.Transient {
				t.Errorf("got %v", err)
			}
		})
	}
}

// anyName takes every certificate for one of ours.
func anyName(name string) (identity, content string, ok bool) { return "any", name, true }

// find looks a keyword up by a client whose names are all of one identity.
func find(t *testing.T, client *Client, keyword string, match func(inventory.Entry) bool) ([]inventory.Entry, error) {
	t.Helper()
	return client.LookUp(t.Context(), "any", keyword, client.cloud.clock.Now(), match)
}

func TestFindAgainstFaultsOfTheList(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fault  emulator.Fault
		found  bool
		digest bool
		fails  bool
	}{
		"no fault":                     {emulator.Fault{Kind: emulator.FaultTotalCount, Size: 3}, true, true, false},
		"a certificate that is hidden": {emulator.Fault{Kind: emulator.FaultHide}, false, false, false},
		"no digests":                   {emulator.Fault{Kind: emulator.FaultNoDigests}, true, false, false},
		"a page that is cut short":     {emulator.Fault{Kind: emulator.FaultShortPage}, false, false, true},
		"a count that is too low":      {emulator.Fault{Kind: emulator.FaultTotalCount}, true, true, false},
		"a count that is too high":     {emulator.Fault{Kind: emulator.FaultTotalCount, Size: 1}, true, true, false},
		"no permission":                {emulator.Fault{Kind: emulator.FaultDenied, Action: string(ActionList)}, false, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newEmulator(t, emulator.Options{ListLimit: -1})
			client := clientsOf(t, server)[RegionChina]
			upload, digest := newCertificate(t, "shop.example")
			if _, err := client.Upload(t.Context(), nil, upload); err != nil {
				t.Fatal(err)
			}
			server.Inject(tc.fault)
			found, err := find(t, client, "shop.example", func(c inventory.Entry) bool { return c.Name == upload.Name })
			if (len(found) == 1) != tc.found || (err != nil) != tc.fails {
				t.Fatalf("found %v, %v", found, err)
			}
			if tc.found && (found[0].SHA256 == digest) != tc.digest {
				t.Errorf("digest %q", found[0].SHA256)
			}
		})
	}
}

// uploadUntilDone uploads as a controller does: it comes back when told.
func uploadUntilDone(t *testing.T, client *Client, upload UploadRequest) error {
	for {
		slot, err := client.Reserve(t.Context(), ActionUpload)
		if err == nil {
			time.Sleep(mathrand.N(20 * time.Millisecond)) // reads its Secret
			_, err = client.Upload(t.Context(), slot, upload)
			slot.Release()
		}
		after, throttled := alibaba.RetryAfter(err)
		if !throttled {
			return err
		}
		time.Sleep(after)
	}
}

func outcomes(server *emulator.Server) map[string]int {
	counts := map[string]int{}
	for _, call := range server.Journal() {
		counts[call.Action+" "+call.Code]++
	}
	return counts
}

func TestManyUploadsAtOnceStayWithinTheLimit(t *testing.T) {
	t.Parallel()
	upload, _ := newCertificate(t, "shop.example")
	synctest.Test(t, func(t *testing.T) {
		latency := emulator.Latency{Base: 75 * time.Millisecond, Jitter: 25 * time.Millisecond}
		server := newEmulator(t, emulator.Options{LatencyBefore: latency, LatencyAfter: latency})
		client := newBubbleClient(t, server.Transport(RegionChina).RoundTrip, longLived())
		begin := time.Now()
		var wg sync.WaitGroup
		for i := range 500 {
			mine := upload
			mine.Name = fmt.Sprint("name", i%400)
			wg.Go(func() {
				if err := uploadUntilDone(t, client, mine); err != nil && !alibaba.IsNameTaken(err) {
					t.Errorf("upload %d: %v", i, err)
				}
			})
			if i == 100 {
				// Learned while uploads are under way.
				wg.Go(func() {
					if _, err := client.Account(t.Context()); err != nil {
						t.Error(err)
					}
				})
			}
		}
		wg.Wait()
		want := map[string]int{"UploadUserCertificate ": 400, "UploadUserCertificate NameRepeat": 100, "GetCallerIdentity ": 1}
		if diff := cmp.Diff(want, outcomes(server)); diff != "" {
			t.Error(diff)
		}
		if took := time.Since(begin); took > 8*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestUploadsSurviveTheEndOfEveryToken(t *testing.T) {
	t.Parallel()
	upload, _ := newCertificate(t, "shop.example")
	env := rrsaEnv(t)
	synctest.Test(t, func(t *testing.T) {
		server := newEmulator(t, emulator.Options{})
		cloud := newBubbleClient(t, server.Transport(RegionChina).RoundTrip, longLived()).cloud
		p, err := cloud.caller.EnvironmentProvider(func(name string) string { return env[name] })
		if err != nil {
			t.Fatal(err)
		}
		client, err := cloud.Client(RegionChina, p)
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		for i := range 120 {
			upload.Name = fmt.Sprint("name", i)
			if err := uploadUntilDone(t, client, upload); err != nil {
				t.Errorf("upload %d: %v", i, err)
			}
			time.Sleep(3 * time.Minute)
		}
		if account, err := client.Account(t.Context()); err != nil || account != testAccount {
			t.Errorf("account %q, %v", account, err)
		}
		got := outcomes(server)
		tokens := got["AssumeRoleWithOIDC "]
		delete(got, "AssumeRoleWithOIDC ")
		if diff := cmp.Diff(map[string]int{"UploadUserCertificate ": 120, "GetCallerIdentity ": 1}, got); diff != "" {
			t.Error(diff)
		}
		if hours := int(time.Since(begin).Hours()); tokens < hours || tokens > hours+2 {
			t.Errorf("%d tokens in %d hours", tokens, hours)
		}
	})
}

func TestATokenThatTheClusterDoesNotTrust(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]map[string]string{
		"a role that is not there":   {envRoleARN: "acs:ram::1:role/none", envOIDCProviderARN: testOIDC},
		"a provider that is another": {envRoleARN: testRole, envOIDCProviderARN: "acs:ram::1:oidc-provider/none"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newEmulator(t, emulator.Options{})
			cloud := clientsOf(t, server)[RegionChina].cloud
			env := rrsaEnv(t)
			maps.Copy(env, tc)
			p, err := cloud.caller.EnvironmentProvider(func(name string) string { return env[name] })
			if err != nil {
				t.Fatal(err)
			}
			if got, err := p.Retrieve(t.Context()); !alibaba.IsUnauthenticated(err) {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

func TestAStormOfThrottlingIsNotFed(t *testing.T) {
	t.Parallel()
	upload, _ := newCertificate(t, "shop.example")
	synctest.Test(t, func(t *testing.T) {
		server := newEmulator(t, emulator.Options{})
		client := newBubbleClient(t, server.Transport(RegionChina).RoundTrip, longLived())
		storm := server.Inject(emulator.Fault{Kind: emulator.FaultThrottle, Action: string(ActionUpload)})
		var wg sync.WaitGroup
		for i := range 200 {
			mine := upload
			mine.Name = fmt.Sprint("name", i)
			wg.Go(func() {
				if err := uploadUntilDone(t, client, mine); err != nil {
					t.Error(err)
				}
			})
		}
		time.Sleep(time.Minute)
		during := outcomes(server)["UploadUserCertificate Throttling.User"]
		server.ClearFault(storm)
		cleared := time.Now()
		wg.Wait()
		// A minute at the full rate would be 5,700 calls.
		if during > 600 || during < 60 {
			t.Errorf("%d calls in a minute of throttling", during)
		}
		if held := len(server.Certificates(testAccount, RegionChina)); held != 200 {
			t.Errorf("%d certificates", held)
		}
		if took := time.Since(cleared); took > time.Minute+30*time.Second {
			t.Errorf("took %v after the storm", took)
		}
		last := slices.Collect(func(yield func(string) bool) {
			for _, call := range server.Journal() {
				if call.Received.After(cleared.Add(time.Second)) && !yield(call.Code) {
					return
				}
			}
		})
		if slices.ContainsFunc(last, func(code string) bool { return code != "" }) {
			t.Errorf("codes after the storm: %v", slices.Compact(last))
		}
	})
}
