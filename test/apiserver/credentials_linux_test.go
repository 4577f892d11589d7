// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
	"github.com/cloudcert-io/cloudcert/test/testbed"
)

// TestMadeUpCredentialsTakeNoMemory rewrites the credentials of 300 objects ten times, each
// time with access keys that nobody has, and measures what is alive in the operator's heap. It
// is built as people run it.
func TestMadeUpCredentialsTakeNoMemory(t *testing.T) {
	t.Parallel()
	const objects, rounds, most = 300, 10, 2 << 20
	plain, err := plainManager()
	if err != nil {
		t.Fatal(err)
	}
	profiles, err := testbed.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, emulator.Options{}, "--pprof-bind-address="+profiles)
	w.startBinary(plain)
	w.putSecret("web", w.issue("www.example.com"))
	rewrite := func(round int) {
		for i := range objects {
			secret := &corev1.Secret{
				ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: fmt.Sprintf("ak-%d", i)}, Type: corev1.SecretTypeOpaque,
				Data: map[string][]byte{
					"accessKeyId": fmt.Appendf(nil, "LTAImadeup%06d%06d", round, i), "accessKeySecret": []byte(strings.Repeat("s", 30)),
				},
			}
			write := func() error { return w.kube.Update(ctx, secret) }
			if round == 0 {
				write = func() error { return w.kube.Create(ctx, secret) }
			}
			if err := write(); err != nil {
				t.Fatal(err)
			}
		}
	}
	rewrite(0)
	for i := range objects {
		w.create(fmt.Sprintf("web-%d", i), func(cc *v1alpha1.CloudCertificate) {
			cc.Spec.SecretRef.Name, cc.Spec.CredentialsSecretRef.Name = "web", fmt.Sprintf("ak-%d", i)
		})
	}
	var before int
	for round := range rounds {
		if round > 0 {
			rewrite(round)
		}
		w.eventually(func() string { // each key is asked for its account once
			if asked := w.asked("GetCallerIdentity"); asked < objects*(round+1) {
				return fmt.Sprintf("%d keys of %d were tried", asked, objects*(round+1))
			}
			return ""
		})
		if round == 0 {
			before = heapOf(t, profiles)
		}
	}
	w.eventually(func() string { // what is still under way takes some too
		grown := heapOf(t, profiles) - before
		if grown > most {
			return fmt.Sprintf("%d keys more take %d bytes", objects*(rounds-1), grown)
		}
		t.Logf("%d keys more take %d KiB", objects*(rounds-1), grown>>10)
		return ""
	})
}

// asked counts the calls of an action.
func (w *world) asked(action string) (n int) {
	for _, call := range w.cloud.Journal() {
		if call.Action == action {
			n++
		}
	}
	return n
}

// heapOf is what is alive in the heap of an operator, in bytes.
func heapOf(t *testing.T, profiles string) (alive int) {
	t.Helper()
	for range 2 { // what pools keep takes two collections
		answer, err := http.Get("http://" + profiles + "/debug/pprof/heap?gc=1&debug=1")
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		_, figure, ok := strings.Cut(string(text), "# HeapAlloc = ")
		if _, err := fmt.Sscan(figure, &alive); !ok || err != nil {
			t.Fatalf("no heap in %d bytes: %v", len(text), err)
		}
	}
	return alive
}
