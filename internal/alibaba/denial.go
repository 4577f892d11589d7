// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package alibaba

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// Denial is what the cloud says of a call that it denies: to whom, and by what kind of policy.
// Any of it may be empty.
type Denial struct {
	// Principal is a RAM user by its id, or a RAM role by its name, and Kind says which it is.
	Principal, Kind string
	// Account is the one that the principal belongs to.
	Account string
	// Policy is the kind of policy that decided.
	Policy string
	// Explicit reports whether a policy denies the action, so that no other can grant it.
	Explicit bool
}

// maxName bounds each part of a denial, in bytes: names of RAM have at most 64 characters, and what
// mends a denial must not be cut from the end of a long message.
const maxName = 64

// accessDeniedDetail comes with a 403 (F37). The diagnostic message is not read: it is long, and
// only the cloud can decode it.
type accessDeniedDetail struct {
	AuthPrincipalType, AuthPrincipalDisplayName Text
	AuthPrincipalOwnerID                        Text `json:"AuthPrincipalOwnerId" xml:"AuthPrincipalOwnerId"`
	NoPermissionType, PolicyType                Text
	// AuthAction is the permission that is missing (F72): of the call, or of what it needs besides.
	AuthAction Text
}

// permissionName is the form of a RAM action.
var permissionName = regexp.MustCompile(`^[a-z][a-z-]*:[A-Za-z]{1,64}$`)

// permission is the one that the cloud names, or what the call is known to need.
func (d accessDeniedDetail) permission(known string, secrets []string) string {
	if named := scrub(string(d.AuthAction), secrets, 2*maxName); permissionName.MatchString(named) {
		return named
	}
	return known
}

// UnmarshalJSON takes what is no object for one without fields: what the cloud adds to an error
// must not make the error unreadable.
func (d *accessDeniedDetail) UnmarshalJSON(raw []byte) error {
	type fields accessDeniedDetail
	var read fields
	if json.Unmarshal(raw, &read) == nil {
		*d = accessDeniedDetail(read)
	}
	return nil
}

// denial makes the detail fit for messages.
func (d accessDeniedDetail) denial(secrets []string) Denial {
	clean := func(t Text) string { return scrub(string(t), secrets, maxName) }
	denial := Denial{
		Principal: clean(d.AuthPrincipalDisplayName), Kind: clean(d.AuthPrincipalType), Account: clean(d.AuthPrincipalOwnerID),
		Policy: clean(d.PolicyType), Explicit: d.NoPermissionType == "ExplicitDeny",
	}
	switch denial.Kind {
	case "SubUser":
		denial.Kind = "RAM user"
	case "AssumedRoleUser":
		denial.Kind = "RAM role"
		denial.Principal, _, _ = strings.Cut(denial.Principal, ":") // a session changes, and policies are the role's (F72)
	}
	return denial
}

// lacks says who needs which permission, or is denied it.
func (d Denial) lacks(permission string) string {
	who := d.who()
	switch {
	case d.Explicit && who != "":
		return fmt.Sprintf("%s is denied %s explicitly, by a policy of type %s", who, permission, d.policy())
	case d.Explicit:
		return fmt.Sprintf("%s is denied explicitly, by a policy of type %s", permission, d.policy())
	case who != "":
		return who + " needs the permission " + permission
	}
	return "needs the permission " + permission
}

// who names the principal and its account; empty where neither is known.
func (d Denial) who() string {
	var parts []string
	if d.Principal != "" {
		parts = append(parts, strings.TrimSpace(fmt.Sprintf("%s %q", d.Kind, d.Principal)))
	}
	if d.Account != "" {
		parts = append(parts, fmt.Sprintf("of account %q", d.Account))
	}
	if d.Principal == "" && d.Account != "" {
		return fmt.Sprintf("a principal of account %q", d.Account)
	}
	return strings.Join(parts, " ")
}

func (d Denial) policy() string {
	if d.Policy == "" {
		return "unknown"
	}
	return d.Policy
}
