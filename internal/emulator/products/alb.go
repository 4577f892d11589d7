// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package products

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/cloudcert-io/cloudcert/internal/emulator"
)

// albRegions are the regions of ALB (T20).
var albRegions = []string{
	"cn-qingdao", "cn-beijing", "cn-zhangjiakou", "cn-wulanchabu", "cn-hangzhou", "cn-shanghai", "cn-nanjing", "cn-fuzhou",
	"cn-shenzhen", "cn-heyuan", "cn-guangzhou", "cn-chengdu", "cn-hongkong", "ap-northeast-1", "ap-northeast-2",
	"ap-southeast-1", "ap-southeast-2", "ap-southeast-3", "ap-southeast-5", "ap-southeast-6", "ap-southeast-7",
	"ap-south-1", "eu-central-1", "eu-west-1", "us-east-1", "us-west-1", "me-central-1",
}

// The documented limit of changes is 200 in a minute (T10). Those of reads are not known.
const (
	changesPerMinute = 200
	readsPerSecond   = 1
)

var albDialect = dialect{product: "alb", listenerCode: "Listener", balancerCode: "LoadBalancer", protocols: []string{"HTTPS", "QUIC"}}

// run carries out a call.
type run = func(*emulator.ServiceCall) (map[string]any, *emulator.Refusal)

// readOf describes a call that reads.
func (c *Cloud) readOf(product string, do run, parameters ...string) emulator.ServiceAction {
	return emulator.ServiceAction{
		Parameters: parameters, Limit: readsPerSecond, Subject: listenerOrBalancer, Resource: c.balancerARN(product), Run: do,
	}
}

// changeOf describes a call that changes a listener by the certificates of a list.
func (c *Cloud) changeOf(d dialect, name, suffix string, prepare func(*listener, []string) (during, after served, refused *emulator.Refusal)) emulator.ServiceAction {
	return emulator.ServiceAction{
		Parameters: []string{name + ".N" + suffix, "ListenerId", "ClientToken", "DryRun"}, Limit: changesPerMinute, Per: time.Minute,
		Subject: listenerOrBalancer, Resource: c.balancerARN(d.product),
		Run: func(call *emulator.ServiceCall) (map[string]any, *emulator.Refusal) {
			return c.change(call, d, func(l *listener) (during, after served, refused *emulator.Refusal) {
				return prepare(l, call.List(name, suffix))
			})
		},
	}
}

// alb is Application Load Balancer. The other parameters of UpdateListenerAttribute are never
// needed, and a mistake if they come.
func (c *Cloud) alb() *emulator.Service {
	d := albDialect
	return &emulator.Service{
		Name: "alb", Code: "Alb", Permission: "alb", Version: "2020-06-16", Regions: albRegions,
		Host: func(region string) string { return "alb." + region + ".aliyuncs.com" },
		Actions: map[string]emulator.ServiceAction{
			"GetListenerAttribute":     c.readOf("alb", c.albListener, "ListenerId"),
			"ListListenerCertificates": c.readOf("alb", c.albCertificates, "ListenerId", "CertificateType", "CertificateIds.N", "MaxResults", "NextToken"),
			"GetLoadBalancerAttribute": c.readOf("alb", c.albLoadBalancer, "LoadBalancerId"),
			"ListAsynJobs":             c.readOf("alb", c.albJobs, "JobIds.N", "ResourceIds.N", "ResourceType", "ApiName", "BeginTime", "EndTime", "MaxResults", "NextToken"),

			"UpdateListenerAttribute":                      c.changeOf(d, "Certificates", ".CertificateId", c.setDefault),
			"AssociateAdditionalCertificatesWithListener":  c.changeOf(d, "Certificates", ".CertificateId", c.associate),
			"DissociateAdditionalCertificatesFromListener": c.changeOf(d, "Certificates", ".CertificateId", c.dissociate),
		},
	}
}

func listenerOrBalancer(call *emulator.ServiceCall) string {
	return cmp.Or(call.Parameters["ListenerId"], call.Parameters["LoadBalancerId"])
}

// balancerARN returns the ARN of the load balancer that a call is about: permissions are
// granted on that, not on listeners (T17).
func (c *Cloud) balancerARN(product string) func(*emulator.ServiceCall) string {
	return func(call *emulator.ServiceCall) string {
		c.mu.Lock()
		defer c.mu.Unlock()
		id := call.Parameters["LoadBalancerId"]
		if l := c.listeners[call.Parameters["ListenerId"]]; l != nil {
			id = l.balancer.ID
		}
		return "acs:" + product + ":" + call.Region + ":" + call.Account + ":loadbalancer/" + cmp.Or(id, "*")
	}
}

func (c *Cloud) albListener(call *emulator.ServiceCall) (map[string]any, *emulator.Refusal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l, refused := c.find(call, albDialect)
	if refused != nil {
		return nil, refused
	}
	seen := c.seen(l)
	answer := map[string]any{
		"ListenerId": l.ID, "LoadBalancerId": l.balancer.ID, "ListenerProtocol": l.Protocol, "ListenerPort": l.Port,
		"ListenerStatus": seen.Status, "Certificates": []map[string]any{}, "CaCertificates": []map[string]any{},
		"ServiceManagedEnabled": l.balancer.ServiceManaged, "ServiceManagedMode": managedMode(l.balancer),
	}
	if seen.Default != "" {
		answer["Certificates"] = []map[string]any{{"CertificateId": seen.Default}}
	}
	return answer, nil
}

func managedMode(b *loadBalancer) string {
	if b.ServiceManaged {
		return "Managed"
	}
	return "Unmanaged"
}

// listed is an entry of a list of certificates.
type listed struct {
	id, status string
	isDefault  bool
}

func (s served) list() []listed {
	var all []listed
	if s.Default != "" {
		all = append(all, listed{s.Default, associated, true})
	}
	for _, a := range s.Additional {
		all = append(all, listed{a.ID, a.Status, false})
	}
	return all
}

// page returns a page of a listener's certificates with the token of the next one. Tokens are
// places in the list: of one that changes meanwhile, entries come twice or never.
func (c *Cloud) page(call *emulator.ServiceCall, all []listed, most int) (page []listed, total int, next string, refused *emulator.Refusal) {
	size, err := strconv.Atoi(cmp.Or(call.Parameters["MaxResults"], "20"))
	if err != nil || size < 1 || size > most {
		return nil, 0, "", emulator.Refuse("IllegalParam.MaxResults", "The param of MaxResults is illegal.")
	}
	start, err := strconv.Atoi(cmp.Or(call.Parameters["NextToken"], "0"))
	if err != nil || start < 0 {
		return nil, 0, "", emulator.Refuse("IllegalParam.NextToken", "The param of NextToken is illegal.")
	}
	total = len(all)
	if c.options.DefaultNotCounted {
		total = len(slices.DeleteFunc(slices.Clone(all), func(e listed) bool { return e.isDefault }))
	}
	start = min(start, len(all))
	end := min(start+size, len(all))
	if end < len(all) {
		next = strconv.Itoa(end)
	}
	page = all[start:end]
	if f, ok := call.Fault(emulator.FaultShortPage); ok {
		page = page[:max(0, len(page)-cmp.Or(f.Size, 1))]
	}
	if f, ok := call.Fault(emulator.FaultTotalCount); ok {
		total = max(0, total+cmp.Or(f.Size, -1))
	}
	return page, total, next, nil
}

// listOf returns the certificates of the caller's listener, if servers' are asked for; c.mu is
// held.
func (c *Cloud) listOf(call *emulator.ServiceCall, d dialect, kind string) ([]listed, *emulator.Refusal) {
	l, refused := c.find(call, d)
	if refused != nil || cmp.Or(kind, "Server") != "Server" {
		return nil, refused
	}
	return c.seen(l).list(), nil
}

func (c *Cloud) albCertificates(call *emulator.ServiceCall) (map[string]any, *emulator.Refusal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all, refused := c.listOf(call, albDialect, call.Parameters["CertificateType"])
	if refused != nil {
		return nil, refused
	}
	if only := call.List("CertificateIds", ""); len(only) > 0 {
		all = slices.DeleteFunc(all, func(e listed) bool { return !slices.Contains(only, e.id) })
	}
	page, total, next, refused := c.page(call, all, 100)
	if refused != nil {
		return nil, refused
	}
	return map[string]any{"Certificates": describeAll(page), "TotalCount": total, "NextToken": next, "MaxResults": len(page)}, nil
}

func describeAll(page []listed) []map[string]any {
	certificates := []map[string]any{}
	for _, e := range page {
		certificates = append(certificates, map[string]any{
			"CertificateId": e.id, "IsDefault": e.isDefault, "Status": e.status, "CertificateType": "Server",
		})
	}
	return certificates
}

// balancerOf returns the caller's load balancer; c.mu is held.
func (c *Cloud) balancerOf(call *emulator.ServiceCall, d dialect) (*loadBalancer, *emulator.Refusal) {
	b := c.loadBalancers[call.Parameters["LoadBalancerId"]]
	if b == nil || b.Account != call.Account || b.Region != call.Region || b.Product != d.product {
		return nil, &emulator.Refusal{Status: http.StatusNotFound, Code: "ResourceNotFound." + d.balancerCode, Message: "The specified resource " + d.balancerCode + " is not found."}
	}
	return b, nil
}

func (c *Cloud) albLoadBalancer(call *emulator.ServiceCall) (map[string]any, *emulator.Refusal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b, refused := c.balancerOf(call, albDialect)
	if refused != nil {
		return nil, refused
	}
	return map[string]any{
		"LoadBalancerId": b.ID, "LoadBalancerEdition": b.Edition, "LoadBalancerStatus": "Active", "Tags": b.tags(),
		"ServiceManagedEnabled": b.ServiceManaged, "ServiceManagedMode": managedMode(b),
	}, nil
}

func (b *loadBalancer) tags() []map[string]string {
	tags := []map[string]string{}
	for key, value := range b.Tags {
		tags = append(tags, map[string]string{"Key": key, "Value": value})
	}
	slices.SortFunc(tags, func(x, y map[string]string) int { return cmp.Compare(x["Key"], y["Key"]) })
	return tags
}

// albJobs is ListAsynJobs. It knows the ids of jobs and of listeners.
func (c *Cloud) albJobs(call *emulator.ServiceCall) (map[string]any, *emulator.Refusal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	jobs := []map[string]any{}
	ids, resources := call.List("JobIds", ""), call.List("ResourceIds", "")
	for _, j := range c.jobs {
		l := c.listeners[j.listener]
		if l == nil || l.Account != call.Account || len(ids) > 0 && !slices.Contains(ids, j.id) || len(resources) > 0 && !slices.Contains(resources, j.listener) {
			continue
		}
		entry := map[string]any{"Id": j.id, "Status": j.status(c.now()), "ResourceId": j.listener, "ResourceType": "listener", "ApiName": j.action}
		if entry["Status"] == "Failed" {
			entry["ErrorCode"], entry["ErrorMessage"] = "InternalError", "The job has failed."
		}
		jobs = append(jobs, entry)
	}
	slices.SortFunc(jobs, func(x, y map[string]any) int { return cmp.Compare(x["Id"].(string), y["Id"].(string)) })
	return map[string]any{"Jobs": jobs, "TotalCount": len(jobs), "NextToken": ""}, nil
}
