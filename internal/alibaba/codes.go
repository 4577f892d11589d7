// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package alibaba

import "strings"

// Codes maps error codes of the cloud to classes. One that ends with .* stands for all that
// begin with what is before it: "IncorrectStatus.*" for IncorrectStatus and
// IncorrectStatus.Listener.
type Codes map[string]Class

// Denied returns the codes by which a call is denied.
func (c Codes) Denied() Codes {
	denied := Codes{}
	for code, class := range c {
		if class == Denied {
			denied[code] = class
		}
	}
	return denied
}

// find returns the class of a code.
func (c Codes) find(code string) (class Class, known bool) {
	_, class, known = c.match(code)
	return class, known
}

// match returns what a code is known by, and its class: the code itself before its family. Case is
// ignored: products write IncorrectStatus.Listener and IncorrectStatus.listener.
func (c Codes) match(code string) (pattern string, class Class, known bool) {
	family, _, _ := strings.Cut(code, ".")
	family += ".*"
	for p, of := range c {
		if strings.EqualFold(p, code) {
			return p, of, true
		}
		if strings.EqualFold(p, family) {
			pattern, class, known = p, of, true
		}
	}
	return pattern, class, known
}

// label is a pattern as a metric's label: a family stands there by its name.
func label(pattern string) string { return strings.TrimSuffix(pattern, ".*") }
