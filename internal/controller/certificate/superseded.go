// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"context"
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/protocol"
)

// supersededFor is how long a count of superseded versions holds. Where an account is full many
// objects ask for it, and each reads all statuses.
const supersededFor = 10 * time.Minute

// superseded counts the superseded versions in the cloud, as statuses do.
type superseded struct {
	mu      sync.Mutex
	counted time.Time
	known   map[protocol.Place]int
}

// in returns how many there are in an account and region; 0 where the statuses cannot be read.
func (s *superseded) in(ctx context.Context, reader client.Reader, place protocol.Place, now time.Time) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known != nil && now.Sub(s.counted) < supersededFor {
		return s.known[place]
	}
	list := &v1alpha1.CloudCertificateList{}
	if err := reader.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
		return 0
	}
	s.known, s.counted = map[protocol.Place]int{}, now
	for i := range list.Items {
		s.known[placeOf(&list.Items[i])] += int(list.Items[i].Status.HistoryTotal)
	}
	return s.known[place]
}
