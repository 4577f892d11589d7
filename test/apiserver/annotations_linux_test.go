// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
	"github.com/cloudcert-io/cloudcert/test/testbed"
)

const (
	// manyObjects is how many objects a tenant makes.
	manyObjects = 600
	// settled is longer than it takes the operator to give back memory that is free.
	settled = 70 * time.Second
)

// TestAnnotationsTakeNoMemory compares two operators with as many objects: those of one carry
// annotations of 250 KiB each, of the 256 that the API server allows. They are built as people
// run them: the race detector multiplies their memory.
func TestAnnotationsTakeNoMemory(t *testing.T) {
	t.Parallel()
	plain, err := testbed.Build(ctx, t.TempDir(), "./cmd/manager")
	if err != nil {
		t.Fatal(err)
	}
	worlds := map[string]*world{"bare": newWorld(t, emulator.Options{}), "annotated": newWorld(t, emulator.Options{})}
	measure := func(when string) {
		time.Sleep(settled)
		bare, annotated := residentKiB(t, worlds["bare"].manager.PID()), residentKiB(t, worlds["annotated"].manager.PID())
		t.Logf("%s: %d KiB, %d with annotations", when, bare, annotated)
		if annotated > bare*11/10 {
			t.Errorf("%s: annotations make the operator take %d KiB, more than a tenth above %d", when, annotated, bare)
		}
	}
	var filled sync.WaitGroup
	for name, w := range worlds {
		w.startBinary(plain)
		annotations := map[string]string{}
		if name == "annotated" {
			annotations["example.com/note"] = strings.Repeat("x", 250<<10)
		}
		t.Cleanup(w.removeObjects)
		filled.Go(func() { w.createMany(annotations) })
	}
	filled.Wait()
	measure("while they run")
	for _, w := range worlds {
		w.stop()
		w.startBinary(plain)
	}
	measure("after a restart")
}

// startBinary starts an operator of another build.
func (w *world) startBinary(path string) {
	w.t.Helper()
	address, err := testbed.FreeAddress()
	if err != nil {
		w.t.Fatal(err)
	}
	if w.manager, err = testbed.Start(ctx, path, w.env, append(w.args, "--health-probe-bind-address="+address)...); err != nil {
		w.t.Fatal(err)
	}
	ready, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	if err := w.manager.WaitReady(ready, "http://"+address+"/readyz"); err != nil {
		w.t.Fatal(err)
	}
}

// createMany makes objects, and waits until the operator has seen them.
func (w *world) createMany(annotations map[string]string) {
	for i := range manyObjects {
		w.create(fmt.Sprintf("web-%d", i), func(cc *v1alpha1.CloudCertificate) {
			cc.Annotations, cc.Spec.SecretRef.Name = annotations, "none"
		})
	}
	for i := range manyObjects {
		w.waitReason(fmt.Sprintf("web-%d", i), v1alpha1.ReasonSecretNotFound)
	}
}

// removeObjects gives the API server back what the objects take there.
func (w *world) removeObjects() {
	if err := w.kube.DeleteAllOf(ctx, &v1alpha1.CloudCertificate{}, client.InNamespace(w.namespace)); err != nil {
		w.t.Error(err)
	}
}
