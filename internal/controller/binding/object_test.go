// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"errors"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/cloudcert-io/cloudcert/internal/targets"
)

func TestWhatTheAPIServerRefusesHasItsClass(t *testing.T) {
	t.Parallel()
	services := schema.GroupResource{Resource: "services"}
	for name, tc := range map[string]struct {
		err  error
		want targets.Class
	}{
		"a change in between is under way": {apierrors.NewConflict(services, "gateway", errors.New("changed")), targets.Progressing},
		"it does not exist":                {apierrors.NewNotFound(services, "gateway"), targets.TargetNotFound},
		"a role is missing":                {apierrors.NewForbidden(services, "gateway", errors.New("no")), targets.Denied},
		"it is refused as it is":           {apierrors.NewInvalid(schema.GroupKind{Kind: "Service"}, "gateway", nil), targets.Refused},
		"there is no such kind":            {&meta.NoKindMatchError{GroupKind: albConfigKind.GroupKind()}, targets.TargetNotFound},
		"a test of a patch failed":         {apierrors.NewGenericServerResponse(422, "", schema.GroupResource{}, "", "", 0, false), targets.Progressing},
		"anything else passes":             {apierrors.NewInternalError(errors.New("etcd")), targets.Transient},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, ok := errors.AsType[*targets.Error](objectError("write Service", client.ObjectKey{Name: "gateway"}, tc.err))
			if !ok || e.Class != tc.want || e.Message == "" || e.Class == targets.Progressing && e.RetryAfter <= 0 {
				t.Errorf("%+v", e)
			}
		})
	}
}
