// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"slices"
	"strings"
)

// Statement allows actions on resources. * stands for any text in both; actions are compared
// without case, as RAM does.
type Statement struct {
	// Actions are for instance yundun-cert:UploadUserCertificate or alb:*.
	Actions []string `json:"actions"`
	// Resources are ARNs, for instance acs:alb:cn-shanghai:*:loadbalancer/alb-1. Where an
	// action has no resources of its own, the call is on *, which * alone allows.
	Resources []string `json:"resources"`
}

// SetPolicy restricts an access key to what the statements allow, and reports whether there
// is one. Without statements it may do nothing; a key that was never restricted may do
// everything.
func (s *Server) SetPolicy(accessKeyID string, statements []Statement) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := s.keys[accessKeyID]
	if key != nil {
		key.policy = &policy{slices.Clone(statements)}
	}
	return key != nil
}

type policy struct{ statements []Statement }

// authorize verifies that the policy of the access key allows the call.
func (s *Server) authorize(i *invocation) *failure {
	if i.spec.unsigned || i.spec.product == sts {
		return nil // GetCallerIdentity needs no permission (F34)
	}
	resource := "*"
	if i.spec.resource != nil {
		resource = i.spec.resource(i)
	}
	s.mu.Lock()
	p := i.principal.key.policy
	s.mu.Unlock()
	if p == nil {
		return nil
	}
	if permission := i.permission(); !p.allows(permission, resource) {
		return i.denied(permission)
	}
	if i.spec.needs == nil {
		return nil
	}
	for _, permission := range i.spec.needs(i) {
		if !p.allows(permission, "*") {
			return i.denied(permission)
		}
	}
	return nil
}

// permission is what RAM calls the action.
func (i *invocation) permission() string { return i.product().permission + ":" + i.knownAction() }

func (i *invocation) denied(permission string) *failure {
	f := i.style.fail("Forbidden.RAM")
	f.denied = permission
	return f
}

func (p *policy) allows(permission, resource string) bool {
	return slices.ContainsFunc(p.statements, func(st Statement) bool {
		action := func(pattern string) bool {
			return matches(strings.ToLower(pattern), strings.ToLower(permission))
		}
		return slices.ContainsFunc(st.Actions, action) &&
			slices.ContainsFunc(st.Resources, func(pattern string) bool { return matches(pattern, resource) })
	})
}

// matches reports whether text fits a pattern in which * stands for any text.
func matches(pattern, text string) bool {
	first, rest, found := strings.Cut(pattern, "*")
	if !found {
		return pattern == text
	}
	text, ok := strings.CutPrefix(text, first)
	if !ok {
		return false
	}
	for {
		if matches(rest, text) {
			return true
		}
		if text == "" {
			return false
		}
		text = text[1:]
	}
}
