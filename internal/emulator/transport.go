// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
)

// errReset is what a client sees of a connection that the server cut.
var errReset = errors.New("connection reset by peer")

// transport carries requests to a handler without a network.
type transport struct{ handler http.Handler }

// Transport returns the connection of a client to a region in the same process: no
// network and no goroutine, so that a test has its own time. The answer is complete
// when RoundTrip returns; a client that gives up gets its context's error then.
func (s *Server) Transport(region string) http.RoundTripper { return transport{s.Handler(region)} }

// Direct is Transport for what serves another product.
func Direct(handler http.Handler) http.RoundTripper { return transport{handler} }

// RoundTrip implements http.RoundTripper.
func (t transport) RoundTrip(request *http.Request) (response *http.Response, err error) {
	defer func() {
		if aborted := recover(); aborted == http.ErrAbortHandler { //nolint:errorlint // as net/http compares it
			response, err = nil, errReset
		} else if aborted != nil {
			panic(aborted)
		}
	}()
	tell(httptrace.ContextClientTrace(request.Context()))
	recorder := httptest.NewRecorder()
	t.handler.ServeHTTP(recorder, request)
	if err := request.Context().Err(); err != nil {
		return nil, err
	}
	return recorder.Result(), nil
}

// tell tells a client that asks for it that its request is on its way, as net/http does: what
// fails from now on may have had an effect.
func tell(trace *httptrace.ClientTrace) {
	if trace == nil {
		return
	}
	if trace.GotConn != nil {
		trace.GotConn(httptrace.GotConnInfo{})
	}
	if trace.WroteRequest != nil {
		trace.WroteRequest(httptrace.WroteRequestInfo{})
	}
}
