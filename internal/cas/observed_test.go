// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package cas

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/ratelimit"
)

func TestRatesAreOfAccountsThatAreKnown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := newBubbleClient(t, func(*http.Request) (*http.Response, error) { return answerWith(`{"AccountId":"1"}`), nil })
		slot, err := client.Reserve(t.Context(), ActionUpload)
		if err == nil {
			t.Fatalf("a slot in the quiet start: %v", slot)
		}
		if got := client.cloud.Rates(); len(got) != 0 {
			t.Errorf("rates of an account that is not known: %v", got)
		}
		if _, err := client.Account(t.Context()); err != nil {
			t.Fatal(err)
		}
		pace := func(action alibaba.Action) Pace { return Pace{Account: "1", Region: RegionChina, Action: action} }
		want := map[Pace]float64{pace(ActionUpload): 95, pace(ActionDelete): 95, pace(ActionList): 9}
		if diff := cmp.Diff(want, client.cloud.Rates()); diff != "" {
			t.Errorf("rates (-want +got):\n%s", diff)
		}
		time.Sleep(ratelimit.QuietStart)
		if slot, err = client.Reserve(t.Context(), ActionUpload); err != nil {
			t.Fatal(err)
		}
		slot.Throttled(time.Now(), 0)
		if got := client.cloud.Rates()[pace(ActionUpload)]; got >= 95 {
			t.Errorf("after a throttled answer the rate is still %v", got)
		}
	})
}

func TestWaitsForATurnAreObserved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := newBubbleClient(t, func(*http.Request) (*http.Response, error) { return answerWith(`{"CertId":1}`), nil })
		var got []time.Duration
		client.cloud.observeWait = func(pace Pace, wait time.Duration) {
			if want := (Pace{Region: RegionChina, Action: ActionUpload}); pace != want {
				t.Errorf("a wait for %+v, want %+v", pace, want)
			}
			got = append(got, wait)
		}
		_, err := client.Upload(t.Context(), nil, testUpload()) // in the quiet start
		hint, hinted := alibaba.RetryAfter(err)
		if !hinted {
			t.Fatalf("got %v, want a hint", err)
		}
		time.Sleep(ratelimit.QuietStart)
		for range 2 {
			if _, err := client.Upload(t.Context(), nil, testUpload()); err != nil {
				t.Fatal(err)
			}
		}
		second := time.Second / 95
		if len(got) != 3 || got[0] != hint || got[1] != 0 || got[2] < second-time.Millisecond || got[2] > second+time.Millisecond {
			t.Errorf("waits %v, want the hint %v, none, and the %v between two uploads", got, hint, second)
		}
	})
}
