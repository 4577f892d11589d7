// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"slices"
	"time"
)

// Call is one entry of the journal. It never holds a secret.
type Call struct {
	// Number counts the calls from 1, in the order of their arrival.
	Number int64 `json:"number"`
	// Received is when the request was complete, Decided when it was counted and
	// either took effect or was refused, Finished when its answer was sent, or
	// the connection cut. A call is in flight from Received to Finished; a zero
	// time has not come yet.
	Received time.Time `json:"received"`
	Decided  time.Time `json:"decided,omitzero"`
	Finished time.Time `json:"finished,omitzero"`
	// Account is who signed; empty when that was not established.
	Account string `json:"account,omitempty"`
	// Region is where the call arrived.
	Region string `json:"region"`
	// Product is the service that was called; empty for CAS and STS.
	Product string `json:"product,omitempty"`
	// Action is the call's name, "(unknown)" for one that does not exist.
	Action string `json:"action"`
	// Name is the name to upload under, "(invalid)" for one that cannot be, or
	// the name of the certificate that was deleted or shown, or the resource of
	// another product.
	Name string `json:"name,omitempty"`
	// CertID is the certificate that was made, deleted or shown.
	CertID int64 `json:"certId,omitempty"`
	// Code is the error code of the answer; empty for a success and for an
	// answer without any.
	Code string `json:"code,omitempty"`
	// Status is the HTTP status of the answer; 0 when none was sent.
	Status int `json:"status,omitempty"`
	// Committed says that the call changed the account, whatever was answered.
	Committed bool `json:"committed,omitempty"`
	// Faults are the kinds of the faults that the call met.
	Faults []FaultKind `json:"faults,omitempty"`
	// KeyReturned says that the answer held a private key.
	KeyReturned bool `json:"keyReturned,omitempty"`
	// SecretInURL says that the URL's query held a private key or token.
	SecretInURL bool `json:"secretInUrl,omitempty"`
	// KeySent says that a call of another product than CAS carried a private key.
	KeySent bool `json:"keySent,omitempty"`
}

const defaultJournal = 100_000

// begin enters a call into the journal.
func (s *Server) begin(region string) *Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	limit := s.options.JournalSize
	if limit == 0 {
		limit = defaultJournal
	}
	if limit > 0 && len(s.journal) >= 2*limit {
		s.journal = slices.Clone(s.journal[limit:])
	}
	s.received++
	call := &Call{Number: s.received, Received: s.clock.Now(), Region: region}
	s.journal = append(s.journal, call)
	return call
}

// note changes an entry of the journal.
func (s *Server) note(call *Call, change func(*Call)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(call)
}

// Journal returns every call by its arrival, those in flight included.
func (s *Server) Journal() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := make([]Call, len(s.journal))
	for i, call := range s.journal {
		calls[i] = *call
	}
	return calls
}

// LastCall returns the call that arrived last, if there was any.
func (s *Server) LastCall() (call Call, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.journal) == 0 {
		return Call{}, false
	}
	return *s.journal[len(s.journal)-1], true
}
