// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"errors"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/targets"
)

// TestWhatWasPutBackIsToldOnce, and not before the target is seen to use it.
func TestWhatWasPutBackIsToldOnce(t *testing.T) {
	t.Parallel()
	recorder := events.NewFakeRecorder(10)
	p := take(&Reconciler{Recorder: recorder}, nil, "web")
	p.place.Product = "test" // the counter is the process's
	p.next = p.before.DeepCopy()
	p.next.Status.BoundCertIdentifier = "12-cn-hangzhou"
	told := func(reason string) (restored []string) {
		p.next.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: reason}}
		p.announce(t.Context(), p.before)
		for len(recorder.Events) > 0 {
			if event := <-recorder.Events; strings.Contains(event, v1alpha1.ReasonRestored) {
				restored = append(restored, event)
			}
		}
		return restored
	}
	before := countRestorations(t)
	p.memory.restores(p.before, "it had gone from there")
	if got := told(v1alpha1.ReasonProgressing); len(got) > 0 {
		t.Errorf("it is told before it is there: %v", got)
	}
	const want = "Warning Restored test/cn-shanghai/lsn-a Additional uses certificate 12-cn-hangzhou again: it had gone from there"
	if got := told(v1alpha1.ReasonSynced); len(got) != 1 || got[0] != want {
		t.Errorf("told: %v", got)
	}
	if got := told(v1alpha1.ReasonSynced); len(got) > 0 {
		t.Errorf("it is told again: %v", got)
	}
	if n := countRestorations(t) - before; n != 1 {
		t.Errorf("%g restorations are counted", n)
	}
}

func countRestorations(t *testing.T) float64 {
	t.Helper()
	metric := &dto.Metric{}
	if err := restorations.WithLabelValues("test").Write(metric); err != nil {
		t.Fatal(err)
	}
	return metric.GetCounter().GetValue()
}

// TestWhoseCredentialsAreNotLetIn is said of a call that the cloud denies, and of no object of the cluster.
func TestWhoseCredentialsAreNotLetIn(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		secret string
		failed *targets.Error
		want   string
	}{
		"of a Secret":       {"binder", &targets.Error{Class: targets.Denied, Message: "no", Cause: &alibaba.Error{}}, `no; the call was made with the credentials of Secret "binder"`},
		"the operator's":    {"", &targets.Error{Class: targets.Denied, Message: "no", Cause: &alibaba.Error{}}, "no; the call was made with the operator's own credentials"},
		"a key":             {"", &targets.Error{Class: targets.Unauthenticated, Message: "no", Cause: &alibaba.Error{}}, "no; the call was made with the operator's own credentials"},
		"another failure":   {"", &targets.Error{Class: targets.Refused, Message: "no", Cause: &alibaba.Error{}}, "no"},
		"no call was made":  {"", &targets.Error{Class: targets.Unauthenticated, Message: "no"}, "no"},
		"a role is missing": {"", &targets.Error{Class: targets.Denied, Message: "no", Cause: errors.New("no")}, "no"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := take(&Reconciler{}, nil, "web")
			p.next = p.before.DeepCopy()
			p.next.Spec.CredentialsSecretRef.Name = tc.secret
			if got := p.failureOf(tc.failed).Text; got != tc.want {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
}
