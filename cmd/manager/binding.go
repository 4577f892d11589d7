// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/controller/binding"
	"github.com/cloudcert-io/cloudcert/internal/controller/certificate"
	"github.com/cloudcert-io/cloudcert/internal/ratelimit"
	"github.com/cloudcert-io/cloudcert/internal/targets"
)

// Values of --binding-policy.
const (
	policyRequire      = "Require"
	policySingleTenant = "SingleTenant"
)

func productNames(products []targets.Product) string {
	var names []string
	for _, p := range products {
		names = append(names, string(p))
	}
	return strings.Join(names, ", ")
}

// checkBinding completes the settings about bindings, and names the flag that is wrong.
func (s *settings) checkBinding(bound []string, policy string, endpoints []string) error {
	if err := s.checkTargets(bound); err != nil {
		return err
	}
	if policy != policyRequire && policy != policySingleTenant {
		return fmt.Errorf("--binding-policy: %q is neither %s nor %s", policy, policyRequire, policySingleTenant)
	}
	s.singleTenant = policy == policySingleTenant
	for _, e := range endpoints {
		key, url, err := targets.ParseEndpoint(e)
		if err != nil {
			return fmt.Errorf("--target-endpoint: %w", err)
		}
		if s.targetEndpoints[key] != "" {
			return fmt.Errorf("--target-endpoint: %s is given twice", key)
		}
		s.targetEndpoints[key] = url
	}
	return nil
}

// checkTargets completes the kinds of target. "all" may be named with those alone that it does not
// stand for.
func (s *settings) checkTargets(bound []string) error {
	built := binding.Built()
	if slices.Contains(bound, "all") {
		s.targets = binding.OfAll()
		bound = slices.DeleteFunc(slices.Clone(bound), func(name string) bool { return name == "all" })
		built = namedAlone()
	}
	for _, name := range bound {
		if !slices.Contains(built, targets.Product(name)) {
			return fmt.Errorf("--bind-targets: %q is no kind of target that this version serves, or all has it already: use some of %s, or all, which leaves out %s",
				name, productNames(binding.Built()), productNames(namedAlone()))
		}
		s.targets = append(s.targets, targets.Product(name))
	}
	return nil
}

// namedAlone are the kinds that "all" does not stand for.
func namedAlone() []targets.Product {
	return slices.DeleteFunc(binding.Built(), func(p targets.Product) bool { return !targets.ByNameAlone(p) })
}

// addBindings adds the controller of bindings where some kind of target is switched on, and returns
// its metrics; nil where none is. It shares credentials with that of CloudCertificates.
func addBindings(ctx context.Context, mgr ctrl.Manager, s *settings, caller *alibaba.Caller, of *certificate.Reconciler) (*binding.Fleet, error) {
	if len(s.targets) == 0 {
		return nil, nil
	}
	if err := mayServeBindings(ctx, of.Live, s.watchNamespaces, binding.Watched(s.targets)); err != nil {
		return nil, err
	}
	cloud, err := targets.New(caller, targets.Config{Endpoints: s.targetEndpoints, Workers: s.maxConcurrentReconciles})
	if err != nil {
		return nil, err
	}
	// Only the leader calls: what one before it sent may still count.
	begin := manager.RunnableFunc(func(context.Context) error { cloud.Begin(); return nil })
	if err := mgr.Add(begin); err != nil {
		return nil, err
	}
	r := &binding.Reconciler{
		Client: of.Client, Live: of.Live, Recorder: of.Recorder, Credentials: of.Accounts, Clock: of.Clock, Jitter: of.Jitter,
		Adapter: func(p targets.Product, by alibaba.Provider, namespace string, check bool) (targets.Adapter, error) {
			if check {
				return cloud.Adapter(p, by, namespace, ratelimit.Repair)
			}
			return cloud.Adapter(p, by, namespace, ratelimit.Prompt)
		},
		Rates: cloud.Rates,
		Options: binding.Options{
			ClusterID: of.Options.ClusterID, Targets: s.targets, SingleTenant: s.singleTenant,
			DriftInterval: s.driftInterval, OrphanAfter: s.orphanAfter, MaxConcurrentReconciles: s.maxConcurrentReconciles,
		},
	}
	if err := r.SetupWithManager(ctx, mgr); err != nil {
		return nil, err
	}
	return binding.NewFleet(ctx, mgr, r)
}

// mayServeBindings makes sure that the API server has the kinds and lets them be read: caches that
// it withholds would keep the certificates from being reconciled too.
func mayServeBindings(ctx context.Context, live client.Reader, watchNamespaces []string, watched []client.ObjectList) error {
	if len(watchNamespaces) == 0 {
		watchNamespaces = []string{metav1.NamespaceAll}
	}
	err := live.List(ctx, &v1alpha1.CertificateTargetPolicyList{}, client.Limit(1))
	for _, namespace := range watchNamespaces { // elsewhere the operator may not list them
		for _, list := range append([]client.ObjectList{&v1alpha1.CloudCertificateBindingList{}}, watched...) {
			if err == nil {
				err = live.List(ctx, list, client.InNamespace(namespace), client.Limit(1))
			}
		}
	}
	if err != nil {
		return fmt.Errorf("--bind-targets: %w; install the CRDs and the roles of bindings (binding.targets of the chart, or config/binding), or leave the flag out", err)
	}
	return nil
}
