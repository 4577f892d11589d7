// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type judge struct{ error }

func (judge) Verdict(s Subject) Verdict { return Verdict{Reason: "Judged", Message: s.Secret} }
func (judge) Plain() string             { return "plain" }

func TestOf(t *testing.T) {
	t.Parallel()
	s := Subject{Secret: "web-tls", Failed: "Failed"}
	for name, tc := range map[string]struct {
		err  error
		want Verdict
	}{
		"an error that judges":            {judge{}, Verdict{Reason: "Judged", Message: "web-tls"}},
		"one that is wrapped":             {fmt.Errorf("failed: %w", judge{}), Verdict{Reason: "Judged", Message: "web-tls"}},
		"an error that knows no verdicts": {errors.New("away"), Verdict{Reason: "Failed", Message: "away", Again: Again{Pace: Retry}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, Of(tc.err, s)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	if got := Text(fmt.Errorf("dial 127.0.0.1:4711: %w", judge{})); got != "plain" {
		t.Errorf("the text that changes on every try: %q", got)
	}
	if got := Text(errors.New("away")); got != "away" {
		t.Errorf("text %q", got)
	}
}

func TestUntil(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	s := Subject{Now: now}
	for at, want := range map[time.Time]time.Duration{now.Add(time.Minute): time.Minute + time.Second, now.Add(-time.Minute): time.Second} {
		if got := s.Until(at, time.Second); got != (Again{Pace: In, After: want}) {
			t.Errorf("until %s: %v", at, got)
		}
	}
}

// Every pace that is an answer to a failure says when it is.
func TestPacesInWords(t *testing.T) {
	t.Parallel()
	for pace, want := range map[Pace]string{
		Soon: "within seconds first, hourly at last", Slowly: "after 5 minutes first, hourly at last",
		Retry: "within seconds first, every 5 minutes at last", Never: "", In: "", About: "",
	} {
		if got := pace.String(); got != want {
			t.Errorf("pace %d is %q in words, want %q", pace, got, want)
		}
	}
}
