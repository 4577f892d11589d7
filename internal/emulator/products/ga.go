// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package products

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/cloudcert-io/cloudcert/internal/emulator"
)

// maxAcceleratorCertificates is how many additional certificates a listener of GA has (T72).
const maxAcceleratorCertificates = 25

// AcceleratorListener is an HTTPS listener of GA.
type AcceleratorListener struct {
	ID          string `json:"id"`
	Accelerator string `json:"accelerator"`
	Account     string `json:"account"`
	// Default and Domains are full identifiers, by domain.
	Default string            `json:"default"`
	Domains map[string]string `json:"domains,omitempty"`
	// HTTP listeners have no certificates.
	HTTP bool `json:"http,omitempty"`
}

type accelerated struct {
	AcceleratorListener
	shown lagging[acceleratedServed]
	after acceleratedServed
	busy  time.Time
}

// acceleratedServed is never changed.
type acceleratedServed struct {
	Default string
	Domains map[string]string
}

func (l *accelerated) settle(now time.Time) acceleratedServed {
	if !l.busy.IsZero() && !now.Before(l.busy) {
		l.shown.set(l.busy, l.after)
		l.busy = time.Time{}
	}
	return l.shown.now()
}

// ga is Global Accelerator. It has one region (T70).
func (c *Cloud) ga() *emulator.Service {
	on := func(do run, parameters ...string) emulator.ServiceAction {
		a := c.onAll("ListenerId", do, parameters...)
		a.Resource = func(call *emulator.ServiceCall) string {
			return "acs:ga:" + call.Region + ":" + call.Account + ":listener/" + cmp.Or(call.Parameters["ListenerId"], "*")
		}
		return a
	}
	return &emulator.Service{
		Name: "ga", Code: "Ga", Permission: "ga", Version: "2019-11-20", Regions: []string{emulator.RegionChina},
		Host: func(string) string { return "ga.cn-hangzhou.aliyuncs.com" },
		Actions: map[string]emulator.ServiceAction{
			"DescribeListener":         on(c.describeAccelerated, "ListenerId"),
			"ListListenerCertificates": on(c.acceleratedCertificates, "AcceleratorId", "ListenerId", "Role", "MaxResults", "NextToken"),
			"UpdateListener":           on(c.setAccelerated, "ListenerId", "Certificates.N.Id", "ClientToken"),
			"UpdateAdditionalCertificateWithListener": on(c.replaceAccelerated,
				"AcceleratorId", "ListenerId", "Domain", "CertificateId", "ClientToken", "DryRun"),
			"AssociateAdditionalCertificatesWithListener": on(c.addAccelerated,
				"AcceleratorId", "ListenerId", "Certificates.N.Id", "Certificates.N.Domain", "ClientToken"),
		},
	}
}

// acceleratedOf returns the caller's listener; c.mu is held.
func (c *Cloud) acceleratedOf(call *emulator.ServiceCall) (*accelerated, *emulator.Refusal) {
	l := c.accelerated[call.Parameters["ListenerId"]]
	named := call.Parameters["AcceleratorId"]
	if l == nil || l.Account != call.Account || named != "" && named != l.Accelerator {
		return nil, emulator.Refuse("NotExist.Listener", "The listener does not exist.")
	}
	l.settle(c.now())
	return l, nil
}

func (c *Cloud) describeAccelerated(call *emulator.ServiceCall) (map[string]any, *emulator.Refusal) {
	l, refused := c.acceleratedOf(call)
	if refused != nil {
		return nil, refused
	}
	answer := map[string]any{"ListenerId": l.ID, "AcceleratorId": l.Accelerator, "State": "active", "Protocol": "HTTPS", "Certificates": []map[string]string{}}
	if l.HTTP {
		answer["Protocol"] = "HTTP"
	}
	if !l.busy.IsZero() {
		answer["State"] = "updating"
	}
	if id := l.seen(c).Default; id != "" {
		answer["Certificates"] = []map[string]string{{"Id": id, "Type": "Server"}}
	}
	return answer, nil
}

func (l *accelerated) seen(c *Cloud) acceleratedServed {
	return l.shown.at(c.now().Add(-c.options.ReadLag))
}

func (c *Cloud) acceleratedCertificates(call *emulator.ServiceCall) (map[string]any, *emulator.Refusal) {
	l, refused := c.acceleratedOf(call)
	if refused != nil {
		return nil, refused
	}
	is := l.seen(c)
	domains := map[string]string{}
	all := []listed{}
	if role := call.Parameters["Role"]; is.Default != "" && role != "additional" {
		all = append(all, listed{id: is.Default, isDefault: true})
	}
	for _, name := range slices.Sorted(maps.Keys(is.Domains)) {
		if call.Parameters["Role"] != "default" {
			all = append(all, listed{id: is.Domains[name], status: name})
			domains[name] = is.Domains[name]
		}
	}
	page, total, next, refused := c.page(call, all, 50)
	if refused != nil {
		return nil, refused
	}
	certificates := []map[string]any{}
	for _, e := range page {
		certificates = append(certificates, map[string]any{"CertificateId": e.id, "Domain": e.status, "IsDefault": e.isDefault, "Type": "Server"})
	}
	return map[string]any{"Certificates": certificates, "TotalCount": total, "NextToken": next, "MaxResults": len(page)}, nil
}

// accelerate changes a listener through its client token. All listeners of an accelerator share
// a lock (T71); c.mu is held.
func (c *Cloud) accelerate(call *emulator.ServiceCall, change func(*accelerated) (acceleratedServed, *emulator.Refusal)) (map[string]any, *emulator.Refusal) {
	return c.once(call, "ga", func() (map[string]any, *emulator.Refusal) {
		l, refused := c.acceleratedOf(call)
		if refused != nil {
			return nil, refused
		}
		for _, other := range c.accelerated {
			if other.settle(c.now()); other.Accelerator == l.Accelerator && !other.busy.IsZero() {
				return nil, emulator.Refuse("StateError.Accelerator", "The state of the accelerator does not support the operation.")
			}
		}
		after, refused := change(l)
		if refused != nil {
			return nil, refused
		}
		if call.Parameters["DryRun"] == "true" {
			return nil, emulator.Refuse("DryRunOperation", "Request validation has been passed with DryRun flag set.")
		}
		l.busy, l.after = c.now().Add(c.options.Configuring), after
		l.settle(c.now())
		call.Committed()
		return map[string]any{"ListenerId": l.ID}, nil
	})
}

// acceleratedTakes refuses what a listener cannot have (T73).
func (c *Cloud) acceleratedTakes(l *accelerated, identifier string) *emulator.Refusal {
	certificate, ok := c.certificateOf(l.Account, identifier)
	switch {
	case l.HTTP:
		return emulator.Refuse("NotSupport.Protocol", "The protocol of the listener has no certificates.")
	case !ok:
		return &emulator.Refusal{Status: http.StatusNotFound, Code: "NotExist.Certificate", Message: "The certificate does not exist."}
	case certificate.Algorithm == "SM2":
		return emulator.Refuse("NotSupport.Certificate", "SM certificates are not supported.")
	}
	return nil
}

func (c *Cloud) setAccelerated(call *emulator.ServiceCall) (map[string]any, *emulator.Refusal) {
	return c.accelerate(call, func(l *accelerated) (acceleratedServed, *emulator.Refusal) {
		ids := call.List("Certificates", ".Id")
		if len(ids) != 1 {
			return acceleratedServed{}, emulator.Refuse("IllegalParameter.Certificates", "One certificate is the default.")
		}
		after := l.shown.now()
		after.Default = ids[0]
		return after, c.acceleratedTakes(l, ids[0])
	})
}

func (c *Cloud) replaceAccelerated(call *emulator.ServiceCall) (map[string]any, *emulator.Refusal) {
	return c.accelerate(call, func(l *accelerated) (acceleratedServed, *emulator.Refusal) {
		after, name := l.shown.now(), call.Parameters["Domain"]
		if after.Domains[name] == "" {
			return after, emulator.Refuse("NotExist.Domain", "The domain has no additional certificate.")
		}
		after.Domains = maps.Clone(after.Domains)
		after.Domains[name] = call.Parameters["CertificateId"]
		return after, c.acceleratedTakes(l, call.Parameters["CertificateId"])
	})
}

func (c *Cloud) addAccelerated(call *emulator.ServiceCall) (map[string]any, *emulator.Refusal) {
	return c.accelerate(call, func(l *accelerated) (acceleratedServed, *emulator.Refusal) {
		after := l.shown.now()
		ids, names := call.List("Certificates", ".Id"), call.List("Certificates", ".Domain")
		if len(ids) == 0 || len(ids) != len(names) || len(ids) > 10 {
			return after, emulator.Refuse("IllegalParameter.Certificates", "Between 1 and 10 certificates have a domain each.")
		}
		after.Domains = maps.Clone(after.Domains)
		if after.Domains == nil {
			after.Domains = map[string]string{}
		}
		for n, id := range ids {
			if after.Domains[names[n]] != "" {
				return after, emulator.Refuse("Exist.Domain", "The domain has an additional certificate.")
			}
			if refused := c.acceleratedTakes(l, id); refused != nil {
				return after, refused
			}
			after.Domains[names[n]] = id
		}
		if len(after.Domains) > maxAcceleratorCertificates {
			return after, emulator.Refuse("QuotaExceeded.Certificate", "The quota of additional certificates is exceeded.")
		}
		return after, nil
	})
}

// AddAcceleratorListener makes a listener of GA.
func (c *Cloud) AddAcceleratorListener(l AcceleratorListener) error {
	if !c.server.HasAccount(l.Account) {
		return errNoSuch("account", l.Account)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	made := &accelerated{AcceleratorListener: l}
	made.shown.set(c.now(), acceleratedServed{l.Default, maps.Clone(l.Domains)})
	c.accelerated[l.ID] = made
	return nil
}

// shakeAccelerated chooses by domain; c.mu is held.
func (c *Cloud) shakeAccelerated(l *accelerated, sni string) Handshake {
	is := l.settle(c.now())
	id, best := is.Default, 0
	for name, additional := range is.Domains {
		if fit := (candidate{Certificate: emulator.Certificate{CommonName: name}}).fit(sni); fit > best {
			id, best = additional, fit
		}
	}
	certificate, ok := c.certificateOf(l.Account, id)
	if !ok {
		return Handshake{}
	}
	return candidate{id, certificate}.handshake(sni)
}
