// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/cas"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
	"github.com/cloudcert-io/cloudcert/internal/emulator/products"
	"github.com/cloudcert-io/cloudcert/internal/targets"
)

// sight is what the products are seen to hold and to serve, and nobody has touched since but
// operators.
type sight struct {
	held   map[string][]string      // identifiers by the name of a place, but for those on their way out
	served map[probe]bool           // what a client gets that asks
	copies map[string]products.Copy // what the store of CLB has, by id
}

// probe is a client that asks a listener or a domain for a host.
type probe struct{ at, host string }

// losses counts what must never happen.
type losses struct{ foreign, unserved int }

func (w *world) look() sight {
	now := sight{held: map[string][]string{}, served: map[probe]bool{}, copies: w.copies()}
	for _, p := range w.places {
		for _, a := range w.holds(p) {
			if a.Status != "Dissociating" {
				now.held[p.name] = append(now.held[p.name], a.CertIdentifier)
			}
		}
		hosts := []string{ourHost, theirHost}
		if p.isObject() {
			hosts = hosts[:1] // where somebody has taken out what a listener still serves, nobody is known to need it
		}
		for _, host := range hosts {
			now.served[probe{p.at, host}] = w.isServed(p, host)
		}
	}
	return now
}

// lookAnew is after what somebody else did.
func (w *world) lookAnew() {
	if w.products != nil {
		w.seen = w.look()
	}
}

// watchProducts compares what is held and served with what was before a call of an operator.
func (w *world) watchProducts() {
	if w.products == nil {
		return
	}
	before, now := w.seen, w.look()
	w.seen = now
	excused := map[string]bool{}
	w.checkCopies(before.copies, now.copies)
	for _, p := range w.places {
		asked := false
		for _, identifier := range before.held[p.name] {
			if !slices.Contains(now.held[p.name], identifier) {
				asked = w.checkTakenOut(p, identifier) || asked
			}
		}
		excused[p.at] = excused[p.at] || asked
		w.pardoned[p.at] = w.pardoned[p.at] || asked && p.isObject()
		// What nobody holds any more may be deleted in CAS: checkUnused judges that.
		excused[p.at] = excused[p.at] || slices.ContainsFunc(before.held[p.name], func(id string) bool { return !w.inCAS(id) })
		// An object of the cluster does not say of which account its listener is: it follows the credentials.
		excused[p.at] = excused[p.at] || p.isObject() && slices.ContainsFunc(now.held[p.name], w.isOfAnotherAccount)
		if !p.shared && (!p.emptied || !asked) && len(before.held[p.name]) > 0 && len(now.held[p.name]) == 0 && w.inCAS(before.held[p.name][0]) {
			w.violatef("the only certificate of %s was taken away", p.name)
		}
	}
	for asked, was := range before.served {
		if was && !now.served[asked] && !excused[asked.at] && !w.pardoned[asked.at] {
			w.lost.unserved++
			w.violatef("host %s is not served any more at %s, which holds %v", asked.host, asked.at, now.held)
		}
	}
}

// inCAS reports whether the certificate of an identifier is there.
func (w *world) inCAS(identifier string) bool {
	return slices.ContainsFunc(w.all(), func(c emulator.Certificate) bool { return identifierOf(c) == identifier })
}

// isOfAnotherAccount reports whether a certificate is in CAS, and not in the account of the places.
func (w *world) isOfAnotherAccount(identifier string) bool {
	inOwn := slices.ContainsFunc(w.all(), func(c emulator.Certificate) bool {
		return c.AccountID == ownAccount && identifierOf(c) == identifier
	})
	return w.inCAS(identifier) && !inOwn
}

// checkTakenOut says whether a certificate may have gone out of a place, and reports whether
// somebody has asked for the end of it.
func (w *world) checkTakenOut(p place, identifier string) (asked bool) {
	foreign := w.isForeign(identifier)
	switch {
	case foreign && w.mayReplace(p, identifier):
		return true
	case foreign:
		w.lost.foreign++
		w.violatef("the foreign certificate %s was taken out of %s, and nobody asked for it", identifier, p.name)
		return true
	}
	unbinds := slices.ContainsFunc(w.bindingsAt(p), func(key types.NamespacedName) bool {
		b := w.api.bindings[key]
		return !b.DeletionTimestamp.IsZero() && b.Spec.OnDelete == v1alpha1.BindingUnbind
	})
	for _, key := range w.bindingsAt(p) {
		b := w.api.bindings[key]
		object := w.api.objects[w.certificateOf(b)]
		carries := object != nil && cas.CertIdentifier(object.Status.CertID, object.Status.Region) == identifier
		seen := b.Status.BoundCertIdentifier == identifier && b.Status.PendingCertID == 0 // what is pending may come to nothing by itself
		if p.shared && carries && seen && b.DeletionTimestamp.IsZero() && !w.isIn(p.beside(false), identifier) {
			w.violatef("certificate %s was taken out of %s, which binding %s carries there: %s", identifier, p.name, key, encode(b.Status))
		}
	}
	return unbinds
}

// isForeign reports whether what a place holds is somebody else's: a certificate of the neighbours,
// or what is none of CAS.
func (w *world) isForeign(text string) bool {
	_, _, ok := targets.ParseIdentifier(text)
	return !ok || slices.Contains(w.neighbours, text)
}

// mayReplace reports whether a binding of a place has ever named a foreign certificate, or was to
// put ours back.
func (w *world) mayReplace(p place, identifier string) bool {
	return w.adopted[p.name][identifier] || !p.shared && w.restores[p.name]
}

// checkUnused says whether a certificate that is deleted is used by a binding. Which versions are the
// object's a binding knows by its status alone, so that one which is made to name another account hides them.
func (w *world) checkUnused(key types.NamespacedName, id certificateID) {
	identifier := cas.CertIdentifier(id.certID, id.Region)
	for _, binding := range sortedKeys(w.api.bindings) {
		b := w.api.bindings[binding]
		if binding.Namespace != key.Namespace || b.Spec.CertificateRef.Name != key.Name {
			continue
		}
		account := ownAccount
		if w.placeOf(b).isObject() {
			account = b.Status.AccountID
		}
		if id.Account == account && w.isIn(w.placeOf(b), identifier) && !w.misled[key] {
			w.violatef("certificate %s was deleted while %s holds it for binding %s: %s", identifier, w.placeOf(b).name, binding, encode(b.Status))
		}
		if b.Status.FirstReadTime.IsZero() || b.Status.BoundCertID == id.certID || slices.Contains(b.Status.LeftoverCertIDs, id.certID) {
			w.violatef("certificate %s was deleted although binding %s keeps it: %s", identifier, binding, encode(b.Status))
		}
	}
}

// shown is what a process was last shown of a listener.
type shown struct {
	status           string
	listed, defaults int
	total            int
	partial          bool
}

// noteAnswer follows what an operator is shown of listeners, for checkWrite.
func (op *operator) noteAnswer(form url.Values, body []byte) {
	var answer struct {
		ListenerStatus, Status string
		TotalCount             *int
		Certificates           []struct{ IsDefault bool }
		NextToken              string
	}
	id := listenerOf(form)
	if id == "" || json.Unmarshal(body, &answer) != nil {
		return
	}
	if op.shown == nil {
		op.shown = map[string]shown{}
	}
	id = shownTo(id, form)
	is := op.shown[id]
	switch form.Get("Action") {
	case "GetListenerAttribute":
		if answer.ListenerStatus == "" {
			return // an error shows nothing, and what was read before counts for a while
		}
		is = shown{status: answer.ListenerStatus}
	case "DescribeLoadBalancerHTTPSListenerAttribute":
		if answer.Status == "" {
			return
		}
		is = shown{status: answer.Status}
	case "ListListenerCertificates":
		if answer.TotalCount == nil {
			return
		}
		is.listed, is.total = is.listed+len(answer.Certificates), *answer.TotalCount
		for _, c := range answer.Certificates {
			if c.IsDefault {
				is.defaults++
			}
		}
		is.partial = answer.NextToken == "" && is.total != is.listed && is.total != is.listed-is.defaults // T12
	}
	op.shown[id] = is
}

// listenerOf is the listener that a call is about; empty for none.
func listenerOf(form url.Values) string {
	if port := form.Get("ListenerPort"); port != "" {
		return form.Get("LoadBalancerId") + ":" + port
	}
	return form.Get("ListenerId")
}

// shownTo tells what credentials are shown of a listener: others may not find it.
func shownTo(listener string, form url.Values) string {
	return listener + " " + form.Get("AccessKeyId")
}

// checkWrite counts a write, and says whether it may be sent to a listener after what it was last shown of it.
func (op *operator) checkWrite(form url.Values) {
	action, id := form.Get("Action"), listenerOf(form)
	if kindOfCall("", action) == "read" {
		return
	}
	if op.world.writes++; id == "" {
		return // a domain is changed at once
	}
	is, known := op.shown[shownTo(id, form)]
	if !known { // these credentials have come since it was read by others
		for key, to := range op.shown {
			if strings.HasPrefix(key, id+" ") {
				is = to
			}
		}
	}
	switch {
	case !strings.EqualFold(is.status, "Running"): // as CLB writes it, too
		op.world.violatef("%s is sent to %s, which was last seen as %q", action, id, is.status)
	case is.partial:
		op.world.violatef("%s is sent to %s by a list that shows %d of %d certificates", action, id, is.listed, is.total)
	}
}
