// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import "net/http"

// style is how the calls of a door are written, signed and answered.
type style interface {
	// read returns the call that a request makes, and whether a secret stands in its URL.
	read(d door, w http.ResponseWriter, r *http.Request) (i *invocation, secretInURL bool, failed *failure)
	// accept verifies that the call exists and who makes it.
	accept(s *Server, i *invocation) *failure
	// fail returns the error that stands for a code of the gateway.
	fail(code string) *failure
	// echo adds to an error what the gateway signed in the client's place.
	echo(i *invocation, f *failure)
	// write returns an answer with the value in it, or the error, if there is one.
	write(s *Server, i *invocation, value any, f *failure) reply
}

// rpc is the style of most products: a call is its parameters, and its answer is JSON.
type rpc struct{}

func (rpc) fail(code string) *failure { return fail(code) }

func (rpc) echo(i *invocation, f *failure) {
	f.message += " server string to sign is:" + stringToSign(i.method, i.parameters)
}
