// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package recent

import (
	"testing"
	"time"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func TestTheLastOnesAreKeptAndAtMostTwiceAsMany(t *testing.T) {
	t.Parallel()
	const size = 10
	m := New[int, int](size, 0)
	for i := range 1000 {
		m.Put(i, -i, start)
		if m.Len() > 2*size {
			t.Fatalf("%d entries after %d", m.Len(), i+1)
		}
		for j := max(0, i-size+1); j <= i; j++ {
			_, young := m.young[j]
			_, old := m.old[j]
			if young == old {
				t.Fatalf("entry %d of %d is in both generations, or in none", j, i)
			}
		}
	}
	if _, ok := m.Get(0, start); ok {
		t.Error("the first is still there")
	}
	if value, ok := m.Get(999, start); !ok || value != -999 {
		t.Errorf("the last is %d, %t", value, ok)
	}
}

func TestWhatIsUsedStays(t *testing.T) {
	t.Parallel()
	m := New[int, string](10, 0)
	m.Put(-1, "used", start)
	for i := range 1000 {
		m.Put(i, "", start)
		if value, ok := m.Get(-1, start); !ok || value != "used" {
			t.Fatalf("gone after %d others", i+1)
		}
	}
}

func TestWhatIsNotUsedGoesWithTime(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		others []time.Duration // when others are entered
		after  time.Duration
		want   bool
	}{
		"while no other comes":                 {nil, 1000 * time.Hour, true},
		"within a period":                      {[]time.Duration{time.Minute}, 59 * time.Minute, true},
		"within a second period":               {[]time.Duration{time.Minute, time.Hour}, 119 * time.Minute, true},
		"after two periods":                    {[]time.Duration{2 * time.Hour}, 2 * time.Hour, false},
		"after two periods with others within": {[]time.Duration{time.Hour, 2 * time.Hour}, 2 * time.Hour, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := New[string, int](10, time.Hour)
			m.Put("a", 1, start)
			for _, at := range tc.others {
				m.Put(at.String(), 2, start.Add(at))
			}
			if _, ok := m.Get("a", start.Add(tc.after)); ok != tc.want {
				t.Errorf("there is %t, want %t", ok, tc.want)
			}
		})
	}
}

func TestEntriesAreReplacedAndTakenOut(t *testing.T) {
	t.Parallel()
	m := New[string, int](1, 0)
	m.Put("a", 1, start)
	m.Put("a", 2, start)
	m.Put("b", 3, start)
	if value, ok := m.Get("a", start); !ok || value != 2 || m.Len() != 2 {
		t.Errorf("got %d, %t of %d", value, ok, m.Len())
	}
	m.Delete("a")
	m.Delete("b")
	if _, ok := m.Get("a", start); ok || m.Len() != 0 {
		t.Errorf("%d are left", m.Len())
	}
}
