// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/cas"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
	"github.com/cloudcert-io/cloudcert/internal/emulator/products"
	"github.com/cloudcert-io/cloudcert/internal/targets"
)

// functionPlaces are a domain of Function Compute, which is given the private key.
var functionPlaces = []place{{
	venue: inFC{}, name: "fc", product: targets.FC, at: "fc",
	target: v1alpha1.BindingTarget{FC: &v1alpha1.RegionalDomainTarget{RegionID: albRegion, Domain: ourHost}},
}}

// inFC is a domain of Function Compute. Somebody else's certificate has a name that says nothing.
type inFC struct{}

const theirFunction = "uploaded-by-hand"

func (f inFC) open(w *world) { f.put(w, theirFunction, 2) }

// put is what a person does in the console. What he uploads has a key that nobody looks at.
func (inFC) put(w *world, name string, neighbour int) {
	w.must(w.products.AddCustomDomain(products.CustomDomain{
		Name: ourHost, Account: ownAccount, Region: albRegion, CertName: name, Certificate: string(neighbourContents(w.t)[neighbour]), PrivateKey: "somebody's",
	}))
}

func (inFC) holds(w *world, _ place) []products.AdditionalState {
	is, _ := w.products.CustomDomain(ourHost)
	identifier := is.CertName
	if !w.isNeighbours(is.Certificate) { // ours has a digest at the end of its name
		identifier = strings.TrimPrefix(identifier[:strings.LastIndex(identifier, "-")], copyPrefix)
	}
	return []products.AdditionalState{{CertIdentifier: identifier}}
}

// isNeighbours reports whether a chain is one of the neighbours'.
func (w *world) isNeighbours(chain string) bool {
	for _, one := range neighbourContents(w.t) {
		if string(one) == chain {
			return true
		}
	}
	return false
}

// serves is what a client finds that asks for a host.
func (inFC) serves(w *world, host string) bool {
	is, _ := w.products.CustomDomain(ourHost)
	block, _ := pem.Decode([]byte(is.Certificate))
	if block == nil || !strings.Contains(is.Protocol, "HTTPS") {
		return false
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	return err == nil && leaf.VerifyHostname(host) == nil && time.Now().Before(leaf.NotAfter)
}

func (f inFC) console(w *world, _ place) {
	is, _ := w.products.CustomDomain(ourHost)
	name := theirFunction
	if w.pick(3) == 0 {
		name = is.CertName // another certificate under the same name
	}
	w.notef("neighbour: domain of FC gets %s", name)
	f.put(w, name, 2)
	w.lookAnew()
}

func (inFC) settles(*world, place, *v1alpha1.CloudCertificateBinding, string) []string { return nil }

func (inFC) rest(*world) {}

// sitePlaces are a certificate of a site of ESA, which keeps its id.
var sitePlaces = []place{{
	venue: inESA{}, name: "esa", product: targets.ESA, at: "cert-1",
	target: v1alpha1.BindingTarget{ESA: &v1alpha1.ESATarget{SiteID: 1, CertificateID: "cert-1"}},
}}

// inESA is one of two certificates of a site, which are all that it has room for.
type inESA struct{}

func (inESA) open(w *world) {
	for id, one := range map[string]string{"cert-1": w.neighbours[2], "cert-2": w.neighbours[1]} {
		w.must(w.products.AddDomain(products.Domain{Product: "esa", Region: cas.RegionChina, Instance: "1", Name: id, Account: ownAccount, Certificate: one}))
	}
}

func (inESA) holds(w *world, p place) []products.AdditionalState {
	if id, ok := w.products.Configured("esa", p.at); ok && id != "" {
		return []products.AdditionalState{{CertIdentifier: id}}
	}
	return nil
}

func (inESA) console(w *world, p place) {
	one := w.neighbours[[]int{0, 2}[w.pick(2)]] // a site has no certificate twice
	w.notef("neighbour: certificate %s of ESA becomes %s", p.at, one)
	w.must(w.products.PutDomain("esa", p.at, one))
	w.lookAnew()
}

// serves is what a client finds when the change has come to the edges, which is not looked at here.
func (inESA) serves(w *world, host string) bool {
	id, _ := w.products.Configured("esa", "cert-1")
	return slices.ContainsFunc(w.all(), func(c emulator.Certificate) bool {
		return c.AccountID == ownAccount && identifierOf(c) == id && slices.Contains(c.SANs, host) && time.Now().Before(c.NotAfter)
	})
}

func (inESA) settles(*world, place, *v1alpha1.CloudCertificateBinding, string) []string { return nil }

func (inESA) rest(*world) {}

// checkKeys says whether a call may carry the private keys that it does: an upload to CAS, and an update
// of the domain of Function Compute, for the account that both are in.
func (w *world) checkKeys(request *http.Request, body []byte) {
	text := string(body)
	if port := request.URL.Port(); port != ports[targets.FC] && port != ports[targets.OSS] { // which are sent no form
		text, _ = url.QueryUnescape(text)
	}
	sent := w.keysIn(text)
	if len(sent) == 0 && len(w.keysIn(request.URL.String())) == 0 {
		return
	}
	isUpload := isCAS(request.URL.Port()) && strings.Contains(text, "Action="+string(cas.ActionUpload))
	isUpdate := request.URL.Port() == ports[targets.FC] && request.Method == http.MethodPut && strings.HasSuffix(request.URL.Path, "/custom-domains/"+ourHost) &&
		strings.Contains(request.Header.Get("Authorization"), "Credential=LTAIown,")
	switch {
	case len(w.keysIn(request.URL.String())) > 0, !isUpload && !isUpdate:
		w.violatef("%s %s carries a private key", request.Method, request.URL.Path)
	case isUpdate:
		w.checkOwner(sent)
	}
}

func isCAS(port string) bool { return port == "1" || port == "2" }

// keysIn are the contents of the pool whose private key a text holds, in whatever form.
func (w *world) keysIn(text string) (contents []int) {
	for i, c := range w.pool {
		if slices.ContainsFunc(c.keyLines, func(line string) bool { return strings.Contains(text, line) }) {
			contents = append(contents, i)
		}
	}
	return contents
}

// checkOwner says whether Function Compute may be sent the keys of some contents: each has been the
// Secret's of an object that a binding has carried there, which may have gone since the key was read.
func (w *world) checkOwner(contents []int) {
	for _, i := range contents {
		allowed := slices.ContainsFunc(w.api.bindingLog.events, func(e watchEvent) bool {
			b, ok := e.object.(*v1alpha1.CloudCertificateBinding)
			return ok && w.carriesTo[e.key].product == targets.FC && w.everHad(w.certificateOf(b), i)
		})
		if !allowed {
			w.violatef("Function Compute was sent the private key of content %d, which nobody has carried there", i)
		}
	}
}

// everHad reports whether an object has ever referred to a Secret with the key of a content.
func (w *world) everHad(key types.NamespacedName, i int) bool {
	return slices.ContainsFunc(w.api.objectLog.events, func(e watchEvent) bool {
		object, ok := e.object.(*v1alpha1.CloudCertificate)
		return ok && e.key == key && w.hadContent(object, i)
	})
}

// hadContent reports whether the Secret of an object has, or has ever had, the key of a content.
func (w *world) hadContent(object *v1alpha1.CloudCertificate, i int) bool {
	return slices.ContainsFunc(w.api.secretLog.events, func(e watchEvent) bool {
		secret, ok := e.object.(*corev1.Secret)
		return ok && e.key.Namespace == object.Namespace && e.key.Name == object.Spec.SecretRef.Name && bytes.Equal(secret.Data["tls.key"], w.pool[i].data["tls.key"])
	})
}

// siteLifecycles are what can happen to bindings of Function Compute and of ESA.
var siteLifecycles = map[string]func(w *world){
	"bind to a function, and renew": func(w *world) {
		w.givenBindings(functionPlaces, adoptAll)
		w.renew(1, 10*time.Second)
	},
	"put right a function that somebody changes": func(w *world) {
		key := w.givenBindings(functionPlaces, func(b *v1alpha1.CloudCertificateBinding) {
			adoptAll(b)
			restoring(b)
		})[0]
		w.work(10 * time.Second)
		is, _ := w.products.CustomDomain(ourHost)
		inFC{}.put(w, is.CertName, 2)
		w.lookAnew()
		w.resyncBinding(key)
		w.work(10 * time.Second)
	},
	"bind to a certificate of ESA, and renew": func(w *world) {
		w.givenBindings(sitePlaces, adoptAll)
		w.renew(2, 10*time.Second)
	},
}
