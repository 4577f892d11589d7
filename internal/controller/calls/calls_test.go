// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package calls

import (
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/cas"
)

func TestEveryFailedCallIsLogged(t *testing.T) {
	t.Parallel()
	failed := alibaba.CallInfo{
		Action: cas.ActionUpload, Region: cas.RegionChina, Outcome: "denied", Code: "NoPermission", HTTPStatus: 403,
		RequestID: "BDB8", Summary: "NoPermission: no", Duration: 20 * time.Millisecond,
	}
	with := func(change func(*alibaba.CallInfo)) alibaba.CallInfo {
		call := failed
		change(&call)
		return call
	}
	for name, tc := range map[string]struct {
		call  alibaba.CallInfo
		level int // at which it is logged; -1: not at all
	}{
		"a success":                      {alibaba.CallInfo{Action: cas.ActionUpload, Outcome: "success"}, -1},
		"a denial":                       {failed, 0},
		"no connection":                  {with(func(c *alibaba.CallInfo) { c.Outcome, c.Problem = "transient", alibaba.ProblemName }), 0},
		"a name that is taken":           {with(func(c *alibaba.CallInfo) { c.Outcome = "name_taken" }), 1},
		"a throttled call":               {with(func(c *alibaba.CallInfo) { c.Outcome = "throttled" }), 1},
		"the same failure one more time": {with(func(c *alibaba.CallInfo) { c.Repeated = true }), 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for verbosity := range 2 {
				var lines []string
				logCall(funcr.New(func(_, line string) { lines = append(lines, line) }, funcr.Options{Verbosity: verbosity}), tc.call)
				if want := tc.level >= 0 && tc.level <= verbosity; (len(lines) == 1) != want {
					t.Fatalf("at verbosity %d: %q, want a line: %t", verbosity, lines, want)
				}
				if len(lines) == 0 {
					continue
				}
				for _, want := range []string{"UploadUserCertificate", "cn-hangzhou", tc.call.Outcome, "NoPermission", "403", "BDB8", "20ms", string(tc.call.Problem)} {
					if !strings.Contains(lines[0], want) {
						t.Errorf("%s does not say %q", lines[0], want)
					}
				}
			}
		})
	}
}

// TestAFailedCallNamesItsObject: the line is found by whoever searches the log for the object.
func TestAFailedCallNamesItsObject(t *testing.T) {
	t.Parallel()
	var lines []string
	logger := funcr.New(func(name, line string) { lines = append(lines, name+" "+line) }, funcr.Options{}).WithValues("namespace", "shop", "name", "web")
	Observe(log.IntoContext(t.Context(), logger), alibaba.CallInfo{Action: cas.ActionUpload, Outcome: "denied", RequestID: "BDB8"})
	want := `cloud "level"=0 "msg"="Call to the cloud failed" "namespace"="shop" "name"="web" "action"="UploadUserCertificate"`
	if len(lines) != 1 || !strings.HasPrefix(lines[0], want) {
		t.Errorf("logged %q, want one line that begins with %s", lines, want)
	}
}
