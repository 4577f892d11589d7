// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// unrelatedSize is that of a Secret that nobody refers to.
const unrelatedSize = 32 << 10

// memory starts the operator over a synced fleet, without and with many large
// Secrets in the cluster that are none of its business; over nothing; and, for
// comparison, as one that caches Secrets.
func memory(ctx context.Context, b *bench, to *recorder) error {
	f, err := b.fleetOf(ctx)
	if err != nil {
		return err
	}
	objects, unrelated := f.built.size, b.of(30000)
	usual := variant{env: []string{cacheSecretsVariable + "=1"}}
	if usual.binary, err = b.buildVariant(ctx); err != nil {
		return err
	}
	if err := errors.Join(f.addNamespace(ctx, "empty"), f.addNamespace(ctx, "unrelated")); err != nil {
		return err
	}
	nothing, err := f.footprint(ctx, f.operator, 0, "memory-nothing", "--watch-namespaces=empty")
	if err != nil {
		return err
	}
	alone, err := f.footprint(ctx, f.operator, objects, "memory-objects")
	if err != nil {
		return err
	}
	progressf("making %d Secrets", unrelated)
	if err := f.addUnrelated(ctx, "unrelated", unrelated, unrelatedSize); err != nil {
		return err
	}
	before, err := f.apiRequests(ctx)
	if err != nil {
		return err
	}
	crowded, err := f.footprint(ctx, f.operator, objects, "memory-crowded")
	if err != nil {
		return err
	}
	after, err := f.apiRequests(ctx)
	if err != nil {
		return err
	}
	caching, err := f.footprint(ctx, usual, objects, "")
	if err != nil {
		return err
	}
	if all := float64(unrelated * unrelatedSize); caching.heap < all {
		return fmt.Errorf("the variant that caches Secrets does not: its heap is %.0f B, and they are %.0f B", caching.heap, all)
	}

	to.figure("peak RSS in the start", mebibytes(crowded.peak), "MiB", atMost(120))
	to.figure("RSS at rest", mebibytes(crowded.rss), "MiB", atMost(100))
	to.note("idle after", crowded.idle.Seconds(), "s")
	to.count("reads of Secrets", after.minus(before).secretReads, exactly(0))
	to.note("without unrelated Secrets, peak RSS", mebibytes(alone.peak), "MiB")
	to.note("without unrelated Secrets, RSS at rest", mebibytes(alone.rss), "MiB")
	to.note("over nothing, peak RSS", mebibytes(nothing.peak), "MiB")
	to.note("over nothing, RSS at rest", mebibytes(nothing.rss), "MiB")
	to.note("RSS at rest per object and its Secret", float64(alone.rss-nothing.rss)/float64(objects), "B")
	to.note("RSS at rest per unrelated Secret", float64(crowded.rss-alone.rss)/float64(unrelated), "B")
	to.note("heap at rest per object and its Secret", (alone.heap-nothing.heap)/float64(objects), "B")
	to.note("heap at rest per unrelated Secret", (crowded.heap-alone.heap)/float64(unrelated), "B")
	to.note("caching Secrets, peak RSS", mebibytes(caching.peak), "MiB")
	to.note("caching Secrets, RSS at rest", mebibytes(caching.rss), "MiB")
	to.note("caching Secrets, idle after", caching.idle.Seconds(), "s")
	return nil
}

// footprint is what a start and the rest after it take.
type footprint struct {
	usage
	heap float64
	idle time.Duration
}

// restAfter is when after its start an operator is at rest: Go collects garbage two
// minutes after the last time at the latest, and then returns memory.
func (b *bench) restAfter() time.Duration {
	if b.quick {
		return 3 * time.Second
	}
	return 150 * time.Second
}

// footprint starts a variant of the operator, lets it come to rest, and ends it.
func (w *world) footprint(ctx context.Context, v variant, objects int, profile string, args ...string) (footprint, error) {
	var p footprint
	o, err := w.start(ctx, v, args...)
	if err != nil {
		return p, err
	}
	defer o.end()
	if p.idle, _, err = o.waitIdle(ctx, objects); err != nil {
		return p, err
	}
	if err := sleep(ctx, w.restAfter()-time.Since(o.began)); err != nil {
		return p, err
	}
	if p.usage, err = usageOf(o.PID()); err != nil {
		return p, err
	}
	all, err := o.read(ctx)
	p.heap = all.sum(heapBytes)
	if profile != "" {
		w.profileHeap(ctx, o, profile)
	}
	return p, err
}
