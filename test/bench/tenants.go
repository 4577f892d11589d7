// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
)

const (
	// noisy is the namespace of a tenant that misbehaves, and far that of objects in the
	// other region.
	noisy, far = "noisy", "far"
	farRegion  = "ap-southeast-1"
	// noisePace is the time between two changes of a Secret: three a second.
	noisePace = time.Second / 3
)

// inject adds a fault to the cloud.
func (c *cloud) inject(ctx context.Context, f emulator.Fault) error {
	body, err := json.Marshal(f)
	if err != nil {
		return err
	}
	return c.change(ctx, http.MethodPost, body)
}

// heal ends all faults.
func (c *cloud) heal(ctx context.Context) error { return c.change(ctx, http.MethodDelete, nil) }

func (c *cloud) change(ctx context.Context, method string, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, method, "http://"+c.addresses["admin"]+"/faults", bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("faults: %s: %s", response.Status, answer)
	}
	return err
}

// fleetWithOperator is a world with n synced objects and an operator that is idle.
func (b *bench) fleetWithOperator(ctx context.Context, n int, profile string) (*world, error) {
	w, err := b.newWorld(ctx, onTheWay(20*time.Millisecond, 0)...)
	if err != nil {
		return nil, err
	}
	_, err = w.syncAll(ctx, n, profile)
	var o *operator
	if err == nil {
		o, err = w.startOperator(ctx)
	}
	if err == nil {
		_, _, err = o.waitIdle(ctx, n)
	}
	if err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

// rewrite changes a Secret at a pace until the context ends, each time to the next of some
// contents.
func (w *world) rewrite(ctx context.Context, key types.NamespacedName, pace time.Duration, contents []map[string][]byte) error {
	ticks := time.NewTicker(pace)
	defer ticks.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return nil
		case <-ticks.C:
		}
		patch, err := json.Marshal(map[string]any{"data": contents[i%len(contents)]})
		if err != nil {
			return err
		}
		secret := &corev1.Secret{}
		secret.Namespace, secret.Name = key.Namespace, key.Name
		if err := w.kube.Patch(ctx, secret, client.RawPatch(types.MergePatchType, patch)); err != nil && ctx.Err() == nil {
			return err
		}
	}
}

// contents are the data of n TLS Secrets.
func (b *bench) contents(n int) ([]map[string][]byte, error) {
	all := make([]map[string][]byte, n)
	for i := range all {
		secret, err := b.secretOf(noisy, "content")
		if err != nil {
			return nil, err
		}
		all[i] = secret.Data
	}
	return all, nil
}

// meanwhile runs something beside what is measured, until that is done.
func meanwhile(ctx context.Context, noise, measured func(context.Context) error) error {
	noiseCtx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- noise(noiseCtx) }()
	err := measured(ctx)
	stop()
	return errors.Join(err, <-ended)
}

// noisyTenant has 300 objects of one tenant on one Secret, which changes three times a second
// to contents that the cloud refuses, while another tenant renews.
func noisyTenant(ctx context.Context, b *bench, to *recorder) error {
	objects, renewals := b.of(300), b.of(500)
	w, err := b.fleetWithOperator(ctx, renewals, "noisy-fleet")
	if err != nil {
		return err
	}
	defer w.close()
	contents, err := b.contents(50)
	if err != nil {
		return err
	}
	key := types.NamespacedName{Namespace: noisy, Name: nameOf("n", 0)}
	err = errors.Join(
		w.cloud.inject(ctx, emulator.Fault{Kind: emulator.FaultFail, Action: actionUpload, NameContains: noisy, Code: "InvalidParameter"}),
		w.addNamespace(ctx, noisy), w.addSecrets(ctx, noisy, "n", 1), w.addObjectsOn(ctx, key, objects))
	if err != nil {
		return err
	}
	mark, err := w.cloud.mark(ctx)
	if err != nil {
		return err
	}
	var times []time.Duration
	err = meanwhile(ctx, func(ctx context.Context) error { return w.rewrite(ctx, key, noisePace, contents) }, func(ctx context.Context) error {
		end := time.Now().Add(time.Duration(b.of(100)) * time.Second)
		if times, err = w.renew(ctx, 0, renewals); err != nil {
			return err
		}
		return sleep(ctx, time.Until(end))
	})
	if err != nil {
		return err
	}
	calls, err := w.cloud.calls(ctx, mark)
	if err != nil {
		return err
	}
	t := sumUp(calls)
	to.figure("another's Secret update to status, p50", milliseconds(percentile(times, 0.5)), "ms", nil)
	to.figure("another's Secret update to status, p99", milliseconds(percentile(times, 0.99)), "ms", atMost(500))
	to.note("another's Secret update to status, slowest", milliseconds(percentile(times, 1)), "ms")
	to.count("calls of the busiest object in its busiest minute", float64(busiestObject(calls)), atMost(40))
	to.count("another's certificates made per renewal", float64(len(t.uploads))/float64(renewals), exactly(1))
	to.note("calls of the noisy tenant", float64(len(calls)-len(t.uploads)), "")
	to.figure("calls throttled", 100*ratio(float64(t.throttled), float64(t.all)), "%", nil)
	return nil
}

// busiestObject is the most calls that one object of the noisy tenant made within a minute.
// Lists name no object: all of them are taken for those of each.
func busiestObject(calls []emulator.Call) int {
	byObject := map[string][]time.Time{}
	var lists []time.Time
	for _, call := range calls {
		switch i := strings.LastIndex(call.Name, "_"); {
		case call.Action == actionList:
			lists = append(lists, call.Received)
		case strings.HasPrefix(call.Name, noisy) && i > 0:
			byObject[call.Name[:i]] = append(byObject[call.Name[:i]], call.Received)
		}
	}
	most := 0
	for _, times := range byObject {
		most = max(most, mostWithin(append(times, lists...), time.Minute))
	}
	return most
}

// addObjectsOn makes CloudCertificates that refer to one Secret.
func (w *world) addObjectsOn(ctx context.Context, secret types.NamespacedName, n int) error {
	return parallel(ctx, n, func(ctx context.Context, i int) error {
		object := &v1alpha1.CloudCertificate{Spec: v1alpha1.CloudCertificateSpec{SecretRef: v1alpha1.SecretReference{Name: secret.Name}}}
		object.Namespace, object.Name = secret.Namespace, nameOf("n", i)
		return w.kube.Create(ctx, object)
	})
}

// fight has two controllers write one Secret in turn, five times a second.
func fight(ctx context.Context, b *bench, to *recorder) error {
	w, err := b.fleetWithOperator(ctx, 1, "fight")
	if err != nil {
		return err
	}
	defer w.close()
	contents, err := b.contents(2)
	if err != nil {
		return err
	}
	mark, err := w.cloud.mark(ctx)
	if err != nil {
		return err
	}
	key := types.NamespacedName{Namespace: workload, Name: nameOf("c", 0)}
	err = meanwhile(ctx, func(ctx context.Context) error { return w.rewrite(ctx, key, 200*time.Millisecond, contents) }, func(ctx context.Context) error {
		return sleep(ctx, time.Duration(b.of(200))*time.Second)
	})
	if err != nil {
		return err
	}
	calls, err := w.cloud.calls(ctx, mark)
	if err != nil {
		return err
	}
	var times []time.Time
	for _, call := range calls {
		if call.Action != actionIdentity {
			times = append(times, call.Received)
		}
	}
	to.count("calls in the busiest minute", float64(mostWithin(times, time.Minute)), atMost(12))
	to.count("certificates made of two contents", float64(len(sumUp(calls).uploads)), exactly(2))
	return nil
}

// hangingRegion has 600 objects in a region that hangs, while those in the other renew.
func hangingRegion(ctx context.Context, b *bench, to *recorder) error {
	objects, renewals := b.of(600), b.of(500)
	w, err := b.fleetWithOperator(ctx, renewals, "region-fleet")
	if err != nil {
		return err
	}
	defer w.close()
	err = errors.Join(w.cloud.inject(ctx, emulator.Fault{Kind: emulator.FaultHang, Region: farRegion}),
		w.addNamespace(ctx, far), w.addSecrets(ctx, far, "f", objects))
	if err != nil {
		return err
	}
	mark, err := w.cloud.mark(ctx)
	if err != nil {
		return err
	}
	var times []time.Duration
	err = meanwhile(ctx, func(ctx context.Context) error { return w.addObjectsIn(ctx, far, "f", objects) }, func(ctx context.Context) error {
		times, err = w.renew(ctx, 0, renewals)
		return errors.Join(err, sleep(ctx, time.Duration(b.of(300))*100*time.Millisecond))
	})
	if err != nil {
		return err
	}
	returned := time.Now()
	if err := w.cloud.heal(ctx); err != nil {
		return err
	}
	if _, err := w.waitSynced(ctx, renewals+objects); err != nil {
		return err
	}
	calls, err := w.cloud.calls(ctx, mark)
	if err != nil {
		return err
	}
	made := len(sumUp(calls).uploads)
	first, last, most := afterReturn(calls, returned)
	to.figure("in the other region, Secret update to status, p50", milliseconds(percentile(times, 0.5)), "ms", nil)
	to.figure("in the other region, Secret update to status, p99", milliseconds(percentile(times, 0.99)), "ms", atMost(300))
	to.note("in the other region, Secret update to status, slowest", milliseconds(percentile(times, 1)), "ms")
	to.count("most calls that waited for the region at a time", float64(most), atMost(15))
	to.figure("used again after its return", first.Seconds(), "s", atMost(10))
	to.note("all its objects synced after its return", last.Seconds(), "s")
	to.count("certificates made per object and renewal", float64(made)/float64(objects+renewals), exactly(1))
	return nil
}

// addObjectsIn is addObjects in the other region.
func (w *world) addObjectsIn(ctx context.Context, namespace, prefix string, n int) error {
	return parallel(ctx, n, func(ctx context.Context, i int) error {
		name := nameOf(prefix, i)
		object := &v1alpha1.CloudCertificate{Spec: v1alpha1.CloudCertificateSpec{SecretRef: v1alpha1.SecretReference{Name: name}, Region: farRegion}}
		object.Namespace, object.Name = namespace, name
		return w.kube.Create(ctx, object)
	})
}

// afterReturn returns how long after a region's return its first and last upload was made, and
// how many calls waited for it at a time before.
func afterReturn(calls []emulator.Call, returned time.Time) (first, last time.Duration, most int) {
	calls = slices.DeleteFunc(calls, func(call emulator.Call) bool { return call.Region != farRegion })
	for _, call := range calls {
		if call.Committed && call.Action == actionUpload {
			after := call.Decided.Sub(returned)
			last = max(last, after)
			if first == 0 || after < first {
				first = after
			}
		}
	}
	return first, last, mostAtATime(calls, returned)
}

// mostAtATime is how many of the calls that came before a time were under way at the same time.
func mostAtATime(calls []emulator.Call, before time.Time) (most int) {
	type change struct {
		at time.Time
		by int
	}
	var changes []change
	for _, call := range calls {
		if call.Received.Before(before) {
			changes = append(changes, change{call.Received, 1})
			if !call.Finished.IsZero() { // else it is still under way
				changes = append(changes, change{call.Finished, -1})
			}
		}
	}
	slices.SortFunc(changes, func(a, b change) int { return a.at.Compare(b.at) })
	busy := 0
	for _, c := range changes {
		busy += c.by
		most = max(most, busy)
	}
	return most
}
