// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
)

func object(name, uid string) *v1alpha1.CloudCertificate {
	return &v1alpha1.CloudCertificate{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID(uid)}}
}

// TestObjectsAreThoseOfTheCache, also of an object whose deletion was not seen.
func TestObjectsAreThoseOfTheCache(t *testing.T) {
	t.Parallel()
	var told []string
	tell := func(what string, o *v1alpha1.CloudCertificate) { told = append(told, what+" "+string(o.UID)) }
	objects := NewObjects(Listener[*v1alpha1.CloudCertificate]{
		Added: func(o *v1alpha1.CloudCertificate, initial bool) {
			tell(map[bool]string{true: "found", false: "added"}[initial], o)
		},
		Updated: func(_, o *v1alpha1.CloudCertificate) { tell("updated", o) },
		Deleted: func(o *v1alpha1.CloudCertificate) { tell("deleted", o) },
	})
	handler := objects.Handler()
	handler.OnAdd(object("web", "1"), true)
	handler.OnAdd(object("api", "2"), false)
	handler.OnUpdate(object("web", "1"), object("web", "1"))
	handler.OnUpdate(object("web", "1"), object("web", "3")) // deleted and made again meanwhile
	handler.OnDelete(toolscache.DeletedFinalStateUnknown{Key: "shop/api", Obj: object("api", "2")})
	handler.OnDelete(toolscache.DeletedFinalStateUnknown{Key: "shop/x", Obj: nil})
	if diff := cmp.Diff([]string{"found 1", "added 2", "updated 1", "deleted 1", "updated 3", "deleted 2"}, told); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	if left := objects.List(); len(left) != 1 || left[0].UID != "3" {
		t.Errorf("%d objects are left: %v", len(left), left)
	}
}

func TestWhoLeads(t *testing.T) {
	t.Parallel()
	objects := NewObjects(Listener[*v1alpha1.CloudCertificate]{})
	ctx, cancel := context.WithCancel(t.Context())
	if cancel(); objects.Leads() {
		t.Error("it leads before it was elected")
	}
	if err := objects.Lead(ctx); err != nil || objects.Leads() {
		t.Errorf("it leads when its time is over: %v", err)
	}
}

// plain is a row.
type plain struct{ namespace, name, reason string }

func (p plain) GetNamespace() string { return p.namespace }
func (p plain) GetName() string      { return p.name }
func (p plain) Reason() string       { return p.reason }

func TestSeriesAreWrittenAsPrometheusReadsThem(t *testing.T) {
	t.Parallel()
	families := []Family[plain]{
		{Name: "ready", Help: "Whether.", Reason: true, Value: func(p plain) (int64, bool) { return OneIf(p.reason == "Synced"), true }},
		{Name: "since", Help: "When.", Value: func(p plain) (int64, bool) { return 7, p.reason != "Synced" }},
	}
	var got strings.Builder
	if err := Write(&got, families, []plain{{"shop", "web", "Synced"}, {"shop", "a\"\\\n", "Other"}}); err != nil {
		t.Fatal(err)
	}
	want := `# HELP ready Whether.
# TYPE ready gauge
ready{namespace="shop",name="web",reason="Synced"} 1
ready{namespace="shop",name="a\"\\\n",reason="Other"} 0
# HELP since When.
# TYPE since gauge
since{namespace="shop",name="a\"\\\n"} 7
`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("written (-want +got):\n%s", diff)
	}
}
