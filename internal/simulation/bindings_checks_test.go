// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/bundle"
	"github.com/cloudcert-io/cloudcert/internal/cas"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
	"github.com/cloudcert-io/cloudcert/internal/targets"
)

// isHeldBack reports whether a binding keeps a version for ever.
func (w *world) isHeldBack(key types.NamespacedName, certID int64) bool {
	for binding, b := range w.api.bindings {
		refers := binding.Namespace == key.Namespace && b.Spec.CertificateRef.Name == key.Name
		held := append([]int64{b.Status.BoundCertID, b.Status.PendingCertID}, b.Status.LeftoverCertIDs...)
		if refers && b.Status.FirstReadTime.IsZero() || binding.Namespace == key.Namespace && slices.Contains(held, certID) {
			return true
		}
	}
	return false
}

// checkBindings compares what bindings say at rest, and what is where they carry certificates to,
// with what was promised.
func (w *world) checkBindings() {
	for _, key := range sortedKeys(w.api.bindings) {
		w.checkBinding(key, w.api.bindings[key])
	}
	hours := time.Since(w.began).Hours()
	if most := callsPerEvent*(w.events+len(w.api.objects)+len(w.api.bindings)+1) + int(hours)*2*len(w.api.bindings); w.writes > most {
		w.violatef("%d calls that change listeners and domains in %.0f h for %d things that happened", w.writes, hours, w.events)
	}
}

func (w *world) checkBinding(key types.NamespacedName, b *v1alpha1.CloudCertificateBinding) {
	w.checkText("the status", string(encode(b.Status)))
	if !b.DeletionTimestamp.IsZero() {
		w.violatef("binding %s is still being deleted: %s", key, encode(b.Status.Conditions))
		return
	}
	want := w.expected(key, b)
	ready := meta.FindStatusCondition(b.Status.Conditions, v1alpha1.ConditionReady)
	if ready == nil || !slices.Contains(want, ready.Reason) {
		w.violatef("binding %s: %s, want one of %v; %s holds %v", key, encode(b.Status), want, w.placeOf(b).name, w.holds(w.placeOf(b)))
		return
	}
	if ready.Reason == v1alpha1.ReasonSynced {
		w.checkBound(key, b)
		if p := w.placeOf(b); p.product == targets.CLB || p.name == "service-clb" {
			w.checkStore(key, b)
		}
	}
}

// checkBound says whether a place holds what its binding says, and no other version of it.
func (w *world) checkBound(key types.NamespacedName, b *v1alpha1.CloudCertificateBinding) {
	p, object := w.placeOf(b), w.api.objects[w.certificateOf(b)]
	current := cas.CertIdentifier(object.Status.CertID, object.Status.Region)
	inDefault := p.shared && w.isIn(p.beside(false), current)
	if b.Status.BoundCertIdentifier != current || !w.isIn(p, current) && !inDefault {
		w.violatef("binding %s says %s; %s is current, and %s holds %v", key, encode(b.Status), current, p.name, w.holds(p))
	}
	ours := 0
	for _, c := range w.ours() {
		id := identifierOf(c)
		if isNamedFor(c, w.certificateOf(b)) && c.Region == object.Status.Region && w.isIn(p, id) && !w.isLeftElsewhere(id, b, object) {
			ours++
		}
	}
	if ours > 1 {
		w.violatef("binding %s: %d versions are left in %s: %v; %s", key, ours, p.name, w.holds(p), encode(b.Status))
	}
}

// checkSeen says whether bindings know of what somebody has changed in objects of the cluster: long
// before they would check it by themselves. What a start has found is no change: it is seen at the next
// check.
func (w *world) checkSeen(op *operator) {
	for _, key := range sortedKeys(w.api.bindings) {
		b := w.api.bindings[key]
		ready := meta.FindStatusCondition(b.Status.Conditions, v1alpha1.ConditionReady)
		isSynced := ready != nil && ready.Reason == v1alpha1.ReasonSynced && b.DeletionTimestamp.IsZero()
		p := w.placeOf(b)
		if p.isWatched() && isSynced && op.found[p.name] != string(encode(w.holds(p))) && w.api.objects[w.certificateOf(b)] != nil {
			w.checkBound(key, b)
		}
	}
}

// certificateOf is the CloudCertificate that a binding refers to.
func (w *world) certificateOf(b *v1alpha1.CloudCertificateBinding) types.NamespacedName {
	return types.NamespacedName{Namespace: b.Namespace, Name: b.Spec.CertificateRef.Name}
}

// admits reports whether a binding may act: by the policy, or with credentials of its tenant.
func (w *world) admits(b *v1alpha1.CloudCertificateBinding) bool {
	object := w.api.objects[w.certificateOf(b)]
	switch w.placeOf(b).product {
	case targets.ConfigMap:
		return true
	case targets.ALBConfig:
		return len(w.api.policies) > 0
	}
	return len(w.api.policies) > 0 || object != nil && object.Spec.CredentialsSecretRef.Name != ""
}

// rivals are the older bindings that want the same place.
func (w *world) rivals(key types.NamespacedName, b *v1alpha1.CloudCertificateBinding) (certain, possible bool) {
	p := w.placeOf(b)
	for _, other := range w.bindingsAt(p) {
		o := w.api.bindings[other]
		same := !p.shared || w.certificateOf(o) == w.certificateOf(b)
		older := o.CreationTimestamp.Before(&b.CreationTimestamp) || o.CreationTimestamp.Equal(&b.CreationTimestamp) && o.UID < b.UID
		if other == key || !same || !older {
			continue
		}
		possible = true
		object := w.api.objects[w.certificateOf(o)]
		ownCredentials := object != nil && (object.Spec.CredentialsSecretRef.Name == "" || p.product == targets.ConfigMap)
		certain = certain || ownCredentials && w.admits(o)
	}
	return certain, possible
}

// expected are the reasons that a binding may have come to.
func (w *world) expected(key types.NamespacedName, b *v1alpha1.CloudCertificateBinding) (reasons []string) {
	p, object := w.placeOf(b), w.api.objects[w.certificateOf(b)]
	certain, possible := w.rivals(key, b)
	switch {
	case !w.admits(b):
		return []string{v1alpha1.ReasonNotAllowed}
	case certain:
		return []string{v1alpha1.ReasonOccupied}
	case possible:
		reasons = append(reasons, v1alpha1.ReasonOccupied)
	}
	if object == nil {
		return append(reasons, v1alpha1.ReasonCertificateNotReady)
	}
	wanted, _ := w.wanted(object)
	switch {
	case wanted != v1alpha1.ReasonSynced:
		return append(reasons, v1alpha1.ReasonCertificateNotReady, v1alpha1.ReasonCredentialsUnavailable, p.unseen(), v1alpha1.ReasonSuspended)
	case object.Status.AccountID != ownAccount && !p.isObject():
		return append(reasons, p.unseen())
	case w.lacksObject(p):
		return append(reasons, v1alpha1.ReasonTargetNotFound)
	case b.Spec.Suspend:
		return append(reasons, v1alpha1.ReasonSuspended)
	case p.product == targets.ESA && object.Status.Region != cas.RegionChina: // where the site is not
		return append(reasons, v1alpha1.ReasonTargetNotFound)
	case p.isOfChina() && object.Status.Region != cas.RegionChina:
		return append(reasons, v1alpha1.ReasonRegionMismatch)
	}
	return append(reasons, w.placed(p, b, object)...)
}

// lacksObject reports whether the object of the cluster is gone that a place is in, and is not made by the
// operator.
func (w *world) lacksObject(p place) bool {
	return p.product == targets.Service && w.api.services[types.NamespacedName{Namespace: p.namespace, Name: p.target.Service.Name}] == nil
}

// placed are the reasons of a binding whose certificate may be placed.
func (w *world) placed(p place, b *v1alpha1.CloudCertificateBinding, object *v1alpha1.CloudCertificate) []string {
	current := cas.CertIdentifier(object.Status.CertID, object.Status.Region)
	if w.isIn(p, current) {
		return []string{v1alpha1.ReasonSynced}
	}
	if held := w.holds(p); !p.shared && len(held) > 0 {
		switch id := held[0].CertIdentifier; {
		case !w.gives(b, id):
			return []string{v1alpha1.ReasonOccupied}
		case id != b.Status.BoundCertIdentifier && !strings.HasSuffix(id, "-"+object.Status.Region) && !slices.Contains(b.Spec.Adopt, id):
			// A status has the region of what is bound alone: what was pending when the object moved to the other
			// region may be anybody's.
			return []string{v1alpha1.ReasonSynced, v1alpha1.ReasonOccupied}
		}
	}
	if reasons := p.settles(w, p, b, current); len(reasons) > 0 {
		return reasons
	}
	if held := w.holds(p); !p.shared && len(held) > 0 && w.isLeftElsewhere(held[0].CertIdentifier, b, object) {
		return []string{v1alpha1.ReasonSynced, v1alpha1.ReasonOccupied}
	}
	return []string{v1alpha1.ReasonSynced}
}

// isLeftElsewhere reports whether a certificate is an object's in an account that it has moved from. Only the
// status of a binding may still know it for ours, and that may have been put back.
func (w *world) isLeftElsewhere(identifier string, b *v1alpha1.CloudCertificateBinding, object *v1alpha1.CloudCertificate) bool {
	key := w.certificateOf(b)
	return identifier != b.Status.BoundCertIdentifier && w.isOf(identifier, key) && !slices.ContainsFunc(w.versionsOf(identifier, key), func(c emulator.Certificate) bool {
		return c.AccountID == object.Status.AccountID
	})
}

// gives reports whether a binding may replace a certificate: one of its object, the one that it
// has placed, or one that it names.
func (w *world) gives(b *v1alpha1.CloudCertificateBinding, identifier string) bool {
	return w.isOf(identifier, w.certificateOf(b)) || identifier == b.Status.BoundCertIdentifier || slices.Contains(b.Spec.Adopt, identifier)
}

// isOf reports whether a certificate is one of an object.
func (w *world) isOf(identifier string, key types.NamespacedName) bool {
	return len(w.versionsOf(identifier, key)) > 0
}

// versionsOf are the certificates of an object with an identifier: accounts may give the same one.
func (w *world) versionsOf(identifier string, key types.NamespacedName) (all []emulator.Certificate) {
	for _, c := range w.ours() {
		if identifierOf(c) == identifier && isNamedFor(c, key) {
			all = append(all, c)
		}
	}
	return all
}

// isNamedFor reports whether the name of a certificate carries the identity of an object.
func isNamedFor(c emulator.Certificate, key types.NamespacedName) bool {
	owner, _, _ := bundle.ParseName(c.Name)
	return owner == bundle.Identity(clusterID, key.Namespace, key.Name)
}
