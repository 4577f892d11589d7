// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// growth syncs fleets of growing size from nothing, with the defaults.
func growth(ctx context.Context, b *bench, to *recorder) error {
	var rates, peaks, after []point
	for _, size := range []int{100, 1000, 10000} {
		r, err := b.grown(ctx, size)
		if err != nil {
			return fmt.Errorf("%d objects: %w", b.of(size), err)
		}
		prefix := fmt.Sprintf("%d objects, ", r.size)
		rate := middleRate(r.tally.uploads)
		to.note(prefix+"uploads a second, middle 80 %", rate, "/s")
		to.note(prefix+"peak RSS", mebibytes(r.peak), "MiB")
		to.note(prefix+"RSS when all are synced", mebibytes(r.after), "MiB")
		to.note(prefix+"CPU of the operator per 1,000 certificates", 1000*r.busy/float64(r.size), "s")
		to.count(prefix+"certificates made per object", float64(len(r.tally.uploads))/float64(r.size), exactly(1))
		rates = append(rates, point{float64(r.size), rate})
		peaks = append(peaks, point{float64(r.size), mebibytes(r.peak)})
		after = append(after, point{float64(r.size), mebibytes(r.after)})
	}
	if b.plots == "" {
		return nil
	}
	for name, p := range map[string]plot{
		"performance-throughput.svg": {title: "Uploads a second while a backlog is synced", x: "CloudCertificates",
			lines: []line{{"uploads a second", rates}}, limit: 100, limitName: "the account's limit"},
		"performance-memory.svg": {title: "Memory of the operator (RSS, MiB)", x: "CloudCertificates",
			lines: []line{{"peak", peaks}, {"when all are synced", after}}},
	} {
		if err := os.WriteFile(filepath.Join(b.plots, name), []byte(p.svg()), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// grown syncs a fleet; the largest one is kept for the scenarios that follow.
func (b *bench) grown(ctx context.Context, size int) (*backlogResult, error) {
	if size == 10000 {
		f, err := b.fleetOf(ctx)
		if err != nil {
			return nil, err
		}
		return f.built, nil
	}
	return b.backlog(ctx, b.of(size), usualLatency())
}
