// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package cas

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// strictCloud is the smallest cloud that tells right from wrong: signatures,
// nonces, tokens, unique names and the sliding window of a second. It runs
// inside a synctest bubble, so that its times are exact.
type strictCloud struct {
	window  window
	mu      sync.Mutex
	secrets map[string]string // by access key id
	expires map[string]time.Time
	nonces  map[string]bool
	names   map[string]int64
	wrong   int
	refused int
	asked   int
	tokens  int
}

func newStrictCloud() *strictCloud {
	return &strictCloud{
		window: window{limit: 100}, secrets: map[string]string{testID: testSecret}, expires: map[string]time.Time{},
		nonces: map[string]bool{}, names: map[string]int64{},
	}
}

func (s *strictCloud) RoundTrip(r *http.Request) (*http.Response, error) {
	recorder := httptest.NewRecorder()
	if err := r.ParseForm(); err != nil {
		return nil, err
	}
	time.Sleep(50*time.Millisecond + rand.N(50*time.Millisecond))
	status, body := s.answer(r)
	time.Sleep(50*time.Millisecond + rand.N(50*time.Millisecond))
	recorder.WriteHeader(status)
	_, _ = recorder.WriteString(body)
	return recorder.Result(), nil
}

func (s *strictCloud) answer(r *http.Request) (int, string) {
	form := r.PostForm
	s.mu.Lock()
	defer s.mu.Unlock()
	if form.Get("Action") == "AssumeRoleWithOIDC" {
		s.tokens++
		id := fmt.Sprintf("STS.%d", s.tokens)
		s.secrets[id], s.expires[id] = "secret of "+id, time.Now().Add(20*time.Minute)
		return 200, fmt.Sprintf(`{"Credentials":{"AccessKeyId":%q,"AccessKeySecret":%q,"SecurityToken":%q,"Expiration":%q}}`,
			id, s.secrets[id], "token of "+id, s.expires[id].UTC().Format(time.RFC3339))
	}
	id := form.Get("AccessKeyId")
	expires, temporary := s.expires[id]
	switch {
	case form.Get("Signature") != signature(r.Method, s.secrets[id], form):
		s.wrong++
		return 400, `{"Code":"SignatureDoesNotMatch"}`
	case s.nonces[form.Get("SignatureNonce")]:
		s.wrong++
		return 400, `{"Code":"SignatureNonceUsed"}`
	case temporary && (form.Get("SecurityToken") != "token of "+id || !time.Now().Before(expires)):
		s.wrong++
		return 400, `{"Code":"InvalidSecurityToken.Expired"}`
	}
	s.nonces[form.Get("SignatureNonce")] = true
	if form.Get("Action") == "GetCallerIdentity" {
		s.asked++
		return 200, `{"AccountId":"1234567890"}`
	}
	if !s.window.take() {
		s.refused++
		return 400, `{"Code":"Throttling.User"}`
	}
	if _, taken := s.names[form.Get("Name")]; taken {
		return 400, `{"Code":"NameRepeat"}`
	}
	s.names[form.Get("Name")] = int64(len(s.names) + 1)
	return 200, fmt.Sprintf(`{"CertId":%d,"RequestId":"R"}`, len(s.names))
}

// uploadUntilDone uploads as a controller does: it comes back when told.
func uploadUntilDone(t *testing.T, client *Client, name string) error {
	for {
		slot, err := client.Reserve(t.Context(), ActionUpload)
		if err == nil {
			time.Sleep(rand.N(20 * time.Millisecond)) // reads its Secret
			_, err = client.Upload(t.Context(), slot, UploadRequest{Name: name, Certificate: "c", PrivateKey: "k"})
			slot.Release()
		}
		after, throttled := RetryAfter(err)
		if !throttled {
			return err
		}
		time.Sleep(after)
	}
}

func TestManyUploadsAtOnceStayWithinTheLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cloud := newStrictCloud()
		client := newBubbleClient(t, cloud.RoundTrip)
		begin := time.Now()
		var wg sync.WaitGroup
		for i := range 500 {
			wg.Go(func() {
				if err := uploadUntilDone(t, client, fmt.Sprint("name", i%400)); err != nil && !IsNameTaken(err) {
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
		if len(cloud.names) != 400 || cloud.wrong != 0 || cloud.refused != 0 || cloud.asked != 1 {
			t.Errorf("%d certificates, %d bad calls, %d throttled, account asked for %d times",
				len(cloud.names), cloud.wrong, cloud.refused, cloud.asked)
		}
		if took := time.Since(begin); took > 8*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestUploadsSurviveTheEndOfEveryToken(t *testing.T) {
	t.Parallel()
	env, file := rrsaEnv(t)
	if err := os.Chmod(file, 0o400); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		cloud := newStrictCloud()
		client := newBubbleClient(t, cloud.RoundTrip)
		p, err := client.cloud.EnvironmentProvider(env)
		if err != nil {
			t.Fatal(err)
		}
		if client, err = client.cloud.Client(SiteChina, p); err != nil {
			t.Fatal(err)
		}
		for i := range 60 {
			if err := uploadUntilDone(t, client, fmt.Sprint("name", i)); err != nil {
				t.Errorf("upload %d: %v", i, err)
			}
			time.Sleep(2 * time.Minute)
		}
		// Two hours of tokens that last 20 minutes and are renewed after 15.
		if cloud.wrong != 0 || cloud.tokens < 6 || cloud.tokens > 10 {
			t.Errorf("%d bad calls with %d tokens", cloud.wrong, cloud.tokens)
		}
	})
}
