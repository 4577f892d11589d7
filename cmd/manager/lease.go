// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apimachinery/pkg/watch"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	ctrl "sigs.k8s.io/controller-runtime"
)

const (
	leaseName = "cloudcert.cloudcert.io"
	// A leader that cannot renew its lease stops retryPeriod + renewDeadline after it
	// last did, and its successor starts leaseDuration after: every cloud call ends
	// within the 5 s between the two.
	leaseDuration = 15 * time.Second
	renewDeadline = 8 * time.Second
	retryPeriod   = 2 * time.Second
	// namespaceFile holds the namespace of the pod.
	namespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"
)

// lease is the lock of leader election. For a standby, Get waits while another replica
// holds it: the elector would else ask every two to four seconds, and lead that much
// later than it could. The elector uses it from one goroutine.
type lease struct {
	resourcelock.LeaseLock

	watcher  coordinationclient.LeaseInterface // without a timeout, for watches
	seen     resourcelock.LeaderElectionRecord
	changed  time.Time   // when seen was first seen
	acquired metav1.Time // when this replica became the leader
}

// newLease makes the lock of a replica, in the pod's namespace if none is given.
func newLease(kube *rest.Config, namespace string) (*lease, error) {
	if namespace == "" {
		raw, err := os.ReadFile(namespaceFile)
		if err != nil {
			return nil, fmt.Errorf("failed to find the namespace of the leader's lease: %w; outside a cluster set --leader-election-namespace", err)
		}
		namespace = strings.TrimSpace(string(raw))
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	config := rest.CopyConfig(kube)
	config.UserAgent += "/leader-election"
	watching, err := coordinationclient.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("failed to make a client for the leader's lease: %w", err)
	}
	config.Timeout = renewDeadline / 2 // one request that hangs must not cost the lease
	asking, err := coordinationclient.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("failed to make a client for the leader's lease: %w", err)
	}
	return &lease{
		LeaseLock: resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: namespace, Name: leaseName},
			Client:     asking,
			LockConfig: resourcelock.ResourceLockConfig{Identity: host + "_" + string(uuid.NewUUID())},
		},
		watcher: watching.Leases(namespace),
	}, nil
}

// Get returns the record of the lease, to a standby once it is nobody's. One that nobody
// has renewed for as long as it lasts is returned without a holder; should its holder
// have renewed it after all, then the update that follows is a conflict.
func (l *lease) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	for {
		record, raw, err := l.LeaseLock.Get(ctx)
		if err != nil || l.led() || record.HolderIdentity == "" {
			return record, raw, err
		}
		left := l.observe(record)
		if left <= 0 {
			record.HolderIdentity = ""
			return record, raw, nil
		}
		if err := l.await(ctx, left); err != nil {
			return nil, nil, err
		}
	}
}

// Create takes a lease that is not there.
func (l *lease) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.take(ctx, record, l.LeaseLock.Create)
}

// Update takes, renews or releases the lease.
func (l *lease) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	if l.led() {
		if record.HolderIdentity != "" { // else it is released
			record.AcquireTime = l.acquired
		}
		return l.LeaseLock.Update(ctx, record)
	}
	return l.take(ctx, record, l.LeaseLock.Update)
}

// take writes a record that makes this replica the leader. Its times are from before
// the elector called Get, which may have been long ago.
func (l *lease) take(ctx context.Context, record resourcelock.LeaderElectionRecord, write func(context.Context, resourcelock.LeaderElectionRecord) error) error {
	now := metav1.Now()
	record.AcquireTime, record.RenewTime = now, now
	if err := write(ctx, record); err != nil {
		return err
	}
	l.acquired = now
	return nil
}

// led says that this replica has been the leader. It ends when it no longer is.
func (l *lease) led() bool { return !l.acquired.IsZero() }

// observe notes what the lease says, and returns how long its holder has left, by
// our own clock.
func (l *lease) observe(record *resourcelock.LeaderElectionRecord) time.Duration {
	if record.HolderIdentity != l.seen.HolderIdentity || !record.RenewTime.Equal(&l.seen.RenewTime) {
		l.seen, l.changed = *record, time.Now()
	}
	return time.Until(l.changed.Add(time.Duration(record.LeaseDurationSeconds) * time.Second))
}

// await returns when the lease has another holder or none, or when it has not been
// renewed for as long as it lasts. It may return earlier.
func (l *lease) await(ctx context.Context, left time.Duration) error {
	events, err := l.watcher.Watch(ctx, metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector(metav1.ObjectNameField, l.LeaseMeta.Name).String()})
	if err != nil {
		ctrl.Log.Info("Failed to watch the leader's lease; asking for it instead", "error", err.Error())
		return sleep(ctx, retryPeriod)
	}
	defer events.Stop()
	expiry := time.NewTimer(left)
	defer expiry.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-expiry.C:
			return nil
		case event, ok := <-events.ResultChan():
			held, isLease := event.Object.(*coordinationv1.Lease)
			if !ok || event.Type == watch.Error {
				return sleep(ctx, retryPeriod) // watches end, some of them at once
			}
			if event.Type == watch.Deleted || !isLease {
				return nil
			}
			record := resourcelock.LeaseSpecToLeaderElectionRecord(&held.Spec)
			if record.HolderIdentity != l.seen.HolderIdentity {
				return nil
			}
			expiry.Reset(l.observe(record))
		}
	}
}

// sleep waits, unless ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
