// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func TestTheLastAttempt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := newTestInventory()
		begin := time.Now()
		check := func(when string, want Attempt) {
			t.Helper()
			if got := v.LastAttempt("me"); got != want {
				t.Errorf("%s: %+v, want %+v", when, got, want)
			}
		}
		check("before any", Attempt{})
		v.Sending("me", "web_me_1")
		v.Taken("me", "web_me_1")
		time.Sleep(time.Minute)
		v.Sending("me", "web_me_1")
		v.Taken("me", "web_me_1")
		check("refused as taken twice", Attempt{Name: "web_me_1", Sent: begin.Add(time.Minute), Taken: "web_me_1", Since: begin})
		v.Sending("me", "web_2_me_1")
		v.Taken("me", "web-2_me_1")
		check("another name", Attempt{Name: "web_2_me_1", Sent: begin.Add(time.Minute), Taken: "web-2_me_1", Since: begin.Add(time.Minute)})
		v.Uploaded(7, "", "web_me_1")
		check("uploaded", Attempt{Name: "web_me_1", Sent: begin.Add(time.Minute)})
		v.Sending("me", "web_me_2")
		v.Settled("me")
		check("settled", Attempt{Name: "web_me_1", Sent: begin.Add(time.Minute)})
		time.Sleep(DefaultOwnWriteAge + time.Minute)
		check("when a list tells", Attempt{})
	})
}

func TestAttemptsDoNotPileUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := newTestInventory()
		for i := range 10 * manyAttempts {
			v.Sending(fmt.Sprint(i), "web_me_1")
			time.Sleep(attemptAge / manyAttempts)
		}
		if got := len(v.attempts.open); got > 2*manyAttempts+1 {
			t.Errorf("%d attempts are remembered", got)
		}
	})
}

func TestAttemptsOfAnUnknownAccountAreMerged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v, from := newTestInventory(), newTestInventory()
		v.Sending("me", "web_me_1")
		time.Sleep(time.Second)
		from.Sending("me", "web_me_2")
		from.Lost()
		v.Merge(from)
		if got := v.LastAttempt("me").Name; got != "web_me_2" || !v.LastLost().Equal(time.Now()) {
			t.Errorf("the last attempt is %q, the last answer was lost at %s", got, v.LastLost())
		}
	})
}
