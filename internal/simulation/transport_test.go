// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/cloudcert-io/cloudcert/internal/cas"
	"github.com/cloudcert-io/cloudcert/internal/targets"
)

// transport carries the calls of an operator to the cloud.
type transport struct{ op *operator }

func (t transport) RoundTrip(request *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, err
	}
	t.op.world.checkKeys(request, body)
	switch request.URL.Port() {
	case ports[targets.FC]:
		return t.rest(request, body, request.Header.Get("x-acs-action"))
	case ports[targets.OSS]:
		return t.rest(request, body, actionOfOSS(request))
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, err
	}
	w, action := t.op.world, form.Get("Action")
	var after error
	if action != "GetCallerIdentity" { // asked for by a goroutine of its own, and without effect
		var before error
		if before, after = t.op.step(kindOfCall(request.URL.Port(), action) + " " + action + " " + form.Get("Name") + form.Get("CertId")); before != nil {
			return nil, before
		}
		if action == string(cas.ActionUpload) && w.rename != nil {
			form.Set("Name", w.rename(t.op, form.Get("Name")))
			resign(form)
		}
	}
	to := request.URL.Port()
	switch to {
	case "1":
		to = cas.RegionChina
	case "2":
		to = cas.RegionInternational
	default:
		return t.product(request, to, form, after)
	}
	request.Body, request.ContentLength = io.NopCloser(strings.NewReader(form.Encode())), -1
	response, err := w.transports[to].RoundTrip(request)
	if action != "GetCallerIdentity" {
		w.afterCall(t.op, form)
		if action == string(cas.ActionUpload) && (err != nil || after != nil) && w.lostAnswer != nil {
			w.lostAnswer(t.op)
		}
	}
	if after != nil {
		return nil, after
	}
	if err != nil && w.unnoticed {
		return &http.Response{StatusCode: http.StatusGatewayTimeout, Header: http.Header{}, Body: http.NoBody}, nil
	}
	return response, err
}

// kindOfCall is what a step is called that calls the cloud. Reads of products are told apart: their
// answer is all that can be lost.
func kindOfCall(port, action string) string {
	isRead := strings.HasPrefix(action, "Get") || strings.HasPrefix(action, "List") || strings.HasPrefix(action, "Describe")
	if isRead && port != "1" && port != "2" {
		return "read"
	}
	return "cloud"
}

// rest carries a call that names its object by a path.
func (t transport) rest(request *http.Request, body []byte, action string) (*http.Response, error) {
	w := t.op.world
	kind := kindOfCall(request.URL.Port(), action)
	before, after := t.op.step(kind + " " + action)
	if before != nil {
		return nil, before
	}
	if kind != "read" {
		w.writes++
	}
	if w.forces && action == "PutCname" {
		w.force(body)
	}
	request.Body, request.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	response, err := w.transports[request.URL.Port()].RoundTrip(request)
	w.watchProducts()
	if after != nil {
		return nil, after
	}
	return response, err
}

// product carries a call to a product.
func (t transport) product(request *http.Request, to string, form url.Values, after error) (*http.Response, error) {
	t.op.checkWrite(form)
	request.Body, request.ContentLength = io.NopCloser(strings.NewReader(form.Encode())), -1
	response, err := t.op.world.transports[to].RoundTrip(request)
	t.op.world.watchProducts()
	if after != nil {
		return nil, after
	}
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	t.op.noteAnswer(form, body)
	response.Body = io.NopCloser(bytes.NewReader(body))
	return response, nil
}

// afterCall compares the cloud with the journal: what was made, and what was deleted.
func (w *world) afterCall(op *operator, form url.Values) {
	call, ok := w.cloud.LastCall()
	if !ok {
		return
	}
	if call.Committed && call.Action == string(cas.ActionDelete) {
		w.checkDeleted(op.account(form.Get("AccessKeyId")), call)
		w.watchProducts()
	}
	if call.Committed && call.Action == string(cas.ActionUpload) {
		w.uploaded[calledFor(call)] = form.Get("Cert") + form.Get("SignCert") + form.Get("EncryptCert")
		w.checkAlive()
	}
}

// resign signs the parameters of a request again, as the specification says.
func resign(form url.Values) {
	secret := accessKeySecrets[form.Get("AccessKeyId")]
	form.Del("Signature")
	escape := func(s string) string {
		return strings.NewReplacer("+", "%20", "*", "%2A", "%7E", "~").Replace(url.QueryEscape(s))
	}
	var canonical []string
	for name := range form {
		canonical = append(canonical, escape(name)+"="+escape(form.Get(name)))
	}
	slices.Sort(canonical)
	mac := hmac.New(sha1.New, []byte(secret+"&"))
	mac.Write([]byte("POST&%2F&" + escape(strings.Join(canonical, "&"))))
	form.Set("Signature", base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}
