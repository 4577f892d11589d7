// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/cloudcert-io/cloudcert/internal/targets"
)

// home is the region that the cluster is in, which is where the cloud controller manager makes load
// balancers (T93). It is asked for once: a cluster does not move.
type home struct {
	mu    sync.Mutex
	known string
	// unknownUntil is when it is asked for again by those who can do without.
	unknownUntil time.Time
}

// askAgain is how long those who can do without the region do.
const askAgain = time.Hour

// likely returns the region, where it is known or can be learned; else it is empty.
func (h *home) likely(ctx context.Context, live client.Reader, now time.Time) string {
	if h.isUnknown(now) {
		return ""
	}
	region, err := h.region(ctx, live)
	if err != nil {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.unknownUntil = now.Add(askAgain)
		return ""
	}
	return region
}

func (h *home) isUnknown(now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.known == "" && now.Before(h.unknownUntil)
}

// manyNodes are enough to see whether all are in one region.
const manyNodes = 500

// region returns the region that the cloud controller manager labels nodes with.
func (h *home) region(ctx context.Context, live client.Reader) (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.known != "" {
		return h.known, nil
	}
	nodes := &metav1.PartialObjectMetadataList{}
	nodes.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("NodeList"))
	if err := live.List(ctx, nodes, client.HasLabels{corev1.LabelTopologyRegion}, client.Limit(manyNodes)); err != nil {
		return "", objectError("read the region from the label of a node,", client.ObjectKey{Name: corev1.LabelTopologyRegion}, err)
	}
	var regions []string
	for i := range nodes.Items {
		regions = append(regions, nodes.Items[i].Labels[corev1.LabelTopologyRegion])
	}
	slices.Sort(regions)
	regions = slices.Compact(regions)
	if len(regions) != 1 {
		return "", noRegion(regions)
	}
	h.known = regions[0]
	return h.known, nil
}

// noRegion says why it is not known where the load balancer of a Service is.
func noRegion(regions []string) error {
	const why = "the store of CLB that a Service goes by is that of the cluster's region, which nodes carry as the label " + corev1.LabelTopologyRegion
	if len(regions) == 0 {
		return &targets.Error{Class: targets.Refused, Message: why + ": no node has it; the cloud controller manager sets it"}
	}
	return &targets.Error{Class: targets.Refused, Message: fmt.Sprintf("%s: nodes are in %s; use a Service of an NLB, which needs no store", why, strings.Join(regions, ", "))}
}
