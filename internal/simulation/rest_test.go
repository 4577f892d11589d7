// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// quiesce ends every disturbance and lets the world come to rest: one operator, all
// events, all timers of more than a day, and drift rounds.
func (w *world) quiesce() {
	w.chaos, w.disturbAt = false, 0
	w.cloud.ClearFaults()
	for _, key := range sortedKeys(w.api.objects) {
		creds := types.NamespacedName{Namespace: key.Namespace, Name: w.api.objects[key].Spec.CredentialsSecretRef.Name}
		if creds.Name != "" && w.api.secrets[creds] == nil && w.api.objects[key].DeletionTimestamp.IsZero() {
			w.putCredentials(key.Namespace)
		}
	}
	for len(w.operators) > 1 {
		w.stop(w.operators[1])
	}
	if len(w.operators) == 0 || w.operators[0].dead {
		for _, op := range slices.Clone(w.operators) {
			w.stop(op)
		}
		w.start()
	}
	if w.products != nil {
		w.bindingAtRest()
	}
	op := w.operators[0]
	w.checkAwake(op)
	w.follow() // until then the listener of a Service uses what the copy was before
	w.settle(op, 26*time.Hour)
	for range 3 {
		op.checkDrift()
		w.settle(op, 2*time.Hour)
	}
	w.settle(op, 26*time.Hour)
}

// settle runs an operator for a time.
func (w *world) settle(op *operator, limit time.Duration) {
	end := time.Now().Add(limit)
	for reconciles := 0; ; reconciles++ {
		op.deliver()
		if op.dead {
			return
		}
		if due := op.due(); len(due) > 0 {
			op.run(due[0])
			if reconciles > 20000 {
				w.violatef("no rest after %d reconciles", reconciles)
				return
			}
			continue
		}
		next := op.soonest(end)
		for _, i := range op.watches() {
			if i.resync.Before(next) {
				next = i.resync
			}
		}
		time.Sleep(max(time.Until(next), 0))
		if !next.Before(end) {
			return
		}
	}
}
