// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/cloudcert-io/cloudcert/internal/targets"
)

// configMap is the adapter of two keys of a ConfigMap. It reads live: no ConfigMap is cached.
type configMap struct {
	live   client.Reader
	writer client.Writer
	// owner names the binding in the managed fields: another binding of the same ConfigMap must
	// not take its keys away.
	owner client.FieldOwner
}

// maxOwner is how long the name of a field manager may be.
const maxOwner = 128

// ownerOf is the field manager of a binding: the same after it was deleted and made again.
func ownerOf(name string) client.FieldOwner {
	owner := "cloudcert-binding/" + name
	if len(owner) > maxOwner {
		sum := strconv.FormatUint(hashOf(name), 36)
		owner = owner[:maxOwner-len(sum)-1] + "-" + sum
	}
	return client.FieldOwner(owner)
}

// Read implements targets.Adapter.
func (c configMap) Read(ctx context.Context, t targets.Target) (targets.State, error) {
	object := &corev1.ConfigMap{}
	err := c.live.Get(ctx, objectKey(t), object)
	if apierrors.IsNotFound(err) {
		return targets.State{}, nil // it is made
	}
	if err != nil {
		return targets.State{}, objectError("read ConfigMap", objectKey(t), err)
	}
	id, identifier, _ := strings.Cut(t.Part, ",")
	state := targets.State{Revision: object.ResourceVersion, Kept: object.UID}
	if object.Data[id] != "" || object.Data[identifier] != "" {
		state.Entries = []targets.Entry{entryOf(id, object.Data[id], identifier, object.Data[identifier])}
	}
	return state, nil
}

// entryOf is what two keys hold. Values that do not belong together are nobody's certificate.
func entryOf(idKey, id, identifierKey, identifier string) targets.Entry {
	e := targets.Entry{Role: targets.RoleDefault, Status: targets.StatusServing}
	certID, region, ok := targets.ParseIdentifier(identifier)
	if !ok || id != strconv.FormatInt(certID, 10) {
		e.ProviderID = fmt.Sprintf("%s=%q with %s=%q", idKey, short(id), identifierKey, short(identifier))
		return e
	}
	e.CertIdentifier, e.CertID, e.Region = identifier, certID, region
	return e
}

// Owner implements targets.Adapter: nobody else knows what the keys are for.
func (configMap) Owner(context.Context, targets.Target, targets.State) (targets.Owner, error) {
	return targets.Owner{}, nil
}

// Place implements targets.Adapter.
func (c configMap) Place(ctx context.Context, t targets.Target, s targets.State, p targets.Placement) error {
	id, identifier, _ := strings.Cut(t.Part, ",")
	return c.apply(ctx, t, s, map[string]any{id: strconv.FormatInt(p.Certificate.CertID, 10), identifier: p.Certificate.Identifier()})
}

// Remove implements targets.Adapter. What is applied without a key takes that key out.
func (c configMap) Remove(ctx context.Context, t targets.Target, s targets.State, _ targets.Removal) error {
	if s.Revision == "" {
		return nil
	}
	return c.apply(ctx, t, s, nil)
}

// apply makes keys of the data our own. It is not made where the ConfigMap has changed since it
// was read: what is overwritten is what was decided about. Where there was none, nothing is
// overwritten: a key that somebody has written meanwhile is his. The version alone would not tell that a
// ConfigMap has been deleted, and it would be made anew.
func (c configMap) apply(ctx context.Context, t targets.Target, s targets.State, data map[string]any) error {
	u := &unstructured.Unstructured{Object: map[string]any{}}
	u.SetAPIVersion("v1")
	u.SetKind("ConfigMap")
	u.SetNamespace(objectKey(t).Namespace)
	u.SetName(objectKey(t).Name)
	options := []client.ApplyOption{c.owner}
	if s.Revision != "" {
		u.SetResourceVersion(s.Revision)
		uid, _ := s.Kept.(types.UID)
		u.SetUID(uid)
		options = append(options, client.ForceOwnership)
	}
	if data != nil {
		u.Object["data"] = data
	}
	if err := c.writer.Apply(ctx, client.ApplyConfigurationFromUnstructured(u), options...); err != nil {
		return objectError("write ConfigMap", objectKey(t), err)
	}
	return nil
}
