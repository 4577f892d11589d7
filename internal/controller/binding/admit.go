// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	rules "github.com/cloudcert-io/cloudcert/internal/protocol/binding"
	"github.com/cloudcert-io/cloudcert/internal/targets"
)

// observeConsent says whether a binding may have its slot, from caches alone.
func (r *reconciliation) observeConsent(ctx context.Context) (rules.Consent, error) {
	if off := r.notServed(r.place); off != "" {
		return rules.Consent{Refused: off}, nil
	}
	refused, adoptAny, err := r.consentOf(ctx, r.next, r.certificate, "")
	if err != nil || refused != "" {
		return rules.Consent{Refused: refused}, err
	}
	consent := rules.Consent{AnyAdopted: adoptAny}
	if consent.Rival, consent.Heirs, err = r.rivals(ctx); err != nil {
		return consent, err
	}
	consent.Needed, err = r.neededByOthers(ctx, r.Client)
	return consent, err
}

// consentOf says why a binding may not have its slot; empty if it may.
func (r *Reconciler) consentOf(ctx context.Context, b *v1alpha1.CloudCertificateBinding, c *v1alpha1.CloudCertificate, loadBalancer string) (refused string, adoptAny bool, err error) {
	if !r.needsPolicy(b, c) {
		return "", true, nil
	}
	policies := &v1alpha1.CertificateTargetPolicyList{}
	if err := r.List(ctx, policies, client.UnsafeDisableDeepCopy); err != nil {
		return "", false, fmt.Errorf("failed to read CertificateTargetPolicies: %w", err)
	}
	asked := request{namespace: b.Namespace, target: &b.Spec.Target, loadBalancer: loadBalancer}
	if asked.labels, err = r.labelsOf(ctx, b.Namespace); err != nil {
		return "", false, err
	}
	if asked.unissued = c == nil || c.Status.CertID == 0; !asked.unissued {
		asked.dnsNames = hostsOf(&c.Status.Certificate)
		asked.cut = int(c.Status.Certificate.DNSNamesTotal) > len(c.Status.Certificate.DNSNames)
	}
	ok, adoptAny := admitted(policies.Items, asked)
	if !ok {
		way := "ask whoever runs the cluster for one"
		if b.Spec.Target.ALBConfig == nil {
			way += ", or set spec.credentialsSecretRef"
		}
		return fmt.Sprintf("no CertificateTargetPolicy admits %s for namespace %q and every DNS name of CloudCertificate %q: %s; %s",
			placeOf(b).text(), b.Namespace, b.Spec.CertificateRef.Name, lacking(policies.Items, asked), way), false, nil
	}
	return "", adoptAny, nil
}

// refusedBy says that no policy admits the load balancer of a listener; empty if one does. The log names it to
// those who may read that, and are asked for a policy.
func (r *reconciliation) refusedBy(ctx context.Context, state targets.State) string {
	if state.LoadBalancer == "" {
		return ""
	}
	refused, adoptAny, err := r.consentOf(ctx, r.next, r.certificate, state.LoadBalancer)
	r.consent.AnyAdopted = adoptAny
	if err != nil {
		return err.Error()
	}
	if refused != "" {
		log.FromContext(ctx).Info("No policy admits the load balancer", "target", r.place.text(), "loadBalancer", state.LoadBalancer)
	}
	return refused
}

// labelsOf are the labels of a namespace.
func (r *Reconciler) labelsOf(ctx context.Context, name string) (map[string]string, error) {
	namespace := &metav1.PartialObjectMetadata{}
	namespace.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	if err := r.Get(ctx, client.ObjectKey{Name: name}, namespace); client.IgnoreNotFound(err) != nil {
		return nil, fmt.Errorf("failed to read the labels of namespace %q: %w", name, err)
	}
	return namespace.Labels, nil
}

// rivals says whether an older binding has the slot, and which would go on with it: also an older one
// may have come to have it after this one had placed something.
func (r *reconciliation) rivals(ctx context.Context) (rival string, heirs []rules.Heir, err error) {
	list := &v1alpha1.CloudCertificateBindingList{}
	for _, slot := range r.place.slots(certificateKey(r.next)) {
		if err := r.List(ctx, list, client.MatchingFields{bySlot: slot}, client.UnsafeDisableDeepCopy); err != nil {
			return "", nil, fmt.Errorf("failed to read which bindings want the same slot: %w", err)
		}
		for i := range list.Items {
			other := &list.Items[i]
			if other.UID == r.next.UID {
				continue
			}
			counts, anyAdopted, err := r.counts(ctx, other)
			switch {
			case err != nil:
				return "", nil, err
			case !counts:
				continue
			case isOlder(other, r.next):
				rival = r.rivalText(other)
			}
			heirs = append(heirs, r.heir(other, anyAdopted)...)
		}
	}
	return rival, heirs, nil
}

// heir is another binding as one that goes on with the slot; none if it is about to go itself.
func (r *reconciliation) heir(other *v1alpha1.CloudCertificateBinding, anyAdopted bool) []rules.Heir {
	if !other.DeletionTimestamp.IsZero() {
		return nil
	}
	return []rules.Heir{{Same: certificateKey(other) == certificateKey(r.next), Adopt: other.Spec.Adopt, AnyAdopted: anyAdopted}}
}

// counts reports whether another binding may have a slot at all, and whether it may adopt whatever
// is there: one that nobody admits must not keep others out, and neither must one whose own
// credentials never saw the target.
func (r *reconciliation) counts(ctx context.Context, other *v1alpha1.CloudCertificateBinding) (counts, anyAdopted bool, err error) {
	if r.notServed(placeOf(other)) != "" {
		return false, false, nil
	}
	certificate := &v1alpha1.CloudCertificate{}
	err = r.Get(ctx, client.ObjectKey{Namespace: other.Namespace, Name: other.Spec.CertificateRef.Name}, certificate)
	if client.IgnoreNotFound(err) != nil {
		return false, false, err
	}
	if err != nil {
		certificate = nil
	}
	switch own := secretOf(other, certificate); {
	case own == "" || placeOf(other).inNamespace:
		if certificate == nil {
			return false, false, nil
		}
	case !r.reaches(other, own):
		return false, false, nil
	}
	refused, anyAdopted, err := r.consentOf(ctx, other, certificate, "")
	return refused == "", anyAdopted, err
}

// reaches reports whether another binding may reach the target with the credentials in a Secret:
// it has read the target once, or they are those that this binding acts with.
func (r *reconciliation) reaches(other *v1alpha1.CloudCertificateBinding, secret string) bool {
	if other.Namespace == r.next.Namespace && secret == r.secret() {
		return true
	}
	theirs, ours := other.Status.AccountID, r.next.Status.AccountID
	return !other.Status.FirstReadTime.IsZero() && (theirs == "" || ours == "" || theirs == ours)
}

// neededByOthers are versions that this binding placed for another CloudCertificate than it refers to
// now, and that another binding has in an additional slot of the same listener, or is about to read
// there. The reader is the cache for a decision, the API server right before a removal.
func (r *reconciliation) neededByOthers(ctx context.Context, reader client.Reader) (needed []rules.ID, err error) {
	abandoned := r.abandoned()
	if len(abandoned) == 0 {
		return nil, nil
	}
	list := &v1alpha1.CloudCertificateBindingList{}
	if err := reader.List(ctx, list, client.InNamespace(r.next.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("failed to read which versions other bindings use: %w", err)
	}
	for i := range list.Items {
		other := &list.Items[i]
		if p := placeOf(other); other.UID == r.next.UID || p.Slot != r.place.Slot || p.ReadKey() != r.place.ReadKey() {
			continue
		}
		certIDs, err := r.versionsOf(ctx, other)
		if err != nil {
			return nil, err
		}
		for _, id := range abandoned {
			if slices.Contains(certIDs, id.CertID) {
				needed = append(needed, id)
			}
		}
	}
	return needed, nil
}

// versionsOf are those that another binding has, or, before its first read, may find.
func (r *reconciliation) versionsOf(ctx context.Context, other *v1alpha1.CloudCertificateBinding) ([]int64, error) {
	if !other.Status.FirstReadTime.IsZero() {
		return []int64{other.Status.BoundCertID, other.Status.PendingCertID}, nil
	}
	certificate := &v1alpha1.CloudCertificate{}
	err := r.Get(ctx, client.ObjectKey{Namespace: other.Namespace, Name: other.Spec.CertificateRef.Name}, certificate)
	if client.IgnoreNotFound(err) != nil {
		return nil, fmt.Errorf("failed to read the CloudCertificate of binding %q: %w", other.Name, err)
	}
	return []int64{certificate.Status.CertID}, nil
}

// abandoned are the versions in the status that are none of the CloudCertificate which the binding
// refers to, where there is room for those of others.
func (r *reconciliation) abandoned() (ids []rules.ID) {
	if r.place.Slot != targets.SlotAdditional {
		return nil
	}
	certificate, status := r.observeCertificate(), r.observeStatus()
	for _, id := range append([]rules.ID{status.Bound, status.Pending}, status.Leftover...) {
		if id.CertID != 0 && id != certificate.Current && !slices.Contains(certificate.Versions, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// isOlder reports whether a was made before b.
func isOlder(a, b *v1alpha1.CloudCertificateBinding) bool {
	if !a.CreationTimestamp.Equal(&b.CreationTimestamp) {
		return a.CreationTimestamp.Before(&b.CreationTimestamp)
	}
	return a.UID < b.UID
}

// rivalText names a binding of the same namespace, and no other.
func (r *reconciliation) rivalText(other *v1alpha1.CloudCertificateBinding) string {
	if other.Namespace == r.next.Namespace {
		return fmt.Sprintf("CloudCertificateBinding %q, which is older, has %s; delete one of the two", other.Name, r.place.text())
	}
	return fmt.Sprintf("an older binding of another namespace has %s; ask whoever runs the cluster", r.place.text())
}

// certificateKey is what tells the additional slots of one listener apart.
func certificateKey(b *v1alpha1.CloudCertificateBinding) string {
	return b.Namespace + "/" + b.Spec.CertificateRef.Name
}

// bySlot indexes bindings by the slots that they want.
const bySlot = "slot"

func slotsOf(object client.Object) []string {
	b := object.(*v1alpha1.CloudCertificateBinding)
	return placeOf(b).slots(certificateKey(b))
}

// Built are the kinds of target that this version serves.
func Built() []targets.Product {
	return slices.Sorted(slices.Values(append([]targets.Product{targets.ALBConfig, targets.ConfigMap, targets.Service}, targets.Names()...)))
}

// OfAll are the kinds of target that "all" stands for: those that this version serves, but for the ones
// that cost a right to private keys. Who wants those names them.
func OfAll() []targets.Product { return slices.DeleteFunc(Built(), targets.ByNameAlone) }
