// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/ratelimit"
)

const action alibaba.Action = "Read"

var (
	here  = Place{Service: "alb", Region: "cn-shanghai"}
	there = Place{Service: "alb", Region: "cn-beijing"}
)

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// world is gates in a bubble, whose cloud says that every credential is of account 1.
type world struct {
	t       *testing.T
	caller  *alibaba.Caller
	gates   *Gates[*int]
	answers roundTripper // of calls that are not for STS
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t}
	var err error
	w.caller, err = alibaba.New(alibaba.Config{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		if w.answers != nil && !strings.HasPrefix(r.URL.Host, "sts.") {
			return w.answers(r)
		}
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(`{"AccountId":"1"}`))}, nil
	})})
	if err != nil {
		t.Fatal(err)
	}
	w.gates = New(Config[*int]{
		Clock: w.caller.Clock(), Workers: 8, Rates: func(Place) map[alibaba.Action]float64 { return map[alibaba.Action]float64{action: 2} },
		Fresh: func() *int { return new(int) }, Merge: func(from, to *int) { *to += *from },
	})
	return w
}

func (w *world) identity(name string) *alibaba.Identity {
	w.t.Helper()
	p, err := alibaba.Static(alibaba.Credentials{AccessKeyID: name, AccessKeySecret: "s"})
	if err != nil {
		w.t.Fatal(err)
	}
	id, _ := w.caller.Identity(p)
	return id
}

// own is the identity of the operator's own credentials.
func (w *world) own() *alibaba.Identity {
	w.t.Helper()
	env := map[string]string{"ALIBABA_CLOUD_ACCESS_KEY_ID": "own", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "s"}
	p, err := w.caller.EnvironmentProvider(func(name string) string { return env[name] })
	if err != nil {
		w.t.Fatal(err)
	}
	id, _ := w.caller.Identity(p)
	return id
}

// known is identity, once its account was learned.
func (w *world) known(name string) *alibaba.Identity {
	w.t.Helper()
	id := w.identity(name)
	if _, err := id.Account(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	return id
}

func (w *world) way(id *alibaba.Identity, p Place, tenant string) *Way {
	gate, _ := w.gates.Of(id, p)
	return &Way{Gate: gate, Place: p, Identity: id, Clock: w.caller.Clock(), Tenant: tenant}
}

func TestAGateIsAnAccountsAtAPlace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		stranger := w.identity("a")
		early, kept := w.gates.Of(stranger, here)
		*kept = 3
		if other, _ := w.gates.Of(w.identity("b"), here); other == early {
			t.Error("two credentials of unknown accounts share a gate")
		}
		account, keptOfAccount := w.gates.Of(w.known("c"), here)
		*keptOfAccount = 4
		id := w.known("a")
		w.gates.Known(id, here, there)
		late, keptLate := w.gates.Of(id, here)
		if late != account || *keptLate != 7 {
			t.Errorf("another gate, or what was kept is lost: %d", *keptLate)
		}
		if other, _ := w.gates.Of(id, there); other == late {
			t.Error("two places share a gate")
		}
		if slot, _ := early.Limiter(action).Reserve("", ratelimit.Prompt, 0); slot != nil {
			t.Error("who still has the gate of the credential calls besides")
		}
	})
}

// Whoever makes up credentials takes no more memory with each.
func TestGatesOfStrangersAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for i := range 500 {
			w.gates.Of(w.identity(fmt.Sprint(i)), here)
		}
		if n := w.gates.gates.strangers.Len(); n > 2*maxStrangers {
			t.Errorf("gates of %d credentials are left", n)
		}
	})
}

// TestMadeUpCredentialsDoNotUnpaceTheOperator: while STS is out of reach no account is learned, and the operator's
// own credentials keep what is known of their limits, however many others there are.
func TestMadeUpCredentialsDoNotUnpaceTheOperator(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.gates.Begin()
		time.Sleep(2 * ratelimit.QuietStart)
		own := w.own()
		early, kept := w.gates.Of(own, here)
		*kept = 7
		for i := range 5 * maxStrangers {
			w.gates.Of(w.identity(fmt.Sprint(i)), here)
		}
		if late, _ := w.gates.Of(w.own(), here); late != early {
			t.Error("the operator's own gate gave way to those of made-up credentials")
		}
		if rates := w.gates.Rates(); len(rates) != 0 {
			t.Errorf("rates %v of no account", rates)
		}
		if _, err := own.Account(t.Context()); err != nil {
			t.Fatal(err)
		}
		if late, kept := w.gates.Of(own, here); late != early || *kept != 7 || len(w.gates.gates.lasting) != 1 {
			t.Errorf("%d gates, and %d kept, once the account is known; want the one before", len(w.gates.gates.lasting), *kept)
		}
	})
}

// A tenant whose account is never learned, because STS is out of reach, keeps to the limits wherever
// it is, however many places that are.
func TestAStrangerKeepsItsPaceEverywhere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.gates.Begin()
		time.Sleep(2 * ratelimit.QuietStart)
		id := w.identity("a")
		everywhere := func() (sent int) {
			for i := range 5 * maxStrangers {
				gate, _ := w.gates.Of(id, Place{Service: "alb", Region: fmt.Sprint(i)})
				if slot, _ := gate.Limiter(action).Reserve("", ratelimit.Prompt, 0); slot != nil {
					sent++
				}
			}
			return sent
		}
		if sent := everywhere(); sent != 5*maxStrangers {
			t.Errorf("%d places are called at first, want all", sent)
		}
		if sent := everywhere(); sent > 0 {
			t.Errorf("%d places are called again at once", sent)
		}
		if _, err := id.Account(t.Context()); err != nil {
			t.Fatal(err)
		}
		if sent := everywhere(); sent > 0 {
			t.Errorf("%d places are called again once the account is known", sent)
		}
		if n := w.gates.gates.strangers.Len(); n > 0 {
			t.Errorf("%d credentials whose account is known are kept as strangers", n)
		}
	})
}

func TestGatesOfAStrangerAreForgottenInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		id := w.identity("a")
		for i := range 100 {
			w.gates.Of(id, Place{Service: "alb", Region: fmt.Sprint(i)})
		}
		time.Sleep(alibaba.IdleAfter + time.Second)
		w.gates.Of(id, here)
		if places, _ := w.gates.gates.strangers.Get(id.Credential(), time.Now()); len(places) != 1 {
			t.Errorf("%d gates are left, want the one in use", len(places))
		}
	})
}

func TestGatesOfAccountsAreForgottenInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		id := w.known("a")
		for i := range 100 {
			w.gates.Of(id, Place{Service: "alb", Region: fmt.Sprint(i)})
		}
		time.Sleep(alibaba.IdleAfter + time.Second)
		w.gates.Of(id, here)
		if n, around := len(w.gates.gates.lasting), len(w.gates.around); n != 1 || around != 1 {
			t.Errorf("%d gates of accounts and %d places are left, want the one in use", n, around)
		}
	})
}

// A place that hangs occupies a quarter of the workers, over all accounts, and the others are told
// why; another place goes on.
func TestAPlaceThatHangsOccupiesAQuarterOfTheWorkers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var mu sync.Mutex
		hanging, most := 0, 0
		hang := func(by int) (mostSoFar int) {
			mu.Lock()
			defer mu.Unlock()
			hanging += by
			most = max(most, hanging)
			return most
		}
		w.answers = func(r *http.Request) (*http.Response, error) {
			if strings.HasPrefix(r.URL.Host, "here.") {
				hang(1)
				<-r.Context().Done()
				hang(-1)
				return nil, r.Context().Err()
			}
			return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(`{"RequestId":"r"}`))}, nil
		}
		w.gates.Begin()
		time.Sleep(2 * ratelimit.QuietStart)
		for i := range 8 { // each of an account of its own
			go func() { _ = w.send(w.way(w.identity(fmt.Sprint(i)), here, fmt.Sprint(i)), "here") }()
		}
		synctest.Wait()
		if busy := hang(0); busy != 2 {
			t.Errorf("%d of 8 workers are busy with the place that hangs, want 2", busy)
		}
		if err := w.send(w.way(w.identity("0"), there, "0"), "there"); err != nil {
			t.Errorf("another place is not called: %v", err)
		}
		for range 10 {
			time.Sleep(time.Second)
			_ = w.send(w.way(w.identity("0"), here, "0"), "here")
		}
		err := w.send(w.way(w.identity("0"), here, "0"), "here")
		if after, ok := alibaba.RetryAfter(err); !ok || after > 4*time.Second || alibaba.MayHaveHappened(err) {
			t.Errorf("a call that was turned away: %v, again after %s", err, after)
		}
	})
}

type answer struct{ RequestID string }

func (*answer) Validate() error { return nil }

func (w *world) send(way *Way, host string) error {
	ctx, cancel := context.WithTimeout(w.t.Context(), alibaba.CallTimeout)
	defer cancel()
	_, _, failure := Send[answer](ctx, way, nil, alibaba.Call{Action: action, Version: "2020-06-16", Endpoint: "https://" + host + ".example.com", Region: "cn-shanghai"})
	if failure == nil {
		return nil
	}
	return failure
}
