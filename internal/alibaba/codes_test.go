// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package alibaba

import "testing"

func TestCodesOfAProductAreFound(t *testing.T) {
	t.Parallel()
	codes := Codes{
		"IncorrectStatus.*":            Busy,
		"ResourceNotFound.*":           NotFound,
		"ResourceNotFound.Certificate": Refused,
		"SystemBusy":                   Transient,
	}
	type answer struct {
		Class Class
		Known bool
	}
	for code, want := range map[string]answer{
		"IncorrectStatus.Listener":     {Busy, true},
		"IncorrectStatus.listener":     {Busy, true},
		"IncorrectStatus":              {Busy, true},
		"IncorrectStatusOf.Listener":   {},
		"ResourceNotFound.listener":    {NotFound, true},
		"ResourceNotFound.certificate": {Refused, true},
		"SystemBusy":                   {Transient, true},
		"SystemBusy.Now":               {},
		"":                             {},
	} {
		for range 20 { // whatever the order in which the map is read
			var got answer
			if got.Class, got.Known = codes.find(code); got != want {
				t.Fatalf("%q is %+v, want %+v", code, got, want)
			}
		}
	}
}

// A code that is known to refuse leaves no doubt that nothing happened.
func TestABusyResourceWasNotChanged(t *testing.T) {
	t.Parallel()
	err := newAnswerError(Call{Codes: Codes{"IncorrectStatus.*": Busy}}, 400, "IncorrectStatus.Listener", "", "")
	if err.Class != Busy || err.MayHaveHappened || err.UnknownCode || err.Class.String() != "busy" {
		t.Errorf("%+v", err)
	}
}
