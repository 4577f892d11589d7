// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/cloudcert-io/cloudcert/internal/targets"
)

var albConfigKind = schema.GroupVersionKind{Group: "alibabacloud.com", Version: "v1", Kind: "AlbConfig"}

// discovery stands for a listener that names no certificate: the ALB Ingress controller looks some
// up by the hosts of Ingresses, until one is named (T95).
const discovery = "discovery"

// albConfig is the adapter of the certificates of a listener in an AlbConfig. Its lists have no
// keys, so that nobody can own one entry: a write is a JSON patch that tests the version of the
// object and what it changes.
type albConfig struct {
	live   client.Reader
	writer client.Writer
	// region returns that of the load balancer; empty where it is not known.
	region func(ctx context.Context) (string, error)
}

// albListener is a listener as it was read, with its place in the list. Kept is one.
type albListener struct {
	at           int
	port         any
	certificates []albCertificate
}

type albCertificate struct {
	id        string
	isDefault bool
}

// Read implements targets.Adapter.
func (a albConfig) Read(ctx context.Context, t targets.Target) (targets.State, error) {
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(albConfigKind)
	if err := a.live.Get(ctx, objectKey(t), object); err != nil {
		return targets.State{}, objectError("read AlbConfig", objectKey(t), err)
	}
	state := targets.State{Revision: object.GetResourceVersion()}
	found := listenersOn(object, t.Part)
	switch {
	case len(found) == 0:
		return state, &targets.Error{Class: targets.TargetNotFound, Message: fmt.Sprintf("AlbConfig %q has no listener on port %s that speaks HTTPS or QUIC", object.GetName(), t.Part)}
	case len(found) > 1:
		state.Off = fmt.Sprintf("AlbConfig %q has %d listeners on port %s that have certificates: a binding cannot tell them apart", object.GetName(), len(found), t.Part)
		return state, nil
	}
	region, err := a.region(ctx)
	if err != nil {
		return state, err
	}
	state.Kept, state.Configures = found[0], targets.Target{Product: targets.ALB, Region: region}
	state.Off = found[0].unclear(object.GetName(), t.Part)
	if state.Off == "" {
		state.Entries = found[0].entries()
	}
	return state, nil
}

// listenersOn are the listeners on a port that have certificates. The port may be a number or a
// text.
func listenersOn(object *unstructured.Unstructured, port string) (found []albListener) {
	all, _, err := unstructured.NestedSlice(object.Object, "spec", "listeners")
	if err != nil {
		return nil // it is something else than a list
	}
	for at, one := range all {
		listener, _ := one.(map[string]any)
		if fmt.Sprint(listener["port"]) != port || listener["protocol"] != "HTTPS" && listener["protocol"] != "QUIC" {
			continue
		}
		found = append(found, albListener{at: at, port: listener["port"], certificates: certificatesOf(listener)})
	}
	return found
}

func certificatesOf(listener map[string]any) (certificates []albCertificate) {
	list, _ := listener["certificates"].([]any)
	for _, one := range list {
		entry, _ := one.(map[string]any)
		id, _ := entry["CertificateId"].(string)
		isDefault, _ := entry["IsDefault"].(bool)
		certificates = append(certificates, albCertificate{id: id, isDefault: isDefault})
	}
	return certificates
}

// unclear says why it cannot be told which certificate of a listener is the default; empty where
// that is clear. The controller takes the first one, whatever IsDefault says (T96).
func (l albListener) unclear(name, port string) string {
	for at, c := range l.certificates {
		switch {
		case c.id == "":
			return fmt.Sprintf("AlbConfig %q: certificate %d of the listener on port %s has no CertificateId: set it, or take the entry out", name, at, port)
		case c.isDefault && at > 0:
			return fmt.Sprintf("AlbConfig %q: the listener on port %s marks %s as IsDefault, which is not the first of its certificates, and the controller takes the first one: put it first", name, port, short(c.id))
		}
	}
	return ""
}

// entries are the certificates of a listener. The first one is the default.
func (l albListener) entries() []targets.Entry {
	if len(l.certificates) == 0 {
		return []targets.Entry{{Role: targets.RoleDefault, Status: targets.StatusServing, ProviderID: discovery}}
	}
	var entries []targets.Entry
	for at, c := range l.certificates {
		e := identifierEntry(c.id)
		if at > 0 {
			e.Role = targets.RoleAdditional
		}
		entries = append(entries, e)
	}
	return entries
}

// Owner implements targets.Adapter: an AlbConfig is what the load balancer is configured from.
func (albConfig) Owner(context.Context, targets.Target, targets.State) (targets.Owner, error) {
	return targets.Owner{}, nil
}

// Place implements targets.Adapter.
func (a albConfig) Place(ctx context.Context, t targets.Target, state targets.State, p targets.Placement) error {
	listener, ok := state.Kept.(albListener)
	switch {
	case !ok || state.Off != "":
		return &targets.Error{Class: targets.Refused, Message: state.Off}
	case t.Slot == targets.SlotAdditional && len(listener.certificates) == 0:
		return &targets.Error{Class: targets.Refused, Message: fmt.Sprintf(
			"the listener on port %s of AlbConfig %q names no certificate: one of the slot Additional would become its default, and would end that the controller looks some up by the hosts of Ingresses; bind the slot Default first",
			t.Part, t.Resource)}
	}
	id := p.Certificate.Identifier()
	if t.Slot == targets.SlotAdditional {
		return a.patch(ctx, t, state, listener, operation{"add", listener.path("/-"), named(id, false)})
	}
	return a.patch(ctx, t, state, listener, listener.replaceDefault(id)...)
}

// named is an entry of the list.
func named(id string, isDefault bool) map[string]any {
	return map[string]any{"CertificateId": id, "IsDefault": isDefault}
}

// replaceDefault makes a certificate the first one. Where it is an additional one already it is so
// no longer: ALB does not take it twice (T13).
func (l albListener) replaceDefault(id string) []operation {
	if len(l.certificates) == 0 {
		return []operation{{"add", l.path(""), []any{named(id, true)}}}
	}
	changes := []operation{
		{"test", l.path("/0/CertificateId"), l.certificates[0].id},
		{"replace", l.path("/0/CertificateId"), id},
		{"add", l.path("/0/IsDefault"), true},
	}
	return append(changes, l.without(func(c albCertificate) bool { return c.id == id })...)
}

// without takes additional certificates out, the last one first: the places of those before it
// stay.
func (l albListener) without(unwanted func(albCertificate) bool) (changes []operation) {
	for at, c := range slices.Backward(l.certificates) {
		if at > 0 && unwanted(c) {
			place := l.path(fmt.Sprintf("/%d", at))
			changes = append(changes, operation{"test", place + "/CertificateId", c.id}, operation{"remove", place, nil})
		}
	}
	return changes
}

// Remove implements targets.Adapter. A default is not removed.
func (a albConfig) Remove(ctx context.Context, t targets.Target, state targets.State, r targets.Removal) error {
	listener, _ := state.Kept.(albListener)
	changes := listener.without(func(c albCertificate) bool {
		return slices.ContainsFunc(r.Entries, func(e targets.Entry) bool { return e.Role == targets.RoleAdditional && e.CertIdentifier == c.id })
	})
	if len(changes) == 0 {
		return nil
	}
	return a.patch(ctx, t, state, listener, changes...)
}

// operation is one of a JSON patch.
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

func (l albListener) path(end string) string {
	return fmt.Sprintf("/spec/listeners/%d/certificates%s", l.at, end)
}

// patch changes an AlbConfig that is what was read, to the letter.
func (a albConfig) patch(ctx context.Context, t targets.Target, state targets.State, l albListener, changes ...operation) error {
	patch, err := json.Marshal(append([]operation{
		{"test", "/metadata/resourceVersion", state.Revision},
		{"test", fmt.Sprintf("/spec/listeners/%d/port", l.at), l.port},
	}, changes...))
	if err != nil {
		return err
	}
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(albConfigKind)
	object.SetName(t.Resource)
	if err := a.writer.Patch(ctx, object, client.RawPatch(types.JSONPatchType, patch)); err != nil {
		return objectError("write AlbConfig", objectKey(t), err)
	}
	return nil
}
