// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"context"
	"slices"
	"strings"

	"github.com/cloudcert-io/cloudcert/internal/targets"
)

// brokenAdapter is an adapter with one of its methods broken.
type brokenAdapter struct {
	targets.Adapter
	read   func(s targets.State) targets.State
	place  func(ctx context.Context, t targets.Target, s targets.State, p targets.Placement) error
	remove func(s targets.State, r targets.Removal, t targets.Target) targets.Removal
}

// Read implements targets.Adapter.
func (b brokenAdapter) Read(ctx context.Context, t targets.Target) (targets.State, error) {
	s, err := b.Adapter.Read(ctx, t)
	if b.read != nil && err == nil {
		s = b.read(s)
	}
	return s, err
}

// Place implements targets.Adapter.
func (b brokenAdapter) Place(ctx context.Context, t targets.Target, s targets.State, p targets.Placement) error {
	if b.place != nil {
		if err := b.place(ctx, t, s, p); err != nil {
			return err
		}
	}
	return b.Adapter.Place(ctx, t, s, p)
}

// Remove implements targets.Adapter.
func (b brokenAdapter) Remove(ctx context.Context, t targets.Target, s targets.State, r targets.Removal) error {
	if b.remove != nil {
		r = b.remove(s, r, t)
	}
	return b.Adapter.Remove(ctx, t, s, r)
}

// brokenStore is the adapter of CLB with its removals broken.
type brokenStore struct {
	targets.Store
	remove func(s targets.State, r targets.Removal) targets.Removal
}

// Remove implements targets.Adapter.
func (b brokenStore) Remove(ctx context.Context, t targets.Target, s targets.State, r targets.Removal) error {
	return b.Store.Remove(ctx, t, s, b.remove(s, r))
}

// breakStore breaks the removals of CLB.
func breakStore(remove func(s targets.State, r targets.Removal) targets.Removal) func(*world) {
	return func(w *world) {
		w.adapt = func(_ *operator, a targets.Adapter) targets.Adapter {
			if store, ok := a.(targets.Store); ok {
				return brokenStore{store, remove}
			}
			return a
		}
	}
}

// believeNames takes what has a name as we give it for ours.
func believeNames(s targets.State) targets.State {
	s.Entries = slices.Clone(s.Entries)
	for i, e := range s.Entries {
		name, ours := strings.CutPrefix(e.ProviderID, copyPrefix)
		if at := strings.LastIndex(name, "-"); ours && e.CertIdentifier == "" && at >= 0 {
			e.CertIdentifier, e.ProviderID = name[:at], ""
			e.CertID, e.Region, _ = targets.ParseIdentifier(e.CertIdentifier)
			s.Entries[i] = e
		}
	}
	return s
}

// bindingMutants break the rules of bindings, each in one way.
var bindingMutants = map[string]func(*world){
	"takes out whatever is for the same host": func(w *world) {
		w.adapt = func(_ *operator, a targets.Adapter) targets.Adapter {
			return brokenAdapter{Adapter: a, remove: func(s targets.State, r targets.Removal, t targets.Target) targets.Removal {
				for _, e := range s.In(t) {
					if e.CertIdentifier == w.neighbours[2] && !slices.Contains(r.Entries, e) {
						r.Entries = append(r.Entries, e)
					}
				}
				return r
			}}
		}
	},
	"takes out before it puts in": func(w *world) {
		w.adapt = func(_ *operator, a targets.Adapter) targets.Adapter {
			return brokenAdapter{Adapter: a, place: func(ctx context.Context, t targets.Target, s targets.State, p targets.Placement) error {
				before := slices.DeleteFunc(slices.Clone(s.In(t)), func(e targets.Entry) bool {
					return e.Role == targets.RoleDefault || slices.Contains(w.neighbours, e.CertIdentifier)
				})
				if len(before) == 0 {
					return nil
				}
				return a.Remove(ctx, t, s, targets.Removal{Entries: before, Seed: p.Seed})
			}}
		}
	},
	"writes while the listener is changed": func(w *world) {
		w.adapt = func(_ *operator, a targets.Adapter) targets.Adapter {
			return brokenAdapter{Adapter: a, read: func(s targets.State) targets.State { s.Busy = false; return s }}
		}
	},
	"writes to a ConfigMap whatever has become of it":    func(w *world) { w.overwrites = "ConfigMap" },
	"writes to a Service whatever has become of it":      func(w *world) { w.overwrites = "Service" },
	"writes to an AlbConfig whatever has become of it":   func(w *world) { w.overwrites = "AlbConfig" },
	"replaces whatever a bucket holds by now":            func(w *world) { w.forces = true },
	"an object of the cluster that changes wakes nobody": func(w *world) { w.unseen = true },
	"deletes whatever copies nothing serves": breakStore(func(s targets.State, r targets.Removal) targets.Removal {
		for _, e := range s.Entries {
			if e.Role == targets.RoleStored && !slices.Contains(r.Entries, e) {
				r.Entries = append(r.Entries, e)
			}
		}
		return r
	}),
	"leaves copies behind": breakStore(func(_ targets.State, r targets.Removal) targets.Removal {
		r.Entries = nil
		return r
	}),
	"tells the private key in an error": func(w *world) {
		w.adapt = func(_ *operator, a targets.Adapter) targets.Adapter {
			return brokenAdapter{Adapter: a, place: func(ctx context.Context, _ targets.Target, _ targets.State, p targets.Placement) error {
				if p.Content == nil {
					return nil
				}
				content, err := p.Content(ctx)
				if err != nil {
					return err
				}
				return &targets.Error{Message: "refused: " + content.PrivateKey}
			}}
		}
	},
	"believes the name of a certificate without its digest": func(w *world) {
		w.adapt = func(_ *operator, a targets.Adapter) targets.Adapter {
			return brokenAdapter{Adapter: a, read: believeNames}
		}
	},
	"believes a part of a list": func(w *world) {
		w.adapt = func(_ *operator, a targets.Adapter) targets.Adapter {
			return brokenAdapter{Adapter: a, read: func(s targets.State) targets.State { s.Incomplete = ""; return s }}
		}
	},
}
