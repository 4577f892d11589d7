// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package products

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"time"
)

func errNoSuch(kind, name string) error { return fmt.Errorf("no %s %q", kind, name) }

// AddLoadBalancer makes a load balancer.
func (c *Cloud) AddLoadBalancer(b LoadBalancer) error {
	if b.Edition == "" {
		b.Edition = "Standard"
	}
	if _, ok := quotas[b.Edition]; !ok {
		return errNoSuch("edition", b.Edition)
	}
	if !slices.Contains([]string{"alb", "nlb"}, b.Product) || !HasRegion(b.Product, b.Region) || b.Region == "" {
		return errNoSuch("load balancers of "+b.Product+" in region", b.Region)
	}
	if !c.server.HasAccount(b.Account) {
		return errNoSuch("account", b.Account)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if b.ID == "" || c.loadBalancers[b.ID] != nil {
		return fmt.Errorf("the id %q is empty or taken", b.ID)
	}
	b.Tags = maps.Clone(b.Tags)
	c.loadBalancers[b.ID] = &loadBalancer{b}
	return nil
}

// AddListener makes a listener of a load balancer.
func (c *Cloud) AddListener(l Listener) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.loadBalancers[l.LoadBalancer]
	if b == nil {
		return errNoSuch("load balancer", l.LoadBalancer)
	}
	if l.ID == "" || c.listeners[l.ID] != nil {
		return fmt.Errorf("the id %q is empty or taken", l.ID)
	}
	made := &listener{Listener: l, Account: b.Account, Region: b.Region, balancer: b}
	made.shown.set(c.now(), served{Status: statusRunning, Default: l.Default}.with(associated, l.Additional...))
	c.listeners[l.ID] = made
	return nil
}

// ListenerState is what a listener is, without any lag.
type ListenerState struct {
	ID           string `json:"id"`
	LoadBalancer string `json:"loadBalancer"`
	Region       string `json:"region"`
	Status       string `json:"status"`
	Default      string `json:"default"`
	// Additional are the additional certificates in the order in which they came, with their
	// status.
	Additional []AdditionalState `json:"additional"`
}

// AdditionalState is an additional certificate.
type AdditionalState struct {
	CertIdentifier string `json:"certIdentifier"`
	Status         string `json:"status"`
}

// ListenerState returns what a listener is now, and reports whether there is one.
func (c *Cloud) ListenerState(id string) (ListenerState, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.listeners[id]
	if l == nil {
		return ListenerState{}, false
	}
	return l.state(c.now()), true
}

func (l *listener) state(now time.Time) ListenerState {
	is := l.settle(now)
	state := ListenerState{
		ID: l.ID, LoadBalancer: l.balancer.ID, Region: l.Region, Status: is.Status, Default: is.Default, Additional: []AdditionalState{},
	}
	for _, a := range is.Additional {
		state.Additional = append(state.Additional, AdditionalState{a.ID, a.Status})
	}
	return state
}

// Used returns the identifiers of the certificates of an account that any product serves or
// holds, sorted.
func (c *Cloud) Used(account string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	used := c.used(account)
	slices.Sort(used)
	return slices.Compact(used)
}

// AdminHandler serves the products as JSON, under /emulator. It authenticates nobody: keep it
// on loopback.
func (c *Cloud) AdminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /emulator/handshake", c.adminHandshake)
	mux.HandleFunc("GET /emulator/listeners", c.adminListeners)
	mux.HandleFunc("GET /emulator/used", func(w http.ResponseWriter, r *http.Request) { writeJSON(w, c.Used(r.FormValue("account"))) })
	mux.HandleFunc("POST /emulator/reset", change(func(struct{}) error { c.Reset(); return nil }))
	mux.HandleFunc("POST /emulator/load-balancers", change(c.AddLoadBalancer))
	mux.HandleFunc("POST /emulator/listeners", change(c.AddListener))
	mux.HandleFunc("POST /emulator/classic-listeners", change(c.AddClassicListener))
	mux.HandleFunc("POST /emulator/accelerator-listeners", change(c.AddAcceleratorListener))
	mux.HandleFunc("POST /emulator/listeners/put", change(func(p putJSON) error { return c.Put(p.ID, p.Default, p.Additional) }))
	mux.HandleFunc("POST /emulator/listeners/rival", change(c.adminRival))
	mux.HandleFunc("POST /emulator/listeners/status", change(func(s statusJSON) error { return c.SetStatus(s.ID, s.Status) }))
	mux.HandleFunc("POST /emulator/listeners/fail-jobs", change(func(f failJSON) error { return c.FailJobs(f.ID, f.Count) }))
	mux.HandleFunc("POST /emulator/domains", change(c.AddDomain))
	mux.HandleFunc("POST /emulator/custom-domains", change(c.AddCustomDomain))
	mux.HandleFunc("POST /emulator/domains/put", change(func(p putDomainJSON) error { return c.PutDomain(p.Product, p.Name, p.Certificate) }))
	return mux
}

type (
	putJSON struct {
		ID         string   `json:"id"`
		Default    string   `json:"default"`
		Additional []string `json:"additional"`
	}
	rivalJSON struct {
		putJSON
		Every string `json:"every"`
	}
	statusJSON struct {
		ID     string `json:"id"`
		Status string `json:"status"`
	}
	failJSON struct {
		ID    string `json:"id"`
		Count int    `json:"count"`
	}
	putDomainJSON struct {
		Product     string `json:"product"`
		Name        string `json:"name"`
		Certificate string `json:"certificate"`
	}
)

func (c *Cloud) adminRival(r rivalJSON) error {
	every, err := time.ParseDuration(r.Every)
	if err != nil {
		return errors.New("every is no duration such as 30s")
	}
	return c.Rival(r.ID, r.Default, r.Additional, every)
}

// adminHandshake answers what a client gets for ?listener=&sni=. A listener may be a domain as
// well: www.example.com.
func (c *Cloud) adminHandshake(w http.ResponseWriter, r *http.Request) {
	h, ok := c.Shake(r.FormValue("listener"), r.FormValue("sni"))
	if !ok {
		http.Error(w, "there is no such listener or domain", http.StatusNotFound)
		return
	}
	writeJSON(w, h)
}

func (c *Cloud) adminListeners(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	all := []ListenerState{}
	for _, id := range slices.Sorted(maps.Keys(c.listeners)) {
		if only := r.FormValue("id"); only == "" || only == id {
			all = append(all, c.listeners[id].state(c.now()))
		}
	}
	c.mu.Unlock()
	writeJSON(w, all)
}

func writeJSON(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(value)
}

// change decodes the body and calls do with it. The content type is required so that no web
// page can send it across origins.
func change[T any](do func(T) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
			http.Error(w, "Content-Type: application/json is required", http.StatusUnsupportedMediaType)
			return
		}
		var input T
		decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&input); err != nil && !errors.Is(err, io.EOF) {
			http.Error(w, "the body is not the expected JSON: "+err.Error(), http.StatusBadRequest)
			return
		}
		if err := do(input); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		writeJSON(w, struct{}{})
	}
}
