// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package testbed

import (
	"net"
	"strconv"
	"testing"
)

// TestFreeAddressesAreNobodyElses: neither the kernel gives them to whoever asks for any port, nor is one
// given twice.
func TestFreeAddressesAreNobodyElses(t *testing.T) {
	t.Parallel()
	given := map[string]bool{}
	for range 300 {
		address, err := FreeAddress()
		if err != nil {
			t.Fatal(err)
		}
		_, text, err := net.SplitHostPort(address)
		if err != nil {
			t.Fatal(err)
		}
		if port, err := strconv.Atoi(text); err != nil || port >= kernelsFirstPort() {
			t.Errorf("the kernel may give the port of %s to anybody: %v", address, err)
		}
		if given[address] {
			t.Errorf("%s was given twice", address)
		}
		given[address] = true
	}
}
