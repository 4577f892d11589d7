// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"time"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/verdict"
)

// farthest bounds how far ahead an object is put off: a certificate may be valid from the year
// 9999 on, which is further away than a time.Duration reaches.
const farthest = 365 * 24 * time.Hour

// Verdict is what a person is told of a Secret. A watch of the Secret wakes the object, and
// time alone where the verdict names a deadline.
func (e *Error) Verdict(s verdict.Subject) verdict.Verdict {
	v := verdict.Verdict{Message: e.Error()}
	switch e.Kind {
	case KindMissing:
		v.Reason = v1alpha1.ReasonSecretNotFound
	case KindPending:
		v.Ready, v.Reason = verdict.Progressing, v1alpha1.ReasonProgressing
	case KindMismatch:
		v.Ready, v.Reason, v.Again = verdict.Progressing, v1alpha1.ReasonProgressing, s.Until(e.Deadline, 10*time.Millisecond)
	default:
		v.Reason, v.Stalled = v1alpha1.ReasonInvalidCertificate, true
		if !e.Deadline.IsZero() {
			v.Again = s.Until(earlier(e.Deadline, s.Now.Add(farthest)), time.Second)
		}
	}
	return v
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
