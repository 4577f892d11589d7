// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

// Command gotest runs go test with the arguments that it is given, prints a line
// for each package and everything that a failed test said, and ends with the
// number of tests that passed, failed and were skipped, after the figures of the
// simulation. It fails if any failed,
// if a package did not build, and if no test ran at all.
//
// A lone -- begins the arguments of another go test, which runs whatever came of
// the one before it: a second module counts into the same numbers.
package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	s := newSummary(out)
	var errs []error
	for _, args := range commands(args) {
		errs = append(errs, s.test(args))
	}
	return errors.Join(append(errs, s.close())...)
}

// commands are the arguments of each go command.
func commands(args []string) [][]string {
	end := slices.Index(args, "--")
	if end < 0 {
		return [][]string{command(args)}
	}
	return append([][]string{command(args[:end])}, commands(args[end+1:])...)
}

// command puts -C, the folder of another module, where go wants it: first.
func command(args []string) []string {
	flags := 0
	if len(args) >= 2 && args[0] == "-C" {
		flags = 2
	}
	return slices.Concat([]string{"test"}, args[:flags], []string{"-json"}, args[flags:])
}

// test runs one go command to its end.
func (s *summary) test(args []string) error {
	cmd := exec.CommandContext(context.Background(), "go", args...)
	cmd.Stderr = os.Stderr
	events, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	readErr := s.read(events)
	return errors.Join(readErr, cmd.Wait())
}

// event is a line of `go test -json`; see `go doc test2json`.
type event struct {
	Action, Package, Test, Output string
	ImportPath                    string // of build output
	Elapsed                       float64
}

// name is a test of a package; the package itself has no Test.
type name struct{ Package, Test string }

// summary counts tests and keeps what was said until it is known whether it
// matters.
type summary struct {
	out                     io.Writer
	said                    map[name][]string
	skips                   map[name]string
	tests                   map[string]bool // packages in which a test failed
	figures                 string
	passed, failed, skipped int
}

// figures begins a line of a test that is shown at the end; of several the last.
const figures = "simulation: "

func newSummary(out io.Writer) *summary {
	return &summary{out: out, said: map[name][]string{}, skips: map[name]string{}, tests: map[string]bool{}}
}

// read consumes events until their end. A line that is none is shown as it is.
func (s *summary) read(r io.Reader) error {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil {
				fmt.Fprint(s.out, string(line))
			} else {
				s.handle(e)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (s *summary) handle(e event) {
	n := name{e.Package, e.Test}
	switch e.Action {
	case "output":
		s.said[n] = append(s.said[n], e.Output)
		if strings.HasPrefix(e.Output, figures) {
			s.figures = e.Output
		}
	case "build-output":
		fmt.Fprint(s.out, e.Output)
	case "pass", "skip", "fail":
		if e.Test == "" {
			s.endPackage(e)
			return
		}
		s.endTest(e.Action, n)
	}
}

func (s *summary) endTest(action string, n name) {
	switch action {
	case "pass":
		s.passed++
		delete(s.said, n)
	case "skip":
		s.skipped++
		s.skips[n] = reason(s.said[n])
		delete(s.said, n)
	case "fail":
		s.failed++ // what it said is shown with its package
		s.tests[n.Package] = true
	}
}

// endPackage prints the package's line, and all that is left unsaid if it failed.
func (s *summary) endPackage(e event) {
	label := map[string]string{"pass": "ok  ", "skip": "--  ", "fail": "FAIL"}[e.Action]
	fmt.Fprintf(s.out, "%s %s %.1fs\n", label, e.Package, e.Elapsed)
	for _, n := range slices.SortedFunc(maps.Keys(s.said), func(a, b name) int { return cmp.Compare(a.Test, b.Test) }) {
		if n.Package != e.Package {
			continue
		}
		if e.Action == "fail" {
			fmt.Fprint(s.out, strings.Join(s.said[n], ""))
		}
		delete(s.said, n)
	}
	if e.Action == "fail" && !s.tests[e.Package] {
		s.failed++ // it did not build, or failed outside its tests
	}
}

// reason is what a skipped test said, without the runner's own lines.
func reason(said []string) string {
	var words []string
	for _, line := range said {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "=== ") && !strings.HasPrefix(line, "--- ") {
			words = append(words, line)
		}
	}
	return strings.Join(words, " ")
}

// close prints the last lines. No test at all is a failure: something else was
// meant to happen.
func (s *summary) close() error {
	for n, why := range s.skips {
		fmt.Fprintf(s.out, "skipped %s %s: %s\n", n.Package, n.Test, why)
	}
	fmt.Fprint(s.out, s.figures)
	fmt.Fprintf(s.out, "%d passed, %d failed, %d skipped\n", s.passed, s.failed, s.skipped)
	if s.failed > 0 {
		return fmt.Errorf("%d tests or packages failed", s.failed)
	}
	if s.passed == 0 {
		return errors.New("no test ran")
	}
	return nil
}
