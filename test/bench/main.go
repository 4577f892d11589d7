// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

// Command bench measures cloudcert with real parts: etcd, kube-apiserver, the
// emulator of the cloud with its strict limits, and the operator's binary, each a
// process of its own on this machine. It prints a table, writes JSON, and fails
// if a bar was missed. With -quick everything is a tenth of its size and only
// counts are judged: figures of time and memory depend on the machine.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/cloudcert-io/cloudcert/test/testbed"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop was called
	}
}

// settings are the flags.
type settings struct {
	quick    bool
	only     *regexp.Regexp
	lanes    int
	json     string
	plots    string
	profiles string
	commit   string
}

func parseFlags(args []string) (settings, error) {
	var s settings
	var only string
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.BoolVar(&s.quick, "quick", false, "measure at a tenth of the size, and judge counts alone")
	fs.StringVar(&only, "run", "", "measure only scenarios that match this `regexp`")
	fs.IntVar(&s.lanes, "lanes", 1, "scenarios at the same time: more than one spoils times, not counts")
	fs.StringVar(&s.json, "json", "", "write the results to this `file`")
	fs.StringVar(&s.plots, "plots", "", "write the plots of growth into this `folder`")
	fs.StringVar(&s.profiles, "profiles", "", "write profiles of the operator into this `folder`")
	fs.StringVar(&s.commit, "commit", "unknown", "`commit` to name in the results")
	if err := fs.Parse(args); err != nil {
		return s, err
	}
	if fs.NArg() > 0 || s.lanes < 1 {
		return s, errors.New("unexpected arguments: see -h")
	}
	var err error
	s.only, err = regexp.Compile(only)
	return s, err
}

// scenario measures one thing, and writes what it found into the recorder.
type scenario struct {
	name string
	do   func(context.Context, *bench, *recorder) error
}

// scenarios in the order of the table. Those of a lane share a cluster.
func scenarios() [][]scenario {
	return [][]scenario{
		{{"backlog", backlog}},
		{{"renewal", renewal}},
		{{"neighbours", neighbours}},
		{{"large account", largeAccount}},
		{{"noisy tenant", noisyTenant}, {"fight", fight}, {"hanging region", hangingRegion}},
		{{"failover", failover}},
		{{"renewal of a binding", bindingRenewal}, {"hanging targets", hangingTargets}},
		{{"bindings", bindings}, {"restart with bindings", bindingsRestart}, {"drift of bindings", bindingsDrift}},
		{{"growth", growth}, {"restart", restart}, {"memory", memory}, {"drift", driftRound}},
	}
}

// bench is what all scenarios share.
type bench struct {
	settings

	dir      string // of binaries and other files that end with the run
	operator variant
	cloud    string // the emulator
	ca       *testbed.CA

	fleetOnce sync.Once
	fleet     *fleet
	fleetErr  error

	boundOnce sync.Once
	bound     *boundFleet
	boundErr  error
}

// of is a size at the scale of this run.
func (b *bench) of(size int) int {
	if b.quick {
		return size / 10
	}
	return size
}

func run(ctx context.Context, args []string) (err error) {
	ctrl.SetLogger(logr.Discard()) // what our own clients have to say
	s, err := parseFlags(args)
	if err != nil {
		return err
	}
	b := &bench{settings: s}
	if b.dir, err = os.MkdirTemp("", "cloudcert-bench-"); err != nil {
		return err
	}
	defer func() {
		b.closeFleets()
		err = errors.Join(err, os.RemoveAll(b.dir))
	}()
	if err := b.prepare(); err != nil {
		return err
	}
	report := newReport(s)
	failed := b.measure(ctx, report)
	report.print(os.Stdout)
	if s.json != "" {
		failed = errors.Join(failed, report.write(s.json))
	}
	return errors.Join(failed, report.verdict())
}

// prepare finds the binaries of make build, and makes a CA.
func (b *bench) prepare() error {
	var err error
	if b.ca, err = testbed.NewCA("Bench CA"); err != nil {
		return err
	}
	bin := filepath.Join(testbed.Root(), "bin")
	b.operator.binary, b.cloud = filepath.Join(bin, "manager"), filepath.Join(bin, "cas-emulator")
	for _, path := range []string{b.operator.binary, b.cloud} {
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("run make build first: %w", err)
		}
	}
	return nil
}

// order puts lanes with more scenarios, which take longer, first where several run at the same time.
func (b *bench) order(lanes [][]scenario) [][]scenario {
	if b.lanes == 1 {
		return lanes
	}
	return slices.SortedStableFunc(slices.Values(lanes), func(a, b []scenario) int { return len(b) - len(a) })
}

// measure runs the scenarios that were asked for, and returns what kept it from
// measuring them all.
func (b *bench) measure(ctx context.Context, report *report) error {
	var (
		mu     sync.Mutex
		errs   []error
		lanes  sync.WaitGroup
		places = make(chan struct{}, b.lanes)
	)
	for _, lane := range b.order(scenarios()) {
		places <- struct{}{}
		lanes.Go(func() {
			defer func() { <-places }()
			for _, s := range lane {
				if !b.only.MatchString(s.name) || ctx.Err() != nil {
					continue
				}
				if err := b.measureOne(ctx, s, report); err != nil {
					mu.Lock()
					errs = append(errs, fmt.Errorf("%s: %w", s.name, err))
					mu.Unlock()
				}
			}
		})
	}
	lanes.Wait()
	return errors.Join(append(errs, ctx.Err())...)
}

func (b *bench) measureOne(ctx context.Context, s scenario, report *report) error {
	progressf("%s", s.name)
	r := &recorder{scenario: s.name}
	began, before := time.Now(), readLoad()
	err := s.do(ctx, b, r)
	if b.lanes == 1 {
		r.load = readLoad().since(before, time.Since(began))
	}
	progressf("%s took %s", s.name, time.Since(began).Round(time.Second))
	report.add(r)
	return err
}

var began = time.Now()

// progressf tells whoever waits what is going on.
func progressf(format string, args ...any) {
	var out io.Writer = os.Stderr
	fmt.Fprintf(out, "%6.1fs  %s\n", time.Since(began).Seconds(), strings.TrimSpace(fmt.Sprintf(format, args...)))
}
