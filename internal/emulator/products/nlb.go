// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package products

import (
	"maps"

	"github.com/cloudcert-io/cloudcert/internal/emulator"
)

// nlbRegions are the regions of NLB (T21).
var nlbRegions = []string{
	"cn-qingdao", "cn-beijing", "cn-zhangjiakou", "cn-wulanchabu", "cn-hangzhou", "cn-shanghai", "cn-nanjing", "cn-fuzhou",
	"cn-shenzhen", "cn-heyuan", "cn-guangzhou", "cn-chengdu", "cn-hongkong", "ap-northeast-1", "ap-northeast-2",
	"ap-southeast-1", "ap-southeast-3", "ap-southeast-5", "ap-southeast-6", "ap-southeast-7", "eu-central-1", "eu-west-1",
	"us-east-1", "us-west-1", "me-central-1",
}

var nlbDialect = dialect{product: "nlb", listenerCode: "listener", balancerCode: "loadBalancer", protocols: []string{"TCPSSL"}}

// nlb is Network Load Balancer. Its listeners are those of ALB under other names (T22).
func (c *Cloud) nlb() *emulator.Service {
	d := nlbDialect
	s := &emulator.Service{
		Name: "nlb", Code: "Nlb", Permission: "nlb", Version: "2022-04-30", Regions: nlbRegions,
		Host: func(region string) string { return "nlb." + region + ".aliyuncs.com" },
		Actions: map[string]emulator.ServiceAction{
			"GetListenerAttribute":     c.readOf("nlb", c.nlbListener, "ListenerId", "ClientToken", "DryRun"),
			"ListListenerCertificates": c.readOf("nlb", c.nlbCertificates, "ListenerId", "CertType", "MaxResults", "NextToken"),
			"GetLoadBalancerAttribute": c.readOf("nlb", c.nlbLoadBalancer, "LoadBalancerId", "ClientToken", "DryRun"),
			"GetJobStatus":             c.readOf("nlb", c.nlbJob, "JobId", "ClientToken"),

			"UpdateListenerAttribute":                        c.changeOf(d, "CertificateIds", "", c.setDefault),
			"AssociateAdditionalCertificatesWithListener":    c.changeOf(d, "AdditionalCertificateIds", "", c.associate),
			"DisassociateAdditionalCertificatesWithListener": c.changeOf(d, "AdditionalCertificateIds", "", c.dissociate),
		},
	}
	for name, action := range s.Actions {
		do := action.Run
		action.Run = func(call *emulator.ServiceCall) (map[string]any, *emulator.Refusal) { return c.inNLBsWords(do(call)) }
		s.Actions[name] = action
	}
	return s
}

// inNLBsWords adds what answers of NLB say besides: whether the call succeeded, which they may
// deny with a status of 200 (T23).
func (c *Cloud) inNLBsWords(answer map[string]any, refused *emulator.Refusal) (map[string]any, *emulator.Refusal) {
	if refused == nil {
		answer = maps.Clone(answer)
		answer["Success"], answer["HttpStatusCode"] = true, 200
		return answer, nil
	}
	if !c.options.NLBFailsWith200 {
		return nil, refused
	}
	return map[string]any{"Success": false, "Code": refused.Code, "Message": refused.Message, "HttpStatusCode": refused.Status}, nil
}

func (c *Cloud) nlbListener(call *emulator.ServiceCall) (map[string]any, *emulator.Refusal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l, refused := c.find(call, nlbDialect)
	if refused != nil {
		return nil, refused
	}
	seen := c.seen(l)
	ids := []string{}
	if seen.Default != "" {
		ids = append(ids, seen.Default)
	}
	return map[string]any{
		"ListenerId": l.ID, "LoadBalancerId": l.balancer.ID, "ListenerProtocol": l.Protocol, "ListenerPort": l.Port, "RegionId": l.Region,
		"ListenerStatus": seen.Status, "CertificateIds": ids, "CaCertificateIds": []string{},
	}, nil
}

func (c *Cloud) nlbCertificates(call *emulator.ServiceCall) (map[string]any, *emulator.Refusal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all, refused := c.listOf(call, nlbDialect, call.Parameters["CertType"])
	if refused != nil {
		return nil, refused
	}
	page, total, next, refused := c.page(call, all, 50)
	if refused != nil {
		return nil, refused
	}
	ids := []string{}
	for _, e := range page {
		ids = append(ids, e.id)
	}
	return map[string]any{"Certificates": describeAll(page), "CertificateIds": ids, "TotalCount": total, "NextToken": next, "MaxResults": len(page)}, nil
}

func (c *Cloud) nlbLoadBalancer(call *emulator.ServiceCall) (map[string]any, *emulator.Refusal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b, refused := c.balancerOf(call, nlbDialect)
	if refused != nil {
		return nil, refused
	}
	return map[string]any{"LoadBalancerId": b.ID, "LoadBalancerStatus": "Active", "RegionId": b.Region, "Tags": b.tags()}, nil
}

func (c *Cloud) nlbJob(call *emulator.ServiceCall) (map[string]any, *emulator.Refusal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	j := c.jobs[call.Parameters["JobId"]]
	if j == nil || c.listeners[j.listener] == nil || c.listeners[j.listener].Account != call.Account {
		return nil, emulator.Refuse("ResourceNotFound.job", "The specified resource job is not found.")
	}
	status := j.status(c.now())
	if status == "Processing" {
		status = "processing" // as its page writes it
	}
	return map[string]any{"Status": status}, nil
}
