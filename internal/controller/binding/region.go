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

	"golang.org/x/sync/singleflight"
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
	// asking shares one list of nodes among all who want to know at the same time.
	asking singleflight.Group
}

// askAgain is how long those who can do without the region do.
const askAgain = time.Hour

// likely returns the region; it is empty where the nodes do not say, or may not be read. Any other failure is
// one of the moment, and an error: without the region a certificate of the wrong one might be placed.
func (h *home) likely(ctx context.Context, live client.Reader, now time.Time) (string, error) {
	if h.isUnknown(now) {
		return "", nil
	}
	region, err := h.region(ctx, live)
	switch {
	case err == nil:
		return region, nil
	case targets.ClassOf(err) != targets.Refused && targets.ClassOf(err) != targets.Denied:
		return "", err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.unknownUntil = now.Add(askAgain)
	return "", nil
}

func (h *home) isUnknown(now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.known == "" && now.Before(h.unknownUntil)
}

// region returns the region that the cloud controller manager labels nodes with. One asks for all who
// want to know at the same time; nobody else waits for the answer, nor longer than its reconcile may take.
func (h *home) region(ctx context.Context, live client.Reader) (string, error) {
	if known := h.get(); known != "" {
		return known, nil
	}
	answer := h.asking.DoChan("", func() (any, error) {
		region, err := regionOfNodes(ctx, live)
		if err == nil {
			h.set(region)
		}
		return region, err
	})
	select {
	case a := <-answer:
		region, _ := a.Val.(string)
		return region, a.Err
	case <-ctx.Done():
		return "", regionError(ctx.Err())
	}
}

func (h *home) get() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.known
}

func (h *home) set(region string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.known = region
}

// manyNodes are enough to see whether all are in one region.
const manyNodes = 500

// regionOfNodes is the one region of all nodes that have one.
func regionOfNodes(ctx context.Context, live client.Reader) (string, error) {
	nodes := &metav1.PartialObjectMetadataList{}
	nodes.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("NodeList"))
	if err := live.List(ctx, nodes, client.HasLabels{corev1.LabelTopologyRegion}, client.Limit(manyNodes)); err != nil {
		return "", regionError(err)
	}
	var regions []string
	for i := range nodes.Items {
		regions = append(regions, nodes.Items[i].Labels[corev1.LabelTopologyRegion])
	}
	slices.Sort(regions)
	if regions = slices.Compact(regions); len(regions) != 1 {
		return "", noRegion(regions)
	}
	return regions[0], nil
}

func regionError(err error) error {
	return objectError("read the region from the label of a node,", client.ObjectKey{Name: corev1.LabelTopologyRegion}, err)
}

// noRegion says why it is not known where the load balancer of a Service is.
func noRegion(regions []string) error {
	const why = "the store of CLB that a Service goes by is that of the cluster's region, which nodes carry as the label " + corev1.LabelTopologyRegion
	if len(regions) == 0 {
		return &targets.Error{Class: targets.Refused, Message: why + ": no node has it; the cloud controller manager sets it"}
	}
	return &targets.Error{Class: targets.Refused, Message: fmt.Sprintf("%s: nodes are in %s; use a Service of an NLB, which needs no store", why, strings.Join(regions, ", "))}
}
