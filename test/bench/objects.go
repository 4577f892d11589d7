// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
)

// writers are the requests to the API server at a time when objects are made.
const writers = 24

// parallel does n things, some at a time, and returns the first error.
func parallel(ctx context.Context, n int, do func(context.Context, int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(n, writers) {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				if err := do(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	workers.Wait()
	return context.Cause(ctx)
}

// secretOf makes a TLS Secret with a fresh ECDSA certificate.
func (b *bench) secretOf(namespace, name string) (*corev1.Secret, error) {
	pair, err := b.ca.Issue(90*24*time.Hour, nil, name+".example.com")
	if err != nil {
		return nil, err
	}
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Type:       corev1.SecretTypeTLS,
		Data:       map[string][]byte{"tls.crt": pair.Certificate, "tls.key": pair.PrivateKey},
	}, nil
}

func nameOf(prefix string, i int) string { return fmt.Sprintf("%s-%05d", prefix, i) }

// addSecrets makes TLS Secrets.
func (w *world) addSecrets(ctx context.Context, namespace, prefix string, n int) error {
	return parallel(ctx, n, func(ctx context.Context, i int) error {
		secret, err := w.secretOf(namespace, nameOf(prefix, i))
		if err != nil {
			return err
		}
		return w.kube.Create(ctx, secret)
	})
}

// addObjects makes CloudCertificates for Secrets of the same names, as fast as the
// API server takes them.
func (w *world) addObjects(ctx context.Context, namespace, prefix string, n int) error {
	return parallel(ctx, n, func(ctx context.Context, i int) error {
		name := nameOf(prefix, i)
		return w.kube.Create(ctx, &v1alpha1.CloudCertificate{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
			Spec:       v1alpha1.CloudCertificateSpec{SecretRef: v1alpha1.SecretReference{Name: name}},
		})
	})
}

// addUnrelated makes Secrets that no object refers to.
func (w *world) addUnrelated(ctx context.Context, namespace string, n, size int) error {
	return parallel(ctx, n, func(ctx context.Context, i int) error {
		return w.kube.Create(ctx, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: nameOf("unrelated", i)},
			Type:       corev1.SecretTypeOpaque,
			Data:       map[string][]byte{"data": make([]byte, size)},
		})
	})
}

// objects lists the CloudCertificates of a namespace, all of them if it is empty.
func (w *world) objects(ctx context.Context, namespace string) ([]v1alpha1.CloudCertificate, error) {
	list := &v1alpha1.CloudCertificateList{}
	err := w.kube.List(ctx, list, client.InNamespace(namespace))
	return list.Items, err
}

// waitSynced waits until so many objects are Ready, and returns them.
func (w *world) waitSynced(ctx context.Context, want int) ([]v1alpha1.CloudCertificate, error) {
	var objects []v1alpha1.CloudCertificate
	err := eventually(ctx, 2*time.Minute, 500*time.Millisecond, fmt.Sprintf("%d synced objects", want), func() (bool, error) {
		var err error
		if objects, err = w.objects(ctx, ""); err != nil {
			return false, err
		}
		ready := 0
		for i := range objects {
			if meta.IsStatusConditionTrue(objects[i].Status.Conditions, v1alpha1.ConditionReady) {
				ready++
			}
		}
		return ready >= want, nil
	})
	return objects, err
}
