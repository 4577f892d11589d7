// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

// Package verdict is what a person is told of an object that cannot go on, and when the object
// is checked again. Each error that may end a reconcile builds its own verdict, beside the text
// that tells what is wrong; this package knows none of them.
package verdict

import (
	"errors"
	"time"
)

// Verdict is what the conditions of an object say, and when it is checked again.
type Verdict struct {
	// Ready is what becomes of the condition Ready.
	Ready Ready
	// Reason is the reason of Ready, and of Stalled.
	Reason string
	// Message says what is wrong, with which object, field or id, and who mends it how. It is the
	// same as long as nothing changes.
	Message string
	// Stalled reports whether only a person can bring the object forward.
	Stalled bool
	// Refusal reports whether waiting may never help: somebody has to mend something outside of
	// the cluster, or to look at it.
	Refusal bool
	// Void reports whether what was asked of the cloud certainly had no effect.
	Void bool
	// Quiet reports whether there is nothing to say yet: the conditions stay as they are.
	Quiet bool
	// Again is when the object is checked again although nothing changes.
	Again Again
}

// Ready is what becomes of the condition Ready.
type Ready int

const (
	// False is for what does not work.
	False Ready = iota
	// True is for what does.
	True
	// Progressing is False, and Unknown while an object is new.
	Progressing
	// Unchanged leaves the status as it is, and is Unknown where there is none.
	Unchanged
)

// Again is when an object is checked again although nothing changes.
type Again struct {
	Pace Pace
	// After is for In and About.
	After time.Duration
	// AtMost bounds every pace but Never; zero is no bound.
	AtMost time.Duration
}

// Pace says how soon an object is checked again, and so who is expected to mend it.
type Pace int

const (
	// Never leaves it to a watch: what is wrong is mended in the cluster.
	Never Pace = iota
	// In is after a time that is known.
	In
	// About is after a time that is a guess, spread so that objects which failed together are
	// not tried again together.
	About
	// Soon is within seconds first and hourly at last: it may pass by itself, or never.
	Soon
	// Slowly is within minutes first and hourly at last: somebody has to mend it outside of the
	// cluster.
	Slowly
	// Retry leaves it to the queue, as for every error that is expected to pass by itself.
	Retry
)

// String says when an object of this pace is tried again, in words that are the same on every
// try: a time would write the status each time. It is empty for what is not known.
func (p Pace) String() string {
	switch p {
	case Soon:
		return "within seconds first, hourly at last"
	case Slowly:
		return "after 5 minutes first, hourly at last"
	case Retry:
		return "within seconds first, every 5 minutes at last"
	case Never, In, About:
	}
	return ""
}

// Subject is the object that a verdict is about, as far as verdicts differ by it.
type Subject struct {
	// Now is the time of the verdict.
	Now time.Time
	// Secret is the name of the Secret that holds the certificate, and CredentialsSecret of the
	// one that holds the credentials, empty for the operator's own.
	Secret, CredentialsSecret string
	// Extras are the fields of the spec besides the Secret that a request carries.
	Extras []string
	// Superseded is how many superseded versions of all objects are in the account and region of
	// this one; set where the account holds too much.
	Superseded int
	// Served reports whether a version is in use, which a failure leaves as it is.
	Served bool
	// ThrottledSince is since when it has been waiting for a rate limit.
	ThrottledSince time.Time
	// Refused is the reason where the cloud refuses what is sent, and Failed where it may pass.
	Refused, Failed string
}

// WhileServed leaves Ready as it is while a version is in use; without one it is not True.
func (s Subject) WhileServed() Ready {
	if s.Served {
		return Unchanged
	}
	return False
}

// Judge is an error that builds its own verdict.
type Judge interface {
	error
	Verdict(s Subject) Verdict
}

// Of returns the verdict of the outermost error in err's chain that has one. Any other error
// is a failure that is expected to pass by itself.
func Of(err error, s Subject) Verdict {
	if judge, ok := errors.AsType[Judge](err); ok {
		return judge.Verdict(s)
	}
	return Verdict{Reason: s.Failed, Message: err.Error(), Again: Again{Pace: Retry}}
}

// Plain is an error with a text that is the same on every try of the same failure: without
// addresses, ports and ids of requests.
type Plain interface {
	error
	Plain() string
}

// Text is the text of an error that is the same on every try.
func Text(err error) string {
	if plain, ok := errors.AsType[Plain](err); ok {
		return plain.Plain()
	}
	return err.Error()
}

// Until is when an object is checked again that waits for a moment: a little later, so that
// it has certainly come.
func (s Subject) Until(at time.Time, later time.Duration) Again {
	return Again{Pace: In, After: max(at.Sub(s.Now), 0) + later}
}
