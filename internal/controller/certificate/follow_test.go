// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/protocol"
)

// Every step that acts is one line, or one for each certificate, for whoever asks for it.
func TestStepsCanBeFollowed(t *testing.T) {
	t.Parallel()
	for want, step := range map[string]protocol.Step{
		"Writing the finalizer\" \"on\"=true":         protocol.Hold{Want: true},
		"Learning the account":                        protocol.Learn{},
		"Reading the Secret\" \"slot\"=true":          protocol.Read{Reserve: true},
		"Starting anew":                               protocol.StartAnew{},
		"Looking the certificate up":                  protocol.LookUp{},
		"Reading the cloud's list":                    protocol.List{},
		"\"Reading the cloud's list":                  protocol.ListTogether{},
		"Adopting a certificate\" \"certId\"=7":       protocol.Adopt{Entry: protocol.Entry{CertID: 7, Name: "a_b_c"}},
		"Uploading\" \"certificate\"=\"a_b_c\"":       protocol.Upload{Name: "a_b_c"},
		"no longer wanted certificate\" \"certId\"=8": protocol.Delete{Entries: []protocol.Entry{{CertID: 8, Name: "a_b_c"}}},
		"Waiting for a slot of the account's limit":   nil,
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			for verbosity := range 2 {
				var lines []string
				logger := funcr.New(func(_, line string) { lines = append(lines, line) }, funcr.Options{Verbosity: verbosity})
				ctx := ctrl.LoggerInto(t.Context(), logger)
				if step == nil {
					followWait(ctx, &alibaba.Error{Class: alibaba.Throttled, RetryAfter: time.Second})
					followWait(ctx, &alibaba.Error{Class: alibaba.Denied})
				}
				follow(ctx, step)
				if len(lines) != verbosity || verbosity > 0 && !strings.Contains(lines[0], want) {
					t.Errorf("at verbosity %d: %q", verbosity, lines)
				}
			}
		})
	}
}

func TestTheAccountOfCredentialsIsLogged(t *testing.T) {
	t.Parallel()
	for source, level := range map[string]int{alibaba.SourceEnvironment: 0, alibaba.SourceRRSA: 0, alibaba.SourceGiven: 1} {
		for verbosity := range 2 {
			var lines []string
			logger := funcr.New(func(_, line string) { lines = append(lines, line) }, funcr.Options{Verbosity: verbosity})
			logAccount(logger, alibaba.AccountInfo{Source: source, Account: "1234567890"})
			said := len(lines) == 1 && strings.Contains(lines[0], source) && strings.Contains(lines[0], "1234567890")
			if want := level <= verbosity; said != want {
				t.Errorf("%s at verbosity %d: %q", source, verbosity, lines)
			}
		}
	}
}
