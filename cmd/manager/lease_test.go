// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// replica makes the lock of a replica.
func replica(cluster *fake.Clientset, identity string) *lease {
	return &lease{
		LeaseLock: resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: "home", Name: leaseName},
			Client:     cluster.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: identity},
		},
		watcher: cluster.CoordinationV1().Leases("home"),
	}
}

// newCluster is one whose watches begin with what is there, as an API server's do.
func newCluster() *fake.Clientset {
	cluster := fake.NewClientset()
	cluster.PrependWatchReactor("leases", func(action clienttesting.Action) (bool, watch.Interface, error) {
		resource, namespace := action.GetResource(), action.GetNamespace()
		events, err := cluster.Tracker().Watch(resource, namespace)
		if err != nil {
			return true, nil, err
		}
		first := []watch.Event{}
		if held, err := cluster.Tracker().Get(resource, namespace, leaseName); err == nil {
			first = append(first, watch.Event{Type: watch.Added, Object: held})
		}
		return true, replay(first, events), nil
	})
	return cluster
}

// replay is a watch that begins with some events.
func replay(first []watch.Event, then watch.Interface) watch.Interface {
	out := make(chan watch.Event, len(first))
	for _, e := range first {
		out <- e
	}
	ended := make(chan struct{})
	go func() {
		defer close(out)
		for e := range then.ResultChan() {
			select {
			case out <- e:
			case <-ended:
				return
			}
		}
	}()
	return &replayed{ResultChannel: out, then: then, ended: ended}
}

type replayed struct {
	ResultChannel chan watch.Event
	then          watch.Interface
	ended         chan struct{}
}

func (r *replayed) ResultChan() <-chan watch.Event { return r.ResultChannel }

func (r *replayed) Stop() {
	close(r.ended)
	r.then.Stop()
}

// contend is a replica that wants to lead until ctx ends, and then releases its lease, or
// not, if it is killed. It says when it leads.
func contend(ctx context.Context, t *testing.T, l *lease, killed bool, leads *atomic.Bool) {
	t.Helper()
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: l, LeaseDuration: leaseDuration, RenewDeadline: renewDeadline, RetryPeriod: retryPeriod, ReleaseOnCancel: !killed,
		Callbacks: leaderelection.LeaderCallbacks{OnStartedLeading: func(context.Context) { leads.Store(true) }, OnStoppedLeading: func() {}},
	})
	if err != nil {
		t.Error(err)
		return
	}
	elector.Run(ctx)
}

func TestAStandbyLeadsAsSoonAsItMay(t *testing.T) {
	t.Parallel()
	refuse := func(cluster *fake.Clientset) {
		cluster.PrependWatchReactor("leases", func(clienttesting.Action) (bool, watch.Interface, error) {
			return true, nil, apierrors.NewForbidden(coordinationv1.Resource("leases"), leaseName, errors.New("no right to watch"))
		})
	}
	end := func(cluster *fake.Clientset) {
		cluster.PrependWatchReactor("leases", func(clienttesting.Action) (bool, watch.Interface, error) {
			w := watch.NewFake()
			w.Stop()
			return true, w, nil
		})
	}
	for name, tc := range map[string]struct {
		killed          bool
		prepare         func(*fake.Clientset)
		earliest, atMax time.Duration
	}{
		"its leader stops":                          {atMax: 0},
		"its leader is killed":                      {killed: true, earliest: leaseDuration - retryPeriod, atMax: leaseDuration},
		"its leader stops, and it may not watch":    {prepare: refuse, atMax: retryPeriod},
		"its leader is killed, and it may not":      {killed: true, prepare: refuse, earliest: leaseDuration - retryPeriod, atMax: leaseDuration + retryPeriod},
		"its leader stops, and watches end":         {prepare: end, atMax: retryPeriod},
		"its leader is killed, after watches ended": {killed: true, prepare: end, earliest: leaseDuration - retryPeriod, atMax: leaseDuration + retryPeriod},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cluster := newCluster()
				if tc.prepare != nil {
					tc.prepare(cluster)
				}
				leading, stop := context.WithCancel(t.Context())
				var first, second atomic.Bool
				go contend(leading, t, replica(cluster, "first"), tc.killed, &first)
				time.Sleep(time.Second)
				waiting, end := context.WithCancel(t.Context())
				go contend(waiting, t, replica(cluster, "second"), false, &second)
				time.Sleep(5 * time.Minute)
				if !first.Load() || second.Load() {
					t.Fatalf("the first leads: %t; the second leads: %t", first.Load(), second.Load())
				}
				stop()
				stopped := time.Now()
				for !second.Load() && time.Since(stopped) < time.Minute {
					time.Sleep(10 * time.Millisecond)
				}
				if took := time.Since(stopped).Truncate(20 * time.Millisecond); took < tc.earliest || took > tc.atMax {
					t.Errorf("it leads after %s, want between %s and %s", took, tc.earliest, tc.atMax)
				}
				held, err := cluster.CoordinationV1().Leases("home").Get(t.Context(), leaseName, metav1.GetOptions{})
				if err != nil {
					t.Fatal(err)
				}
				if at := held.Spec.AcquireTime.Time; time.Since(at) > time.Second {
					t.Errorf("it says that it leads since %s ago", time.Since(at))
				}
				end()
			})
		})
	}
}

// The config is the manager's too, whose watches must have no timeout.
func TestTheLeaseLeavesTheConfigAlone(t *testing.T) {
	t.Parallel()
	kube := &rest.Config{Host: "https://127.0.0.1:1", UserAgent: "cloudcert/v1"}
	before := rest.CopyConfig(kube)
	if _, err := newLease(kube, "home"); err != nil {
		t.Fatal(err)
	}
	if kube.Timeout != before.Timeout || kube.UserAgent != before.UserAgent {
		t.Errorf("the config has become %+v", kube)
	}
}

// A deposed leader has to learn it at once.
func TestALeaderDoesNotWaitForItsSuccessor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cluster := newCluster()
		deposed := replica(cluster, "first")
		mine := resourcelock.LeaderElectionRecord{HolderIdentity: "first", LeaseDurationSeconds: 15}
		if err := deposed.Create(t.Context(), mine); err != nil {
			t.Fatal(err)
		}
		other := replica(cluster, "second")
		if _, _, err := other.LeaseLock.Get(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := other.Update(t.Context(), resourcelock.LeaderElectionRecord{HolderIdentity: "second", LeaseDurationSeconds: 15}); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		record, _, err := deposed.Get(t.Context())
		if err != nil || record.HolderIdentity != "second" || time.Since(began) > 0 {
			t.Errorf("got %+v and %v after %s", record, err, time.Since(began))
		}
	})
}

func TestAStandbyStopsAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cluster := newCluster()
		if err := replica(cluster, "first").Create(t.Context(), resourcelock.LeaderElectionRecord{HolderIdentity: "first", LeaseDurationSeconds: 15}); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		var ended atomic.Bool
		go func() {
			_, _, err := replica(cluster, "second").Get(ctx)
			ended.Store(errors.Is(err, context.Canceled))
		}()
		time.Sleep(time.Second)
		stop()
		synctest.Wait()
		if !ended.Load() {
			t.Error("it goes on waiting")
		}
	})
}
