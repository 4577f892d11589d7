// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
)

const (
	// reachPace is the time between two renewals. With eleven regions each has one in eight
	// seconds: four reads at one a second, and the hints between them.
	reachPace = 700 * time.Millisecond
	// watchPace is how often it is looked at what the listeners serve.
	watchPace = 10 * time.Millisecond
)

// bindingRenewal renews certificates that are bound to listeners, and takes the time from the
// status of the certificate until its listener serves it, at the cloud's own pace.
func bindingRenewal(ctx context.Context, b *bench, to *recorder) error {
	n := b.of(60)
	m, err := b.boundMarket(ctx, n, 0)
	if err != nil {
		return err
	}
	defer m.close()
	mark, err := m.cloud.mark(ctx)
	if err != nil {
		return err
	}
	s, err := m.renewBound(ctx, n)
	if err != nil {
		return err
	}
	if _, err := m.waitBound(ctx, n, time.Minute); err != nil {
		return err
	}
	all, err := m.cloud.calls(ctx, mark)
	if err != nil {
		return err
	}
	served, err := m.served(ctx)
	if err != nil {
		return err
	}
	calls := 0
	for _, some := range ofALB(all) {
		calls += len(some)
	}
	toListener, toBinding := s.times()
	to.figure("status of the certificate to its listener, p50", milliseconds(percentile(toListener, 0.5)), "ms", nil)
	to.figure("status of the certificate to its listener, p99", milliseconds(percentile(toListener, 0.99)), "ms", atMost(1000))
	to.figure("status of the certificate to its listener, slowest", milliseconds(percentile(toListener, 1)), "ms", atMost(1000))
	to.note("status of the certificate to the binding's status, p50", milliseconds(percentile(toBinding, 0.5)), "ms")
	to.note("status of the certificate to the binding's status, slowest", milliseconds(percentile(toBinding, 1)), "ms")
	to.count("renewals that were seen on their listeners", float64(len(toListener))/float64(n), exactly(1))
	to.count("certificates served per binding afterwards", float64(served)/float64(n), exactly(1))
	to.count("calls of ALB per renewal", float64(calls)/float64(n), atMost(11))
	return nil
}

// boundMarket is a market whose n listeners have a binding each, with an operator that has come to
// rest. There are certificates for so many far listeners besides, which are not bound yet.
func (b *bench) boundMarket(ctx context.Context, n, far int) (m *market, err error) {
	if m, err = b.newMarket(ctx, len(mainland), n, far); err != nil {
		return nil, err
	}
	if _, err = m.syncAll(ctx, n+far*perListener, "bound-market"); err == nil {
		_, err = m.startBinding(ctx)
	}
	if err == nil {
		err = m.bind(ctx, n)
	}
	if err == nil {
		_, err = m.waitBound(ctx, n, 5*time.Minute)
	}
	if err == nil {
		err = sleep(ctx, time.Duration(len(mainland))*reachPace) // until the limits are at rest
	}
	if err != nil {
		m.close()
		return nil, err
	}
	return m, nil
}

// hangingTargets has 600 new bindings in a region of ALB that hangs, while those in the others
// follow renewals.
func hangingTargets(ctx context.Context, b *bench, to *recorder) error {
	n, far := b.of(60), b.of(30)
	m, err := b.boundMarket(ctx, n, far)
	if err != nil {
		return err
	}
	defer m.close()
	if err := m.cloud.inject(ctx, emulator.Fault{Kind: emulator.FaultHang, Product: alb, Region: farMarket}); err != nil {
		return err
	}
	mark, err := m.cloud.mark(ctx)
	if err != nil {
		return err
	}
	if err := m.bindTo(ctx, n, far*perListener, func(i int) int { return n + i%far }); err != nil {
		return err
	}
	s, err := m.renewBound(ctx, n)
	if err != nil {
		return err
	}
	returned := time.Now()
	if err := m.cloud.heal(ctx); err != nil {
		return err
	}
	if _, err := m.waitBound(ctx, n+1, time.Minute); err != nil {
		return err
	}
	calls, err := m.cloud.calls(ctx, mark)
	if err != nil {
		return err
	}
	calls = slices.DeleteFunc(calls, func(call emulator.Call) bool { return call.Product != alb || call.Region != farMarket })
	answered := slices.IndexFunc(calls, func(call emulator.Call) bool { return call.Status == http.StatusOK })
	toListener, _ := s.times()
	to.figure("in other regions, status of the certificate to its listener, p50", milliseconds(percentile(toListener, 0.5)), "ms", nil)
	to.figure("in other regions, status of the certificate to its listener, p99", milliseconds(percentile(toListener, 0.99)), "ms", atMost(1000))
	to.count("renewals that were seen on their listeners", float64(len(toListener))/float64(n), exactly(1))
	to.count("most calls that waited for the region at a time", float64(mostAtATime(calls, returned)), atMost(15))
	to.figure("used again after its return", calls[answered].Received.Sub(returned).Seconds(), "s", atMost(10))
	return nil
}

// sighting is when a version of a certificate was first seen at the three places.
type sighting struct{ status, listener, binding time.Time }

// sightings are those of versions, by their identifiers.
type sightings struct {
	mu  sync.Mutex
	all map[string]*sighting
}

// see notes that a version is at a place, if it was not seen there before.
func (s *sightings) see(identifier string, place func(*sighting) *time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all[identifier] == nil {
		s.all[identifier] = &sighting{}
	}
	if at := place(s.all[identifier]); at.IsZero() {
		*at = time.Now()
	}
}

// times are how long versions took from the status of the certificate to the other two places.
// Those that a listener served first are not of the renewals.
func (s *sightings) times() (toListener, toBinding []time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.all {
		if one.status.IsZero() || !one.listener.IsZero() && one.listener.Before(one.status) {
			continue // it was there before
		}
		if !one.listener.IsZero() {
			toListener = append(toListener, one.listener.Sub(one.status))
		}
		if !one.binding.IsZero() {
			toBinding = append(toBinding, one.binding.Sub(one.status))
		}
	}
	return toListener, toBinding
}

// renewBound renews n certificates one after the other, and returns when each was seen where,
// once all bindings have followed.
func (m *market) renewBound(ctx context.Context, n int) (*sightings, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(n)*reachPace+2*time.Minute)
	defer cancel()
	s := &sightings{all: map[string]*sighting{}}
	if err := m.lookAtListeners(ctx, s); err != nil { // what is there before
		return nil, err
	}
	var watchers sync.WaitGroup
	defer watchers.Wait()
	defer cancel()
	for _, follow := range []func(context.Context, *sightings) (watch.Interface, func(watch.Event), error){m.followCertificates, m.followBindings} {
		watcher, see, err := follow(ctx, s)
		if err != nil {
			return nil, err
		}
		defer watcher.Stop()
		watchers.Go(func() {
			for event := range watcher.ResultChan() {
				see(event)
			}
		})
	}
	var looked error
	watchers.Go(func() { looked = m.keepLooking(ctx, s) })
	for i := range n {
		secret, err := m.secretOf(workload, nameOf("c", i))
		if err != nil {
			return nil, err
		}
		if err := errors.Join(m.kube.Update(ctx, secret), sleep(ctx, reachPace)); err != nil {
			return nil, err
		}
	}
	err := eventually(ctx, time.Minute, 100*time.Millisecond, fmt.Sprintf("%d bindings to follow", n), func() (bool, error) {
		_, followed := s.times()
		return len(followed) >= n, nil
	})
	cancel()
	watchers.Wait()
	return s, errors.Join(err, looked)
}

// keepLooking looks at the listeners until the context ends.
func (m *market) keepLooking(ctx context.Context, s *sightings) error {
	for sleep(ctx, watchPace) == nil {
		if err := m.lookAtListeners(ctx, s); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

func (m *market) lookAtListeners(ctx context.Context, s *sightings) error {
	all, err := m.cloud.listeners(ctx)
	for _, l := range all {
		for _, a := range l.Additional {
			if a.Status == "Associated" {
				s.see(a.CertIdentifier, func(one *sighting) *time.Time { return &one.listener })
			}
		}
	}
	return err
}

// followCertificates sees the versions that statuses of CloudCertificates tell of from now on.
func (m *market) followCertificates(ctx context.Context, s *sightings) (watch.Interface, func(watch.Event), error) {
	list := &v1alpha1.CloudCertificateList{}
	if err := m.kube.List(ctx, list, client.Limit(1)); err != nil {
		return nil, nil, err
	}
	watcher, err := m.kube.Watch(ctx, &v1alpha1.CloudCertificateList{}, client.InNamespace(workload), since(list.ResourceVersion))
	return watcher, func(event watch.Event) {
		if c, ok := event.Object.(*v1alpha1.CloudCertificate); ok && meta.IsStatusConditionTrue(c.Status.Conditions, v1alpha1.ConditionReady) {
			s.see(c.Status.CertIdentifier, func(one *sighting) *time.Time { return &one.status })
		}
	}, err
}

// followBindings sees the versions that statuses of bindings tell of from now on.
func (m *market) followBindings(ctx context.Context, s *sightings) (watch.Interface, func(watch.Event), error) {
	list := &v1alpha1.CloudCertificateBindingList{}
	if err := m.kube.List(ctx, list, client.Limit(1)); err != nil {
		return nil, nil, err
	}
	watcher, err := m.kube.Watch(ctx, &v1alpha1.CloudCertificateBindingList{}, client.InNamespace(workload), since(list.ResourceVersion))
	return watcher, func(event watch.Event) {
		b, ok := event.Object.(*v1alpha1.CloudCertificateBinding)
		if ok && b.Status.BoundCertID != 0 && strconv.FormatInt(b.Status.BoundCertID, 10)+"-"+region == b.Status.BoundCertIdentifier {
			s.see(b.Status.BoundCertIdentifier, func(one *sighting) *time.Time { return &one.binding })
		}
	}, err
}

// since asks a watch for what happens after a version.
func since(version string) *client.ListOptions {
	return &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: version}}
}
