// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"io"
	"net/http"
	"testing"

	"github.com/cloudcert-io/cloudcert/internal/emulator"
	"github.com/cloudcert-io/cloudcert/test/testbed"
)

// TestProfiles asks the operator for the profiles that docs/operations.md names.
func TestProfiles(t *testing.T) {
	t.Parallel()
	address, err := testbed.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, emulator.Options{}, "--pprof-bind-address="+address)
	w.start()
	for _, path := range []string{"heap", "profile?seconds=1", "goroutine?debug=2"} {
		answer, err := http.Get("http://" + address + "/debug/pprof/" + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if err != nil || answer.StatusCode != http.StatusOK || len(body) < 100 {
			t.Errorf("%s: status %d, %d bytes, %v", path, answer.StatusCode, len(body), err)
		}
	}
}
