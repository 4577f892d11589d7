// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// neighbours lets three operators share one account. They are of three clusters to
// the cloud, each with a cluster id and a namespace of its own; that they share an
// API server here leaves the cores to what is measured.
func neighbours(ctx context.Context, b *bench, to *recorder) error {
	const operators = 3
	each := b.of(2000)
	w, err := b.newWorld(ctx, usualLatency()...)
	if err != nil {
		return err
	}
	defer w.close()
	var namespaces []string
	for i := range operators {
		namespace := fmt.Sprintf("cluster-%d", i)
		namespaces = append(namespaces, namespace)
		if err := w.addNamespace(ctx, namespace); err != nil {
			return err
		}
		if err := w.addSecrets(ctx, namespace, "c", each); err != nil {
			return err
		}
		if _, err := w.startOperator(ctx, "--watch-namespaces="+namespace, "--cluster-id="+namespace); err != nil {
			return err
		}
	}
	if err := w.addEverywhere(ctx, namespaces, each); err != nil {
		return err
	}
	if err := w.cloud.waitUploads(ctx, operators*each, paceOf(operators*each)); err != nil {
		return err
	}
	objects, err := w.waitSynced(ctx, operators*each)
	if err != nil {
		return err
	}
	calls, err := w.cloud.calls(ctx, 0)
	if err != nil {
		return err
	}
	t := sumUp(calls)
	uploads := map[string][]time.Time{}
	for i := range objects {
		uploads[objects[i].Namespace] = append(uploads[objects[i].Namespace], t.byName[objects[i].Status.Name])
	}
	total, slowest, fastest := together(uploads)
	to.figure("uploads a second, together", total, "/s", atLeast(90))
	to.figure("calls throttled", 100*ratio(float64(t.throttled), float64(t.all)), "%", atMost(3))
	to.figure("the slowest of the three, of the fastest", ratio(slowest, fastest), "", atLeast(0.5))
	to.note("uploads a second, slowest", slowest, "/s")
	to.note("uploads a second, fastest", fastest, "/s")
	to.count("certificates made per object", float64(len(t.uploads))/float64(operators*each), exactly(1))
	return nil
}

// addEverywhere makes the objects of all namespaces at the same time.
func (w *world) addEverywhere(ctx context.Context, namespaces []string, each int) error {
	var all sync.WaitGroup
	errs := make(chan error, len(namespaces))
	for _, namespace := range namespaces {
		all.Go(func() { errs <- w.addObjects(ctx, namespace, "c", each) })
	}
	all.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// together are the rates in the time in which all were at work: from a tenth of the
// first one's uploads on until one of them was done.
func together(uploads map[string][]time.Time) (total, slowest, fastest float64) {
	var from, to time.Time
	for _, times := range uploads {
		slices.SortFunc(times, time.Time.Compare)
		if start := times[len(times)/10]; from.IsZero() || start.Before(from) {
			from = start
		}
		if end := times[len(times)-1]; to.IsZero() || end.Before(to) {
			to = end
		}
	}
	span := to.Sub(from).Seconds()
	if span <= 0 {
		return 0, 0, 0
	}
	for _, times := range uploads {
		rate := float64(within(times, from, to)) / span
		total += rate
		fastest = max(fastest, rate)
		if slowest == 0 || rate < slowest {
			slowest = rate
		}
	}
	return total, slowest, fastest
}
