// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

// kind says what a measure depends on.
type kind string

const (
	// count depends on the operator alone, and is judged everywhere.
	count kind = "count"
	// figure depends on the machine too, and is not judged when quick.
	figure kind = "figure"
)

// row is one measure. A row without a bar is there to be known.
type row struct {
	Scenario string  `json:"scenario"`
	Measure  string  `json:"measure"`
	Value    float64 `json:"value"`
	Unit     string  `json:"unit,omitempty"`
	Kind     kind    `json:"kind"`
	Bar      *bar    `json:"bar,omitempty"`
	Verdict  string  `json:"verdict,omitempty"` // reached, missed, not judged
}

// bar is what a measure has to reach.
type bar struct {
	Relation string  `json:"relation"` // one of = ≤ ≥
	Limit    float64 `json:"limit"`
}

func atMost(limit float64) *bar  { return &bar{"≤", limit} }
func atLeast(limit float64) *bar { return &bar{"≥", limit} }
func exactly(limit float64) *bar { return &bar{"=", limit} }

func (b bar) reached(value float64) bool {
	switch b.Relation {
	case "≤":
		return value <= b.Limit
	case "≥":
		return value >= b.Limit
	default:
		return value == b.Limit
	}
}

func (b bar) String() string { return b.Relation + " " + number(b.Limit) }

// recorder collects the rows of one scenario.
type recorder struct {
	scenario string
	rows     []row
	load     *share
}

// count records what is judged everywhere, figure what is not when quick, note
// what is there to be known.
func (r *recorder) count(measure string, value float64, b *bar) {
	r.rows = append(r.rows, row{Scenario: r.scenario, Measure: measure, Value: value, Kind: count, Bar: b})
}

func (r *recorder) figure(measure string, value float64, unit string, b *bar) {
	r.rows = append(r.rows, row{Scenario: r.scenario, Measure: measure, Value: value, Unit: unit, Kind: figure, Bar: b})
}

func (r *recorder) note(measure string, value float64, unit string) {
	r.figure(measure, value, unit, nil)
}

// report is everything that was measured.
type report struct {
	Date    string            `json:"date"`
	Commit  string            `json:"commit"`
	Machine string            `json:"machine"`
	Go      string            `json:"go"`
	Quick   bool              `json:"quick"`
	Rows    []row             `json:"rows"`
	Load    map[string]*share `json:"load,omitempty"`

	mu sync.Mutex
}

func newReport(s settings) *report {
	return &report{
		Date: time.Now().UTC().Format(time.DateOnly), Commit: s.commit, Machine: machine(), Go: runtime.Version(),
		Quick: s.quick, Load: map[string]*share{},
	}
}

// add judges the rows of a scenario and takes them in.
func (r *report) add(from *recorder) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, row := range from.rows {
		switch {
		case row.Bar == nil:
		case r.Quick && row.Kind != count:
			row.Verdict = "not judged"
		case row.Bar.reached(row.Value):
			row.Verdict = "reached"
		default:
			row.Verdict = "missed"
		}
		r.Rows = append(r.Rows, row)
	}
	if from.load != nil {
		r.Load[from.scenario] = from.load
	}
}

// verdict is an error that names the bars that were missed.
func (r *report) verdict() error {
	var missed []string
	for _, row := range r.Rows {
		if row.Verdict == "missed" {
			missed = append(missed, fmt.Sprintf("%s: %s is %s %s, want %s", row.Scenario, row.Measure, number(row.Value), row.Unit, row.Bar))
		}
	}
	if len(missed) > 0 {
		return errors.New("bars missed:\n  " + strings.Join(missed, "\n  "))
	}
	return nil
}

// sort puts the scenarios into their order, whichever was done first.
func (r *report) sort() {
	place := map[string]int{}
	for _, lane := range scenarios() {
		for _, s := range lane {
			place[s.name] = len(place)
		}
	}
	slices.SortStableFunc(r.Rows, func(a, b row) int { return cmp.Compare(place[a.Scenario], place[b.Scenario]) })
}

// print writes the table for people.
func (r *report) print(out io.Writer) {
	fmt.Fprintf(out, "\n%s, commit %s, %s, %s", r.Date, r.Commit, r.Machine, r.Go)
	if r.Quick {
		fmt.Fprint(out, ", a tenth of the size")
	}
	fmt.Fprint(out, "\n\n")
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	r.sort()
	fmt.Fprintln(w, "SCENARIO\tMEASURE\tVALUE\tBAR\t")
	last := ""
	for _, row := range r.Rows {
		name, limit := row.Scenario, ""
		if name == last {
			name = ""
		}
		last = row.Scenario
		if row.Bar != nil {
			limit = row.Bar.String()
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", name, row.Measure, strings.TrimSpace(number(row.Value)+" "+row.Unit), limit, row.Verdict)
	}
	_ = w.Flush()
	for _, row := range r.Rows {
		if share := r.Load[row.Scenario]; share != nil && row.Scenario != last {
			fmt.Fprintf(out, "%s kept %.1f cores busy, other programs %.1f\n", row.Scenario, share.Ours, share.Others)
			last = row.Scenario
		}
	}
}

// write writes the results for programs.
func (r *report) write(path string) error {
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(raw, '\n'), 0o600)
}

// number prints three or four digits that count.
func number(v float64) string {
	switch {
	case v == float64(int64(v)):
		return fmt.Sprintf("%d", int64(v))
	case v >= 100 || v <= -100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10 || v <= -10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}
