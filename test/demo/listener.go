// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
)

// The listener that serves the certificate, and the host that its clients ask for.
const (
	balancerID = "alb-demo"
	listenerID = "lsn-demo"
	albRegion  = "cn-shanghai"
	host       = "www.example.com"
)

// listenerState is what the emulator says of the listener.
type listenerState struct {
	Status     string
	Additional []struct{ CertIdentifier, Status string }
}

// bind makes a listener, allows the namespace to use it, and binds the certificate to it.
func (d *demo) bind(ctx context.Context) error {
	if err := errors.Join(
		d.postAdmin(ctx, "load-balancers", map[string]any{"product": "alb", "id": balancerID, "account": account, "region": albRegion}),
		d.postAdmin(ctx, "listeners", map[string]any{"id": listenerID, "loadBalancer": balancerID, "protocol": "HTTPS", "port": 443}),
	); err != nil {
		return err
	}
	alb := &v1alpha1.ALBTarget{RegionID: albRegion, ListenerID: listenerID, Slot: v1alpha1.SlotAdditional}
	for _, object := range []client.Object{
		&v1alpha1.CertificateTargetPolicy{
			ObjectMeta: metav1.ObjectMeta{Name: namespace},
			Spec: v1alpha1.CertificateTargetPolicySpec{
				Namespaces: v1alpha1.PolicyNamespaces{Names: []string{namespace}},
				DNSNames:   []v1alpha1.Pattern{"*.example.com", "example.com"},
				Targets:    []v1alpha1.PolicyTarget{{ALB: &v1alpha1.ListenerPolicy{LoadBalancerIDs: []v1alpha1.Pattern{balancerID}}}},
			},
		},
		&v1alpha1.CloudCertificateBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "web-alb"},
			Spec: v1alpha1.CloudCertificateBindingSpec{
				CertificateRef: v1alpha1.CertificateReference{Name: "web"}, Target: v1alpha1.BindingTarget{ALB: alb},
			},
		},
	} {
		if err := d.kube.Create(ctx, object); err != nil {
			return err
		}
	}
	return d.waitServed(ctx)
}

// waitServed waits until the listener serves the current version and nothing else of ours, and
// shows what a client gets.
func (d *demo) waitServed(ctx context.Context) error {
	certID := d.first.Status.CertID
	binding := &v1alpha1.CloudCertificateBinding{}
	if err := eventually(ctx, func() (bool, error) {
		err := d.kube.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "web-alb"}, binding)
		s := &binding.Status
		return s.BoundCertID == certID && len(s.LeftoverCertIDs) == 0 && meta.IsStatusConditionTrue(s.Conditions, v1alpha1.ConditionReady), err
	}); err != nil {
		return fmt.Errorf("%w; status of the binding: %+v; the operator's log:\n%s", err, binding.Status, d.manager.Output())
	}
	var served struct{ CertID int64 }
	if err := d.getAdmin(ctx, "handshake", url.Values{"listener": {listenerID}, "sni": {host}}, &served); err != nil {
		return err
	}
	var states []listenerState
	if err := d.getAdmin(ctx, "listeners", url.Values{"id": {listenerID}}, &states); err != nil {
		return err
	}
	if served.CertID != certID || len(states) != 1 || len(states[0].Additional) != 1 {
		return fmt.Errorf("a client gets certificate %d, want %d; the listener: %+v", served.CertID, certID, states)
	}
	fmt.Printf("    %s: a client of %s gets certificate %d\n", binding.Status.Target, host, served.CertID)
	return nil
}

// waitPruned waits until the version before is gone from the cloud.
func (d *demo) waitPruned(ctx context.Context) error {
	if err := d.waitServed(ctx); err != nil {
		return err
	}
	old := d.first.Status.History[0].CertID
	web := &v1alpha1.CloudCertificate{}
	if err := eventually(ctx, func() (bool, error) {
		err := d.kube.Get(ctx, client.ObjectKeyFromObject(d.first), web)
		return len(web.Status.History) == 0, err
	}); err != nil {
		return fmt.Errorf("%w; history: %+v; the operator's log:\n%s", err, web.Status.History, d.manager.Output())
	}
	var left []struct{ CertID int64 }
	if err := d.get(ctx, "/certificates", url.Values{"account": {account}, "region": {region}}, &left); err != nil {
		return err
	}
	if slices.ContainsFunc(left, func(c struct{ CertID int64 }) bool { return c.CertID == old }) {
		return fmt.Errorf("certificate %d is still in the cloud", old)
	}
	fmt.Printf("    certificate %d was taken off the listener, and then deleted in the cloud\n", old)
	return nil
}

func (d *demo) getAdmin(ctx context.Context, what string, query url.Values, into any) error {
	return d.get(ctx, "/emulator/"+what, query, into)
}

// get asks the emulator.
func (d *demo) get(ctx context.Context, path string, query url.Values, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+d.addresses["admin"]+path+"?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	return send(request, into)
}

// postAdmin tells the emulator what there is.
func (d *demo) postAdmin(ctx context.Context, what string, body any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+d.addresses["admin"]+"/emulator/"+what, bytes.NewReader(raw))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	return send(request, &struct{}{})
}

func send(request *http.Request, into any) error {
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s", request.Method, request.URL.Path, response.Status)
	}
	return json.NewDecoder(response.Body).Decode(into)
}
