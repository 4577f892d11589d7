// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/cas"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
)

func TestARenewalNamesWhatItReplaces(t *testing.T) {
	t.Parallel()
	inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
		ids := w.versions(func(*v1alpha1.CloudCertificate) {}, 0, 1)
		first, second := fmt.Sprintf("certificate %d-%s", ids[0], cas.RegionChina), fmt.Sprintf("certificate %d-%s, which replaces %d-%s", ids[1], cas.RegionChina, ids[0], cas.RegionChina)
		if w.said("event Synced: Secret \"two-tls\" is in the cloud as "+first) != 1 || w.said("is in the cloud as "+second) == 0 {
			t.Errorf("the events do not name %s, and then %s", first, second)
		}
		if _, _, message := w.ready(t); !strings.Contains(message, second) {
			t.Errorf("Ready does not name %s: %s", second, message)
		}
	})
}
