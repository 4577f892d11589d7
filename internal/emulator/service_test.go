// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// lamps is a service of two actions, which count what switched them on.
func lamps(on map[string]int) *Service {
	lamp := func(c *ServiceCall) string { return c.Parameters["LampId"] }
	return &Service{
		Name: "lamps", Code: "Lamps", Permission: "lamp", Version: "2030-01-01",
		Host:    func(region string) string { return "lamps." + region + ".aliyuncs.com" },
		Regions: []string{"cn-shanghai", "cn-beijing"},
		Actions: map[string]ServiceAction{
			"SwitchOn": {
				Parameters: []string{"LampId", "Colours.N.Name", "Rooms.N"}, Limit: 2, Per: time.Minute, Subject: lamp,
				Resource: func(c *ServiceCall) string { return "acs:lamp:" + c.Region + ":" + c.Account + ":lamp/" + lamp(c) },
				Run: func(c *ServiceCall) (map[string]any, *Refusal) {
					if lamp(c) == "" {
						return nil, &Refusal{Status: http.StatusNotFound, Code: "ResourceNotFound.Lamp", Message: "There is no such lamp."}
					}
					on[lamp(c)]++
					c.Committed()
					return map[string]any{"Colours": c.List("Colours", ".Name"), "Rooms": c.List("Rooms", "")}, nil
				},
			},
			"Look": {
				Parameters: []string{"LampId"}, Subject: lamp, Resource: func(*ServiceCall) string { return "*" },
				Run: func(c *ServiceCall) (map[string]any, *Refusal) { return map[string]any{"On": on[lamp(c)]}, nil },
			},
		},
	}
}

// lampClient returns a client of the service in all regions.
func lampClient(t *testing.T) (*Server, *client, *fakeClock, map[string]int) {
	t.Helper()
	on := map[string]int{}
	s, c, clock := newTestServer(t, Options{})
	c.handler, c.region = s.Serve(lamps(on), ""), "cn-shanghai"
	return s, c, clock, on
}

func lampCall(more map[string]string) map[string]string {
	p := map[string]string{"Version": "2030-01-01", "LampId": "lamp-1"}
	maps.Copy(p, more)
	return p
}

func TestAServiceIsServedBehindTheGateway(t *testing.T) {
	t.Parallel()
	s, c, _, on := lampClient(t)
	r := c.call("SwitchOn", lampCall(map[string]string{
		"Colours.1.Name": "red", "Colours.2.Name": "blue", "Rooms.1": "hall",
	}))
	if r.status != http.StatusOK || on["lamp-1"] != 1 || r.fields["RequestId"] == "" {
		t.Fatalf("status %d, %s, on %v", r.status, r.body, on)
	}
	if diff := cmp.Diff([]any{"red", "blue"}, r.fields["Colours"]); diff != "" {
		t.Error(diff)
	}
	journal := s.Journal()
	last := journal[len(journal)-1]
	if last.Product != "lamps" || last.Action != "SwitchOn" || last.Name != "lamp-1" || !last.Committed || last.Region != "cn-shanghai" {
		t.Errorf("journal: %+v", last)
	}
	counters := s.Counters()
	if len(counters) != 1 || counters[0].Product != "lamps" || counters[0].Outcomes["OK"] != 1 {
		t.Errorf("counters: %+v", counters)
	}
}

func TestAServiceRefusesWhatIsNotItsOwn(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		action string
		region string
		change map[string]string
		code   string
	}{
		"an action of CAS":                 {action: "DeleteUserCertificate", code: "InvalidAction.NotFound"},
		"the version of CAS":               {action: "Look", change: map[string]string{"Version": "2020-04-07"}, code: "InvalidVersion"},
		"a region where it is not":         {action: "Look", region: "cn-qingdao", code: "InvalidRegionId"},
		"a parameter of another action":    {action: "Look", change: map[string]string{"Rooms.1": "hall"}, code: "InvalidParameter"},
		"a list that counts from 0":        {action: "SwitchOn", change: map[string]string{"Rooms.0": "hall"}, code: "InvalidParameter"},
		"a list without a number":          {action: "SwitchOn", change: map[string]string{"Rooms": "hall"}, code: "InvalidParameter"},
		"a parameter that is misspelt":     {action: "Look", change: map[string]string{"Lampid": "lamp-1"}, code: "InvalidParameter"},
		"what it has not, with its status": {action: "SwitchOn", change: map[string]string{"LampId": ""}, code: "ResourceNotFound.Lamp"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, c, _, _ := lampClient(t)
			if test.region != "" {
				c.region = test.region
			}
			if r := c.call(test.action, lampCall(test.change)); r.code() != test.code {
				t.Errorf("status %d, code %q, want %q", r.status, r.code(), test.code)
			}
		})
	}
}

func TestAServiceHasADoorForOneRegion(t *testing.T) {
	t.Parallel()
	s, c, _, on := lampClient(t)
	c.handler = s.Serve(lamps(on), "cn-beijing")
	if r := c.call("Look", lampCall(nil)); r.code() != "InvalidRegionId" {
		t.Errorf("code %q", r.code())
	}
	c.region = "cn-beijing"
	if r := c.call("Look", lampCall(nil)); r.status != http.StatusOK {
		t.Errorf("status %d, code %q", r.status, r.code())
	}
}

func TestAServiceHasLimitsOfItsOwn(t *testing.T) {
	t.Parallel()
	_, c, clock, _ := lampClient(t)
	for range 2 {
		if r := c.call("SwitchOn", lampCall(nil)); r.status != http.StatusOK {
			t.Fatalf("status %d, code %q", r.status, r.code())
		}
		clock.advance(20 * time.Second)
	}
	if r := c.call("SwitchOn", lampCall(nil)); r.code() != "Throttling.User" {
		t.Errorf("the third of a minute: code %q", r.code())
	}
	clock.advance(20 * time.Second)
	if r := c.call("SwitchOn", lampCall(nil)); r.status != http.StatusOK {
		t.Errorf("when the first is a minute old: code %q", r.code())
	}
	for range 500 {
		if r := c.call("Look", lampCall(nil)); r.status != http.StatusOK {
			t.Fatalf("code %q", r.code())
		}
	}

}

func TestKeysThatAreSentToAServiceAreNoticed(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]map[string]string{
		"under its name":    {"SSLPri": "secret"},
		"under another one": {"LampId": "-----BEGIN EC PRIVATE KEY-----"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, c, _, _ := lampClient(t)
			c.call("Look", lampCall(change))
			journal := s.Journal()
			last := journal[len(journal)-1]
			if s.KeysSent() != 1 || !last.KeySent || last.Name != "" {
				t.Errorf("keys %d, journal %+v", s.KeysSent(), last)
			}
			c.call("Look", lampCall(nil))
			if s.KeysSent() != 1 {
				t.Errorf("keys %d", s.KeysSent())
			}
		})
	}
	s, c, _ := newTestServer(t, Options{})
	c.upload("web", issueFor("a.example"))
	if s.KeysSent() != 0 {
		t.Error("the key of an upload is none that should not travel")
	}
}

func TestFaultsStrikeTheServiceThatTheyName(t *testing.T) {
	t.Parallel()
	s, c, _, on := lampClient(t)
	s.Inject(Fault{Kind: FaultReset, Product: "lamps", Action: "SwitchOn", NameContains: "lamp-2", AfterCommit: true})
	if r := c.call("SwitchOn", lampCall(nil)); r.status != http.StatusOK {
		t.Errorf("the other lamp: status %d", r.status)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("an answer came")
			}
		}()
		c.call("SwitchOn", lampCall(map[string]string{"LampId": "lamp-2"}))
	}()
	if on["lamp-2"] != 1 {
		t.Errorf("on %v", on)
	}
}

func TestAPolicyAllowsActionsOnResources(t *testing.T) {
	t.Parallel()
	one := []string{"acs:lamp:cn-shanghai:*:lamp/lamp-1"}
	tests := map[string]struct {
		policy []Statement
		denied bool
	}{
		"nothing":                       {policy: nil, denied: true},
		"the action on the resource":    {policy: []Statement{{[]string{"lamp:SwitchOn"}, one}}},
		"the action in another case":    {policy: []Statement{{[]string{"LAMP:switchon"}, one}}},
		"all actions of the product":    {policy: []Statement{{[]string{"lamp:*"}, one}}},
		"everything":                    {policy: []Statement{{[]string{"*"}, []string{"*"}}}},
		"another action":                {policy: []Statement{{[]string{"lamp:Look"}, one}}, denied: true},
		"the action of another product": {policy: []Statement{{[]string{"fan:SwitchOn"}, one}}, denied: true},
		"the action on another lamp":    {policy: []Statement{{[]string{"lamp:SwitchOn"}, []string{"acs:lamp:*:*:lamp/lamp-2"}}}, denied: true},
		"two halves that do not meet": {policy: []Statement{
			{[]string{"lamp:SwitchOn"}, []string{"acs:lamp:*:*:lamp/lamp-2"}}, {[]string{"lamp:Look"}, one},
		}, denied: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, c, _, on := lampClient(t)
			if !s.SetPolicy(testKeyID, test.policy) {
				t.Fatal("no such key")
			}
			r := c.call("SwitchOn", lampCall(nil))
			if test.denied != (r.status == http.StatusForbidden) || test.denied != (on["lamp-1"] == 0) {
				t.Fatalf("status %d, code %q, on %v", r.status, r.code(), on)
			}
			if detail, _ := r.fields["AccessDeniedDetail"].(map[string]any); test.denied && detail["AuthAction"] != "lamp:SwitchOn" {
				t.Errorf("detail %v", detail)
			}
		})
	}
}

func TestAPolicyHoldsForCAS(t *testing.T) {
	t.Parallel()
	s, c, _ := newTestServer(t, Options{})
	s.SetPolicy(testKeyID, []Statement{{[]string{"yundun-cert:ListUserCertificateOrder"}, []string{"*"}}})
	c.list(nil)
	if r := c.call("DeleteUserCertificate", map[string]string{"CertId": "1"}); r.status != http.StatusForbidden {
		t.Errorf("status %d", r.status)
	}
	if s.SetPolicy("LTAIunknown", nil) {
		t.Error("a key that does not exist was restricted")
	}
}

func TestAGuardProtectsCertificates(t *testing.T) {
	t.Parallel()
	s, c, _ := newTestServer(t, Options{})
	kept, gone := c.upload("kept", issueFor("a.example")), c.upload("gone", issueFor("b.example"))
	s.GuardDeletions(func(account, region string, certID int64) string {
		_, ok := s.FindCertificate(account, region, certID) // a guard may look into the cloud
		if ok && certID == kept {
			return "InvalidStatus.DeleteProtection"
		}
		return ""
	})
	if r := c.call("DeleteUserCertificate", map[string]string{"CertId": formatID(kept)}); r.code() != "InvalidStatus.DeleteProtection" {
		t.Errorf("code %q", r.code())
	}
	if r := c.call("DeleteUserCertificate", map[string]string{"CertId": formatID(gone)}); r.status != http.StatusOK {
		t.Errorf("code %q", r.code())
	}
	if _, ok := s.FindCertificate(testAccount, RegionChina, gone); ok {
		t.Error("a deleted certificate is found")
	}
	if ids := slices.Collect(func(yield func(int64) bool) {
		for _, c := range s.Certificates(testAccount, RegionChina) {
			if !yield(c.CertID) {
				return
			}
		}
	}); !slices.Equal(ids, []int64{kept}) {
		t.Errorf("certificates %v", ids)
	}
}
