// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package cas

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/inventory"
	"github.com/cloudcert-io/cloudcert/internal/ratelimit"
)

// roundTripper is a cloud inside a synctest bubble, where no network can be.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answerWith(body string) *http.Response {
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
}

// newBubbleClient returns a client that sends to the given function, with real
// time, which a bubble fakes.
func newBubbleClient(t *testing.T, send roundTripper, credentials ...alibaba.Credentials) *Client {
	t.Helper()
	c := newTestCloud(t, alibaba.Config{Transport: send}, Config{})
	p, err := alibaba.Static(append(credentials, testCredentials())[0])
	if err != nil {
		t.Fatal(err)
	}
	client, err := c.Client(RegionChina, p)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func TestEveryCallEndsBeforeASuccessorStarts(t *testing.T) {
	t.Parallel()
	for name, call := range map[string]func(context.Context, *Client) error{
		"upload": func(ctx context.Context, c *Client) error { _, err := c.Upload(ctx, nil, testUpload()); return err },
		"list": func(ctx context.Context, c *Client) error {
			_, err := c.ListPage(ctx, inventory.Query{Page: 1})
			return err
		},
		"delete": func(ctx context.Context, c *Client) error { return c.Delete(ctx, 1) },
		"upload with a slot half a second ahead": func(ctx context.Context, c *Client) error {
			var slot *Slot
			for range 48 {
				var err error
				if slot, err = c.Reserve(ctx, ActionUpload); err != nil {
					return err
				}
			}
			_, err := c.Upload(ctx, slot, testUpload())
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client := newBubbleClient(t, func(r *http.Request) (*http.Response, error) {
					<-r.Context().Done()
					return nil, r.Context().Err()
				})
				limiterOf(client.cloud, client.identity, RegionChina, ActionUpload)
				time.Sleep(ratelimit.QuietStart)
				began := time.Now()
				err := call(t.Context(), client)
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v", err)
				}
				if took := time.Since(began); took != alibaba.CallTimeout {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

func TestLimitersBelongToTheAccount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var now atomic.Pointer[string]
		client := newBubbleClient(t, func(*http.Request) (*http.Response, error) {
			return answerWith(fmt.Sprintf(`{"AccountId":%q}`, *now.Load())), nil
		})
		cloud := client.cloud
		limiters := map[string]*ratelimit.Limiter{}
		for name, account := range map[string]string{"first": "1", "second": "1", "other": "2"} {
			p, err := alibaba.Static(alibaba.Credentials{AccessKeyID: name, AccessKeySecret: "s"})
			if err != nil {
				t.Fatal(err)
			}
			c, err := cloud.Client(RegionChina, p)
			if err != nil {
				t.Fatal(err)
			}
			now.Store(&account)
			if _, err := c.Account(t.Context()); err != nil {
				t.Fatal(err)
			}
			limiters[name] = limiterOf(cloud, c.identity, RegionChina, ActionUpload)
			if limiterOf(cloud, c.identity, RegionInternational, ActionUpload) == limiters[name] ||
				limiterOf(cloud, c.identity, RegionChina, ActionDelete) == limiters[name] {
				t.Errorf("%s: one limiter for two regions or actions", name)
			}
		}
		if limiters["first"] != limiters["second"] || limiters["first"] == limiters["other"] {
			t.Errorf("limiters: %p", limiters)
		}
	})
}

// What was sent before the account was known still counts.
func TestASlotFromBeforeTheAccountWasKnownSlowsItDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := newBubbleClient(t, func(*http.Request) (*http.Response, error) { return answerWith(`{"AccountId":"1"}`), nil })
		_, _ = client.Reserve(t.Context(), ActionUpload)
		time.Sleep(2 * ratelimit.QuietStart)
		early, err := client.Reserve(t.Context(), ActionUpload)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Account(t.Context()); err != nil {
			t.Fatal(err)
		}
		early.Throttled(time.Now(), 5*time.Second)
		if _, err := client.Reserve(t.Context(), ActionUpload); !alibaba.IsThrottled(err) {
			t.Errorf("the account goes on after its limiter was throttled: %v", err)
		}
	})
}

// What may still count in the cloud is what was sent before this process began, not
// before it first called for an account.
func TestOnlyTheStartOfAProcessIsQuiet(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := newBubbleClient(t, func(*http.Request) (*http.Response, error) { return answerWith(`{"AccountId":"1"}`), nil })
		for range 2 {
			client.cloud.Begin()
			time.Sleep(ratelimit.QuietStart / 2)
		}
		for _, region := range Regions() {
			slot, _ := limiterOf(client.cloud, client.identity, region, ActionUpload).Reserve("", ratelimit.Prompt, ratelimit.Prompt.Horizon())
			if slot == nil {
				t.Fatalf("%s: the first call has to come back", region)
			}
			began := time.Now()
			if sent, err := slot.Wait(t.Context()); err != nil || sent.After(began) {
				t.Errorf("%s: the first call waits: %v", region, err)
			}
		}
		other := newBubbleClient(t, func(*http.Request) (*http.Response, error) { return answerWith(`{"AccountId":"1"}`), nil })
		if slot, wait := limiterOf(other.cloud, other.identity, RegionChina, ActionUpload).Reserve("", ratelimit.Prompt, 0); slot != nil || wait < ratelimit.QuietStart {
			t.Errorf("a process that has just begun calls after %v", wait)
		}
	})
}

func TestSlots(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var sent []time.Time
		client := newBubbleClient(t, func(*http.Request) (*http.Response, error) {
			sent = append(sent, time.Now())
			return answerWith(`{"CertId":1,"RequestId":"r"}`), nil
		})
		if _, err := client.Upload(t.Context(), nil, testUpload()); !alibaba.IsThrottled(err) {
			t.Errorf("in the quiet second: %v", err)
		}
		time.Sleep(ratelimit.QuietStart)
		start := time.Now()
		reserve := func(action alibaba.Action) *Slot {
			t.Helper()
			slot, err := client.Reserve(t.Context(), action)
			if err != nil {
				t.Fatal(err)
			}
			return slot
		}
		upload := func(slot *Slot) {
			t.Helper()
			if _, err := client.Upload(t.Context(), slot, testUpload()); err != nil {
				t.Error(err)
			}
		}
		first, second := reserve(ActionUpload), reserve(ActionUpload)
		upload(second) // its own place, not the first free one
		upload(second) // spent: one of its own
		first.Release()
		upload(first)                 // given back: one of its own
		upload(reserve(ActionDelete)) // of another action: one of its own
		first.Release()
		second.Release()
		(*Slot)(nil).Release()
		interval := time.Second / 95
		for i, want := range []int{1, 2, 3, 4} {
			if got := sent[i].Sub(start); got < time.Duration(want)*interval || got > time.Duration(want)*interval+10 {
				t.Errorf("call %d after %v", i, got)
			}
		}
	})
}

func TestAThrottledCallSlowsItsAccountAndSaysWhenToComeBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := newBubbleClient(t, func(*http.Request) (*http.Response, error) {
			response := answerWith(`{"Code":"Throttling.User"}`)
			response.StatusCode = 400
			response.Header.Set("X-Ratelimit-User-Api", "Limit:100,Remain:0,TimeLeft:2500")
			return response, nil
		})
		client.cloud.Begin()
		time.Sleep(ratelimit.QuietStart)
		_, err := client.Upload(t.Context(), nil, testUpload())
		after, ok := alibaba.RetryAfter(err)
		if !alibaba.IsThrottled(err) || !ok || after < 2500*time.Millisecond || after > 4*time.Second {
			t.Errorf("got %v, retry after %v", err, after)
		}
		if _, err := client.Reserve(t.Context(), ActionUpload); !alibaba.IsThrottled(err) {
			t.Errorf("during the pause: %v", err)
		}
		if _, err := client.Reserve(t.Context(), ActionList); err != nil {
			t.Errorf("of another action: %v", err)
		}
	})
}

type brokenProvider struct{}

func (brokenProvider) ID() string { return "broken" }

func (brokenProvider) Retrieve(context.Context) (alibaba.Credentials, error) {
	return alibaba.Credentials{}, errors.New("broken")
}

func TestACallThatIsNotSentGivesItsSlotBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cloud := newBubbleClient(t, nil).cloud
		client, err := cloud.Client(RegionChina, brokenProvider{})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = client.Reserve(t.Context(), ActionUpload)
		time.Sleep(ratelimit.QuietStart)
		for range 100 { // as many places are within reach only if each is given back
			slot, err := client.Reserve(t.Context(), ActionUpload)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := client.Upload(t.Context(), slot, testUpload()); !alibaba.IsUnauthenticated(err) {
				t.Fatalf("got %v", err)
			}
			slot.Release()
		}
	})
}
