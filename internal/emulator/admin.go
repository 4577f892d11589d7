// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// Counter sums up the calls of one account, region and action.
type Counter struct {
	Account string `json:"account"`
	Region  string `json:"region"`
	Product string `json:"product,omitempty"`
	Action  string `json:"action"`
	// Calls are those that were authenticated, throttled ones included.
	Calls int `json:"calls"`
	// MaxPerSecond is the most of them that any second saw.
	MaxPerSecond int `json:"maxPerSecond"`
	// Outcomes counts by error code; "OK" is a success, "cut" a connection cut
	// on purpose, "other" an answer that is neither.
	Outcomes map[string]int `json:"outcomes"`
}

// Counters returns what was called, by account, region and action.
func (s *Server) Counters() []Counter {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := []Counter{}
	for key, g := range s.gauges {
		all = append(all, Counter{key.account, key.region, key.product, key.action, g.calls, g.peak, maps.Clone(g.outcomes)})
	}
	slices.SortFunc(all, func(a, b Counter) int {
		return cmp.Or(cmp.Compare(a.Account, b.Account), cmp.Compare(a.Region, b.Region), cmp.Compare(a.Product, b.Product), cmp.Compare(a.Action, b.Action))
	})
	return all
}

// faultJSON is a fault with its durations written as Go writes them.
type faultJSON struct {
	ID int `json:"id,omitempty"`
	Fault
	TimeLeft     string `json:"timeLeft,omitempty"`
	UserTimeLeft string `json:"userTimeLeft,omitempty"`
	Delay        string `json:"delay,omitempty"`
}

// accountJSON is an account without its secrets.
type accountJSON struct {
	ID           string         `json:"id"`
	AccessKeyIDs []string       `json:"accessKeyIds"`
	Roles        []string       `json:"roles"`
	Certificates map[string]int `json:"certificates"`
}

// AdminHandler serves the state of the cloud as JSON and changes it. It authenticates
// nobody: keep it on loopback. No answer holds a private key or a secret.
func (s *Server) AdminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /accounts", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, s.accountList()) })
	mux.HandleFunc("GET /certificates", s.adminCertificates)
	mux.HandleFunc("GET /journal", s.adminJournal)
	mux.HandleFunc("GET /counters", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, s.Counters()) })
	mux.HandleFunc("GET /faults", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, s.faultList()) })
	mux.HandleFunc("POST /faults", change(s.adminInject))
	mux.HandleFunc("DELETE /faults", func(w http.ResponseWriter, _ *http.Request) { s.ClearFaults(); writeJSON(w, s.faultList()) })
	mux.HandleFunc("POST /certificates/delete", change(s.adminDelete))
	mux.HandleFunc("POST /certificates/in-use", change(s.adminInUse))
	mux.HandleFunc("POST /access-keys", change(s.adminAccessKey))
	mux.HandleFunc("POST /policies", change(s.adminPolicy))
	mux.HandleFunc("POST /certificates/foreign", change(s.adminForeign))
	mux.HandleFunc("POST /reset", change(func(struct{}) (any, error) { s.Reset(); return struct{}{}, nil }))
	return mux
}

func writeJSON(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(value)
}

// change decodes the body and calls do with it. The content type is required so that no
// web page can send it across origins.
func change[T any](do func(T) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
			http.Error(w, "Content-Type: application/json is required", http.StatusUnsupportedMediaType)
			return
		}
		var input T
		decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&input); err != nil && !errors.Is(err, io.EOF) {
			http.Error(w, "the body is not the expected JSON: "+err.Error(), http.StatusBadRequest)
			return
		}
		output, err := do(input)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		writeJSON(w, output)
	}
}

func (s *Server) accountList() []accountJSON {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := []accountJSON{}
	for _, id := range slices.Sorted(maps.Keys(s.accounts)) {
		a := accountJSON{ID: id, AccessKeyIDs: []string{}, Roles: []string{}, Certificates: map[string]int{}}
		for _, key := range s.keys {
			if key.account.id == id && key.role == "" {
				a.AccessKeyIDs = append(a.AccessKeyIDs, key.id)
			}
		}
		for arn, role := range s.roles {
			if role.account.id == id {
				a.Roles = append(a.Roles, arn)
			}
		}
		for region, h := range s.accounts[id].shelves {
			a.Certificates[region] = len(h.records)
		}
		slices.Sort(a.AccessKeyIDs)
		slices.Sort(a.Roles)
		all = append(all, a)
	}
	return all
}

// adminCertificates lists by account and region; without them, everything.
func (s *Server) adminCertificates(w http.ResponseWriter, r *http.Request) {
	all := []Certificate{}
	for _, a := range s.accountList() {
		if id := r.FormValue("account"); id != "" && id != a.ID {
			continue
		}
		for _, region := range Regions {
			if only := r.FormValue("region"); only == "" || only == region {
				all = append(all, s.Certificates(a.ID, region)...)
			}
		}
	}
	writeJSON(w, all)
}

// adminJournal lists the calls, with ?after= only those with a higher number.
func (s *Server) adminJournal(w http.ResponseWriter, r *http.Request) {
	after, err := strconv.ParseInt(cmp.Or(r.FormValue("after"), "0"), 10, 64)
	if err != nil {
		http.Error(w, "after is not a number", http.StatusBadRequest)
		return
	}
	calls := s.Journal()
	writeJSON(w, slices.DeleteFunc(calls, func(c Call) bool { return c.Number <= after }))
}

func (s *Server) faultList() []faultJSON {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := []faultJSON{}
	for _, f := range s.faults {
		all = append(all, faultJSON{
			ID: f.id, Fault: f.Fault, Delay: positive(f.Delay), TimeLeft: positive(f.TimeLeft), UserTimeLeft: positive(f.UserTimeLeft),
		})
	}
	return all
}

// positive writes a duration, and nothing for 0.
func positive(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}

func (s *Server) adminInject(input faultJSON) (any, error) {
	f := input.Fault
	var errs [3]error
	f.TimeLeft, errs[0] = time.ParseDuration(cmp.Or(input.TimeLeft, "0"))
	f.Delay, errs[1] = time.ParseDuration(cmp.Or(input.Delay, "0"))
	f.UserTimeLeft, errs[2] = time.ParseDuration(cmp.Or(input.UserTimeLeft, "0"))
	if err := errors.Join(errs[0], errs[1], errs[2], s.validate(f)); err != nil {
		return nil, err
	}
	s.Inject(f)
	return s.faultList(), nil
}

// place names a certificate.
type place struct {
	Account string `json:"account"`
	Region  string `json:"region"`
	CertID  int64  `json:"certId"`
}

func (s *Server) adminDelete(p place) (any, error) {
	if !s.DeleteOutOfBand(p.Account, p.Region, p.CertID) {
		return nil, fmt.Errorf("no certificate %d in account %q in region %q", p.CertID, p.Account, p.Region)
	}
	return struct{}{}, nil
}

type inUseJSON struct {
	place
	Code string `json:"code"`
}

func (s *Server) adminInUse(u inUseJSON) (any, error) {
	if !s.SetInUse(u.Account, u.Region, u.CertID, u.Code) {
		return nil, fmt.Errorf("no certificate %d in account %q in region %q", u.CertID, u.Account, u.Region)
	}
	return struct{}{}, nil
}

type accessKeyJSON struct {
	AccessKeyID string `json:"accessKeyId"`
	Active      bool   `json:"active"`
}

func (s *Server) adminAccessKey(k accessKeyJSON) (any, error) {
	if !s.SetAccessKeyActive(k.AccessKeyID, k.Active) {
		return nil, errors.New("no such access key")
	}
	return struct{}{}, nil
}

type policyJSON struct {
	AccessKeyID string      `json:"accessKeyId"`
	Statements  []Statement `json:"statements"`
}

func (s *Server) adminPolicy(p policyJSON) (any, error) {
	if !s.SetPolicy(p.AccessKeyID, p.Statements) {
		return nil, errors.New("no such access key")
	}
	return struct{}{}, nil
}

type foreignJSON struct {
	Account string `json:"account"`
	Region  string `json:"region"`
	Foreign
}

func (s *Server) adminForeign(f foreignJSON) (any, error) {
	return s.AddForeign(f.Account, f.Region, f.Foreign)
}
