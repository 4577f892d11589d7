// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCommands(t *testing.T) {
	t.Parallel()
	for args, want := range map[string][]string{
		"./...":                       {"test -json ./..."},
		"-race ./...":                 {"test -json -race ./..."},
		"-C sub ./...":                {"test -C sub -json ./..."},
		"-race ./... -- -C sub ./...": {"test -json -race ./...", "test -C sub -json ./..."},
	} {
		var got []string
		for _, command := range commands(strings.Fields(args)) {
			got = append(got, strings.Join(command, " "))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", args, diff)
		}
	}
}

func TestSummary(t *testing.T) {
	t.Parallel()
	const pass = `{"Action":"output","Package":"p","Test":"A","Output":"noise of a passing test\n"}
{"Action":"pass","Package":"p","Test":"A"}
`
	for name, tc := range map[string]struct {
		events, want, not string
		fails             bool
	}{
		"all pass": {pass + `{"Action":"pass","Package":"p","Elapsed":1.5}`, "ok   p 1.5s\n1 passed, 0 failed, 0 skipped\n", "noise", false},
		"the last figures are shown": {`{"Action":"output","Package":"p","Output":"simulation: 1\n"}
{"Action":"output","Package":"p","Test":"A","Output":"simulation: 2\n"}
` + pass + `{"Action":"pass","Package":"p","Elapsed":1.5}`, "ok   p 1.5s\nsimulation: 2\n1 passed", "simulation: 1", false},
		"a failure shows what it said": {pass + `{"Action":"output","Package":"p","Test":"B","Output":"want 1\n"}
{"Action":"fail","Package":"p","Test":"B"}
{"Action":"fail","Package":"p"}`, "want 1\n1 passed, 1 failed, 0 skipped\n", "noise", true},
		"a skip shows why": {pass + `{"Action":"output","Package":"p","Test":"B","Output":"    b_test.go:1: no root\n"}
{"Action":"skip","Package":"p","Test":"B"}
{"Action":"pass","Package":"p"}`, "skipped p B: b_test.go:1: no root\n1 passed, 0 failed, 1 skipped\n", "", false},
		"a package that does not build": {pass + `{"Action":"build-output","ImportPath":"q","Output":"q.go:1: syntax error\n"}
{"Action":"fail","Package":"q"}`, "q.go:1: syntax error\nFAIL q 0.0s\n1 passed, 1 failed, 0 skipped\n", "", true},
		"no test at all": {`{"Action":"skip","Package":"p"}`, "0 passed, 0 failed, 0 skipped\n", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			s := newSummary(&out)
			if err := s.read(strings.NewReader(tc.events)); err != nil {
				t.Fatal(err)
			}
			if err := s.close(); (err != nil) != tc.fails {
				t.Errorf("close: %v, want an error: %t", err, tc.fails)
			}
			if got := out.String(); !strings.Contains(got, tc.want) || tc.not != "" && strings.Contains(got, tc.not) {
				t.Errorf("printed %q, want %q", got, tc.want)
			}
		})
	}
}
