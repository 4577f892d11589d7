// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package cas

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/inventory"
)

// halfACloud answers in one region, and hangs in the other until it is back.
type halfACloud struct {
	back time.Time

	mu       sync.Mutex
	hanging  int
	most     int
	uploaded []time.Time // in the region that hung
}

func (c *halfACloud) roundTrip(r *http.Request) (*http.Response, error) {
	if !strings.HasPrefix(r.URL.Host, "cas.aliyuncs") {
		time.Sleep(20 * time.Millisecond)
		return answerWith(`{"CertId":1,"ResourceId":"cas-upload-a","RequestId":"r"}`), nil
	}
	if time.Now().Before(c.back) {
		c.hang(1)
		defer c.hang(-1)
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	time.Sleep(20 * time.Millisecond)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.uploaded = append(c.uploaded, time.Now())
	return answerWith(`{"CertId":2,"ResourceId":"cas-upload-b","RequestId":"r"}`), nil
}

func (c *halfACloud) hang(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hanging += n
	c.most = max(c.most, c.hanging)
}

// pool are workers, who take objects up in the order in which they come.
type pool chan struct{}

// upload uploads for one object, which comes back when it is told to, and returns how long
// that took from the start.
func (p pool) upload(client *Client, retry time.Duration) time.Duration {
	began := time.Now()
	for {
		p <- struct{}{}
		_, err := client.Upload(context.Background(), nil, testUpload())
		<-p
		if err == nil {
			return time.Since(began)
		}
		after, ok := alibaba.RetryAfter(err)
		if !ok {
			after = retry
		}
		time.Sleep(after)
	}
}

func TestARegionThatHangsHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		cloud := &halfACloud{back: start.Add(2 * time.Minute)}
		client := newBubbleClient(t, cloud.roundTrip)
		credentials, err := alibaba.Static(testCredentials())
		if err != nil {
			t.Fatal(err)
		}
		healthy, err := client.cloud.Client(RegionInternational, credentials)
		if err != nil {
			t.Fatal(err)
		}
		client.cloud.Begin()
		workers := make(pool, defaultWorkers)
		var objects sync.WaitGroup
		time.Sleep(2 * time.Second)
		for range 600 {
			objects.Go(func() { workers.upload(client.For(Behalf{Tenant: "a"}), time.Second) })
		}
		var slowest time.Duration
		for time.Now().Before(cloud.back) {
			slowest = max(slowest, workers.upload(healthy.For(Behalf{Tenant: "b"}), time.Second))
			time.Sleep(100 * time.Millisecond)
		}
		if slowest > 300*time.Millisecond {
			t.Errorf("an upload in the other region took %s", slowest)
		}
		objects.Wait()
		if cloud.most > defaultWorkers/4 {
			t.Errorf("%d workers waited for the region that hung", cloud.most)
		}
		first, last := slices.MinFunc(cloud.uploaded, time.Time.Compare), slices.MaxFunc(cloud.uploaded, time.Time.Compare)
		if got := first.Sub(cloud.back); got > 10*time.Second {
			t.Errorf("the region was used again %s after it was back", got)
		}
		if got := last.Sub(cloud.back); got > 20*time.Second {
			t.Errorf("the last of 600 uploads was done %s after it was back", got)
		}
	})
}

// What is turned away was not sent, and is told why, in the words of the last call that was.
func TestWhoIsTurnedAwayIsToldWhy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		client := newBubbleClient(t, func(*http.Request) (*http.Response, error) {
			sent++
			return nil, errors.New("connection reset")
		})
		client.cloud.Begin()
		time.Sleep(2 * time.Second)
		var last, turned *alibaba.Error
		for range 5 {
			_, err := client.Upload(t.Context(), nil, testUpload())
			last, _ = errors.AsType[*alibaba.Error](err)
		}
		_, err := client.ListPage(t.Context(), inventory.Query{Page: 1})
		turned, _ = errors.AsType[*alibaba.Error](err)
		if turned == nil || sent != 5 {
			t.Fatalf("%d calls were sent; got %v", sent, err)
		}
		if turned.MayHaveHappened || turned.RetryAfter <= 0 || turned.RetryAfter > time.Second {
			t.Errorf("may have happened: %t, retry after %s", turned.MayHaveHappened, turned.RetryAfter)
		}
		if diff := cmp.Diff(last.Summary(), turned.Summary()); diff != "" || turned.Action != ActionList {
			t.Errorf("%s: %s", turned.Action, diff)
		}
		time.Sleep(2 * time.Second)
		if _, err := client.Reserve(t.Context(), ActionUpload); err != nil {
			t.Errorf("no probe after a pause: %v", err)
		}
	})
}

// An answer that says no is an answer.
func TestRefusalsStopNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		refused, told := 0, 0
		client := newBubbleClient(t, func(*http.Request) (*http.Response, error) {
			refused++
			response := answerWith(`{"Code":"InvalidParameter","Message":"no","RequestId":"r"}`)
			response.StatusCode = http.StatusBadRequest
			return response, nil
		}).For(Behalf{Tenant: "a", Sent: func(action alibaba.Action, err error) {
			if action == ActionUpload && alibaba.IsRefused(err) {
				told++
			}
		}})
		client.cloud.Begin()
		time.Sleep(2 * time.Second)
		for range 20 {
			if _, err := client.Upload(t.Context(), nil, testUpload()); !alibaba.IsRefused(err) {
				t.Error(err)
			}
			time.Sleep(time.Second)
		}
		if refused != 20 || told != 20 {
			t.Errorf("%d calls of 20 were sent, %d told", refused, told)
		}
	})
}
