// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cloudcert-io/cloudcert/internal/bundle/bundletest"
)

var update = flag.Bool("update", false, "write the table of docs/certificates.md anew")

func TestEveryRowOfTheTable(t *testing.T) {
	t.Parallel()
	for _, s := range at.Table() {
		for _, r := range s.Rows {
			t.Run(s.Title+": "+r.Shape, func(t *testing.T) {
				t.Parallel()
				got, message := judge(t, r)
				if got != r.Want {
					t.Fatalf("%s, want %s: %s", got, r.Want, message)
				}
			})
		}
	}
}

// optionsOf are those of a row's CloudCertificate.
func optionsOf(r bundletest.Row) Options {
	o := Options{Type: TLS, Keys: Keys{Certificate: r.Keys.Certificate, PrivateKey: r.Keys.PrivateKey}, Now: testNow}
	if r.SM {
		o.Type = SM
	}
	return o
}

// judge loads a row and holds its outcome against what is true of every outcome.
func judge(t *testing.T, r bundletest.Row) (_ bundletest.Verdict, message string) {
	t.Helper()
	secret := secretOf(r.Data(t))
	defer func() {
		if found := leak(message, secret.Data); found != "" {
			t.Errorf("the message repeats %q of the Secret", found)
		}
	}()
	b, err := Load(secret, optionsOf(r))
	if err != nil {
		e, ok := errors.AsType[*Error](err)
		if !ok || b != nil {
			t.Fatalf("%s: got a bundle (%t) and an error of type %T", r.Shape, b != nil, err)
		}
		if e.Fix == "" || len(e.Error()) > 900 || !strings.HasPrefix(e.Error(), `Secret "web-tls": `) {
			t.Errorf("the message has no fix, is too long for an event, or does not name the Secret: %s", e)
		}
		message = strings.TrimPrefix(e.Error(), `Secret "web-tls": `)
		switch {
		case e.Kind == KindMissing:
			return bundletest.Missing, message
		case e.Kind == KindPending:
			return bundletest.Pending, message
		case !e.Deadline.IsZero():
			return bundletest.Early, message
		}
		return bundletest.Refused, message
	}
	if len(b.Warnings) == 0 {
		return bundletest.Accepted, r.Note
	}
	var messages []string
	for _, w := range b.Warnings {
		messages = append(messages, fmt.Sprintf("`%s`: %s", w.Reason, w.Message))
	}
	return bundletest.Warned, strings.Join(messages, "<br>")
}

const (
	docs      = "../../docs/certificates.md"
	docsBegin = "<!-- table: written by go test ./internal/bundle -run TestDocs -update -->\n"
	docsEnd   = "<!-- end of table -->\n"
)

// TestDocs holds the table that users read against the code.
func TestDocs(t *testing.T) {
	t.Parallel()
	var table strings.Builder
	for _, s := range at.Table() {
		fmt.Fprintf(&table, "\n### %s\n\n| the Secret holds | verdict | message, or what is uploaded |\n|---|---|---|\n", s.Title)
		for _, r := range s.Rows {
			got, message := judge(t, r)
			fmt.Fprintf(&table, "| %s | %s | %s |\n", r.Shape, got, message)
		}
	}
	table.WriteString("\n")
	page, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, okBegin := strings.Cut(string(page), docsBegin)
	old, after, okEnd := strings.Cut(rest, docsEnd)
	if !okBegin || !okEnd {
		t.Fatalf("%s lacks the marks of the table", docs)
	}
	if *update {
		if err := os.WriteFile(docs, []byte(before+docsBegin+table.String()+docsEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(old, table.String()); diff != "" {
		t.Errorf("%s is not what the code does (-page +code); run this test with -update:\n%s", docs, diff)
	}
}
