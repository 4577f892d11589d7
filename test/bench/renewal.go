// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
)

// renewalPace is the mean time between two renewals: 20 a second, so that the pace of
// uploads is not what is measured.
const renewalPace = 50 * time.Millisecond

// renewal renews certificates of a synced fleet, at rest and while the backlog of a
// start is running.
func renewal(ctx context.Context, b *bench, to *recorder) error {
	fleet, renewals, waiting := b.of(2000), b.of(500), b.of(3000)
	w, err := b.newWorld(ctx, onTheWay(20*time.Millisecond, 0)...)
	if err != nil {
		return err
	}
	defer w.close()
	if _, err := w.syncAll(ctx, fleet, "renewal-fleet"); err != nil {
		return err
	}
	o, err := w.startOperator(ctx)
	if err != nil {
		return err
	}
	if _, _, err := o.waitIdle(ctx, fleet); err != nil {
		return err
	}
	stop := w.profileCPU(o, "renewal")
	atRest, err := w.renew(ctx, 0, renewals)
	stop()
	if err != nil {
		return fmt.Errorf("at rest: %w", err)
	}
	o.end()

	if err := errors.Join(w.addSecrets(ctx, workload, "b", waiting), w.addObjects(ctx, workload, "b", waiting)); err != nil {
		return err
	}
	if o, err = w.startOperator(ctx); err != nil {
		return err
	}
	if err := w.cloud.waitUploads(ctx, fleet+renewals+1, time.Minute); err != nil { // the backlog is running
		return err
	}
	inBacklog, err := w.renew(ctx, renewals, renewals)
	if err != nil {
		return fmt.Errorf("in a backlog: %w", err)
	}
	made, err := w.cloud.made(ctx, actionUpload)
	if err != nil {
		return err
	}
	left := max(0, fleet+2*renewals+waiting-made)
	if err := w.cloud.waitUploads(ctx, fleet+2*renewals+waiting, paceOf(waiting)); err != nil {
		return err
	}
	if _, err := w.waitSynced(ctx, fleet+waiting); err != nil {
		return err
	}
	o.end()
	calls, err := w.cloud.calls(ctx, 0)
	if err != nil {
		return err
	}
	t := sumUp(calls)

	to.figure("Secret update to status, p50", milliseconds(percentile(atRest, 0.5)), "ms", atMost(60))
	to.figure("Secret update to status, p99", milliseconds(percentile(atRest, 0.99)), "ms", atMost(300))
	to.note("Secret update to status, slowest", milliseconds(percentile(atRest, 1)), "ms")
	to.note("in a backlog, p50", milliseconds(percentile(inBacklog, 0.5)), "ms")
	to.figure("in a backlog, p99", milliseconds(percentile(inBacklog, 0.99)), "ms", atMost(1000))
	to.note("in a backlog, slowest", milliseconds(percentile(inBacklog, 1)), "ms")
	to.note("backlog left when the last renewal was done", float64(left), "")
	to.count("certificates made per renewal", float64(len(t.uploads)-fleet-waiting)/float64(2*renewals), exactly(1))
	to.figure("calls throttled", 100*ratio(float64(t.throttled), float64(t.all)), "%", nil)
	return nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// renewed is one renewal: from when its Secret was sent to when its status came.
type renewed struct{ sent, done time.Time }

// renewals are those under way, by the fingerprint of the new certificate.
type renewals struct {
	mu   sync.Mutex
	all  map[string]*renewed
	left int
	done chan struct{}
}

// renew updates the Secrets of n objects at random times, 20 a second in the mean,
// and returns for each the time from its update to its status, as a watcher sees it.
func (w *world) renew(ctx context.Context, first, n int) ([]time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(n)*renewalPace+2*time.Minute)
	defer cancel()
	r := &renewals{all: map[string]*renewed{}, left: n, done: make(chan struct{})}
	secrets := make([]*corev1.Secret, n)
	for i := range secrets {
		var err error
		if secrets[i], err = w.secretOf(workload, nameOf("c", first+i)); err != nil {
			return nil, err
		}
	}
	list := &v1alpha1.CloudCertificateList{}
	if err := w.kube.List(ctx, list, client.Limit(1)); err != nil {
		return nil, err
	}
	watcher, err := w.kube.Watch(ctx, &v1alpha1.CloudCertificateList{}, client.InNamespace(workload),
		&client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: list.ResourceVersion}})
	if err != nil {
		return nil, err
	}
	defer watcher.Stop()
	go r.follow(watcher.ResultChan())
	if err := w.update(ctx, secrets, r); err != nil {
		return nil, err
	}
	select {
	case <-ctx.Done():
		return nil, fmt.Errorf("%d renewals did not come: %w", r.left, ctx.Err())
	case <-r.done:
	}
	var times []time.Duration
	for _, one := range r.all {
		times = append(times, one.done.Sub(one.sent))
	}
	return times, nil
}

// update sends each Secret in its own time: one that takes long does not hold up the
// next.
func (w *world) update(ctx context.Context, secrets []*corev1.Secret, r *renewals) error {
	var updates sync.WaitGroup
	errs := make([]error, len(secrets))
	random := rand.New(rand.NewPCG(1, 2))
	for i, secret := range secrets {
		if err := sleep(ctx, time.Duration(random.ExpFloat64()*float64(renewalPace))); err != nil {
			return err
		}
		r.send(fingerprint(secret))
		updates.Go(func() { errs[i] = w.kube.Update(ctx, secret) })
	}
	updates.Wait()
	return errors.Join(errs...)
}

// fingerprint of the certificate of a Secret, as a status shows it.
func fingerprint(secret *corev1.Secret) string {
	block, _ := pem.Decode(secret.Data["tls.crt"])
	sum := sha256.Sum256(block.Bytes)
	return hex.EncodeToString(sum[:])
}

func (r *renewals) send(fingerprint string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all[fingerprint] = &renewed{sent: time.Now()}
}

// follow notes when statuses show what was sent.
func (r *renewals) follow(events <-chan watch.Event) {
	for event := range events {
		now := time.Now()
		object, ok := event.Object.(*v1alpha1.CloudCertificate)
		if ok && meta.IsStatusConditionTrue(object.Status.Conditions, v1alpha1.ConditionReady) {
			r.see(object.Status.Certificate.FingerprintSHA256, now)
		}
	}
}

func (r *renewals) see(fingerprint string, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	one := r.all[fingerprint]
	if one == nil || !one.done.IsZero() {
		return
	}
	one.done = now
	if r.left--; r.left == 0 {
		close(r.done)
	}
}
