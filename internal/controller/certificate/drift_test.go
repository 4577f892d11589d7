// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/cloudcert-io/cloudcert/internal/protocol"
)

// A place whose list takes for ever must not keep the others from being looked at, nor
// be looked at twice at a time.
func TestAPlaceThatTakesLongHoldsUpItselfAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const interval = time.Hour
		quick := DriftPlace{Place: protocol.Place{Account: "1", Region: "cn-hangzhou"}}
		slow := DriftPlace{Place: protocol.Place{Account: "2", Region: "cn-hangzhou"}}
		var mu sync.Mutex
		checks := map[DriftPlace][]time.Time{}
		ctx, cancel := context.WithCancel(t.Context())
		go keepChecking(ctx, interval,
			func(context.Context) []DriftPlace { return []DriftPlace{quick, slow} },
			func(ctx context.Context, p DriftPlace) {
				mu.Lock()
				checks[p] = append(checks[p], time.Now())
				mu.Unlock()
				if p == slow {
					sleep(ctx, 5*interval/2)
				}
			})
		time.Sleep(9 * interval)
		cancel()
		synctest.Wait()

		if got := len(checks[quick]); got != 9 {
			t.Errorf("the quick place was looked at %d times in 9 intervals", got)
		}
		if got := len(checks[slow]); got != 3 {
			t.Errorf("the slow place was looked at %d times in 9 intervals, and takes two and a half", got)
		}
		for p, times := range checks {
			for i, at := range times {
				if late := at.Sub(dueSince(p, at.Add(-planInterval), interval)); late < 0 || late > planInterval {
					t.Errorf("check %d of account %s was %v late", i, p.Account, late)
				}
			}
		}
	})
}

func TestFiguresOfAPlaceThatIsNoMoreAreDropped(t *testing.T) {
	t.Parallel()
	gone := DriftPlace{Place: protocol.Place{Account: "gone", Region: "cn-hangzhou"}}
	stays := DriftPlace{Place: protocol.Place{Account: "stays", Region: "cn-hangzhou"}}
	begin := time.Unix(1800000000, 0)
	measurePlaces(nil, []DriftPlace{gone, stays}, begin)
	lastSuccess.WithLabelValues(stays.Account, stays.Region).Set(1800000060)
	measurePlaces([]DriftPlace{gone, stays}, []DriftPlace{stays}, begin.Add(2*time.Minute))
	if missing.DeleteLabelValues(gone.Account, gone.Region) || lastSuccess.DeleteLabelValues(gone.Account, gone.Region) {
		t.Error("a figure was left")
	}
	if !missing.DeleteLabelValues(stays.Account, stays.Region) {
		t.Error("the figure of a place that stays was dropped")
	}
	var kept dto.Metric
	if err := lastSuccess.WithLabelValues(stays.Account, stays.Region).Write(&kept); err != nil || kept.GetGauge().GetValue() != 1800000060 {
		t.Errorf("the last success of a place that stays is %v (%v)", kept.GetGauge().GetValue(), err)
	}
	lastSuccess.DeleteLabelValues(stays.Account, stays.Region)
}
