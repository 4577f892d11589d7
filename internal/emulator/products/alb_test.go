// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package products

import (
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloudcert-io/cloudcert/internal/emulator"
)

const (
	associate  = "AssociateAdditionalCertificatesWithListener"
	dissociate = "DissociateAdditionalCertificatesFromListener"
	update     = "UpdateListenerAttribute"
)

func TestAListenerTakesOneChangeAfterTheOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{Configuring: 5 * time.Second})
	first, second := w.certificate("a.example.com"), w.certificate("b.example.com")
	standard := w.listener("lsn-1")
	if r := w.alb(associate, "lsn-1", nil, first); r.status != http.StatusOK || r.fields["JobId"] == "" {
		t.Fatalf("%+v", r)
	}
	if diff := cmp.Diff("Configuring, "+standard+", "+first+" Associating", w.state("lsn-1")); diff != "" {
		t.Error(diff)
	}
	if got := w.served("lsn-1", "a.example.com"); got != standard {
		t.Errorf("served %s before it was associated", got)
	}
	for _, action := range []string{associate, update} {
		if r := w.alb(action, "lsn-1", nil, second); r.code != "IncorrectStatus.Listener" || r.status != http.StatusBadRequest {
			t.Errorf("%s while it is configured: %+v", action, r)
		}
	}
	if r := w.alb(dissociate, "lsn-1", nil, first); r.code != "IncorrectStatus.Listener" {
		t.Errorf("dissociate while it is configured: %+v", r)
	}
	w.clock.advance(5 * time.Second)
	if diff := cmp.Diff("Running, "+standard+", "+first+" Associated", w.state("lsn-1")); diff != "" {
		t.Error(diff)
	}
	if got := w.served("lsn-1", "a.example.com"); got != first {
		t.Errorf("served %s", got)
	}
	w.alb(dissociate, "lsn-1", nil, first)
	if diff := cmp.Diff("Configuring, "+standard+", "+first+" Dissociating", w.state("lsn-1")); diff != "" {
		t.Error(diff)
	}
	if got := w.served("lsn-1", "a.example.com"); got != standard {
		t.Errorf("served %s while it is dissociated", got)
	}
	w.clock.advance(5 * time.Second)
	if diff := cmp.Diff("Running, "+standard, w.state("lsn-1")); diff != "" {
		t.Error(diff)
	}
	w.alb(update, "lsn-1", nil, second)
	if got := w.served("lsn-1", "b.example.com"); got != standard {
		t.Errorf("served %s before the default changed", got)
	}
	w.clock.advance(5 * time.Second)
	if diff := cmp.Diff("Running, "+second, w.state("lsn-1")); diff != "" {
		t.Error(diff)
	}
}

func TestChangesThatALBRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{AdditionalQuota: 2})
	standard := w.certificate("default.example.com")
	there, free, more := w.certificate("a.example.com"), w.certificate("b.example.com"), w.certificate("c.example.com")
	abroad := w.put(emulator.RegionInternational, must(x509.CreateCertificate(rand.Reader, leaf("d.example.com"), leaf("d.example.com"), &ecKey().PublicKey, ecKey())))
	sm := w.smCertificate("sm.example.com")
	w.check(w.cloud.AddLoadBalancer(LoadBalancer{Product: "alb", ID: "alb-1", Account: account, Region: shanghai}))
	w.check(w.cloud.AddListener(Listener{ID: "lsn-1", LoadBalancer: "alb-1", Protocol: "HTTPS", Default: standard, Additional: []string{there}}))
	w.check(w.cloud.AddListener(Listener{ID: "lsn-http", LoadBalancer: "alb-1", Protocol: "HTTP"}))
	before := w.state("lsn-1")
	bare, _, _ := strings.Cut(free, "-")
	sixteen := make([]string, 16)
	for n := range sixteen {
		sixteen[n] = free
	}
	tests := map[string]struct {
		action   string
		listener string
		more     map[string]string
		ids      []string
		code     string
	}{
		"a bare id":                                   {action: associate, ids: []string{bare}, code: "ResourceNotFound.Certificate"},
		"a bare id as default":                        {action: update, ids: []string{bare}, code: "ResourceNotFound.Certificate"},
		"a bare id to dissociate":                     {action: dissociate, ids: []string{strings.TrimSuffix(there, "-cn-hangzhou")}, code: "ResourceNotAssociated.Certificate"},
		"a certificate that is not in CAS":            {action: associate, ids: []string{"4711-cn-hangzhou"}, code: "ResourceNotFound.Certificate"},
		"a certificate of the other site":             {action: associate, ids: []string{abroad}, code: "ResourceNotFound.Certificate"},
		"an SM certificate":                           {action: associate, ids: []string{sm}, code: "OperationDenied.SMCertificate"},
		"one that is associated":                      {action: associate, ids: []string{there}, code: "ResourceAlreadyAssociated.Certificate"},
		"the default as an additional one":            {action: associate, ids: []string{standard}, code: "ResourceAlreadyAssociated.Certificate"},
		"an additional one as the default":            {action: update, ids: []string{there}, code: "ResourceAlreadyAssociated.Certificate"},
		"one twice":                                   {action: associate, ids: []string{free, free}, code: "ResourceAlreadyAssociated.Certificate"},
		"the default to dissociate":                   {action: dissociate, ids: []string{standard}, code: "ResourceNotAssociated.Certificate"},
		"more than there is room for":                 {action: associate, ids: []string{free, more}, code: "QuotaExceeded.LoadBalancerCertificatesNum"},
		"more than one default":                       {action: update, ids: []string{free, more}, code: "IllegalParamSize.certificateIds"},
		"no certificate":                              {action: associate, code: "IllegalParamSize.Certificates"},
		"more than fifteen":                           {action: associate, ids: sixteen, code: "IllegalParamSize.Certificates"},
		"a listener that is not there":                {action: associate, listener: "lsn-9", ids: []string{free}, code: "ResourceNotFound.Listener"},
		"a listener without TLS":                      {action: associate, listener: "lsn-http", ids: []string{free}, code: "OperationDenied.ListenerProtocol"},
		"a trial that would succeed":                  {action: associate, more: map[string]string{"DryRun": "true"}, ids: []string{free}, code: "DryRunOperation"},
		"a trial that would fail":                     {action: associate, more: map[string]string{"DryRun": "true"}, ids: []string{there}, code: "ResourceAlreadyAssociated.Certificate"},
		"other attributes of the listener":            {action: update, more: map[string]string{"IdleTimeout": "5"}, ids: []string{free}, code: "InvalidParameter"},
		"a client token that is too long":             {action: associate, more: map[string]string{"ClientToken": strings.Repeat("x", 65)}, ids: []string{free}, code: "IllegalParam.ClientToken"},
		"the list under the name that NLB has for it": {action: associate, more: map[string]string{"AdditionalCertificateIds.1": free}, code: "InvalidParameter"},
	}
	for name, test := range tests {
		listener := "lsn-1"
		if test.listener != "" {
			listener = test.listener
		}
		if r := w.alb(test.action, listener, test.more, test.ids...); r.code != test.code {
			t.Errorf("%s: status %d, code %q, want %q", name, r.status, r.code, test.code)
		}
	}
	if diff := cmp.Diff(before, w.state("lsn-1")); diff != "" {
		t.Error(diff)
	}
}

func TestTheQuotaIsThatOfTheInstance(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	standard := w.certificate("default.example.com")
	w.check(w.cloud.AddLoadBalancer(LoadBalancer{Product: "alb", ID: "alb-1", Account: account, Region: shanghai, Edition: "Basic"}))
	w.check(w.cloud.AddListener(Listener{ID: "lsn-1", LoadBalancer: "alb-1", Protocol: "HTTPS", Default: standard}))
	w.check(w.cloud.AddListener(Listener{ID: "lsn-2", LoadBalancer: "alb-1", Protocol: "HTTPS", Default: standard}))
	for n := range 10 {
		listener := fmt.Sprintf("lsn-%d", n%2+1)
		if r := w.alb(associate, listener, nil, w.certificate(fmt.Sprintf("h%d.example.com", n))); r.status != http.StatusOK {
			t.Fatalf("%d: %+v", n, r)
		}
	}
	if r := w.alb(associate, "lsn-1", nil, w.certificate("x.example.com")); r.code != "QuotaExceeded.LoadBalancerCertificatesNum" {
		t.Errorf("%+v", r)
	}
}

func TestAClientTokenHasOneEffect(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{Configuring: time.Minute, Unknowns: Unknowns{TokenLife: time.Hour}})
	first, second := w.certificate("a.example.com"), w.certificate("b.example.com")
	w.listener("lsn-1")
	token := map[string]string{"ClientToken": "one"}
	job := w.alb(associate, "lsn-1", token, first).fields["JobId"]
	if r := w.alb(associate, "lsn-1", token, first); r.status != http.StatusOK || r.fields["JobId"] != job {
		t.Errorf("again while it is configured: %+v, want %v", r, job)
	}
	if r := w.alb(associate, "lsn-1", token, second); r.code != "IdempotenceSignatureMismatch" {
		t.Errorf("with another certificate: %+v", r)
	}
	w.clock.advance(time.Minute)
	w.alb(dissociate, "lsn-1", nil, first)
	w.clock.advance(time.Minute)
	after := w.state("lsn-1")
	if r := w.alb(associate, "lsn-1", token, first); r.fields["JobId"] != job || w.state("lsn-1") != after {
		t.Errorf("a replay changed something: %+v, %s", r, w.state("lsn-1"))
	}
	w.clock.advance(time.Hour)
	if r := w.alb(associate, "lsn-1", token, first); r.status != http.StatusOK || r.fields["JobId"] == job {
		t.Errorf("a token that is forgotten: %+v", r)
	}
}

func TestAJobThatFailsChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{Configuring: time.Second})
	first := w.certificate("a.example.com")
	w.listener("lsn-1")
	before := w.state("lsn-1")
	w.check(w.cloud.FailJobs("lsn-1", 1))
	job := w.alb(associate, "lsn-1", nil, first).fields["JobId"].(string)
	w.clock.advance(time.Second)
	if diff := cmp.Diff(before, w.state("lsn-1")); diff != "" {
		t.Error(diff)
	}
	jobs := w.call("alb", shanghai, "ListAsynJobs", map[string]string{"JobIds.1": job, "ResourceType": "listener"}).fields["Jobs"].([]any)
	if len(jobs) != 1 || jobs[0].(map[string]any)["Status"] != "Failed" {
		t.Errorf("jobs %v", jobs)
	}
	w.alb(associate, "lsn-1", nil, first)
	w.clock.advance(time.Second)
	if !strings.HasSuffix(w.state("lsn-1"), first+" Associated") {
		t.Error(w.state("lsn-1"))
	}
}

func TestListsOfAListenerHavePages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	var ids []string
	for n := range 4 {
		ids = append(ids, w.certificate(fmt.Sprintf("h%d.example.com", n)))
	}
	standard := w.listener("lsn-1", ids...)
	var got []string
	next := ""
	for range 3 {
		p := map[string]string{"ListenerId": "lsn-1", "CertificateType": "Server", "MaxResults": "2"}
		if next != "" {
			p["NextToken"] = next
		}
		r := w.call("alb", shanghai, "ListListenerCertificates", p)
		if r.fields["TotalCount"] != 5.0 {
			t.Errorf("total %v", r.fields["TotalCount"])
		}
		for _, e := range r.fields["Certificates"].([]any) {
			got = append(got, e.(map[string]any)["CertificateId"].(string))
		}
		next, _ = r.fields["NextToken"].(string)
	}
	if diff := cmp.Diff(append([]string{standard}, ids...), got); diff != "" || next != "" {
		t.Errorf("next %q, %s", next, diff)
	}
	w.server.Inject(emulator.Fault{Kind: emulator.FaultShortPage, Product: "alb", Action: "ListListenerCertificates", Size: 2})
	w.server.Inject(emulator.Fault{Kind: emulator.FaultTotalCount, Product: "alb", Action: "ListListenerCertificates", Size: 3})
	r := w.call("alb", shanghai, "ListListenerCertificates", map[string]string{"ListenerId": "lsn-1"})
	if n := len(r.fields["Certificates"].([]any)); n != 3 || r.fields["TotalCount"] != 8.0 {
		t.Errorf("%d entries, total %v", n, r.fields["TotalCount"])
	}
}

func TestWhatIsNotKnownOfALBCanBeChosen(t *testing.T) {
	t.Parallel()
	t.Run("bare ids", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, Options{Unknowns: Unknowns{BareIDs: true}})
		w.listener("lsn-1")
		id := w.certificate("a.example.com")
		bare, _, _ := strings.Cut(id, "-")
		if r := w.alb(associate, "lsn-1", nil, bare); r.status != http.StatusOK || !strings.HasSuffix(w.state("lsn-1"), id+" Associated") {
			t.Errorf("%+v, %s", r, w.state("lsn-1"))
		}
	})
	t.Run("an additional certificate that becomes the default", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, Options{Unknowns: Unknowns{DefaultMovesAdditional: true}})
		id := w.certificate("a.example.com")
		w.listener("lsn-1", id)
		if r := w.alb(update, "lsn-1", nil, id); r.status != http.StatusOK || w.state("lsn-1") != "Running, "+id {
			t.Errorf("%+v, %s", r, w.state("lsn-1"))
		}
	})
	t.Run("a total without the default", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, Options{Unknowns: Unknowns{DefaultNotCounted: true}})
		w.listener("lsn-1", w.certificate("a.example.com"))
		r := w.alb("ListListenerCertificates", "lsn-1", nil)
		if len(r.fields["Certificates"].([]any)) != 2 || r.fields["TotalCount"] != 1.0 {
			t.Errorf("%+v", r.fields)
		}
	})
	t.Run("the site of Hong Kong", func(t *testing.T) {
		t.Parallel()
		for _, mainland := range []bool{false, true} {
			w := newWorld(t, Options{Unknowns: Unknowns{HongKongIsMainland: mainland}})
			w.check(w.cloud.AddLoadBalancer(LoadBalancer{Product: "alb", ID: "alb-1", Account: account, Region: "cn-hongkong"}))
			w.check(w.cloud.AddListener(Listener{ID: "lsn-1", LoadBalancer: "alb-1", Protocol: "HTTPS", Default: w.certificate("d.example.com")}))
			p := map[string]string{"ListenerId": "lsn-1", "Certificates.1.CertificateId": w.certificate("a.example.com")}
			if r := w.call("alb", "cn-hongkong", associate, p); mainland != (r.status == http.StatusOK) {
				t.Errorf("mainland %v: %+v", mainland, r)
			}
		}
	})
	t.Run("SM certificates", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, Options{Unknowns: Unknowns{SMListeners: true}})
		w.listener("lsn-1")
		if r := w.alb(associate, "lsn-1", nil, w.smCertificate("sm.example.com")); r.status != http.StatusOK {
			t.Errorf("%+v", r)
		}
	})
	t.Run("a lag of what is read", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, Options{ReadLag: time.Minute})
		w.listener("lsn-1")
		w.alb(associate, "lsn-1", nil, w.certificate("a.example.com"))
		if r := w.alb("ListListenerCertificates", "lsn-1", nil); len(r.fields["Certificates"].([]any)) != 1 {
			t.Errorf("at once: %v", r.fields)
		}
		w.clock.advance(time.Minute)
		if r := w.alb("ListListenerCertificates", "lsn-1", nil); len(r.fields["Certificates"].([]any)) != 2 {
			t.Errorf("a minute later: %v", r.fields)
		}
	})
}

func TestPermissionsOfALBAreOnTheLoadBalancer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	first, second := w.certificate("a.example.com"), w.certificate("b.example.com")
	w.listener("lsn-1")
	w.listener("lsn-2")
	w.server.SetPolicy(keyID, []emulator.Statement{{
		Actions:   []string{"alb:" + associate},
		Resources: []string{"acs:alb:cn-shanghai:" + account + ":loadbalancer/alb-lsn-1"},
	}})
	if r := w.alb(associate, "lsn-1", nil, first); r.status != http.StatusOK {
		t.Errorf("what is allowed: %+v", r)
	}
	if r := w.alb(associate, "lsn-2", nil, first); r.status != http.StatusForbidden {
		t.Errorf("another load balancer: %+v", r)
	}
	if r := w.alb(update, "lsn-1", nil, second); r.status != http.StatusForbidden {
		t.Errorf("another action: %+v", r)
	}
}

func TestALBIsReachedWithoutANetwork(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://alb.cn-shanghai.aliyuncs.com/?Action=GetListenerAttribute&Version=2020-06-16&Format=JSON", http.NoBody)
	w.check(err)
	response, err := w.cloud.Transport("alb", shanghai).RoundTrip(request)
	w.check(err)
	defer response.Body.Close()
	if body := must(io.ReadAll(response.Body)); !strings.Contains(string(body), "IncompleteSignature") {
		t.Errorf("%s", body)
	}
}

func TestALBServesItsRegionAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	w.listener("lsn-1")
	if r := w.call("alb", "cn-beijing", "GetListenerAttribute", map[string]string{"ListenerId": "lsn-1"}); r.code != "ResourceNotFound.Listener" {
		t.Errorf("%+v", r)
	}
	if r := w.call("alb", "cn-huhehaote", "GetListenerAttribute", map[string]string{"ListenerId": "lsn-1"}); r.code != "InvalidRegionId" {
		t.Errorf("a region without ALB: %+v", r)
	}
	r := w.alb("GetListenerAttribute", "lsn-1", nil)
	if r.fields["ListenerStatus"] != "Running" || r.fields["LoadBalancerId"] != "alb-lsn-1" {
		t.Errorf("%+v", r)
	}
}
