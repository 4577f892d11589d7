// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"slices"
	"time"
)

// leaseDuration is the operator's.
const leaseDuration = 15 * time.Second

// failover kills the leader in a backlog, and then stops one leader after the other
// as Kubernetes would; a standby goes on each time.
func failover(ctx context.Context, b *bench, to *recorder) error {
	size, stops := b.of(3000), 3
	if b.quick {
		stops = 1
	}
	w, err := b.newWorld(ctx, usualLatency()...)
	if err != nil {
		return err
	}
	defer w.close()
	if err := w.addSecrets(ctx, workload, "c", size); err != nil {
		return err
	}
	leader, standbys, err := w.replicas(ctx, stops+2)
	if err != nil {
		return err
	}
	if err := w.addObjects(ctx, workload, "c", size); err != nil {
		return err
	}
	share := size / (stops + 2) // of the backlog for each leader
	if err := w.cloud.waitUploads(ctx, share, time.Minute); err != nil {
		return err
	}
	leader.kill()
	leader, standbys, killed, err := successor(ctx, standbys)
	if err != nil {
		return err
	}
	slowest, fastest, err := w.stopLeaders(ctx, leader, standbys, stops, share/2)
	if err != nil {
		return err
	}
	if err := w.cloud.waitUploads(ctx, size, paceOf(size)); err != nil {
		return err
	}
	objects, err := w.waitSynced(ctx, size)
	if err != nil {
		return err
	}
	calls, err := w.cloud.calls(ctx, 0)
	if err != nil {
		return err
	}
	t, ids := sumUp(calls), map[int64]bool{}
	for i := range objects {
		ids[objects[i].Status.CertID] = true
	}
	to.figure("leader killed, the standby uploads again after", killed.Seconds(), "s", atMost((leaseDuration + 2*time.Second).Seconds()))
	to.figure("leader stopped, a standby uploads again after, slowest", slowest.Seconds(), "s", atMost(2))
	to.note("leader stopped, a standby uploads again after, fastest", fastest.Seconds(), "s")
	to.count("certificates made per object", float64(len(t.uploads))/float64(size), exactly(1))
	to.count("certificates that statuses name, per object", float64(len(ids))/float64(size), exactly(1))
	to.figure("calls throttled", 100*ratio(float64(t.throttled), float64(t.all)), "%", nil)
	return nil
}

// stopLeaders stops one leader after the other, each when it has uploaded a share of
// the backlog, and returns how long the next one took until it uploaded.
func (w *world) stopLeaders(ctx context.Context, leader *operator, standbys []*operator, stops, share int) (slowest, fastest time.Duration, err error) {
	fastest = time.Hour
	for range stops {
		done, err := w.cloud.made(ctx, actionUpload)
		if err != nil {
			return 0, 0, err
		}
		if err := w.cloud.waitUploads(ctx, done+share, time.Minute); err != nil {
			return 0, 0, err
		}
		leader.endMeanwhile()
		var took time.Duration
		if leader, standbys, took, err = successor(ctx, standbys); err != nil {
			return 0, 0, err
		}
		slowest, fastest = max(slowest, took), min(fastest, took)
	}
	return slowest, fastest, nil
}

// replicas starts operators that elect a leader: the first one.
func (w *world) replicas(ctx context.Context, n int) (leader *operator, standbys []*operator, err error) {
	for i := range n {
		o, err := w.startOperator(ctx, "--leader-elect", "--leader-election-namespace="+home)
		if err != nil {
			return nil, nil, err
		}
		if i > 0 {
			standbys = append(standbys, o)
			continue
		}
		leader = o
		err = eventually(ctx, time.Minute, 100*time.Millisecond, "the first operator to lead", func() (bool, error) {
			all, err := o.read(ctx)
			return all.sum(leads) > 0, err
		})
		if err != nil {
			return nil, nil, err
		}
	}
	return leader, standbys, nil
}

// successor waits until a standby has uploaded, and says which one and how long it
// took: the answer of the cloud is counted in.
func successor(ctx context.Context, standbys []*operator) (leader *operator, rest []*operator, took time.Duration, err error) {
	began, next := time.Now(), -1
	err = eventually(ctx, 2*time.Minute, 20*time.Millisecond, "a standby to upload", func() (bool, error) {
		var errs []error
		for i, o := range standbys {
			all, err := o.read(ctx)
			errs = append(errs, err)
			if all.sum(requests, "action="+actionUpload, "outcome=success") > 0 {
				next = i
			}
		}
		return next >= 0, errors.Join(errs...)
	})
	if err != nil {
		return nil, nil, 0, err
	}
	return standbys[next], slices.Delete(slices.Clone(standbys), next, next+1), time.Since(began), nil
}
