// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package targets

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
	"github.com/cloudcert-io/cloudcert/internal/emulator/products"
)

func clbSlot(domain string) Target {
	return Target{Product: CLB, Region: shanghai, Resource: "lb-1", Part: "443", Domain: domain}
}

// classic makes the listener lb-1:443 with a default and, if there is one, a domain.
func (w *world) classic(l products.ClassicListener) (standard, extended Certificate) {
	w.t.Helper()
	standard, extended = w.certificate("default.example.com"), w.certificate("a.example.com")
	l.LoadBalancer, l.Account, l.Region, l.Port, l.Default = "lb-1", account, shanghai, 443, standard.Identifier()
	l.Domains = map[string]string{"a.example.com": extended.Identifier()}
	w.check(w.cloud.AddClassicListener(l))
	return standard, extended
}

// served is the identifier that a client of a listener gets.
func (w *world) served(listener, sni string) string {
	w.t.Helper()
	h, ok := w.cloud.Shake(listener, sni)
	if !ok {
		w.t.Fatalf("no listener %s", listener)
	}
	return h.CertIdentifier
}

func TestARenewalReachesCLB(t *testing.T) {
	t.Parallel()
	for _, domain := range []string{"", "a.example.com", "new.example.com"} {
		t.Run("the domain "+domain, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, products.Options{Configuring: 5 * time.Second})
			standard, extended := w.classic(products.ClassicListener{})
			after := w.certificate("default.example.com", "a.example.com", "new.example.com")
			slot := clbSlot(domain)
			state := w.read(slot)
			if diff := cmp.Diff("Default "+standard.Identifier()+" Serving, Default "+extended.Identifier()+" Serving", inWords(state)); diff != "" {
				t.Fatal(diff)
			}
			w.check(w.place(slot, state, after))
			state = w.read(slot)
			if e := wantClass(t, w.place(slot, state, after), Progressing); !state.Busy || e.RetryAfter <= 0 {
				t.Errorf("%s, %+v", inWords(state), e)
			}
			w.clock.advance(5 * time.Second)
			state = w.read(slot)
			if serves, _ := state.Holds(slot, after); !serves {
				t.Fatal(inWords(state))
			}
			sni := domain
			if domain == "" {
				sni = "x.example.com"
			}
			if got := w.served("lb-1:443", sni); got != after.Identifier() {
				t.Errorf("clients get %s", got)
			}
			for _, other := range []string{"", "a.example.com"} {
				if serves, _ := state.Holds(clbSlot(other), after); other != domain && serves {
					t.Errorf("the slot of domain %q changed as well", other)
				}
			}
			sent := len(w.server.Journal())
			w.check(w.place(slot, state, after))
			if len(w.server.Journal()) != sent {
				t.Error("what is there was placed again")
			}
		})
	}
}

func TestOldCopiesAreDeletedUnlessSomethingUsesThem(t *testing.T) {
	t.Parallel()
	w := newWorld(t, products.Options{})
	before, _ := w.classic(products.ClassicListener{})
	w.check(w.cloud.AddClassicListener(products.ClassicListener{LoadBalancer: "lb-2", Account: account, Region: shanghai, Port: 443, Default: before.Identifier()}))
	slot := clbSlot("")
	w.check(w.place(slot, w.read(slot), w.certificate("default.example.com")))
	state := w.read(slot)
	var old []Entry
	for _, e := range state.Entries {
		if e.Role == RoleStored && e.CertID == before.CertID {
			old = append(old, e)
		}
	}
	if len(old) != 2 { // that of lb-2 is none of this listener's either
		t.Fatal(inWords(state))
	}
	wantClass(t, w.remove(slot, state, old...), InUse)
	if got := slices.Contains(w.cloud.Stored(account, shanghai), before.Identifier()); !got || w.served("lb-2:443", "x.example.com") != before.Identifier() {
		t.Error("a copy that is in use was deleted")
	}
	if n := len(w.cloud.Stored(account, shanghai)); n != 3 {
		t.Errorf("%d copies are left", n)
	}
	w.check(w.remove(slot, state, old[0])) // it is gone already
}

func TestManyCopiesAreDeletedInTurns(t *testing.T) {
	t.Parallel()
	w := newWorld(t, products.Options{})
	for range 8 { // each leaves two copies behind that nothing uses
		w.classic(products.ClassicListener{})
	}
	slot := clbSlot("")
	left := []int{}
	for range 3 {
		state := w.read(slot)
		stored := slices.DeleteFunc(slices.Clone(state.Entries), func(e Entry) bool { return e.Role != RoleStored })
		w.check(w.remove(slot, state, stored...))
		left = append(left, len(w.cloud.Stored(account, shanghai)))
	}
	if diff := cmp.Diff([]int{11, 6, 2}, left); diff != "" {
		t.Error(diff)
	}
}

func TestCopiesThatAreInUseHoldUpNoOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t, products.Options{})
	w.classic(products.ClassicListener{})
	old := w.certificate("old.example.com").Identifier()
	for port := range 6 { // six listeners of another load balancer use a copy each
		w.check(w.cloud.AddClassicListener(products.ClassicListener{LoadBalancer: "lb-2", Account: account, Region: shanghai, Port: 1000 + port, Default: old}))
	}
	w.check(w.cloud.AddClassicListener(products.ClassicListener{LoadBalancer: "lb-3", Account: account, Region: shanghai, Port: 443, Default: old}))
	w.check(w.cloud.AddClassicListener(products.ClassicListener{LoadBalancer: "lb-3", Account: account, Region: shanghai, Port: 443}))
	slot := clbSlot("")
	for tries := 0; len(w.cloud.Stored(account, shanghai)) > 8; tries++ {
		state := w.read(slot)
		stored := slices.DeleteFunc(slices.Clone(state.Entries), func(e Entry) bool { return e.Role != RoleStored })
		if err := w.remove(slot, state, stored...); tries > 10 {
			t.Fatalf("the one that nothing uses is still there: %v", err)
		}
	}
}

func TestACrashBetweenImportAndUseMakesNoSecondCopy(t *testing.T) {
	t.Parallel()
	w := newWorld(t, products.Options{})
	w.classic(products.ClassicListener{})
	slot, after := clbSlot("a.example.com"), w.certificateIn(emulator.RegionInternational, "a.example.com")
	w.server.Inject(emulator.Fault{Kind: emulator.FaultReset, Product: "clb", Action: "UploadServerCertificate", AfterCommit: true, Count: 1})
	if err := w.place(slot, w.read(slot), after); !alibaba.MayHaveHappened(err) {
		t.Fatalf("%v", err)
	}
	w.server.Inject(emulator.Fault{Kind: emulator.FaultReset, Product: "clb", Action: "SetDomainExtensionAttribute", Count: 1})
	if err := w.place(slot, w.read(slot), after); !alibaba.MayHaveHappened(err) {
		t.Fatalf("%v", err)
	}
	w.check(w.place(slot, w.read(slot), after))
	if serves, _ := w.read(slot).Holds(slot, after); !serves {
		t.Error("it is not served")
	}
	if n := w.calls("UploadServerCertificate"); n != 1 {
		t.Errorf("%d imports", n)
	}
}

func TestAServiceCanImportAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, products.Options{})
	w.classic(products.ClassicListener{})
	c := w.certificate("a.example.com")
	at := Target{Product: CLB, Region: shanghai}
	imported := func(c Certificate) (string, error) {
		store := w.adapter(CLB).(Store)
		return store.Import(t.Context(), at, must1(store.Copies(t.Context(), at)), c)
	}
	id := must1(imported(c))
	if again := must1(imported(c)); again != id || w.calls("UploadServerCertificate") != 1 {
		t.Errorf("%s became %s", id, again)
	}
	store := w.adapter(CLB).(Store)
	state := must1(store.Copies(t.Context(), at))
	if e := entry(t, state, c); e.Role != RoleStored || !e.Imported || e.Name != c.Name || e.ProviderID != id {
		t.Errorf("the copy is shown as %+v", e)
	}
	if by := slices.IndexFunc(state.Entries, func(e Entry) bool { return e.Imported != (e.CertID == c.CertID) }); by >= 0 {
		t.Errorf("a copy of somebody else is shown as %+v", state.Entries[by])
	}
	_, err := imported(Certificate{CertID: 4711, Region: china, Name: "x"})
	if e := wantClass(t, err, CertificateNotFound); !strings.Contains(e.Message, "4711-cn-hangzhou") {
		t.Errorf("%s", e.Message)
	}
	_, err = imported(Certificate{CertID: 4711})
	wantClass(t, err, Refused)
}

func TestWhatCLBRefusesIsToldApart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, products.Options{})
	w.classic(products.ClassicListener{Shared: true, Tags: map[string]string{"ack.aliyun.com": "c1"}})
	slot := clbSlot("b.example.com")
	state := w.read(slot)
	wantClass(t, w.place(slot, state, w.certificate("b.example.com")), Refused) // a shared instance
	wantClass(t, w.place(slot, state, Certificate{CertID: 1, Region: china, SM: true}), Refused)
	wantClass(t, w.remove(slot, state, state.In(clbSlot(""))...), Refused)
	owner, err := w.adapter(CLB).Owner(t.Context(), slot, state)
	if w.check(err); owner.Manager == "" {
		t.Error("nobody owns it")
	}
	missing := slot
	missing.Part = "80"
	_, err = w.tryRead(missing)
	wantClass(t, err, TargetNotFound)
	missing.Resource = "lb-9"
	_, err = w.adapter(CLB).Owner(t.Context(), missing, State{})
	wantClass(t, err, TargetNotFound)
	for len(w.cloud.Stored(account, shanghai)) < 100 {
		w.check(w.cloud.AddClassicListener(products.ClassicListener{
			LoadBalancer: "lb-2", Account: account, Region: shanghai, Port: 443, Default: w.certificate("x.example.com").Identifier(),
		}))
	}
	e := wantClass(t, w.place(clbSlot(""), w.read(clbSlot("")), w.certificate("default.example.com")), QuotaExceeded)
	if want := "the store of CLB in region cn-shanghai has 100 certificates and no room"; e.Limit != 100 || !strings.Contains(e.Message, want) {
		t.Errorf("limit %d, %s", e.Limit, e.Message)
	}
}

func TestOfTwoCopiesTheOldestCounts(t *testing.T) {
	t.Parallel()
	store := []clbCertificate{
		{ServerCertificateID: "c", AliCloudCertificateID: "7", CreateTimeStamp: "30"},
		{ServerCertificateID: "b", AliCloudCertificateID: "7", CreateTimeStamp: "20"},
		{ServerCertificateID: "a", AliCloudCertificateID: "7", CreateTimeStamp: "20", ServerCertificateName: "cas-7-ap-southeast-1"},
		{ServerCertificateID: "d", AliCloudCertificateID: "8", CreateTimeStamp: "10"},
		{ServerCertificateID: "e", CreateTimeStamp: "5", ServerCertificateName: "cas-7-cn-hangzhou"}, // an upload of that name
		{ServerCertificateID: "f", AliCloudCertificateID: "9", CreateTimeStamp: "5", ServerCertificateName: "cas-7-cn-hangzhou"},
	}
	for want, c := range map[string]Certificate{
		"b": {CertID: 7, Region: china},
		"a": {CertID: 7, Region: international},
		"d": {CertID: 8, Region: china},
		"f": {CertID: 9, Region: china},
		"":  {CertID: 8, Region: international},
	} {
		if got := copyOf(store, shanghai, c); got != want {
			t.Errorf("%s is copied as %q, want %q", c.Identifier(), got, want)
		}
	}
}
