// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/cloudcert-io/cloudcert/internal/targets"
)

// The annotations and the class by which the cloud controller manager goes (T90, T91).
const (
	annotationCertID    = "service.beta.kubernetes.io/alibaba-cloud-loadbalancer-cert-id"
	annotationOldCertID = "service.beta.kubernetes.io/alicloud-loadbalancer-cert-id"
	annotationType      = "service.beta.kubernetes.io/alibaba-cloud-loadbalancer-type"
	classNLB            = "alibabacloud.com/nlb"
)

// service is the adapter of the annotation of a Service that names its load balancer's
// certificate: of an NLB by its identifier, of a CLB by the id of a copy in the store of CLB. It
// reads live: of Services only metadata are cached.
type service struct {
	live   client.Reader
	writer client.Writer
	// store returns the store of CLB, and its region. It is asked for a CLB alone: nothing about
	// an NLB calls the cloud.
	store func(ctx context.Context) (targets.Store, string, error)
	// region returns that of the load balancer; empty where it is not known.
	region func(ctx context.Context) (string, error)
	// placed is the copy that the status of the binding names.
	placed string
}

// serviceState is what Read keeps for a write.
type serviceState struct {
	// annotation is the one that was read.
	annotation string
	// clb reports whether the load balancer is a CLB, and copies is what its store in region holds.
	clb    bool
	region string
	copies targets.State
}

// Read implements targets.Adapter.
func (s service) Read(ctx context.Context, t targets.Target) (targets.State, error) {
	object := &corev1.Service{}
	if err := s.live.Get(ctx, objectKey(t), object); err != nil {
		return targets.State{}, objectError("read Service", objectKey(t), err)
	}
	state := targets.State{Revision: object.ResourceVersion, Off: unusable(object)}
	if state.Off != "" {
		return state, nil
	}
	kept := serviceState{annotation: annotationCertID, clb: object.Spec.LoadBalancerClass == nil}
	value, set := object.Annotations[annotationCertID]
	if old, ok := object.Annotations[annotationOldCertID]; ok && !set {
		kept.annotation, value = annotationOldCertID, old
	}
	if kept.clb {
		return s.readCopies(ctx, state, kept, value)
	}
	region, err := s.region(ctx)
	if err != nil {
		return state, err
	}
	state.Kept, state.Configures = kept, targets.Target{Product: targets.NLB, Region: region}
	if value != "" {
		state.Entries = []targets.Entry{identifierEntry(value)}
	}
	return state, nil
}

// unusable says why the annotation of a Service means nothing; empty if it means something.
func unusable(object *corev1.Service) string {
	class := object.Spec.LoadBalancerClass
	switch {
	case object.Spec.Type != corev1.ServiceTypeLoadBalancer:
		return fmt.Sprintf("Service %q is of type %s and has no load balancer: set its spec.type to LoadBalancer", object.Name, object.Spec.Type)
	case class != nil && *class != classNLB:
		return fmt.Sprintf("Service %q has spec.loadBalancerClass %q, which is no load balancer of Alibaba Cloud: use %q, or none for a CLB", object.Name, *class, classNLB)
	case class == nil && object.Annotations[annotationType] != "":
		return fmt.Sprintf("Service %q asks for its load balancer by the annotation %s, which counts only where a feature gate of the cloud controller manager says so: set spec.loadBalancerClass to %q",
			object.Name, annotationType, classNLB)
	}
	return ""
}

// identifierEntry is a certificate of CAS that is named by its identifier. Anything else is
// nobody's certificate.
func identifierEntry(value string) targets.Entry {
	e := targets.Entry{Role: targets.RoleDefault, Status: targets.StatusServing}
	certID, region, ok := targets.ParseIdentifier(value)
	if !ok {
		e.ProviderID = short(value)
		return e
	}
	e.CertIdentifier, e.CertID, e.Region = value, certID, region
	return e
}

// readCopies reads which certificate the copy is of that an annotation names. Where the status of
// the binding names the same copy and the store has it no longer, somebody has deleted it: the slot
// is empty then.
func (s service) readCopies(ctx context.Context, state targets.State, kept serviceState, value string) (targets.State, error) {
	store, region, err := s.store(ctx)
	if err != nil {
		return targets.State{}, err
	}
	kept.region = region
	if kept.copies, err = store.Copies(ctx, copiesIn(region)); err != nil {
		return targets.State{}, err
	}
	state.Kept, state.Configures = kept, copiesIn(region)
	inSlot := targets.Entry{ProviderID: short(value)}
	for _, e := range kept.copies.Entries {
		if e.ProviderID == value {
			inSlot = e
			continue
		}
		state.Entries = append(state.Entries, e)
	}
	gone := inSlot.CertIdentifier == "" && value == s.placed
	if value != "" && !gone {
		inSlot.Role, inSlot.Status = targets.RoleDefault, targets.StatusServing
		state.Entries = append(state.Entries, inSlot)
	}
	return state, nil
}

// copiesIn is the store of CLB in a region.
func copiesIn(region string) targets.Target {
	return targets.Target{Product: targets.CLB, Region: region}
}

// Owner implements targets.Adapter: a Service is what its load balancer is configured from.
func (service) Owner(context.Context, targets.Target, targets.State) (targets.Owner, error) {
	return targets.Owner{}, nil
}

// Place implements targets.Adapter. A copy that was imported and is named nowhere, because the
// write after it failed, is found in the store the next time.
func (s service) Place(ctx context.Context, t targets.Target, state targets.State, p targets.Placement) error {
	kept, ok := state.Kept.(serviceState)
	if !ok {
		return &targets.Error{Class: targets.Refused, Message: state.Off}
	}
	value := p.Certificate.Identifier()
	if kept.clb {
		store, region, err := s.store(ctx)
		if err != nil {
			return err
		}
		if value, err = store.Import(ctx, copiesIn(region), kept.copies, p.Certificate); err != nil {
			return err
		}
	}
	return s.annotate(ctx, t, state, annotationCertID, value)
}

// Remove implements targets.Adapter: it takes the annotation away, or deletes copies that the
// Service does not name.
func (s service) Remove(ctx context.Context, t targets.Target, state targets.State, r targets.Removal) error {
	kept, ok := state.Kept.(serviceState)
	if !ok {
		return nil // nothing was read that could be removed
	}
	if slices.ContainsFunc(r.Entries, func(e targets.Entry) bool { return e.Role != targets.RoleStored }) {
		return s.annotate(ctx, t, state, kept.annotation, nil)
	}
	store, region, err := s.store(ctx)
	if err != nil {
		return err
	}
	return store.Remove(ctx, copiesIn(region), kept.copies, r)
}

// annotate sets an annotation, or takes it away where the value is nil. It is not done where the
// Service has changed since it was read: what is overwritten is what was decided about.
func (s service) annotate(ctx context.Context, t targets.Target, state targets.State, annotation string, value any) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"resourceVersion": state.Revision, "annotations": map[string]any{annotation: value},
	}})
	if err != nil {
		return err
	}
	object := &corev1.Service{}
	object.Namespace, object.Name = objectKey(t).Namespace, objectKey(t).Name
	if err := s.writer.Patch(ctx, object, client.RawPatch(types.MergePatchType, patch)); err != nil {
		return objectError("write Service", objectKey(t), err)
	}
	return nil
}
