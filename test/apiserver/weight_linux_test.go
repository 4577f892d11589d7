// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"fmt"
	"net/http"
	"os"
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

// TestAnnotationsTakeNoMemory compares operators with as many objects: those of some carry
// annotations of 250 KiB each, of the 256 that the API server allows. Of each kind there is one that
// saw the objects come, and one that found them when it started. They are built as people run them:
// the race detector multiplies their memory.
//
// It takes longest of all. Go starts the parallel tests of the last file first, which is why it
// stands in this one.
func TestAnnotationsTakeNoMemory(t *testing.T) {
	t.Parallel()
	plain, err := plainManager()
	if err != nil {
		t.Fatal(err)
	}
	early := map[string]*world{"bare": newWorld(t, emulator.Options{}), "annotated": newWorld(t, emulator.Options{})}
	var filled sync.WaitGroup
	for name, w := range early {
		w.startBinary(plain)
		annotations := map[string]string{}
		if name == "annotated" {
			annotations["example.com/note"] = strings.Repeat("x", 250<<10)
		}
		t.Cleanup(w.removeObjects)
		filled.Go(func() { w.createMany(annotations) })
	}
	filled.Wait()
	late := map[string]*world{}
	for name, w := range early {
		late[name] = w.another(plain)
	}
	time.Sleep(settled)
	for when, worlds := range map[string]map[string]*world{"while they run": early, "after a restart": late} {
		worlds["bare"].eventually(func() string { // a busy machine gives it back later
			bare, annotated := residentKiB(t, worlds["bare"].manager.PID()), residentKiB(t, worlds["annotated"].manager.PID())
			if annotated > bare*11/10 {
				return fmt.Sprintf("%s: annotations make the operator take %d KiB, more than a tenth above %d", when, annotated, bare)
			}
			t.Logf("%s: %d KiB, %d with annotations", when, bare, annotated)
			return ""
		})
	}
}

// another starts an operator beside the one of a world.
func (w *world) another(path string) *world {
	w.t.Helper()
	another := &world{t: w.t, kube: w.kube, namespace: w.namespace, cloud: w.cloud, proxy: w.proxy, args: w.args, env: w.env}
	w.t.Cleanup(another.stop)
	another.startBinary(path)
	return another
}

// plainManager builds the operator without the race detector, for whoever asks first.
var plainManager = sync.OnceValues(func() (path string, err error) {
	dir, err := os.MkdirTemp(buildFolder, "plain-")
	if err != nil {
		return "", err
	}
	return testbed.Build(ctx, dir, "./cmd/manager")
})

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

// createMany makes objects, and waits until the operator has said of each that its Secret is
// missing. That is counted: to read them all again would take longer than to make them.
func (w *world) createMany(annotations map[string]string) {
	for i := range manyObjects {
		w.create(fmt.Sprintf("web-%d", i), func(cc *v1alpha1.CloudCertificate) {
			cc.Annotations, cc.Spec.SecretRef.Name = annotations, "none"
		})
	}
	w.eventually(func() string {
		written := map[string]bool{}
		for _, request := range w.proxy.Requests() {
			if request.Method == http.MethodPatch && strings.HasSuffix(request.Path, "/status") {
				written[request.Path] = true
			}
		}
		if len(written) < manyObjects {
			return fmt.Sprintf("%d statuses of %d are written", len(written), manyObjects)
		}
		return ""
	})
	w.waitReason(fmt.Sprintf("web-%d", manyObjects-1), v1alpha1.ReasonSecretNotFound)
}

// removeObjects gives the API server back what the objects take there.
func (w *world) removeObjects() {
	if err := w.kube.DeleteAllOf(ctx, &v1alpha1.CloudCertificate{}, client.InNamespace(w.namespace)); err != nil {
		w.t.Error(err)
	}
}
