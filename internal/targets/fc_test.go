// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package targets

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	mathrand "math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloudcert-io/cloudcert/internal/emulator"
	"github.com/cloudcert-io/cloudcert/internal/emulator/products"
)

// content makes a certificate with its key.
func (w *world) content(domains ...string) Content {
	w.t.Helper()
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(mathrand.Int64()), DNSNames: domains, NotBefore: w.clock.Now().Add(-time.Hour), NotAfter: w.clock.Now().AddDate(0, 0, 90),
	}
	der := must1(x509.CreateCertificate(rand.Reader, leaf, leaf, &ecKey().PublicKey, ecKey()))
	return Content{
		Certificate: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		PrivateKey:  string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: must1(x509.MarshalECPrivateKey(ecKey()))})),
	}
}

func (c Content) given(context.Context) (Content, error) { return c, nil }

// The domain of the tests, all of whose settings are to stay.
var (
	function  = Target{Product: FC, Region: shanghai, Domain: host}
	fcSetting = map[string]json.RawMessage{
		"routeConfig": json.RawMessage(`{"routes":[{"functionName":"f","path":"/*"}]}`), "tlsConfig": json.RawMessage(`{"minVersion":"TLSv1.2"}`),
		"authConfig": json.RawMessage(`{"authInfo":"secret-of-somebody-else","authType":"jwt"}`), "wafConfig": json.RawMessage(`{"enableWAF":true}`),
		"corsConfig": json.RawMessage("null"),
	}
)

// serve makes the domain, with the certificate of somebody else.
func (w *world) serve(protocol string) {
	w.t.Helper()
	old := w.content(host)
	w.check(w.cloud.AddCustomDomain(products.CustomDomain{
		Name: host, Account: account, Region: shanghai, Protocol: protocol, Settings: fcSetting,
		CertName: "old", Certificate: old.Certificate, PrivateKey: emulator.Secret(old.PrivateKey),
	}))
}

// put places a certificate with its content.
func (w *world) put(t Target, s State, c Certificate, content func(context.Context) (Content, error)) error {
	w.t.Helper()
	return w.adapter(FC).Place(w.t.Context(), t, s, Placement{Certificate: c, Content: content})
}

func TestARenewalReachesAFunction(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]products.Options{
		"what is not sent falls back": {},
		"what is not sent stays":      {Unknowns: products.Unknowns{FCKeepsTheRest: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, o)
			w.serve("HTTP,HTTPS")
			state := w.read(function)
			if diff := cmp.Diff("Default old Serving", inWords(state)); diff != "" {
				t.Fatal(diff)
			}
			for _, c := range []Certificate{{CertID: 12345, Region: china}, {CertID: 12346, Region: international}} {
				content := w.content(host)
				w.check(w.put(function, state, c, content.given))
				state = w.read(function)
				if diff := cmp.Diff("Default "+c.Identifier()+" Serving", inWords(state)); diff != "" {
					t.Fatal(diff)
				}
				is, _ := w.cloud.CustomDomain(host)
				if is.Certificate != content.Certificate || string(is.PrivateKey) != content.PrivateKey || is.Protocol != "HTTP,HTTPS" {
					t.Errorf("protocol %s, certificate %s", is.Protocol, is.CertName)
				}
				for name, want := range fcSetting {
					if got := is.Settings[name]; string(got) != string(want) && string(want) != "null" {
						t.Errorf("%s is %s, want %s", name, got, want)
					}
				}
				sent := len(w.server.Journal())
				w.check(w.put(function, state, c, nil))
				wantClass(t, w.remove(function, state, state.Entries...), Refused)
				wantClass(t, w.put(function, state, Certificate{CertID: 1, Region: china, SM: true}, content.given), Refused)
				if len(w.server.Journal()) != sent {
					t.Error("what is there was placed again, or what can only fail was sent")
				}
			}
		})
	}
}

// TestAFunctionsCertificateIsOursByNameAndContent: who puts another one in under our name has it
// taken for foreign.
func TestAFunctionsCertificateIsOursByNameAndContent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, products.Options{})
	w.serve("HTTPS")
	ours, other := w.content(host), w.content(host)
	name := fcName(Certificate{CertID: 12345, Region: china}, ours.Certificate)
	for what, tc := range map[string]struct {
		name, certificate, want string
	}{
		"ours":                    {name, ours.Certificate, "Default 12345-cn-hangzhou Serving"},
		"ours in another dress":   {name, "\n" + strings.TrimSpace(ours.Certificate), "Default 12345-cn-hangzhou Serving"},
		"ours with more of chain": {name, ours.Certificate + other.Certificate, "Default 12345-cn-hangzhou Serving"},
		"another under our name":  {name, other.Certificate, "Default " + name + " Serving"},
		"ours under another name": {"12345-cn-hangzhou", ours.Certificate, "Default 12345-cn-hangzhou Serving foreign"},
		"a name without a dash":   {"old", ours.Certificate, "Default old Serving"},
		"no certificate":          {"", "", ""},
		"none that can be read":   {"cas-12345-cn-hangzhou-", "x", "Default cas-12345-cn-hangzhou- Serving foreign"},
	} {
		w.check(w.cloud.AddCustomDomain(products.CustomDomain{Name: host, Account: account, Region: shanghai, CertName: tc.name, Certificate: tc.certificate}))
		state := w.read(function)
		want, foreign := strings.CutSuffix(tc.want, " foreign")
		if diff := cmp.Diff(want, inWords(state)); diff != "" || foreign && state.Entries[0].CertID != 0 {
			t.Errorf("%s: %s", what, diff)
		}
	}
}

func TestAFunctionIsLeftAlone(t *testing.T) {
	t.Parallel()
	c := Certificate{CertID: 12345, Region: china}
	wait := &Error{Class: Progressing, Message: "the Secret holds another certificate"}
	for name, tc := range map[string]struct {
		protocol string
		between  func(w *world)
		content  func(context.Context) (Content, error)
		class    Class
	}{
		"without HTTPS":           {protocol: "HTTP", class: Refused},
		"without content":         {class: Transient},
		"with other content":      {content: func(context.Context) (Content, error) { return Content{}, wait }, class: Progressing},
		"changed meanwhile":       {between: func(w *world) { w.serve("HTTPS,HTTP"); w.serve("HTTP") }, class: Progressing},
		"which got a certificate": {between: func(w *world) { w.rename("new") }, class: Progressing},
		"which is gone": {
			between: func(w *world) { w.cloud.Reset() }, class: TargetNotFound,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, products.Options{})
			protocol := tc.protocol
			if protocol == "" {
				protocol = "HTTPS"
			}
			w.serve(protocol)
			state := w.read(function)
			if tc.between != nil {
				tc.between(w)
			}
			wantClass(t, w.put(function, state, c, tc.content), tc.class)
			if n := w.calls(string(fcUpdate)); n != 0 {
				t.Errorf("%d updates were sent", n)
			}
		})
	}
	w := newWorld(t, products.Options{})
	_, err := w.tryRead(function)
	wantClass(t, err, TargetNotFound)
}

// rename gives the domain's certificate another name.
func (w *world) rename(name string) {
	w.t.Helper()
	is, _ := w.cloud.CustomDomain(host)
	is.CertName = name
	w.check(w.cloud.AddCustomDomain(is))
}

// TestAFunctionRepeatsNoSecret that a refusal of an update quotes, however short.
func TestAFunctionRepeatsNoSecret(t *testing.T) {
	t.Parallel()
	w := newWorld(t, products.Options{})
	w.serve("HTTPS")
	content := w.content(host)
	lines := strings.Split(strings.TrimSpace(content.PrivateKey), "\n")
	short := lines[len(lines)-2] // of no more characters than words may have
	for _, quoted := range []string{short, "secret-of-somebody-else", string(fcSetting["authConfig"])} {
		state := w.read(function)
		w.server.Inject(emulator.Fault{
			Kind: emulator.FaultFail, Product: "fc", Action: string(fcUpdate), Code: "InvalidArgument", Status: http.StatusBadRequest, Message: "cannot take " + quoted, Count: 1,
		})
		failed := wantClass(t, w.put(function, state, Certificate{CertID: 12345, Region: china}, content.given), Refused)
		if strings.Contains(failed.Message, quoted) || !strings.Contains(failed.Message, "cannot take [redacted]") {
			t.Errorf("%q", failed.Message)
		}
	}
}

// TestAFunctionShowsNoKey: neither what is read nor any failure of an update holds the key that is
// there, the one that is sent, or a secret of the settings.
func TestAFunctionShowsNoKey(t *testing.T) {
	t.Parallel()
	for _, kind := range emulator.FaultKinds() {
		if kind.OfLists() {
			continue // the product has no lists
		}
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, products.Options{})
			w.serve("HTTPS")
			content := w.content(host)
			state := w.read(function)
			w.server.Inject(emulator.Fault{Kind: kind, Product: "fc", Action: string(fcUpdate), Delay: 1, Status: http.StatusBadRequest})
			err := w.put(function, state, Certificate{CertID: 12345, Region: china}, content.given)
			var out bytes.Buffer
			_, _ = fmt.Fprintf(&out, "%+v %#v %+v %#v %s", state, state, err, err, content)
			raw, _ := json.Marshal(map[string]any{"state": state, "error": err, "content": content})
			out.Write(raw)
			slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "content", content, "error", err)
			for cause := err; cause != nil; cause = errors.Unwrap(cause) {
				_, _ = fmt.Fprintf(&out, "%+v", cause)
			}
			for _, secret := range append(strings.Split(strings.TrimSpace(content.PrivateKey), "\n")[1:3], "secret-of-somebody-else", keySecret, "PRIVATE KEY") {
				if strings.Contains(out.String(), secret) {
					t.Errorf("%q is shown: %s", secret, out.String())
				}
			}
		})
	}
}
