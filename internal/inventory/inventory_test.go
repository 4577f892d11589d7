// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// parseTestName takes names like web_<identity>_<content>.
func parseTestName(name string) (identity, content string, ok bool) {
	fields := strings.Split(name, "_")
	if len(fields) != 3 {
		return "", "", false
	}
	return fields[1], fields[2], true
}

func TestOldWritesAreForgottenWithoutASweep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := New(Config{ParseName: parseTestName, Clock: realClock{}})
		for id := range int64(5 * manyWrites) {
			v.Uploaded(id+1, "r", fmt.Sprintf("web_%d_0", id))
			time.Sleep(time.Second)
		}
		if got := len(v.written); got > 2*manyWrites {
			t.Errorf("%d writes are remembered, of which 600 are young", got)
		}
		if !v.Wrote(5 * manyWrites) {
			t.Error("a young write was forgotten")
		}
	})
}

func TestWhatNoListTellsMovesToTheAccount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		config := Config{ParseName: parseTestName, Clock: realClock{}, OwnWriteAge: time.Minute}
		from, to := New(config), New(config)
		from.Uploaded(7, "r7", "web_a_7")
		from.Uploaded(8, "r8", "web_a_8")
		from.Refute(8)
		from.Uploaded(9, "r9", "web_a_9")
		from.seen([]Certificate{{CertID: 10, Name: "web_a_10"}}, time.Now())
		time.Sleep(time.Hour)
		from.dropOldWrites()
		from.Uploaded(11, "r11", "web_a_11")
		to.seen([]Certificate{{CertID: 7, Name: "web_a_7"}, {CertID: 10, Name: "web_a_10"}}, time.Now())
		to.Deleted(9, "web_a_9")
		to.Merge(from)
		var got []string
		for _, e := range to.Entries("a") {
			got = append(got, fmt.Sprint(e.CertID, " ", !e.Uploaded.IsZero(), " ", e.Refuted))
		}
		if diff := cmp.Diff([]string{"11 true false", "10 false false", "8 true true", "7 true false"}, got); diff != "" {
			t.Error(diff)
		}
	})
}

// BenchmarkInventory reports what 10,000 certificates take.
func BenchmarkInventory(b *testing.B) {
	for b.Loop() {
		var before, after runtime.MemStats
		v := New(Config{ParseName: parseTestName, Clock: realClock{}})
		runtime.GC()
		runtime.ReadMemStats(&before)
		entries := make([]Entry, 0, 10_000)
		for i := range 10_000 {
			entries = append(entries, Entry{
				CertID: int64(i + 1), ResourceID: fmt.Sprintf("cas-upload-%06d", i), SHA256: fmt.Sprintf("%064d", i),
				Name: fmt.Sprintf("namespace-and-name_%016d_%013d", i, i), NotAfter: time.Now(), Seen: time.Now(),
			})
		}
		v.replace(time.Now(), entries, 0)
		entries = nil
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/10_000, "B/certificate")
		runtime.KeepAlive(v)
		_ = entries
	}
}

type realClock struct{}

func (realClock) Now() time.Time { return time.Now() }

func (realClock) After(d time.Duration) <-chan time.Time { return time.After(d) }
