// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/verdict"
)

// apply writes a verdict into the conditions of an object.
func apply(v verdict.Verdict, next *v1alpha1.CloudCertificate) {
	status := &next.Status
	status.ObservedGeneration = next.Generation
	condition := metav1.Condition{
		Type: v1alpha1.ConditionReady, Status: readyStatus(v.Ready, status.Conditions), Reason: v.Reason, Message: truncate(v.Message),
		ObservedGeneration: next.Generation,
	}
	meta.SetStatusCondition(&status.Conditions, condition)
	if !v.Stalled {
		meta.RemoveStatusCondition(&status.Conditions, v1alpha1.ConditionStalled)
		return
	}
	condition.Type, condition.Status = v1alpha1.ConditionStalled, metav1.ConditionTrue
	meta.SetStatusCondition(&status.Conditions, condition)
}

// readyStatus is what Ready becomes, by what it is.
func readyStatus(ready verdict.Ready, conditions []metav1.Condition) metav1.ConditionStatus {
	current := metav1.ConditionUnknown
	if known := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady); known != nil {
		current = known.Status
	}
	switch {
	case ready == verdict.True:
		return metav1.ConditionTrue
	case ready == verdict.Unchanged, ready == verdict.Progressing && current == metav1.ConditionUnknown:
		return current
	}
	return metav1.ConditionFalse
}

// maxMessage is the size of an event's note (1 kB).
const maxMessage = 1000

// truncate keeps a message readable and within the size of an event's note.
func truncate(message string) string { return truncateTo(maxMessage, message) }

// truncateTo cuts a message to a number of bytes, between characters.
func truncateTo(limit int, message string) string {
	if len(message) <= limit {
		return message
	}
	cut := limit - len("…")
	for cut > 0 && message[cut]&0xC0 == 0x80 { // not within a character
		cut--
	}
	return message[:cut] + "…"
}
