// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"encoding/xml"
	"net/http"
	"slices"
	"time"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
	"github.com/cloudcert-io/cloudcert/internal/emulator/products"
	"github.com/cloudcert-io/cloudcert/internal/targets"
)

// bucketPlaces are a domain of a bucket of OSS, which compares before it sets: what somebody has put
// there since the read stays, where other products would lose it.
var bucketPlaces = []place{{
	venue: inOSS{}, name: "oss", product: targets.OSS, at: "oss",
	target: v1alpha1.BindingTarget{OSS: &v1alpha1.OSSTarget{RegionID: albRegion, Bucket: "shop", Domain: ourHost}},
}}

type inOSS struct{}

func (inOSS) open(w *world) {
	w.must(w.products.AddDomain(products.Domain{Product: "oss", Region: albRegion, Instance: "shop", Name: ourHost, Account: ownAccount, Certificate: w.neighbours[2]}))
	w.must(w.products.AddDomain(products.Domain{Product: "oss", Region: albRegion, Instance: "shop", Name: theirHost, Account: ownAccount, Certificate: w.neighbours[1]}))
}

func (inOSS) holds(w *world, _ place) []products.AdditionalState {
	if id, ok := w.products.Configured("oss", ourHost); ok && id != "" {
		return []products.AdditionalState{{CertIdentifier: id}}
	}
	return nil
}

func (o inOSS) console(w *world, _ place) { o.put(w, w.neighbours[w.pick(3)]) }

// interfere is what a person writes between a read and a write of the operator.
func (o inOSS) interfere(w *world) { o.put(w, w.neighbours[0]) }

func (inOSS) put(w *world, one string) {
	w.notef("neighbour: domain of OSS becomes %s", one)
	w.must(w.products.PutDomain("oss", ourHost, one))
	w.lookAnew()
}

// serves is what a client finds when the change has come to the edges, which is not looked at here.
func (inOSS) serves(w *world, host string) bool {
	id, _ := w.products.Configured("oss", host)
	return slices.ContainsFunc(w.all(), func(c emulator.Certificate) bool {
		return c.AccountID == ownAccount && identifierOf(c) == id && slices.Contains(c.SANs, host) && time.Now().Before(c.NotAfter)
	})
}

func (inOSS) settles(*world, place, *v1alpha1.CloudCertificateBinding, string) []string { return nil }

func (inOSS) rest(*world) {}

// actionOfOSS names a call to OSS, which has no name in it.
func actionOfOSS(request *http.Request) string {
	if request.Method == http.MethodGet {
		return "ListCname"
	}
	return "PutCname"
}

// force makes a change of a domain go through whatever has come there since the read, as Force would.
func (w *world) force(body []byte) {
	var asked struct {
		Previous string `xml:"Cname>CertificateConfiguration>PreviousCertId"`
	}
	w.must(xml.Unmarshal(body, &asked))
	w.must(w.products.PutDomain("oss", ourHost, asked.Previous))
}

// bucketLifecycles are what can happen to bindings of OSS.
var bucketLifecycles = map[string]func(w *world){
	"bind to a bucket, and renew": func(w *world) {
		w.givenBindings(bucketPlaces, adoptAll)
		w.renew(2, 10*time.Second)
	},
	"adopt what a bucket held at first": func(w *world) {
		w.open(bucketPlaces)
		w.newBinding(theKey, bucketPlaces[0], func(b *v1alpha1.CloudCertificateBinding) { b.Spec.Adopt = w.neighbours[2:] })
		w.renew(1, 10*time.Second)
	},
}
