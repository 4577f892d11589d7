// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
	"github.com/cloudcert-io/cloudcert/test/testbed"
)

// largeAccount measures complete lists of an account that others use: each deletion of an
// object waits for one. At first nothing else happens; then somebody makes or deletes a
// certificate every second.
func largeAccount(ctx context.Context, b *bench, to *recorder) error {
	const inUse = 2
	certificates := b.of(50000)
	w, err := b.newWorld(ctx, usualLatency()...)
	if err != nil {
		return err
	}
	defer w.close()
	o := &others{cloud: w.cloud}
	if err := o.fill(ctx, b.ca, certificates); err != nil {
		return err
	}
	if err := w.addDeletable(ctx, 1+inUse); err != nil {
		return err
	}
	if _, err := w.startOperator(ctx, "--drift-interval=0", "--settle-delay=1s"); err != nil {
		return err
	}
	if _, err := w.waitSynced(ctx, 1+inUse); err != nil {
		return err
	}
	patience := time.Duration(certificates) * 20 * time.Millisecond
	atRest, _, err := w.deletion(ctx, nameOf("large", 0), patience)
	if err != nil {
		return fmt.Errorf("at rest: %w", err)
	}
	stop := o.beginUse(ctx)
	most, slowest := 0, time.Duration(0)
	for i := range inUse {
		calls, took, err := w.deletion(ctx, nameOf("large", 1+i), patience)
		if err != nil {
			return errors.Join(fmt.Errorf("in use: %w", err), stop())
		}
		most, slowest = max(most, calls), max(slowest, took)
	}
	if err := stop(); err != nil {
		return err
	}
	to.count("list calls until a deletion ends, at rest", float64(atRest), atMost(float64(certificates/pageSize+20)))
	to.count("the same, one change a second, most", float64(most), nil)
	to.count("the same, of those at rest", ratio(float64(most), float64(atRest)), atMost(1.2))
	to.note("changes by others meanwhile", float64(o.changes), "")
	to.note("a deletion took, slowest", slowest.Seconds(), "s")
	return nil
}

// addDeletable makes objects whose certificates go with them.
func (w *world) addDeletable(ctx context.Context, n int) error {
	if err := w.addSecrets(ctx, workload, "large", n); err != nil {
		return err
	}
	return parallel(ctx, n, func(ctx context.Context, i int) error {
		name := nameOf("large", i)
		return w.kube.Create(ctx, &v1alpha1.CloudCertificate{
			ObjectMeta: metav1.ObjectMeta{Namespace: workload, Name: name},
			Spec:       v1alpha1.CloudCertificateSpec{SecretRef: v1alpha1.SecretReference{Name: name}, DeletionPolicy: v1alpha1.DeletionPolicyDelete},
		})
	})
}

// deletion deletes an object and waits for its end. It returns the lists that were answered
// meanwhile.
func (w *world) deletion(ctx context.Context, name string, patience time.Duration) (lists int, took time.Duration, err error) {
	mark, err := w.cloud.mark(ctx)
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	object := &v1alpha1.CloudCertificate{ObjectMeta: metav1.ObjectMeta{Namespace: workload, Name: name}}
	if err := w.kube.Delete(ctx, object); err != nil {
		return 0, 0, err
	}
	err = eventually(ctx, patience, 200*time.Millisecond, "a deletion to end", func() (bool, error) {
		err := w.kube.Get(ctx, client.ObjectKeyFromObject(object), object)
		return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
	})
	took = time.Since(began)
	if err != nil {
		return 0, 0, err
	}
	calls, err := w.cloud.calls(ctx, mark)
	for _, call := range calls {
		if call.Action == actionList && call.Status == http.StatusOK {
			lists++
		}
	}
	return lists, took, err
}

// others are those who use the account beside the operator.
type others struct {
	cloud   *cloud
	pem     string
	next    int
	present []int64 // CertIds of theirs, oldest first
	changes int
}

// fill puts certificates into the account.
func (o *others) fill(ctx context.Context, ca *testbed.CA, n int) error {
	progressf("filling the account with %d certificates", n)
	pair, err := ca.Issue(90*24*time.Hour, nil, "others.example.com")
	if err != nil {
		return err
	}
	o.pem, o.next = string(pair.Certificate), n
	var mu sync.Mutex
	return parallel(ctx, n, func(ctx context.Context, i int) error {
		id, err := o.add(ctx, i)
		mu.Lock()
		defer mu.Unlock()
		o.present = append(o.present, id)
		return err
	})
}

func (o *others) add(ctx context.Context, number int) (certID int64, err error) {
	var made emulator.Certificate
	err = o.cloud.post(ctx, "/certificates/foreign", map[string]string{
		"account": account, "region": region, "name": fmt.Sprintf("theirs-%d", number), "pem": o.pem,
	}, &made)
	return made.CertID, err
}

// beginUse makes and deletes a certificate in turn, one a second, until it is stopped. Those
// that are deleted are spread over the account.
func (o *others) beginUse(ctx context.Context) (stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() {
		for tick := time.NewTicker(time.Second); ; {
			select {
			case <-ctx.Done():
				done <- nil
				return
			case <-tick.C:
			}
			if err := o.change(context.WithoutCancel(ctx)); err != nil {
				done <- err
				return
			}
		}
	}()
	return func() error { cancel(); return <-done }
}

func (o *others) change(ctx context.Context) error {
	o.changes++
	if o.changes%2 == 1 {
		o.next++
		_, err := o.add(ctx, o.next)
		return err
	}
	at := o.changes * 7919 % len(o.present)
	id := o.present[at]
	o.present = append(o.present[:at], o.present[at+1:]...)
	return o.cloud.post(ctx, "/certificates/delete", map[string]any{"account": account, "region": region, "certId": id}, &struct{}{})
}

// post asks the admin port for a change.
func (c *cloud) post(ctx context.Context, path string, body, into any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+c.addresses["admin"]+path, bytes.NewReader(raw))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", path, response.Status)
	}
	return json.NewDecoder(response.Body).Decode(into)
}
