// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

// Package conditions writes verdicts into the conditions of an object, whatever its kind.
package conditions

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/verdict"
)

// Set writes a verdict on a generation of an object into its conditions.
func Set(conditions *[]metav1.Condition, v verdict.Verdict, generation int64) {
	condition := metav1.Condition{
		Type: v1alpha1.ConditionReady, Status: readyStatus(v.Ready, *conditions), Reason: v.Reason, Message: Truncate(v.Message),
		ObservedGeneration: generation,
	}
	meta.SetStatusCondition(conditions, condition)
	if !v.Stalled {
		meta.RemoveStatusCondition(conditions, v1alpha1.ConditionStalled)
		return
	}
	condition.Type, condition.Status = v1alpha1.ConditionStalled, metav1.ConditionTrue
	meta.SetStatusCondition(conditions, condition)
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

// EventType is the type of the event that reports a transition to a reason.
func EventType(reason string) string {
	switch reason {
	case v1alpha1.ReasonSynced, v1alpha1.ReasonProgressing, v1alpha1.ReasonSuspended:
		return corev1.EventTypeNormal
	}
	return corev1.EventTypeWarning
}

// MaxMessage is the size of an event's note (1 kB).
const MaxMessage = 1000

// Truncate keeps a message readable and within the size of an event's note.
func Truncate(message string) string { return TruncateTo(MaxMessage, message) }

// TruncateTo cuts a message to a number of bytes, between characters.
func TruncateTo(limit int, message string) string {
	if len(message) <= limit {
		return message
	}
	cut := limit - len("…")
	for cut > 0 && message[cut]&0xC0 == 0x80 { // not within a character
		cut--
	}
	return message[:cut] + "…"
}
