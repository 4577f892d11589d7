// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
	"github.com/cloudcert-io/cloudcert/internal/emulator/products"
	"github.com/cloudcert-io/cloudcert/test/testbed"
)

// alb is the product whose listeners are bound.
const alb = "alb"

// Its actions.
const (
	actionListener  = "GetListenerAttribute"
	actionListed    = "ListListenerCertificates"
	actionBalancer  = "GetLoadBalancerAttribute"
	actionAssociate = "AssociateAdditionalCertificatesWithListener"
	actionTakeOff   = "DissociateAdditionalCertificatesFromListener"
)

// mainland are regions of ALB that take certificates of the region of CAS that is used here.
// Each has limits of its own.
var mainland = []string{
	"cn-shanghai", "cn-beijing", "cn-hangzhou", "cn-shenzhen", "cn-qingdao", "cn-zhangjiakou",
	"cn-wulanchabu", "cn-nanjing", "cn-fuzhou", "cn-guangzhou", "cn-chengdu",
}

// market is a world with listeners of ALB. A listener takes 200 ms to be changed.
type market struct {
	*world

	regions, listeners, far int
}

// newMarket makes a world with listeners, spread over some regions, and others that are far, all in
// a region of their own. Each has a load balancer for itself: so there is room for 25 additional
// certificates on each. A policy admits them all.
func (b *bench) newMarket(ctx context.Context, regions, listeners, far int) (*market, error) {
	w, err := b.newWorld(ctx, append(onTheWay(20*time.Millisecond, 0), "--product="+alb+"=127.0.0.1:0", "--configuring=200ms")...)
	if err != nil {
		return nil, err
	}
	m := &market{world: w, regions: regions, listeners: listeners, far: far}
	if err := errors.Join(w.createAll(ctx, filepath.Join(testbed.Root(), "config", "binding", "role.yaml")), m.allow(ctx), m.addListeners(ctx)); err != nil {
		w.close()
		return nil, err
	}
	return m, nil
}

// allow admits bindings of the workload's namespace to every listener.
func (m *market) allow(ctx context.Context) error {
	return m.kube.Create(ctx, &v1alpha1.CertificateTargetPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: workload},
		Spec: v1alpha1.CertificateTargetPolicySpec{
			Namespaces: v1alpha1.PolicyNamespaces{Names: []string{workload}}, DNSNames: []v1alpha1.Pattern{"*.example.com"},
			Targets: []v1alpha1.PolicyTarget{{ALB: &v1alpha1.ListenerPolicy{}}},
		},
	})
}

// addListeners makes the listeners, with a default of somebody else.
func (m *market) addListeners(ctx context.Context) error {
	o := &others{cloud: m.cloud}
	if err := o.fill(ctx, m.ca, 1); err != nil {
		return err
	}
	standard := strconv.FormatInt(o.present[0], 10) + "-" + region
	return parallel(ctx, m.listeners+m.far, func(ctx context.Context, i int) error {
		balancer := products.LoadBalancer{Product: alb, ID: fmt.Sprintf("alb-%d", i), Account: account, Region: m.regionOf(i)}
		if err := m.cloud.post(ctx, "/emulator/load-balancers", balancer, &struct{}{}); err != nil {
			return err
		}
		return m.cloud.post(ctx, "/emulator/listeners", products.Listener{
			ID: listenerName(i), LoadBalancer: balancer.ID, Protocol: "HTTPS", Port: 443, Default: standard,
		}, &struct{}{})
	})
}

func listenerName(i int) string { return fmt.Sprintf("lsn-%d", i) }

// farMarket is the region of listeners that are far.
const farMarket = "cn-heyuan"

func (m *market) regionOf(listener int) string {
	if listener >= m.listeners {
		return farMarket
	}
	return mainland[listener%m.regions]
}

// startBinding starts an operator that serves bindings of ALB.
func (m *market) startBinding(ctx context.Context, args ...string) (*operator, error) {
	return m.startOperator(ctx, append([]string{"--bind-targets=" + alb, "--target-endpoint=" + alb + "=" + m.cloud.url(alb)}, args...)...)
}

// bind makes a binding for each of n CloudCertificates, spread over the listeners.
func (m *market) bind(ctx context.Context, n int) error {
	return m.bindTo(ctx, 0, n, func(i int) int { return i % m.listeners })
}

// bindTo makes a binding for each of n CloudCertificates from the first on, as fast as the API server
// takes them.
func (m *market) bindTo(ctx context.Context, first, n int, listenerOf func(i int) int) error {
	return parallel(ctx, n, func(ctx context.Context, i int) error {
		name, listener := nameOf("c", first+i), listenerOf(i)
		return m.kube.Create(ctx, &v1alpha1.CloudCertificateBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: workload, Name: name},
			Spec: v1alpha1.CloudCertificateBindingSpec{
				CertificateRef: v1alpha1.CertificateReference{Name: name},
				Target: v1alpha1.BindingTarget{ALB: &v1alpha1.ALBTarget{
					RegionID: v1alpha1.Region(m.regionOf(listener)), ListenerID: listenerName(listener), Slot: v1alpha1.SlotAdditional,
				}},
			},
		})
	})
}

// waitBound waits until so many bindings are at rest, and returns how long that took.
func (m *market) waitBound(ctx context.Context, want int, patience time.Duration) (took time.Duration, err error) {
	began := time.Now()
	list := &v1alpha1.CloudCertificateBindingList{}
	err = eventually(ctx, patience, 500*time.Millisecond, fmt.Sprintf("%d bound bindings", want), func() (bool, error) {
		if err := m.kube.List(ctx, list, client.InNamespace(workload)); err != nil {
			return false, err
		}
		bound := 0
		for i := range list.Items {
			if isAtRest(&list.Items[i]) {
				bound++
			}
		}
		return bound >= want, nil
	})
	return time.Since(began), err
}

// isAtRest reports whether a binding is bound and has nothing to do.
func isAtRest(b *v1alpha1.CloudCertificateBinding) bool {
	return meta.IsStatusConditionTrue(b.Status.Conditions, v1alpha1.ConditionReady) &&
		b.Status.BoundCertID != 0 && b.Status.PendingCertID == 0 && len(b.Status.LeftoverCertIDs) == 0
}

// served returns how many certificates all listeners serve beside their defaults.
func (m *market) served(ctx context.Context) (int, error) {
	listeners, err := m.cloud.listeners(ctx)
	n := 0
	for _, l := range listeners {
		for _, a := range l.Additional {
			if a.Status == "Associated" {
				n++
			}
		}
	}
	return n, err
}

// listeners asks the cloud for what all listeners serve.
func (c *cloud) listeners(ctx context.Context) ([]products.ListenerState, error) {
	var all []products.ListenerState
	err := getJSON(ctx, "http://"+c.addresses["admin"]+"/emulator/listeners", &all)
	return all, err
}

// ofALB are the calls to ALB by their actions.
func ofALB(calls []emulator.Call) map[string][]emulator.Call {
	byAction := map[string][]emulator.Call{}
	for _, call := range calls {
		if call.Product == alb {
			byAction[call.Action] = append(byAction[call.Action], call)
		}
	}
	return byAction
}
