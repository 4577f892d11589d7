// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package alibaba

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestEveryAttemptToRenewCredentialsIsObserved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var got []RefreshInfo
		caller := newTestCaller(t, Config{ObserveRefresh: func(r RefreshInfo) { got = append(got, r) }})
		end := time.Now().Add(time.Hour)
		answers := []struct {
			expires time.Time
			err     error
		}{{end, nil}, {time.Time{}, errors.New("STS is away")}, {time.Now(), nil}}
		next := 0
		p := newCachedProvider("id", realClock{}, func(context.Context) (Credentials, error) {
			answer := answers[next]
			next++
			return Credentials{AccessKeyID: "STS", Expiration: answer.expires}, answer.err
		})
		p.observe = func(expires time.Time, err error) { caller.observeRefresh(SourceRRSA, expires, err) }
		for range answers {
			_, _ = p.Retrieve(t.Context())
			synctest.Wait()
			time.Sleep(58 * time.Minute)
		}
		want := []RefreshInfo{{Source: "rrsa", Expires: end}, {Source: "rrsa", Failed: true}, {Source: "rrsa", Failed: true}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("observed (-want +got):\n%s", diff)
		}
	})
}

func TestKnownCodesAreCountedAsTheyAre(t *testing.T) {
	t.Parallel()
	own := Codes{"ThingRepeat": NameTaken, "IncorrectStatus.*": Busy, "ResourceNotFound.*": NotFound, "ResourceNotFound.Certificate": NotFound}
	for code, class := range KnownCodes(own) {
		if got := knownCode(code, own); got != code {
			t.Errorf("the known code %s of class %s is counted as %s", code, class, got)
		}
	}
	for code, want := range map[string]string{
		"IncorrectStatus.Listener":     "IncorrectStatus",
		"incorrectstatus.listener":     "IncorrectStatus",
		"ResourceNotFound.certificate": "ResourceNotFound.Certificate",
		"ResourceNotFound.Listener":    "ResourceNotFound",
		"Throttling.User":              "Throttling",
		"MadeUp.Code":                  OtherCode,
		"":                             "",
	} {
		if got := knownCode(code, own); got != want {
			t.Errorf("%q is counted as %q, want %q", code, got, want)
		}
	}
}
