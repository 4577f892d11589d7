// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package products

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloudcert-io/cloudcert/internal/emulator"
)

func TestAListenerChoosesAsTheVendorSays(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	wildcard := w.certificate("*.example.com")
	exact := w.certificate("a.example.com")
	longer := leaf("a.example.com")
	longer.NotAfter = longer.NotAfter.AddDate(0, 0, 30)
	lasting := w.put(emulator.RegionChina, must(x509.CreateCertificate(rand.Reader, longer, longer, &ecKey().PublicKey, ecKey())))
	rsa := w.put(emulator.RegionChina, must(x509.CreateCertificate(rand.Reader, longer, longer, &rsaKey().PublicKey, rsaKey())))
	standard := w.listener("lsn-1")
	serves := func(want, sni string, additional ...string) {
		t.Helper()
		w.check(w.cloud.Put("lsn-1", "", additional))
		if got := w.served("lsn-1", sni); got != want {
			t.Errorf("served %s for %s, want %s", got, sni, want)
		}
	}
	serves(standard, "b.example.net", wildcard, exact)
	serves(wildcard, "b.example.com", wildcard, exact)
	serves(standard, "b.c.example.com", wildcard, exact)
	serves(exact, "A.example.com", wildcard, exact)
	serves(exact, "a.example.com", rsa, exact)
	serves(rsa, "a.example.com", rsa, wildcard)
	serves(lasting, "a.example.com", lasting, exact, rsa)
	serves(exact, "a.example.com", exact)
}

func TestADeletedCertificateIsServedNoMore(t *testing.T) {
	t.Parallel()
	for _, protected := range []bool{false, true} {
		o := Options{}
		if protected {
			o.InUseCode = "InvalidStatus.InUse"
		}
		w := newWorld(t, o)
		id := w.certificate("a.example.com")
		w.listener("lsn-1", id)
		number, _, _ := strings.Cut(id, "-")
		r := w.casDelete(number)
		if h, _ := w.cloud.Shake("lsn-1", "a.example.com"); protected != (h.CertIdentifier == id) || protected != h.Valid(epoch) {
			t.Errorf("protected %v: served %+v", protected, h)
		}
		if protected != (r.code == "InvalidStatus.InUse") {
			t.Errorf("protected %v: %+v", protected, r)
		}
	}
}

func TestNeighboursTakeBackWhatIsTheirs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{Configuring: 5 * time.Second})
	theirs, mine := w.certificate("a.example.com"), w.certificate("b.example.com")
	standard := w.listener("lsn-1", theirs)
	w.check(w.cloud.Rival("lsn-1", standard, []string{theirs}, 30*time.Second))
	w.alb(associate, "lsn-1", nil, mine)
	w.clock.advance(5 * time.Second)
	if got := w.served("lsn-1", "b.example.com"); got != mine {
		t.Errorf("served %s", got)
	}
	w.clock.advance(30 * time.Second)
	if diff := cmp.Diff("Running, "+standard+", "+theirs+" Associated", w.state("lsn-1")); diff != "" {
		t.Error(diff)
	}
	w.check(w.cloud.Rival("lsn-1", "", nil, 0))
	w.alb(associate, "lsn-1", nil, mine)
	w.clock.advance(time.Hour)
	if got := w.served("lsn-1", "b.example.com"); got != mine {
		t.Errorf("served %s after the rival left", got)
	}
}

func TestTheAdminPortShowsAndChangesProducts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	id, other := w.certificate("a.example.com"), w.certificate("*.example.com")
	admin := w.cloud.AdminHandler()
	post := func(path, body string) int {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, bytes.NewBufferString(body))
		request.Header.Set("Content-Type", "application/json")
		recorder := httptest.NewRecorder()
		admin.ServeHTTP(recorder, request)
		return recorder.Code
	}
	get := func(path string, into any) int {
		recorder := httptest.NewRecorder()
		admin.ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		if recorder.Code == http.StatusOK {
			w.check(json.Unmarshal(recorder.Body.Bytes(), into))
		}
		return recorder.Code
	}
	for _, step := range [][2]string{
		{"/emulator/load-balancers", `{"product":"alb","id":"alb-1","account":"` + account + `","region":"cn-shanghai","tags":{"ack.aliyun.com":"c1"}}`},
		{"/emulator/listeners", `{"id":"lsn-1","loadBalancer":"alb-1","protocol":"HTTPS","port":443,"default":"` + other + `"}`},
		{"/emulator/listeners/put", `{"id":"lsn-1","additional":["` + id + `"]}`},
		{"/emulator/listeners/rival", `{"id":"lsn-1","default":"` + other + `","additional":["` + id + `"],"every":"30s"}`},
		{"/emulator/domains", `{"product":"cdn","name":"cdn.example.com","account":"` + account + `"}`},
		{"/emulator/domains/put", `{"product":"cdn","name":"cdn.example.com","certificate":"` + other + `"}`},
		{"/emulator/listeners/fail-jobs", `{"id":"lsn-1","count":1}`},
		{"/emulator/listeners/status", `{"id":"lsn-1","status":"Stopped"}`},
	} {
		if code := post(step[0], step[1]); code != http.StatusOK {
			t.Errorf("%s: status %d", step[0], code)
		}
	}
	var h Handshake
	if code := get("/emulator/handshake?listener=lsn-1&sni=a.example.com", &h); code != http.StatusOK || h.CertIdentifier != id || !h.Covers {
		t.Errorf("status %d, %+v", code, h)
	}
	if code := get("/emulator/handshake?listener=cdn.example.com&sni=cdn.example.com", &h); code != http.StatusOK || h.CertIdentifier != other {
		t.Errorf("status %d, %+v", code, h)
	}
	if code := get("/emulator/handshake?listener=lsn-9&sni=a.example.com", &h); code != http.StatusNotFound {
		t.Errorf("status %d", code)
	}
	var listeners []ListenerState
	if code := get("/emulator/listeners?id=lsn-1", &listeners); code != http.StatusOK || len(listeners) != 1 || listeners[0].Status != "Stopped" {
		t.Errorf("status %d, %+v", code, listeners)
	}
	var used []string
	if code := get("/emulator/used?account="+account, &used); code != http.StatusOK || len(used) != 2 {
		t.Errorf("status %d, %v", code, used)
	}
	defer func() {
		if code := post("/emulator/reset", ""); code != http.StatusOK || get("/emulator/handshake?listener=lsn-1&sni=a.example.com", &h) != http.StatusNotFound {
			t.Errorf("status %d, or something is left after a reset", code)
		}
	}()
	for _, wrong := range [][2]string{
		{"/emulator/load-balancers", `{"product":"alb","id":"alb-2","account":"9","region":"cn-shanghai"}`},
		{"/emulator/load-balancers", `{"product":"alb","id":"alb-1","account":"` + account + `","region":"cn-shanghai"}`},
		{"/emulator/load-balancers", `{"product":"fan","id":"alb-2","account":"` + account + `","region":"cn-shanghai"}`},
		{"/emulator/load-balancers", `{"product":"alb","id":"alb-2","account":"` + account + `","region":"cn-huhehaote"}`},
		{"/emulator/listeners", `{"id":"lsn-2","loadBalancer":"alb-9"}`},
		{"/emulator/listeners/put", `{"id":"lsn-9"}`},
		{"/emulator/listeners/rival", `{"id":"lsn-1","every":"often"}`},
		{"/emulator/listeners/status", `{"identity":"lsn-1"}`},
		{"/emulator/domains", `{"product":"alb","name":"a.example.com","account":"` + account + `"}`},
	} {
		if code := post(wrong[0], wrong[1]); code != http.StatusBadRequest {
			t.Errorf("%s %s: status %d", wrong[0], wrong[1], code)
		}
	}
}
