// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package products

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cloudcert-io/cloudcert/internal/emulator"
)

// clbRegions are the regions of CLB (T40).
var clbRegions = []string{
	"cn-qingdao", "cn-beijing", "cn-zhangjiakou", "cn-huhehaote", "cn-wulanchabu", "cn-hangzhou", "cn-shanghai", "cn-nanjing",
	"cn-fuzhou", "cn-shenzhen", "cn-heyuan", "cn-guangzhou", "cn-chengdu", "cn-hongkong", "ap-northeast-1", "ap-northeast-2",
	"ap-southeast-1", "ap-southeast-2", "ap-southeast-3", "ap-southeast-5", "ap-southeast-6", "ap-southeast-7", "eu-central-1",
	"eu-west-1", "us-east-1", "us-west-1", "me-east-1", "me-central-1", "cn-hangzhou-finance", "cn-shanghai-finance-1",
	"cn-shenzhen-finance-1",
}

// maxServerCertificates is how many certificates the store of a region holds (T41).
const maxServerCertificates = 100

// storeKey is the store of one account and region.
type storeKey struct{ account, region string }

// serverCertificate is a copy in the store of CLB. What it serves is the copy: CAS is not asked
// again.
type serverCertificate struct {
	id, name string
	source   emulator.Certificate // of CAS; empty for an upload
	made     time.Time
}

func (s *serverCertificate) identifier() string {
	return fmt.Sprintf("%d-%s", s.source.CertID, s.source.Region)
}

// ClassicListener is an HTTPS listener of CLB, with its load balancer.
type ClassicListener struct {
	LoadBalancer string            `json:"loadBalancer"`
	Account      string            `json:"account"`
	Region       string            `json:"region"`
	Port         int               `json:"port"`
	Tags         map[string]string `json:"tags,omitempty"`
	// Shared instances have no domain extensions.
	Shared bool `json:"shared,omitempty"`
	// Default and Domains are full identifiers of certificates of CAS, by domain. They are
	// imported when the listener is made.
	Default string            `json:"default"`
	Domains map[string]string `json:"domains,omitempty"`
}

type classicKey struct {
	balancer string
	port     int
}

// classic is a listener of CLB as it is kept.
type classic struct {
	ClassicListener
	shown lagging[classicServed]
	busy  time.Time // until when it is configured
	after classicServed
}

// classicServed is what a listener has: ids of the store. It is never changed.
type classicServed struct {
	Default string
	Domains []extension
}

type extension struct{ id, domain, certificate string }

func (s classicServed) with(e extension) classicServed {
	s.Domains = slices.Clone(s.Domains)
	for n := range s.Domains {
		if s.Domains[n].domain == e.domain {
			s.Domains[n].certificate = e.certificate
			return s
		}
	}
	s.Domains = append(s.Domains, e)
	return s
}

func (l *classic) settle(now time.Time) classicServed {
	if !l.busy.IsZero() && !now.Before(l.busy) {
		l.shown.set(l.busy, l.after)
		l.busy = time.Time{}
	}
	return l.shown.now()
}

// clb is Classic Load Balancer. A call names its load balancer's region.
func (c *Cloud) clb() *emulator.Service {
	on := func(do run, parameters ...string) emulator.ServiceAction {
		return emulator.ServiceAction{
			Parameters: parameters, Limit: readsPerSecond, Subject: classicSubject, Resource: c.classicARN,
			Run: func(call *emulator.ServiceCall) (map[string]any, *emulator.Refusal) {
				c.mu.Lock()
				defer c.mu.Unlock()
				return do(call)
			},
		}
	}
	// Certificates have no resources of their own (T45).
	store := func(do run, parameters ...string) emulator.ServiceAction {
		a := on(do, parameters...)
		a.Resource = func(*emulator.ServiceCall) string { return "*" }
		return a
	}
	return &emulator.Service{
		Name: "clb", Code: "Slb", Permission: "slb", Version: "2014-05-15", Regions: clbRegions, Host: classicHost,
		Actions: map[string]emulator.ServiceAction{
			"UploadServerCertificate": store(c.importCertificate,
				"AliCloudCertificateId", "AliCloudCertificateName", "AliCloudCertificateRegionId", "ServerCertificateName", "ResourceGroupId"),
			"DescribeServerCertificates": store(c.serverCertificates, "ServerCertificateId"),
			"DeleteServerCertificate":    store(c.deleteServerCertificate, "ServerCertificateId"),

			"DescribeLoadBalancerAttribute":              on(c.classicBalancer, "LoadBalancerId"),
			"DescribeLoadBalancerHTTPSListenerAttribute": on(c.classicListener, "LoadBalancerId", "ListenerPort"),
			"SetLoadBalancerHTTPSListenerAttribute":      on(c.setClassicListener, "LoadBalancerId", "ListenerPort", "ServerCertificateId"),
			"DescribeDomainExtensions":                   on(c.extensions, "LoadBalancerId", "ListenerPort"),
			"CreateDomainExtension":                      on(c.createExtension, "LoadBalancerId", "ListenerPort", "Domain", "ServerCertificateId"),
			"SetDomainExtensionAttribute":                on(c.setExtension, "DomainExtensionId", "ServerCertificateId"),
		},
	}
}

// classicHost returns the endpoint of a region (T40).
func classicHost(region string) string {
	if region == "cn-hangzhou" || strings.Contains(region, "finance") {
		return "slb.aliyuncs.com"
	}
	return "slb." + region + ".aliyuncs.com"
}

func classicSubject(call *emulator.ServiceCall) string {
	p := call.Parameters
	return cmp.Or(p["LoadBalancerId"], p["DomainExtensionId"], p["ServerCertificateId"], p["AliCloudCertificateId"])
}

// classicARN is the load balancer that a call is about (T45).
func (c *Cloud) classicARN(call *emulator.ServiceCall) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	id := call.Parameters["LoadBalancerId"]
	if l, _ := c.extensionOf(call); l != nil {
		id = l.LoadBalancer
	}
	return "acs:slb:" + call.Region + ":" + call.Account + ":loadbalancer/" + cmp.Or(id, "*")
}

// importCertificate is UploadServerCertificate with a certificate of CAS. No key travels.
func (c *Cloud) importCertificate(call *emulator.ServiceCall) (map[string]any, *emulator.Refusal) {
	p := call.Parameters
	id, err := strconv.ParseInt(p["AliCloudCertificateId"], 10, 64)
	if err != nil || p["AliCloudCertificateName"] == "" {
		return nil, emulator.Refuse("InvalidParameter", "AliCloudCertificateId or AliCloudCertificateName is invalid.")
	}
	source, ok := c.server.FindCertificate(call.Account, p["AliCloudCertificateRegionId"], id)
	if !ok || source.Name != p["AliCloudCertificateName"] {
		// The parameter is misspelt by the service itself, and names the wrong one (T43).
		return nil, emulator.Refuse("MissingParameter", "The input parameter AliCouldCertificateId that is mandatory for processing this request is not supplied.")
	}
	key := storeKey{call.Account, call.Region}
	if c.options.CLBImportsOnce {
		for _, s := range c.stores[key] {
			if s.source.CertID == source.CertID && s.source.Region == source.Region {
				return c.described(s, call.Region), nil
			}
		}
	}
	if len(c.stores[key]) >= maxServerCertificates {
		return nil, emulator.Refuse("QuotaExceeded.ServerCertificate", "The quota of server certificates in the region is exceeded.")
	}
	s := c.addServerCertificate(key, source, p["ServerCertificateName"])
	call.Committed()
	return c.described(s, call.Region), nil
}

// addServerCertificate puts a copy into a store; c.mu is held.
func (c *Cloud) addServerCertificate(key storeKey, source emulator.Certificate, name string) *serverCertificate {
	s := &serverCertificate{id: c.newID(key.account), name: name, source: source, made: c.now()}
	c.stores[key] = append(c.stores[key], s)
	return s
}

func (c *Cloud) described(s *serverCertificate, region string) map[string]any {
	return map[string]any{
		"ServerCertificateId": s.id, "ServerCertificateName": s.name, "RegionId": region, "CreateTimeStamp": s.made.UnixMilli(),
		"AliCloudCertificateId": strconv.FormatInt(s.source.CertID, 10), "AliCloudCertificateName": s.source.Name, "IsAliCloudCertificate": 1,
		"Fingerprint": s.source.SHA1, "CommonName": s.source.CommonName, "ExpireTimeStamp": s.source.NotAfter.UnixMilli(),
	}
}

func (c *Cloud) serverCertificates(call *emulator.ServiceCall) (map[string]any, *emulator.Refusal) {
	all := []map[string]any{}
	for _, s := range c.stores[storeKey{call.Account, call.Region}] {
		if only := call.Parameters["ServerCertificateId"]; only == "" || only == s.id {
			all = append(all, c.described(s, call.Region))
		}
	}
	return map[string]any{"ServerCertificates": map[string]any{"ServerCertificate": all}}, nil
}

// stored returns a copy of the caller's store; c.mu is held.
func (c *Cloud) stored(call *emulator.ServiceCall) (*serverCertificate, *emulator.Refusal) {
	id := call.Parameters["ServerCertificateId"]
	for _, s := range c.stores[storeKey{call.Account, call.Region}] {
		if s.id == id {
			return s, nil
		}
	}
	if _, err := strconv.ParseInt(strings.SplitN(id, "-", 2)[0], 10, 64); err == nil && !strings.Contains(id, "emu") {
		return nil, emulator.Refuse("InvalidParameter", "ServerCertificateId is not Support.") // an id of CAS (T44)
	}
	return nil, emulator.Refuse("ServerCertificateId.NotFound", "The specified ServerCertificateId does not exist.")
}

func (c *Cloud) deleteServerCertificate(call *emulator.ServiceCall) (map[string]any, *emulator.Refusal) {
	s, refused := c.stored(call)
	if refused != nil {
		return nil, refused
	}
	for _, l := range c.classics {
		if l.Account == call.Account && l.Region == call.Region && (l.settle(c.now()).uses(s.id) || !l.busy.IsZero() && l.after.uses(s.id)) {
			return nil, emulator.Refuse("CertificateAndPrivateKeyIsRefered", "The certificate is used by a listener.")
		}
	}
	key := storeKey{call.Account, call.Region}
	c.stores[key] = slices.DeleteFunc(c.stores[key], func(other *serverCertificate) bool { return other == s })
	call.Committed()
	return map[string]any{}, nil
}

func (s classicServed) uses(id string) bool {
	return s.Default == id || slices.ContainsFunc(s.Domains, func(e extension) bool { return e.certificate == id })
}

// classicOf returns the caller's listener; c.mu is held.
func (c *Cloud) classicOf(call *emulator.ServiceCall) (*classic, *emulator.Refusal) {
	port, _ := strconv.Atoi(call.Parameters["ListenerPort"])
	l := c.classics[classicKey{call.Parameters["LoadBalancerId"], port}]
	if l == nil || l.Account != call.Account || l.Region != call.Region {
		return nil, &emulator.Refusal{Status: http.StatusNotFound, Code: "ListenerNotFound", Message: "The specified listener does not exist."}
	}
	l.settle(c.now())
	return l, nil
}

// extensionOf returns the listener whose domain extension a call names; c.mu is held.
func (c *Cloud) extensionOf(call *emulator.ServiceCall) (*classic, extension) {
	id := call.Parameters["DomainExtensionId"]
	for _, l := range c.classics {
		for _, e := range l.settle(c.now()).Domains {
			if id != "" && e.id == id && l.Account == call.Account && l.Region == call.Region {
				return l, e
			}
		}
	}
	return nil, extension{}
}

func (c *Cloud) classicBalancer(call *emulator.ServiceCall) (map[string]any, *emulator.Refusal) {
	for key, l := range c.classics {
		if key.balancer != call.Parameters["LoadBalancerId"] || l.Account != call.Account || l.Region != call.Region {
			continue
		}
		tags := []map[string]string{}
		for _, name := range slices.Sorted(maps.Keys(l.Tags)) {
			tags = append(tags, map[string]string{"TagKey": name, "TagValue": l.Tags[name]})
		}
		return map[string]any{"LoadBalancerId": l.LoadBalancer, "LoadBalancerStatus": "active", "ServiceManagedMode": "Unmanaged", "Tags": map[string]any{"Tag": tags}}, nil
	}
	return nil, &emulator.Refusal{Status: http.StatusNotFound, Code: "InvalidLoadBalancerId.NotFound", Message: "The specified LoadBalancerId does not exist."}
}

func (c *Cloud) classicListener(call *emulator.ServiceCall) (map[string]any, *emulator.Refusal) {
	l, refused := c.classicOf(call)
	if refused != nil {
		return nil, refused
	}
	status := "running"
	if !l.busy.IsZero() {
		status = "configuring"
	}
	return map[string]any{"ListenerPort": l.Port, "Status": status, "ServerCertificateId": l.seen(c).Default}, nil
}

func (l *classic) seen(c *Cloud) classicServed { return l.shown.at(c.now().Add(-c.options.ReadLag)) }

func (c *Cloud) extensions(call *emulator.ServiceCall) (map[string]any, *emulator.Refusal) {
	l, refused := c.classicOf(call)
	if refused != nil {
		return nil, refused
	}
	all := []map[string]string{}
	for _, e := range l.seen(c).Domains {
		all = append(all, map[string]string{"DomainExtensionId": e.id, "Domain": e.domain, "ServerCertificateId": e.certificate})
	}
	return map[string]any{"DomainExtensions": map[string]any{"DomainExtension": all}}, nil
}

// configure changes a listener, which takes its time; c.mu is held.
func (c *Cloud) configure(call *emulator.ServiceCall, l *classic, after classicServed) (map[string]any, *emulator.Refusal) {
	if !l.busy.IsZero() {
		return nil, emulator.Refuse("ServiceIsConfiguring", "The service is configuring.")
	}
	l.busy, l.after = c.now().Add(c.options.Configuring), after
	l.settle(c.now())
	call.Committed()
	return map[string]any{}, nil
}

func (c *Cloud) setClassicListener(call *emulator.ServiceCall) (map[string]any, *emulator.Refusal) {
	l, refused := c.classicOf(call)
	if refused != nil {
		return nil, refused
	}
	s, refused := c.stored(call)
	if refused != nil {
		return nil, refused
	}
	after := l.shown.now()
	after.Default = s.id
	return c.configure(call, l, after)
}

func (c *Cloud) createExtension(call *emulator.ServiceCall) (map[string]any, *emulator.Refusal) {
	l, refused := c.classicOf(call)
	if refused != nil {
		return nil, refused
	}
	s, refused := c.stored(call)
	if refused != nil {
		return nil, refused
	}
	domain := call.Parameters["Domain"]
	if slices.ContainsFunc(l.shown.now().Domains, func(e extension) bool { return e.domain == domain }) {
		return nil, emulator.Refuse("DomainExtensionAlreadyExist", "The domain has an extension already.")
	}
	if l.Shared {
		return nil, sharedInstance()
	}
	e := extension{c.newID("de"), domain, s.id}
	answer, refused := c.configure(call, l, l.shown.now().with(e))
	if refused == nil {
		answer["DomainExtensionId"] = e.id
	}
	return answer, refused
}

// sharedInstance refuses what instances of shared performance do not have (T42).
func sharedInstance() *emulator.Refusal {
	return emulator.Refuse("OperationUnsupported.SharedInstance", "Instances of shared performance have no domain extensions.")
}

func (c *Cloud) setExtension(call *emulator.ServiceCall) (map[string]any, *emulator.Refusal) {
	l, e := c.extensionOf(call)
	if l == nil {
		return nil, emulator.Refuse("InvalidParameter.DomainExtensionId", "The specified DomainExtensionId does not exist.")
	}
	s, refused := c.stored(call)
	if refused != nil {
		return nil, refused
	}
	if l.Shared {
		return nil, sharedInstance()
	}
	e.certificate = s.id
	return c.configure(call, l, l.shown.now().with(e))
}

// AddClassicListener makes a listener of CLB with its load balancer, and imports its
// certificates.
func (c *Cloud) AddClassicListener(l ClassicListener) error {
	if !HasRegion("clb", l.Region) || l.Region == "" {
		return errNoSuch("load balancers of clb in region", l.Region)
	}
	if !c.server.HasAccount(l.Account) {
		return errNoSuch("account", l.Account)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	made := &classic{ClassicListener: l}
	is := classicServed{}
	var err error
	if is.Default, err = c.imported(l, l.Default); err != nil {
		return err
	}
	for _, domain := range slices.Sorted(maps.Keys(l.Domains)) {
		id, err := c.imported(l, l.Domains[domain])
		if err != nil {
			return err
		}
		is.Domains = append(is.Domains, extension{c.newID("de"), domain, id})
	}
	made.shown.set(c.now(), is)
	c.classics[classicKey{l.LoadBalancer, l.Port}] = made
	return nil
}

// imported returns the id of a copy of a certificate that was in the store before; c.mu is held.
func (c *Cloud) imported(l ClassicListener, identifier string) (string, error) {
	if identifier == "" {
		return "", nil
	}
	source, ok := c.certificateOf(l.Account, identifier)
	if !ok {
		return "", errNoSuch("certificate", identifier)
	}
	return c.addServerCertificate(storeKey{l.Account, l.Region}, source, "by_hand").id, nil
}

// Stored returns the identifiers of the certificates of CAS of which CLB has copies in a
// region, one for each copy, sorted.
func (c *Cloud) Stored(account, region string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	ids := []string{}
	for _, s := range c.stores[storeKey{account, region}] {
		ids = append(ids, s.identifier())
	}
	slices.Sort(ids)
	return ids
}

// Copy is a copy of a certificate of CAS in the store of CLB.
type Copy struct {
	ID, Name string
	// CertIdentifier and CertName are those of the certificate in CAS.
	CertIdentifier, CertName string
}

// Copies returns the copies that CLB has in a region, the oldest first.
func (c *Cloud) Copies(account, region string) (copies []Copy) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.stores[storeKey{account, region}] {
		copies = append(copies, Copy{s.id, s.name, s.identifier(), s.source.Name})
	}
	return copies
}

// AddCopy imports a certificate of CAS under a name, as a person in the console does, and returns the id
// of the copy.
func (c *Cloud) AddCopy(account, region, identifier, name string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	source, ok := c.certificateOf(account, identifier)
	if !ok {
		return "", errNoSuch("certificate", identifier)
	}
	return c.addServerCertificate(storeKey{account, region}, source, name).id, nil
}

// ServedCopies returns the ids of the copies that a listener of CLB serves, by domain; that of its
// default is under the empty one. It reports whether there is such a listener.
func (c *Cloud) ServedCopies(balancer string, port int) (byDomain map[string]string, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.classics[classicKey{balancer, port}]
	if l == nil {
		return nil, false
	}
	is := l.settle(c.now())
	byDomain = map[string]string{}
	if is.Default != "" {
		byDomain[""] = is.Default
	}
	for _, e := range is.Domains {
		byDomain[e.domain] = e.certificate
	}
	return byDomain, true
}

// UseCopy sets the default of a listener of CLB to a copy of the store, as the cloud controller
// manager does by the annotation of a Service. It fails for a copy that is not there.
func (c *Cloud) UseCopy(balancer string, port int, id string) error {
	return c.UseCopyFor(balancer, port, "", id)
}

// UseCopyFor is UseCopy for a domain; the empty one is the default. A domain that has no extension
// gets one. It fails while the listener is being changed, as the console does.
func (c *Cloud) UseCopyFor(balancer string, port int, domain, id string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.classics[classicKey{balancer, port}]
	if l == nil {
		return errNoSuch("listener of clb", balancer)
	}
	if !slices.ContainsFunc(c.stores[storeKey{l.Account, l.Region}], func(s *serverCertificate) bool { return s.id == id }) {
		return errNoSuch("copy", id)
	}
	is := l.settle(c.now())
	if !l.busy.IsZero() {
		return fmt.Errorf("listener %s:%d is being changed", balancer, port)
	}
	if domain == "" {
		is.Default = id
	} else {
		is = is.with(extension{c.newID("de"), domain, id})
	}
	l.shown.set(c.now(), is)
	return nil
}

// DropCopy deletes a copy, as a person in the console does once nothing uses it.
func (c *Cloud) DropCopy(account, region, id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := storeKey{account, region}
	c.stores[key] = slices.DeleteFunc(c.stores[key], func(s *serverCertificate) bool { return s.id == id })
}

// shakeClassic chooses by the domains of the extensions; c.mu is held.
func (c *Cloud) shakeClassic(l *classic, sni string) Handshake {
	is := l.settle(c.now())
	id := is.Default
	best := 0
	for _, e := range is.Domains {
		if fit := (candidate{Certificate: emulator.Certificate{CommonName: e.domain}}).fit(sni); fit > best {
			id, best = e.certificate, fit
		}
	}
	for _, s := range c.stores[storeKey{l.Account, l.Region}] {
		if s.id == id {
			return candidate{s.identifier(), s.source}.handshake(sni)
		}
	}
	return Handshake{}
}

// usedByClassics returns the identifiers that listeners of CLB serve; c.mu is held.
func (c *Cloud) usedByClassics(account string) []string {
	var used []string
	for _, l := range c.classics {
		if l.Account != account {
			continue
		}
		for _, s := range c.stores[storeKey{account, l.Region}] {
			if l.settle(c.now()).uses(s.id) {
				used = append(used, s.identifier())
			}
		}
	}
	return used
}
