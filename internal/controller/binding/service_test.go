// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/cloudcert-io/cloudcert/internal/targets"
)

func TestServicesWhoseAnnotationMeansNothing(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		spec        corev1.ServiceSpec
		annotations map[string]string
		want        string
	}{
		"a CLB":                       {corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer}, nil, ""},
		"an NLB":                      {corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, LoadBalancerClass: new(classNLB)}, nil, ""},
		"an NLB whatever it asks for": {corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, LoadBalancerClass: new(classNLB)}, map[string]string{annotationType: "nlb"}, ""},
		"no load balancer":            {corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP}, nil, "spec.type"},
		"somebody else's":             {corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, LoadBalancerClass: new("example.com/lb")}, nil, "example.com/lb"},
		"an NLB by annotation, which not every controller takes": {
			corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer}, map[string]string{annotationType: "nlb"}, annotationType,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := unusable(&corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "gateway", Annotations: tc.annotations}, Spec: tc.spec})
			if (got == "") != (tc.want == "") || !strings.Contains(got, tc.want) || got != "" && !strings.Contains(got, `"gateway"`) {
				t.Errorf("%q does not say %q", got, tc.want)
			}
		})
	}
}

func TestClusterIsInTheRegionOfItsNodes(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		regions []string
		want    string
	}{
		"all nodes are in one":             {[]string{"cn-shanghai", "cn-shanghai"}, "cn-shanghai"},
		"a node that says nothing is none": {[]string{"", "cn-shanghai"}, "cn-shanghai"},
		"no node says":                     {[]string{""}, ""},
		"nodes are in several":             {[]string{"cn-shanghai", "cn-beijing"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var nodes []client.Object
			for i, region := range tc.regions {
				node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("node-%d", i)}}
				if region != "" {
					node.Labels = map[string]string{corev1.LabelTopologyRegion: region}
				}
				nodes = append(nodes, node)
			}
			live := fake.NewClientBuilder().WithObjects(nodes...).Build()
			h := &home{}
			for range 2 {
				got, err := h.region(t.Context(), live)
				if got != tc.want || (err == nil) != (tc.want != "") {
					t.Fatalf("region %q and %v, want %q", got, err, tc.want)
				}
				if e, ok := err.(*targets.Error); err != nil && (!ok || e.Class != targets.Refused) { //nolint:errorlint // it must be one itself
					t.Errorf("%v is not refused", err)
				}
			}
		})
	}
}

// TestWhoCanDoWithoutTheRegionAsksHourly: clusters without the label, and roles without the right, cost no
// list of nodes at each reading.
func TestWhoCanDoWithoutTheRegionAsksHourly(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		labels map[string]string
		fails  error
		want   string
		lists  int // at once, before the hour is over, and after it
	}{
		"a node says":   {map[string]string{corev1.LabelTopologyRegion: "cn-shanghai"}, nil, "cn-shanghai", 1},
		"no node says":  {nil, nil, "", 2},
		"it is denied":  {map[string]string{corev1.LabelTopologyRegion: "cn-shanghai"}, apierrors.NewForbidden(schema.GroupResource{Resource: "nodes"}, "", nil), "", 2},
		"no answer yet": {map[string]string{corev1.LabelTopologyRegion: "cn-shanghai"}, context.DeadlineExceeded, "", 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lists := 0
			node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-1", Labels: tc.labels}}
			live := fake.NewClientBuilder().WithObjects(node).WithInterceptorFuncs(interceptor.Funcs{
				List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
					if lists++; tc.fails != nil {
						return tc.fails
					}
					return c.List(ctx, list, options...)
				},
			}).Build()
			h, now := &home{}, time.Now()
			for _, after := range []time.Duration{0, askAgain - 1, askAgain} {
				got, err := h.likely(t.Context(), live, now.Add(after))
				if doesWithout := tc.lists < 3; got != tc.want || (err == nil) != doesWithout {
					t.Errorf("after %s the region is %q and %v, want %q, and that a binding goes on: %t", after, got, err, tc.want, doesWithout)
				}
			}
			if lists != tc.lists {
				t.Errorf("nodes were listed %d times, want %d", lists, tc.lists)
			}
		})
	}
}

// TestOneAsksForTheRegionOfTheClusterForAll: a list that hangs holds up nobody for longer than their own time, and
// is not sent again by each who waits.
func TestOneAsksForTheRegionOfTheClusterForAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var lists atomic.Int32
		live := fake.NewClientBuilder().WithInterceptorFuncs(interceptor.Funcs{
			List: func(ctx context.Context, _ client.WithWatch, _ client.ObjectList, _ ...client.ListOption) error {
				lists.Add(1)
				<-ctx.Done()
				return ctx.Err()
			},
		}).Build()
		h, began := &home{}, time.Now()
		var all sync.WaitGroup
		for i := range 5 {
			all.Go(func() {
				time.Sleep(time.Duration(i) * time.Millisecond) // the first asks
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(10-i)*time.Second)
				defer cancel()
				if region, err := h.region(ctx, live); region != "" || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("region %q and %v", region, err)
				}
				if took, most := time.Since(began), time.Duration(10-i)*time.Second+time.Duration(i)*time.Millisecond; took != most {
					t.Errorf("number %d has waited for %s, want %s", i, took, most)
				}
			})
		}
		synctest.Wait()
		if h.isUnknown(began) {
			t.Error("while one asks the region counts as unknown")
		}
		all.Wait()
		if n := lists.Load(); n != 1 {
			t.Errorf("nodes were listed %d times, want once for all", n)
		}
	})
}

// TestAnObjectTakesWhatItsLoadBalancerTakes: certificates of one region of CAS, and SM ones or none.
func TestAnObjectTakesWhatItsLoadBalancerTakes(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		place      targets.Product
		configures targets.Target
		region     string
		takesSM    bool
	}{
		"an NLB in mainland China":        {targets.Service, targets.Target{Product: targets.NLB, Region: "cn-shanghai"}, "cn-hangzhou", true},
		"an NLB elsewhere":                {targets.Service, targets.Target{Product: targets.NLB, Region: "eu-central-1"}, "ap-southeast-1", true},
		"an NLB in Hong Kong":             {targets.Service, targets.Target{Product: targets.NLB, Region: "cn-hongkong"}, "", true},
		"an NLB of another cloud's nodes": {targets.Service, targets.Target{Product: targets.NLB, Region: "europe-west4"}, "", true},
		"an ALB of another cloud's nodes": {targets.ALBConfig, targets.Target{Product: targets.ALB, Region: "westeurope"}, "", true},
		"an NLB of which it is not known": {targets.Service, targets.Target{Product: targets.NLB}, "", true},
		"a CLB":                           {targets.Service, targets.Target{Product: targets.CLB, Region: "cn-shanghai"}, "", false},
		"an ALB":                          {targets.ALBConfig, targets.Target{Product: targets.ALB, Region: "eu-central-1"}, "ap-southeast-1", true},
		"an object that was not read":     {targets.Service, targets.Target{}, "", true},
		"a ConfigMap":                     {targets.ConfigMap, targets.Target{}, "", true},
		"a product that takes no SM":      {targets.CDN, targets.Target{}, "", false},
	} {
		got := place{Target: targets.Target{Product: tc.place}}.rules(&targets.State{Configures: tc.configures})
		if got.Region != tc.region || got.TakesSM != tc.takesSM {
			t.Errorf("%s takes certificates of %q, SM: %t; want %q, %t", name, got.Region, got.TakesSM, tc.region, tc.takesSM)
		}
	}
}

// TestServiceThatHasChangedSinceItWasRead keeps what somebody has written in between, whatever that
// is.
func TestServiceThatHasChangedSinceItWasRead(t *testing.T) {
	t.Parallel()
	object := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "gateway"},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, LoadBalancerClass: new(classNLB)},
	}
	kube := fake.NewClientBuilder().WithObjects(object).Build()
	adapter := service{live: kube, writer: kube, region: func(context.Context) (string, error) { return "", nil }}
	at := targets.Target{Product: targets.Service, Resource: "shop/gateway"}
	placement := targets.Placement{Certificate: targets.Certificate{CertID: 7, Region: "cn-hangzhou"}}
	annotated := func() string {
		t.Helper()
		if err := kube.Get(t.Context(), client.ObjectKeyFromObject(object), object); err != nil {
			t.Fatal(err)
		}
		return object.Annotations[annotationCertID]
	}
	before, err := adapter.Read(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	annotated()
	object.Annotations = map[string]string{annotationCertID: "8-cn-hangzhou"}
	if err := kube.Update(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"placing": adapter.Place(t.Context(), at, before, placement), "removing": adapter.Remove(t.Context(), at, before, targets.Removal{Entries: []targets.Entry{{}}}),
	} {
		if e, ok := err.(*targets.Error); !ok || e.Class != targets.Progressing { //nolint:errorlint // it must be one itself
			t.Errorf("%s over a change is answered %v", name, err)
		}
	}
	if got := annotated(); got != "8-cn-hangzhou" {
		t.Errorf("the annotation is %q: what somebody wrote was overwritten", got)
	}
	after, err := adapter.Read(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	if err := adapter.Place(t.Context(), at, after, placement); err != nil {
		t.Fatal(err)
	}
	if got := annotated(); got != "7-cn-hangzhou" {
		t.Errorf("the annotation is %q", got)
	}
}
