// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"strings"
	"testing"
	"time"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
)

// The API server lets an annotation have 256 KiB, and the status would keep them a second
// time.
func TestALongResyncRequestIsAnsweredOnceAndBriefly(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 200<<10)
	inWorld(t, emulator.Options{}, func(t *testing.T, w *simWorld) {
		w.given(func(*v1alpha1.CloudCertificate) {})
		w.work(time.Minute)
		handled := map[string]string{}
		for _, value := range []string{"brief", strings.Repeat("y", maxRequest), long, long + "x"} {
			calls := len(w.cloud.Journal())
			w.api.change(simKey, func(o *v1alpha1.CloudCertificate) {
				o.Annotations = map[string]string{v1alpha1.AnnotationResync: value}
			})
			w.work(time.Minute)
			if len(w.cloud.Journal()) == calls {
				t.Errorf("a request of %d bytes was not answered", len(value))
			}
			answer := w.api.objects[simKey].Status.LastHandledResync
			if other, known := handled[answer]; known {
				t.Errorf("requests of %d and %d bytes have the same answer", len(other), len(value))
			}
			handled[answer] = value
			if len(answer) > maxRequest || len(value) <= maxRequest && answer != value {
				t.Errorf("a request of %d bytes was answered by %d bytes: %.70q", len(value), len(answer), answer)
			}
			calls = len(w.cloud.Journal())
			w.operators[len(w.operators)-1].dead = true // another one knows the status alone
			w.work(time.Minute)
			if len(w.cloud.Journal()) != calls {
				t.Errorf("a request of %d bytes was answered twice", len(value))
			}
		}
		w.checkRest()
	})
}
