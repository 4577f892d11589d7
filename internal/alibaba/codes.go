// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package alibaba

import "strings"

// Codes maps error codes of the cloud to classes. One that ends with .* stands for all that
// begin with what is before it: "IncorrectStatus.*" for IncorrectStatus and
// IncorrectStatus.Listener.
type Codes map[string]Class

// find returns the class of a code. Case is ignored: products write IncorrectStatus.Listener
// and IncorrectStatus.listener.
func (c Codes) find(code string) (class Class, known bool) {
	family, _, _ := strings.Cut(code, ".")
	family += ".*"
	for pattern, of := range c {
		if strings.EqualFold(pattern, code) {
			return of, true
		}
		if strings.EqualFold(pattern, family) {
			class, known = of, true
		}
	}
	return class, known
}
