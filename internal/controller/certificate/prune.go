// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/controller/conditions"
	"github.com/cloudcert-io/cloudcert/internal/controller/retries"
	"github.com/cloudcert-io/cloudcert/internal/protocol"
	"github.com/cloudcert-io/cloudcert/internal/verdict"
)

// pruning is what is remembered of attempts to delete superseded versions.
type pruning struct {
	notBefore time.Time
	problem   string    // why the last one failed
	held      bool      // bindings alone kept what was to be deleted
	proving   time.Time // since when a list is wanted that proves what may be deleted
	silent    []int64   // certificates whose last deletion got no answer
}

// expedite ends every wait for a slow retry when a new resync is asked for, also that
// for a list which could not be read, and reports whether it did. It returns how long the
// request has to wait for that.
func (r *Reconciler) expedite(ctx context.Context, object *v1alpha1.CloudCertificate) (hurried bool, wait time.Duration) {
	if asked, wait := r.askedToHurry(object); !asked {
		return false, wait
	}
	r.memory.expedite(object, resyncRequest(object))
	if cloud, err := r.Accounts.lastClient(ctx, object, r.region(object)); err == nil { // else the reconcile says what is wrong
		cloud.Inventory().Retry()
	}
	return true, 0
}

// searchable is a word under which the list finds a certificate and, most likely, those
// before it: a name of it without the wildcard, of which it is unknown whether the list
// can be searched by it.
func searchable(certificate *v1alpha1.CertificateFacts) string {
	name := certificate.CommonName
	if len(certificate.DNSNames) > 0 {
		name = certificate.DNSNames[0]
	}
	return strings.TrimPrefix(name, "*.")
}

// judgePrune decides when a prune is tried again, and what Ready says of it meanwhile.
func (r *reconciliation) judgePrune(ctx context.Context, err error) time.Duration {
	next := r.next
	if err == nil {
		r.memory.pruning.Forget(client.ObjectKeyFromObject(next))
		r.memory.retries.Succeeded(next, retries.Prune)
		return 0
	}
	v := verdict.Of(err, r.subject())
	if v.Reason == v1alpha1.ReasonThrottled {
		return v.Again.After
	}
	pace := v.Again.Pace
	if pace != verdict.Slowly {
		pace = verdict.Soon // no queue tries a prune again
	}
	problem := fmt.Sprintf("superseded versions %scannot be deleted: %s; it is tried again %s", r.surplus(err), verdict.Text(err), pace)
	reason := v1alpha1.ReasonPruneFailed
	if v.Reason == v1alpha1.ReasonIdentityShared {
		problem, reason = v.Message, v.Reason
	}
	if isHeldBack(err) {
		problem, reason = "superseded versions are kept: "+verdict.Text(err), v1alpha1.ReasonPruneHeld
	}
	delay := r.Jitter(r.memory.retries.Next(next, retries.Prune, pace))
	again := r.memory.pruning.Of(next).problem == problem
	r.memory.pruning.Change(next, func(p *pruning) {
		p.notBefore, p.problem, p.proving = r.Clock.Now().Add(delay), problem, time.Time{}
		p.held = reason == v1alpha1.ReasonPruneHeld
	})
	if reason != v1alpha1.ReasonPruneHeld { // what a binding keeps has not failed
		pruneFailures.WithLabelValues(reason).Inc()
	}
	if !again {
		log.FromContext(ctx).Info("Superseded versions stay in the cloud", "reason", reason, "problem", problem)
		r.Recorder.Eventf(next, nil, corev1.EventTypeWarning, reason, "Prune", "%s", conditions.Truncate(problem))
	}
	return delay
}

// surplus names the versions that the object has beyond its limit, where an error names none itself.
func (r *reconciliation) surplus(err error) string {
	versions, status := r.observe().Surplus(), &r.next.Status
	if protocol.Remaining(err) > 0 || len(versions) == 0 {
		return ""
	}
	var names []string
	for _, version := range versions {
		names = append(names, protocol.NameAndID(version.Name, version.CertID))
	}
	return protocol.Few(names, max(0, int(status.HistoryTotal)-len(status.History))) + " "
}

// isHeldBack reports whether bindings alone keep what could not be deleted.
func isHeldBack(err error) bool {
	remaining, ok := errors.AsType[*protocol.RemainingError](err)
	return ok && !slices.ContainsFunc(remaining.Left, func(u protocol.Undeleted) bool {
		return !keptByBinding(u.Err)
	})
}

// soonest is the shorter of two delays, of which 0 is none.
func soonest(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
