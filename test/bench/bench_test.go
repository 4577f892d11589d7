// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloudcert-io/cloudcert/internal/emulator"
)

// every makes n times with the same pause between them.
func every(n int, pause time.Duration) []time.Time {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	times := make([]time.Time, n)
	for i := range times {
		times[i] = start.Add(time.Duration(i) * pause)
	}
	return times
}

func TestPercentile(t *testing.T) {
	t.Parallel()
	var hundred []time.Duration
	for i := range 100 {
		hundred = append(hundred, time.Duration(100-i))
	}
	for name, test := range map[string]struct {
		values []time.Duration
		p      float64
		want   time.Duration
	}{
		"nothing is 0":                  {nil, 0.5, 0},
		"the only one is every one":     {hundred[:1], 0.01, 100},
		"the median of a hundred":       {hundred, 0.5, 50},
		"one in a hundred is above p99": {hundred, 0.99, 99},
		"all are at or below p100":      {hundred, 1, 100},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := percentile(test.values, test.p); got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
}

func TestRates(t *testing.T) {
	t.Parallel()
	steady := every(1000, 10*time.Millisecond)
	if got := middleRate(steady); got < 99.9 || got > 100.1 {
		t.Errorf("a steady 100 a second is %v", got)
	}
	slowStart := append(every(50, time.Second), steady...)
	if got := middleRate(slowStart); got < 99 || got > 101 {
		t.Errorf("a slow start changed the rate to %v", got)
	}
	if got := middleRate(nil); got != 0 {
		t.Errorf("nothing has a rate of %v", got)
	}
	// Half open: the call a second later is of another second.
	if got := mostWithin(steady, time.Second); got != 100 {
		t.Errorf("a steady 100 a second has %d in a second", got)
	}
	if got := within(steady, steady[10], steady[20]); got != 10 {
		t.Errorf("%d within ten pauses", got)
	}
}

func TestTogether(t *testing.T) {
	t.Parallel()
	// The slow one goes on alone after the fast one is done: that time does not count.
	total, slowest, fastest := together(map[string][]time.Time{
		"fast": every(1000, 10*time.Millisecond), "slow": every(1000, 20*time.Millisecond),
	})
	for name, pair := range map[string][2]float64{"total": {total, 150}, "slowest": {slowest, 50}, "fastest": {fastest, 100}} {
		if pair[0] < pair[1]-1 || pair[0] > pair[1]+1 {
			t.Errorf("%s is %v, want %v", name, pair[0], pair[1])
		}
	}
}

func TestSumUp(t *testing.T) {
	t.Parallel()
	at := every(1, 0)[0]
	got := sumUp([]emulator.Call{
		{Action: actionUpload, Committed: true, Name: "a", Decided: at},
		{Action: actionUpload, Code: "NameRepeat", Name: "a"},
		{Action: actionUpload, Code: "Throttling.User", Name: "b"},
		{Action: actionList},
	})
	want := tally{all: 4, throttled: 1, lists: 1, uploads: []time.Time{at}, byName: map[string]time.Time{"a": at}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(tally{})); diff != "" {
		t.Error(diff)
	}
}

func TestParseMetrics(t *testing.T) {
	t.Parallel()
	all, err := parseMetrics([]byte(`# HELP requests_total of all kinds
# TYPE requests_total counter
requests_total{resource="secrets",verb="GET"} 3
requests_total{resource="secrets",verb="LIST"} 1
requests_total{resource="events",verb="POST"} 1e+03
requests_total_other{verb="GET"} 99
depth 7
# TYPE took_seconds histogram
took_seconds_bucket{action="upload",le="1"} 2
took_seconds_bucket{action="upload",le="+Inf"} 5
took_seconds_sum{action="upload"} 8.5
took_seconds_count{action="upload"} 5
`))
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		metric string
		labels []string
		want   float64
	}{
		"all of a name, and none of a longer one": {"requests_total", nil, 1004},
		"one label":           {"requests_total", []string{"verb=GET"}, 3},
		"two labels":          {"requests_total", []string{"resource=secrets", "verb=LIST"}, 1},
		"several values":      {"requests_total", []string{"verb=LIST|POST"}, 1001},
		"no such value":       {"requests_total", []string{"verb=PATCH"}, 0},
		"an absent label":     {"requests_total", []string{"code="}, 1004},
		"without labels":      {"depth", nil, 7},
		"a histogram's count": {"took_seconds", []string{"action=upload"}, 5},
		"no such metric":      {"other", nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := all.sum(test.metric, test.labels...); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestProc(t *testing.T) {
	t.Parallel()
	rss, err := statusBytes("Name:\tmanager\nVmHWM:\t  120 kB\nVmRSS:\t   100 kB\n", "VmRSS")
	if err != nil || rss != 100<<10 {
		t.Errorf("RSS is %d, %v", rss, err)
	}
	if _, err := statusBytes("Name:\tkthreadd\n", "VmRSS"); err == nil {
		t.Error("a status without memory is no error")
	}
	parent, cpu, err := parseStat("12 (a) name)) S 7 12 12 0 -1 0 0 0 0 0 150 50 0 0 20 0")
	if err != nil || parent != 7 || cpu != 2*time.Second {
		t.Errorf("parent %d, CPU %s, %v", parent, cpu, err)
	}
	if _, _, err := parseStat("12 (short) S"); err == nil {
		t.Error("a short stat is no error")
	}
	// Idle and waiting for disks is not busy; being kept waiting by other guests is.
	if got := parseMachine("cpu  100 100 100 9999 9999 0 0 100 5 5\ncpu0 1 1\n"); got != 4*time.Second {
		t.Errorf("the machine was busy for %s, want 4s", got)
	}
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	measured := func(quick bool) *report {
		r, to := newReport(settings{quick: quick}), &recorder{scenario: "restart"}
		to.count("calls", 0, exactly(0))
		to.figure("idle after", 11, "s", atMost(10))
		to.figure("uploads", 95, "/s", atLeast(92))
		to.note("CPU", 2, "s")
		r.add(to)
		return r
	}
	var verdicts []string
	full := measured(false)
	for _, row := range full.Rows {
		verdicts = append(verdicts, row.Verdict)
	}
	if diff := cmp.Diff([]string{"reached", "missed", "reached", ""}, verdicts); diff != "" {
		t.Error(diff)
	}
	if err := full.verdict(); err == nil || !strings.Contains(err.Error(), "restart: idle after is 11 s, want ≤ 10") {
		t.Errorf("the verdict is %v", err)
	}
	quick := measured(true)
	if err := quick.verdict(); err != nil {
		t.Errorf("a time was judged: %v", err)
	}
	var out strings.Builder
	quick.print(&out)
	if !strings.Contains(out.String(), "not judged") {
		t.Errorf("the table does not say what was not judged:\n%s", out.String())
	}
	missed := newReport(settings{quick: true})
	missed.add(&recorder{scenario: "drift", rows: []row{{Measure: "uploads", Value: 1, Kind: count, Bar: exactly(0)}}})
	if missed.verdict() == nil {
		t.Error("a count that missed its bar passed")
	}
}

func TestNumber(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]string{0: "0", 10000: "10000", 94.96: "95.0", 0.125: "0.12", 1234.5: "1234", -1.5: "-1.50"} {
		if got := number(v); got != want {
			t.Errorf("%v is %q, want %q", v, got, want)
		}
	}
}

func TestPlotIsWellFormed(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]plot{
		"two lines": {title: "Memory", x: "objects", lines: []line{
			{"peak", []point{{100, 60}, {1000, 70}, {10000, 120}}}, {"rest", []point{{100, 50}, {1000, 60}, {10000, 90}}}}},
		"one point and a limit": {title: "Rate", x: "objects", lines: []line{{"rate", []point{{100, 95}}}}, limit: 100, limitName: "limit"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			svg := p.svg()
			for tokens := xml.NewDecoder(strings.NewReader(svg)); ; {
				_, err := tokens.Token()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatalf("%v\n%s", err, svg)
				}
			}
			if strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf") {
				t.Errorf("a coordinate is no number:\n%s", svg)
			}
		})
	}
}

func TestPlotBounds(t *testing.T) {
	t.Parallel()
	p := plot{lines: []line{{"rate", []point{{100, 40}, {10000, 95}}}}, limit: 100}
	lowest, highest, tallest := p.bounds()
	if diff := cmp.Diff([]float64{100, 10000, 150}, []float64{lowest, highest, tallest}); diff != "" {
		t.Error(diff)
	}
}
