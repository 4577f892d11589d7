// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/verdict"
)

// credentialsError says that there are no credentials for an object.
type credentialsError struct {
	problem, fix string
}

func (e *credentialsError) Error() string { return e.problem + "; " + e.fix }

// Verdict waits slowly for what no watch can see; a watch sees the Secret.
func (e *credentialsError) Verdict(verdict.Subject) verdict.Verdict {
	return verdict.Verdict{
		Reason: v1alpha1.ReasonCredentialsUnavailable, Message: e.Error(), Refusal: true, Again: verdict.Again{Pace: verdict.Slowly},
	}
}

// errStale says that the object is no longer what the pass began with.
var errStale = errors.New("the object has changed meanwhile")

// isStale says that a pass was decided from an object that has changed or gone: its
// event is on the way.
func isStale(err error) bool {
	return errors.Is(err, errStale) || apierrors.IsConflict(err) || apierrors.IsNotFound(err)
}
