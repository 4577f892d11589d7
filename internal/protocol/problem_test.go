// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/verdict"
)

// Every verdict has its reason, names the object, field or id that it is about, and says what
// mends it or what it waits for.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	later := at.Add(10 * time.Minute)
	const stamp = "2026-11-26T12:10:00Z"
	lost := errors.New("DeleteUserCertificate: SomeCode: it is in use")
	in := func(after time.Duration) verdict.Again { return verdict.Again{Pace: verdict.In, After: after} }
	slowly := verdict.Again{Pace: verdict.Slowly}
	for name, tc := range map[string]struct {
		err    verdict.Judge
		reason string
		ready  verdict.Ready
		stall  bool
		again  verdict.Again
		names  string // the object, field or id
		fix    string // who mends it and how, or until when it waits
	}{
		"suspended": {&SuspendedError{}, v1alpha1.ReasonSuspended, verdict.Unchanged, false, verdict.Again{}, "spec.suspend", "spec.suspend"},
		"suspended, and the Secret has changed": {
			&SuspendedError{Moved: true}, v1alpha1.ReasonSuspended, verdict.Unchanged, false, verdict.Again{}, `Secret "web-tls" has changed`, "set spec.suspend to false",
		},
		"suspended, and the Secret is gone": {
			&SuspendedError{Gone: true}, v1alpha1.ReasonSuspended, verdict.Unchanged, false, verdict.Again{}, `Secret "web-tls" is gone`, "set spec.suspend to false",
		},
		"suspended, and the object belongs elsewhere": {
			&SuspendedError{Moved: true, Region: "ap-southeast-1"}, v1alpha1.ReasonSuspended, verdict.Unchanged, false, verdict.Again{},
			`Secret "web-tls" has changed, and the region has become ap-southeast-1`, "set spec.suspend to false",
		},
		"an account that may not be used": {
			&AccountError{Account: "1234567890"}, v1alpha1.ReasonAccountNotAllowed, verdict.False, true, verdict.Again{}, `account "1234567890"`, "added to the operator's list",
		},
		"an account that nobody can tell": {
			&AccountError{Why: errors.New("GetCallerIdentity: no answer")}, v1alpha1.ReasonAccountNotAllowed, verdict.False, true, slowly, "GetCallerIdentity", "asks again after 5 minutes first, hourly at last",
		},
		"a name that is taken and not listed yet": {
			&NameTakenError{Name: "a_b_c", Since: at.Add(-time.Minute)}, v1alpha1.ReasonProgressing, verdict.Progressing, false,
			verdict.Again{Pace: verdict.About, After: time.Minute}, `"a_b_c"`, "waiting for the list",
		},
		"a name that is just taken": {
			&NameTakenError{Name: "a_b_c", Since: at}, v1alpha1.ReasonProgressing, verdict.Progressing, false,
			verdict.Again{Pace: verdict.About, After: firstLookAgain}, `"a_b_c"`, "waiting for the list",
		},
		"a name that is held by nothing": {
			&NameTakenError{Name: "a_b_c", Since: at.Add(-9 * time.Minute), Unlisted: true}, v1alpha1.ReasonProgressing, verdict.Progressing, false,
			verdict.Again{Pace: verdict.About, After: time.Minute}, `"a_b_c"`, "uploaded under another prefix after",
		},
		"a name behind entries that cannot be read": {
			&NameTakenError{Name: "a_b_c", Since: at.Add(-3 * time.Hour), Unreadable: 2}, v1alpha1.ReasonProgressing, verdict.Progressing, false,
			verdict.Again{Pace: verdict.About, After: time.Hour}, `"a_b_c"`, "until they can",
		},
		"every name is held": {
			&NameTakenError{Name: "a_b_c", Since: at.Add(-time.Hour), Exhausted: true}, v1alpha1.ReasonProgressing, verdict.Progressing, false,
			verdict.Again{Pace: verdict.About, After: time.Hour}, `"a_b_c"`, "yundun-cert:ListUserCertificateOrder",
		},
		"another certificate holds the name": {
			&NameConflictError{Name: "a_b_c", CertID: 7}, v1alpha1.ReasonNameConflict, verdict.False, true, in(time.Hour), "certificate 7", "delete it in the console, or change the Secret; it is checked hourly",
		},
		"too many versions": {
			&VersionRateError{Limit: 30, Until: later}, v1alpha1.ReasonThrottled, verdict.Unchanged, false,
			in(10*time.Minute + time.Second), "--max-versions-per-hour", "look for what rewrites the Secret",
		},
		"too many that vanished": {
			&RecreationError{CertID: 7, Count: 3, Until: later}, v1alpha1.ReasonUploadFailed, verdict.False, false,
			in(10*time.Minute + time.Second), "certificate 7", "look for what deletes them",
		},
		"a deletion that waits": {
			&SettlingError{Until: later}, v1alpha1.ReasonProgressing, verdict.False, false,
			in(10*time.Minute + 10*time.Millisecond), "being deleted", "until " + stamp,
		},
		"the current version is not listed": {
			&CurrentMissingError{CertID: 7, Name: "a_b_c"}, v1alpha1.ReasonDeletionBlocked, verdict.False, false, slowly, "a_b_c (7)", v1alpha1.AnnotationResync,
		},
		"entries that cannot be read": {
			&UnreadableError{Count: 2}, v1alpha1.ReasonDeletionBlocked, verdict.False, false, slowly, "2 entries", "look for them in the console",
		},
		"another cluster writes under this identity": {
			&SharedError{CertID: 7, Name: "a_b_c", Appeared: true}, v1alpha1.ReasonIdentityShared, verdict.False, false, slowly, "a_b_c (7)", "--cluster-id",
		},
		"a newer version of nobody knows whom": {
			&SharedError{CertID: 7, Name: "a_b_c"}, v1alpha1.ReasonDeletionBlocked, verdict.False, false, slowly, "a_b_c (7)", "until it is renewed",
		},
		"one that stays for a reason that may pass": {
			&RemainingError{Left: []Undeleted{{CertID: 7, Name: "a_b_c", Err: lost}, {CertID: 8, Name: "a_b_d", Err: &UnprovenError{Problem: "it is not listed"}}}},
			v1alpha1.ReasonDeletionBlocked, verdict.False, false, verdict.Again{Pace: verdict.Soon}, "a_b_c (7)", "it is in use",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := verdict.Of(tc.err, verdict.Subject{Now: at, Secret: "web-tls", Served: true})
			got := []any{v.Reason, v.Ready, v.Stalled, v.Again}
			if diff := cmp.Diff([]any{tc.reason, tc.ready, tc.stall, tc.again}, got); diff != "" {
				t.Error(diff)
			}
			for _, part := range []string{tc.names, tc.fix} {
				if !strings.Contains(v.Message, part) {
					t.Errorf("the message does not say %q: %s", part, v.Message)
				}
			}
		})
	}
}

// What waits for a rate leaves a certificate in use as it is, and is not Ready without one.
func TestARateIsNoReasonToDoubtWhatIsServed(t *testing.T) {
	t.Parallel()
	if v := verdict.Of(&VersionRateError{}, verdict.Subject{}); v.Ready != verdict.False {
		t.Errorf("Ready becomes %v although nothing is served", v.Ready)
	}
}
