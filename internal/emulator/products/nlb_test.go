// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package products

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// nlbListener makes a listener of NLB, whose default is what it returns.
func (w *world) nlbListener(id string) string {
	w.t.Helper()
	standard := w.certificate("default.example.com")
	w.check(w.cloud.AddLoadBalancer(LoadBalancer{Product: "nlb", ID: "nlb-1", Account: account, Region: shanghai}))
	w.check(w.cloud.AddListener(Listener{ID: id, LoadBalancer: "nlb-1", Protocol: "TCPSSL", Port: 443, Default: standard}))
	return standard
}

func TestNLBHasListenersUnderOtherNames(t *testing.T) {
	t.Parallel()
	const id = "lsn-1@443"
	w := newWorld(t, Options{Configuring: time.Minute})
	first, second := w.certificate("a.example.com"), w.certificate("b.example.com")
	standard := w.nlbListener(id)
	on := func(more ...string) map[string]string {
		p := map[string]string{"ListenerId": id}
		for n := 0; n < len(more); n += 2 {
			p[more[n]] = more[n+1]
		}
		return p
	}
	r := w.call("nlb", shanghai, "AssociateAdditionalCertificatesWithListener", on("AdditionalCertificateIds.1", first))
	if r.status != http.StatusOK || r.fields["Success"] != true {
		t.Fatalf("%+v", r)
	}
	job := r.fields["JobId"].(string)
	if r := w.call("nlb", shanghai, "GetJobStatus", map[string]string{"JobId": job}); r.fields["Status"] != "processing" {
		t.Errorf("%+v", r)
	}
	if r := w.call("nlb", shanghai, "UpdateListenerAttribute", on("CertificateIds.1", second)); r.code != "IncorrectStatus.listener" {
		t.Errorf("%+v", r)
	}
	w.clock.advance(time.Minute)
	if r := w.call("nlb", shanghai, "GetJobStatus", map[string]string{"JobId": job}); r.fields["Status"] != "Succeeded" {
		t.Errorf("%+v", r)
	}
	r = w.call("nlb", shanghai, "ListListenerCertificates", on("CertType", "Server", "MaxResults", "50"))
	if diff := cmp.Diff([]any{standard, first}, r.fields["CertificateIds"]); diff != "" || r.fields["TotalCount"] != 2.0 {
		t.Errorf("total %v, %s", r.fields["TotalCount"], diff)
	}
	w.call("nlb", shanghai, "UpdateListenerAttribute", on("CertificateIds.1", second))
	w.clock.advance(time.Minute)
	w.call("nlb", shanghai, "DisassociateAdditionalCertificatesWithListener", on("AdditionalCertificateIds.1", first))
	w.clock.advance(time.Minute)
	r = w.call("nlb", shanghai, "GetListenerAttribute", on())
	if diff := cmp.Diff([]any{second}, r.fields["CertificateIds"]); diff != "" || r.fields["ListenerStatus"] != "Running" || r.fields["LoadBalancerId"] != "nlb-1" {
		t.Errorf("%v, %s", r.fields, diff)
	}
	for name, code := range map[string]string{
		"DissociateAdditionalCertificatesFromListener": "InvalidAction.NotFound", // the name that ALB has
		"ListAsynJobs": "InvalidAction.NotFound",
	} {
		if r := w.call("nlb", shanghai, name, on()); r.code != code {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if r := w.call("nlb", shanghai, "ListListenerCertificates", on("MaxResults", "51")); r.code != "IllegalParam.MaxResults" {
		t.Errorf("%+v", r)
	}
	if r := w.call("alb", shanghai, "GetListenerAttribute", on()); r.code != "ResourceNotFound.Listener" {
		t.Errorf("ALB shows a listener of NLB: %+v", r)
	}
}

func TestNLBMayRefuseWithASuccess(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{Unknowns: Unknowns{NLBFailsWith200: true}})
	r := w.call("nlb", shanghai, "GetListenerAttribute", map[string]string{"ListenerId": "lsn-9@443"})
	if r.status != http.StatusOK || r.fields["Success"] != false || r.code != "ResourceNotFound.listener" {
		t.Errorf("%+v", r)
	}
}
