// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
	"github.com/cloudcert-io/cloudcert/internal/emulator/products"
)

// The calls that change a listener.
const (
	associate  = "AssociateAdditionalCertificatesWithListener"
	dissociate = "DissociateAdditionalCertificatesFromListener"
	setDefault = "UpdateListenerAttribute"
)

func (m *market) checkCalls(action string, want int) {
	m.t.Helper()
	got := 0
	for _, called := range m.calls("alb") {
		if called == action {
			got++
		}
	}
	if got != want {
		m.t.Errorf("%s was called %d times, want %d: %v", action, got, want, m.calls("alb"))
	}
}

// TestAdditionalSlotFollowsRenewal plays a renewal on a listener that others use too: it serves
// the new version before the old one is taken off, which is deleted in the end.
func TestAdditionalSlotFollowsRenewal(t *testing.T) {
	t.Parallel()
	m := newMarket(t, products.Options{Configuring: time.Second})
	other := m.foreign("other", "other.example.com")
	standard := m.balance(nil, other)
	m.allow(anyListener())
	m.start()
	m.publish()
	m.bind("alb", toALB(v1alpha1.SlotAdditional), nil)
	first := m.waitBound("alb", 0)
	m.checkListener(standard, other, identifier(first))
	m.checkServed(listener, host, first)
	ready, requests := bindingReady(m.binding("alb")), len(m.proxy.Requests())

	m.putSecret("web", m.issue(host))
	second := m.waitBound("alb", first)
	m.checkProgressWasTold("alb", requests)
	m.checkListener(standard, other, identifier(second))
	m.checkServed(listener, host, second)
	if now := bindingReady(m.binding("alb")); !now.LastTransitionTime.Equal(&ready.LastTransitionTime) {
		t.Errorf("Ready was something else in between: %+v", now)
	}
	m.wait("web", "pruned", func(cc *v1alpha1.CloudCertificate) bool { return len(cc.Status.History) == 0 })
	m.checkRenewalOrder()

	m.stop()
	before := len(m.cloud.Journal())
	m.start()
	m.bind("last", toConfigMap("last"), nil) // is handled after what was there before it
	m.waitBinding("last", v1alpha1.ReasonSynced, nil)
	for _, call := range m.cloud.Journal()[before:] {
		if call.Product != "" {
			t.Errorf("a restart with nothing to do called %s", call.Action)
		}
	}
}

// checkProgressWasTold checks that a binding said that it was progressing, and was Ready with the version before.
// It looks at what the operator has written since the nth request: whoever reads the status now and then may
// miss one that lasts a second.
func (m *market) checkProgressWasTold(name string, from int) {
	m.t.Helper()
	told := false
	for _, request := range m.proxy.Requests()[from:] {
		if request.Method != http.MethodPatch || !strings.HasSuffix(request.Path, "/cloudcertificatebindings/"+name+"/status") {
			continue
		}
		written := &v1alpha1.CloudCertificateBinding{}
		m.check(json.Unmarshal([]byte(request.Body), written))
		ready := bindingReady(written)
		told = told || ready.Reason == v1alpha1.ReasonProgressing
		if ready.Reason != "" && ready.Status != metav1.ConditionTrue { // empty where the conditions stay as they are
			m.t.Errorf("while the version before is served: %+v", ready)
		}
	}
	if !told {
		m.t.Errorf("binding %s never said that it was progressing", name)
	}
}

// checkRenewalOrder checks that a version is taken off after the next one was added and both were
// read, and deleted after that.
func (m *market) checkRenewalOrder() {
	m.t.Helper()
	var changes []string
	for _, call := range m.cloud.Journal() {
		read := call.Action == "ListListenerCertificates" && len(changes) > 0 && changes[len(changes)-1] != "read"
		switch {
		case read:
			changes = append(changes, "read")
		case call.Code == "" && slices.Contains([]string{associate, dissociate, "DeleteUserCertificate"}, call.Action):
			changes = append(changes, call.Action)
		}
	}
	got := strings.Join(changes, " ")
	want := strings.Join([]string{associate, "read", associate, "read", dissociate, "read", "DeleteUserCertificate"}, " ")
	if got != want {
		m.t.Errorf("the calls were %s\nwant %s", got, want)
	}
}

func TestDefaultSlotIsReplacedInPlace(t *testing.T) {
	t.Parallel()
	m := newMarket(t, products.Options{Configuring: 200 * time.Millisecond})
	standard := m.balance(nil)
	m.allow(anyListener())
	m.start()
	m.publish()
	m.bind("alb", toALB(v1alpha1.SlotDefault), nil)
	occupied := m.waitBinding("alb", v1alpha1.ReasonOccupied, nil)
	if message := bindingReady(occupied).Message; !strings.Contains(message, standard) || !strings.Contains(message, "spec.adopt") {
		t.Errorf("message %q does not name the certificate and what to do", message)
	}
	m.checkListener(standard)

	m.changeBinding("alb", func(b *v1alpha1.CloudCertificateBinding) { b.Spec.Adopt = []string{standard} })
	first := m.waitBound("alb", 0)
	m.checkListener(identifier(first))
	if replaced := m.binding("alb").Status.ReplacedCertIdentifier; replaced != standard {
		t.Errorf("replacedCertIdentifier is %q, want %q: the way back", replaced, standard)
	}
	_, second := m.renew("alb")
	m.checkListener(identifier(second))
	m.checkServed(listener, host, second)
	m.checkCalls(setDefault, 2)
	m.checkCalls(associate, 0)
}

func TestOnlyWhatAPolicyAdmitsIsBound(t *testing.T) {
	t.Parallel()
	m := newMarket(t, products.Options{})
	standard := m.balance(nil)
	m.start()
	m.publish()
	m.bind("alb", toALB(v1alpha1.SlotAdditional), nil)
	m.waitReason("web", v1alpha1.ReasonSynced)
	refused := m.waitBinding("alb", v1alpha1.ReasonNotAllowed, func(b *v1alpha1.CloudCertificateBinding) bool { return len(b.Status.Conditions) == 2 })
	if message := bindingReady(refused).Message; !strings.Contains(message, "CertificateTargetPolicy") {
		t.Errorf("message %q does not name what is missing", message)
	}
	if calls := m.calls("alb"); len(calls) > 0 {
		t.Errorf("what nobody admits called %v", calls)
	}

	elsewhere := anyListener()
	elsewhere.ALB.LoadBalancerIDs = []v1alpha1.Pattern{"alb-2"}
	policy := m.allow(elsewhere)
	m.eventually(func() string { // the load balancer of a listener is known when it was read
		if len(m.calls("alb")) == 0 {
			return "the new policy woke nobody"
		}
		return ""
	})
	m.waitBinding("alb", v1alpha1.ReasonNotAllowed, func(b *v1alpha1.CloudCertificateBinding) bool {
		return strings.Contains(bindingReady(b).Message, "the load balancer that this listener belongs to")
	})
	m.eventually(func() string {
		if !strings.Contains(m.output(), `"loadBalancer":"alb-1"`) {
			return "the log does not name the load balancer"
		}
		return ""
	})
	if message := bindingReady(m.binding("alb")).Message; strings.Contains(message, "alb-1") {
		t.Errorf("message %q names a load balancer that nobody has written", message)
	}
	m.checkListener(standard)

	policy.Spec.Targets = []v1alpha1.PolicyTarget{anyListener()}
	m.check(m.kube.Update(ctx, policy))
	first := m.waitBound("alb", 0)
	m.check(m.kube.Delete(ctx, policy))
	m.waitBinding("alb", v1alpha1.ReasonNotAllowed, nil)
	m.checkListener(standard, identifier(first)) // what is placed stays
	if got := m.binding("alb").Status.BoundCertID; got != first {
		t.Errorf("without a policy boundCertId is %d, want %d", got, first)
	}
}

func TestListenerThatAControllerManages(t *testing.T) {
	t.Parallel()
	m := newMarket(t, products.Options{})
	standard := m.balance(map[string]string{"ingress.k8s.alibaba/albconfig": "shop/web"})
	m.allow(anyListener())
	m.start()
	m.publish()
	m.bind("alb", toALB(v1alpha1.SlotAdditional), nil)
	got := m.waitBinding("alb", v1alpha1.ReasonManagedElsewhere, nil)
	if message := bindingReady(got).Message; !strings.Contains(message, "the ALB Ingress controller") || !strings.Contains(message, "albConfig") {
		t.Errorf("message %q does not say who manages it and what to do", message)
	}
	m.checkListener(standard)
	m.checkCalls(associate, 0)
}

// TestListenerIsShared binds one slot twice, and another certificate beside.
func TestListenerIsShared(t *testing.T) {
	t.Parallel()
	m := newMarket(t, products.Options{Configuring: 200 * time.Millisecond})
	standard := m.balance(nil)
	m.allow(anyListener())
	m.start()
	m.publish()
	m.bind("alb", toALB(v1alpha1.SlotAdditional), func(b *v1alpha1.CloudCertificateBinding) { b.Spec.OnDelete = v1alpha1.BindingUnbind })
	first := m.waitBound("alb", 0)
	time.Sleep(time.Second) // times of creation are whole seconds
	m.bind("second", toALB(v1alpha1.SlotAdditional), nil)
	rival := m.waitBinding("second", v1alpha1.ReasonOccupied, nil)
	if message := bindingReady(rival).Message; !strings.Contains(message, `"alb"`) {
		t.Errorf("message %q does not name the older binding", message)
	}
	m.check(m.kube.Delete(ctx, rival))

	m.putSecret("api", m.issue("api.example.com"))
	m.create("api", nil)
	m.bind("beside", toALB(v1alpha1.SlotAdditional), func(b *v1alpha1.CloudCertificateBinding) { b.Spec.CertificateRef.Name = "api" })
	beside := m.waitBound("beside", 0)
	m.checkListener(standard, identifier(first), identifier(beside))

	m.check(m.kube.Delete(ctx, m.binding("alb")))
	m.eventually(func() string {
		if list := m.bindings(); len(list) > 1 {
			return "the binding that unbinds is still there: " + bindingReady(&list[0]).Message
		}
		return ""
	})
	m.checkListener(standard, identifier(beside))
}

func (m *market) bindings() []v1alpha1.CloudCertificateBinding {
	m.t.Helper()
	list := &v1alpha1.CloudCertificateBindingList{}
	m.check(m.kube.List(ctx, list, inNamespace(m.namespace)))
	return list.Items
}

func TestListenerWithoutRoom(t *testing.T) {
	t.Parallel()
	m := newMarket(t, products.Options{AdditionalQuota: 1})
	other := m.foreign("other", "other.example.com")
	standard := m.balance(nil, other)
	m.allow(anyListener())
	m.start()
	m.publish()
	m.bind("alb", toALB(v1alpha1.SlotAdditional), nil)
	full := m.waitBinding("alb", v1alpha1.ReasonQuotaExceeded, nil)
	m.checkSays(full, "listener lsn-a of load balancer alb-1 has 1 additional certificate", "a Standard one 25", "take off what is not needed")
	m.checkListener(standard, other)
	m.check(m.products.Put(listener, "", nil)) // a person makes room
	m.changeBinding("alb", func(b *v1alpha1.CloudCertificateBinding) {
		b.Annotations = map[string]string{v1alpha1.AnnotationResync: "now"}
	})
	m.checkListener(standard, identifier(m.waitBound("alb", 0)))
}

// TestRenewalsOfAFullListenerTakeTurns renews three certificates at once where there is room for one
// besides: each takes the place that the one before it leaves, and none waits for minutes.
func TestRenewalsOfAFullListenerTakeTurns(t *testing.T) {
	t.Parallel()
	m := newMarket(t, products.Options{AdditionalQuota: 4, Configuring: 200 * time.Millisecond})
	standard := m.balance(nil)
	m.allow(anyListener())
	m.start()
	names, before := []string{"a", "b", "c"}, map[string]int64{}
	for _, name := range names {
		m.putSecret(name, m.issue(name+".example.com"))
		m.create(name, nil)
		m.bind(name, toALB(v1alpha1.SlotAdditional), func(b *v1alpha1.CloudCertificateBinding) { b.Spec.CertificateRef.Name = name })
	}
	for _, name := range names {
		before[name] = m.waitBound(name, 0)
	}
	calls := len(m.calls("alb"))
	for _, name := range names {
		m.putSecret(name, m.issue(name+".example.com"))
	}
	for _, name := range names {
		m.checkServed(listener, name+".example.com", m.waitBound(name, before[name]))
	}
	if state, _ := m.products.ListenerState(listener); state.Default != standard || len(state.Additional) != len(names) {
		t.Errorf("the listener has %+v, want default %s and %d others", state, standard, len(names))
	}
	additions := slices.DeleteFunc(m.calls("alb")[calls:], func(action string) bool { return action != associate })
	if len(additions) > 10 { // three that are accepted, and at most twice as many that find too many at once or no room
		t.Errorf("%d additions were tried for three renewals", len(additions))
	}
}

// TestAttemptsThatComeToNothing loses an answer, and lets a change fail that was accepted: the
// former is not sent twice, the latter with another client token, or the cloud would answer with
// the outcome of the first.
func TestAttemptsThatComeToNothing(t *testing.T) {
	t.Parallel()
	m := newMarket(t, products.Options{Configuring: 200 * time.Millisecond})
	standard := m.balance(nil)
	m.allow(anyListener())
	m.check(m.products.FailJobs(listener, 1))
	m.cloud.Inject(emulator.Fault{Kind: emulator.FaultReset, Product: "alb", Action: associate, AfterCommit: true, Count: 2})
	m.start()
	m.publish()
	m.bind("alb", toALB(v1alpha1.SlotAdditional), nil)
	m.checkListener(standard, identifier(m.waitBound("alb", 0)))
}
