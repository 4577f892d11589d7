// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package conditions

import (
	"strings"
	"testing"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/verdict"
)

func TestSet(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		before metav1.ConditionStatus // empty for none
		ready  verdict.Ready
		want   metav1.ConditionStatus
	}{
		"true":                              {"False", verdict.True, "True"},
		"false":                             {"True", verdict.False, "False"},
		"progressing, and new":              {"", verdict.Progressing, "Unknown"},
		"progressing, and new since before": {"Unknown", verdict.Progressing, "Unknown"},
		"progressing after it was ready":    {"True", verdict.Progressing, "False"},
		"unchanged":                         {"True", verdict.Unchanged, "True"},
		"unchanged, and new":                {"", verdict.Unchanged, "Unknown"},
	} {
		for _, stalled := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				conditions := []metav1.Condition{{Type: v1alpha1.ConditionStalled, Status: metav1.ConditionTrue}}
				if tc.before != "" {
					conditions = append(conditions, metav1.Condition{Type: v1alpha1.ConditionReady, Status: tc.before})
				}
				Set(&conditions, verdict.Verdict{Ready: tc.ready, Reason: "Because", Message: "why", Stalled: stalled}, 7)
				ready := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady)
				if ready.Status != tc.want || ready.Reason != "Because" || ready.Message != "why" || ready.ObservedGeneration != 7 {
					t.Errorf("Ready %+v, want %s", ready, tc.want)
				}
				found := meta.FindStatusCondition(conditions, v1alpha1.ConditionStalled)
				if (found != nil) != stalled || stalled && (found.Status != metav1.ConditionTrue || found.Reason != "Because") {
					t.Errorf("Stalled %+v, want it: %t", found, stalled)
				}
			})
		}
	}
}

func TestMessagesAreCutBetweenCharacters(t *testing.T) {
	t.Parallel()
	if got := Truncate("short"); got != "short" {
		t.Errorf("a short message became %q", got)
	}
	got := Truncate(strings.Repeat("ü", 900))
	if len(got) > 1000 || !utf8.ValidString(got) || !strings.HasSuffix(got, "ü…") {
		t.Errorf("cut to %d bytes, valid %t, end %q", len(got), utf8.ValidString(got), got[len(got)-8:])
	}
}
