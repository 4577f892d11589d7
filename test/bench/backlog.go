// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"
)

// paceOf bounds how long uploads may take: half of the account's limit.
func paceOf(n int) time.Duration { return 30*time.Second + time.Duration(n/50)*time.Second }

// backlogResult is what the sync of many objects took.
type backlogResult struct {
	size        int
	tally       tally
	requests    apiRequests
	distinct    int     // certificates that statuses name
	busy        float64 // seconds of CPU of the operator
	peak, after int64   // RSS
	elapsed     time.Duration
}

// syncAll has an operator sync n new objects, whose Secrets are there before and
// which are made at once, and stops it.
func (w *world) syncAll(ctx context.Context, n int, profile string, args ...string) (*backlogResult, error) {
	if err := w.addSecrets(ctx, workload, "c", n); err != nil {
		return nil, err
	}
	before, err := w.apiRequests(ctx)
	if err != nil {
		return nil, err
	}
	o, err := w.startOperator(ctx, args...)
	if err != nil {
		return nil, err
	}
	defer o.end()
	stop := w.profileCPU(o, profile)
	began := time.Now()
	if err := w.addObjects(ctx, workload, "c", n); err != nil {
		return nil, err
	}
	if err := w.cloud.waitUploads(ctx, n, paceOf(n)); err != nil {
		return nil, err
	}
	r := &backlogResult{size: n, elapsed: time.Since(began)}
	stop()
	objects, err := w.waitSynced(ctx, n)
	if err != nil {
		return nil, err
	}
	ids := map[int64]bool{}
	for i := range objects {
		ids[objects[i].Status.CertID] = true
	}
	r.distinct = len(ids)
	use, err := usageOf(o.PID())
	if err != nil {
		return nil, err
	}
	r.busy, r.peak, r.after = use.cpu.Seconds(), use.peak, use.rss
	w.profileHeap(ctx, o, profile)
	o.end() // events are written in the background: they have to be counted
	after, err := w.apiRequests(ctx)
	if err != nil {
		return nil, err
	}
	r.requests = after.minus(before)
	calls, err := w.cloud.calls(ctx, 0)
	r.tally = sumUp(calls)
	return r, err
}

// record writes the rows of a backlog.
func (r *backlogResult) record(to *recorder, prefix string, rate, throttled float64) {
	n := float64(r.size)
	to.figure(prefix+"uploads a second, middle 80 %", middleRate(r.tally.uploads), "/s", atLeast(rate))
	to.figure(prefix+"calls throttled", 100*ratio(float64(r.tally.throttled), float64(r.tally.all)), "%", atMost(throttled))
	to.note(prefix+"most uploads in any second", float64(mostWithin(r.tally.uploads, time.Second)), "")
	to.count(prefix+"certificates made per object", float64(len(r.tally.uploads))/n, exactly(1))
	to.count(prefix+"certificates that statuses name, per object", float64(r.distinct)/n, exactly(1))
	to.count(prefix+"writes to the API server per certificate, events included", r.requests.writes()/n, atMost(2))
	to.count(prefix+"writes of status per certificate", r.requests.status/n, nil)
	to.count(prefix+"reads of Secrets per certificate", r.requests.secretReads/n, nil)
	to.note(prefix+"calls that were no upload", float64(r.tally.all-len(r.tally.uploads)-r.tally.throttled), "")
	to.note(prefix+"CPU of the operator per 1,000 certificates", 1000*r.busy/n, "s")
	to.note(prefix+"peak RSS", mebibytes(r.peak), "MiB")
}

func mebibytes(b int64) float64 { return float64(b) / (1 << 20) }

// backlog syncs many objects that are made at once: with the defaults, and close to
// the limit where all latency follows after the cloud has counted.
func backlog(ctx context.Context, b *bench, to *recorder) error {
	for _, variant := range []struct {
		prefix          string
		cloud, operator []string
		rate, throttled float64
	}{
		{"", usualLatency(), nil, 92, 0.3},
		{"at 99, ", []string{"--latency-after=150ms", "--latency-after-jitter=50ms"}, []string{"--upload-qps=99"}, 97, 0},
	} {
		r, err := b.backlog(ctx, b.of(5000), variant.cloud, variant.operator...)
		if err != nil {
			return fmt.Errorf("%s%w", variant.prefix, err)
		}
		r.record(to, variant.prefix, variant.rate, variant.throttled)
	}
	return nil
}

// backlog does one in a world of its own.
func (b *bench) backlog(ctx context.Context, n int, cloudArgs []string, args ...string) (*backlogResult, error) {
	w, err := b.newWorld(ctx, cloudArgs...)
	if err != nil {
		return nil, err
	}
	defer w.close()
	return w.syncAll(ctx, n, fmt.Sprintf("backlog-%d", n), args...)
}
