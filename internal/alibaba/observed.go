// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package alibaba

import (
	"maps"
	"strings"
	"time"
)

const (
	// ServiceSTS is the service of the calls about credentials.
	ServiceSTS = "sts"
	// OutcomeSuccess is the outcome of a call that did not fail.
	OutcomeSuccess = "success"
	// OtherCode stands for every code of which nothing is known: there may be any number.
	OtherCode = "other"
	// SourceRRSA are credentials of the service account's role.
	SourceRRSA = "rrsa"
	// SourceEnvironment is an access key of the environment.
	SourceEnvironment = "environment"
	// SourceGiven are credentials from elsewhere, such as those of a Secret.
	SourceGiven = "given"
)

// RefreshInfo describes one attempt to renew temporary credentials. It holds no secret.
type RefreshInfo struct {
	// Source says where the credentials come from.
	Source string
	// Expires is when the new ones end; zero where the attempt failed.
	Expires time.Time
	// Failed reports whether there are no new ones.
	Failed bool
}

// AccountInfo says whose credentials are, as soon as that is learned. It holds no secret.
type AccountInfo struct {
	// Source says where the credentials come from.
	Source string
	// Account is the one that they are of.
	Account string
}

// SourceOf says where the credentials of a provider come from.
func SourceOf(p Provider) string {
	if known, ok := p.(interface{ source() string }); ok {
		return known.source()
	}
	return SourceGiven
}

func (c *Caller) observeRefresh(source string, expires time.Time, err error) {
	if c.onRefresh == nil {
		return
	}
	if err != nil {
		expires = time.Time{}
	}
	c.onRefresh(RefreshInfo{Source: source, Expires: expires, Failed: err != nil})
}

// KnownCodes returns every code that is known of calls to a product with codes of its own,
// with its class. Codes of a family stand there by the family's name.
func KnownCodes(own Codes) Codes {
	all := maps.Clone(families)
	maps.Copy(all, classes)
	for pattern, class := range own {
		all[label(pattern)] = class
	}
	return all
}

// knownCode returns the name under which a code is counted.
func knownCode(code string, own Codes) string {
	if code == "" {
		return ""
	}
	if pattern, _, ok := own.match(code); ok {
		return label(pattern)
	}
	for _, known := range []Codes{classes, families} {
		if _, ok := known[code]; ok {
			return code
		}
	}
	family, _, _ := strings.Cut(code, ".")
	if _, ok := families[family]; ok {
		return family
	}
	return OtherCode
}
