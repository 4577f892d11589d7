// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

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

// hiddenError says that the operator may not read a Secret.
type hiddenError struct {
	key   types.NamespacedName
	cause error
}

func (e *hiddenError) Error() string {
	return fmt.Sprintf("the operator may not read Secret %q in namespace %q; bind a Role that allows get, list and watch of secrets there to its ServiceAccount "+
		"(the chart makes one for each of watchNamespaces): %v", e.key.Name, e.key.Namespace, e.cause)
}

func (e *hiddenError) Unwrap() error { return e.cause }

// Verdict leaves it to the queue: nothing tells us when a Role is bound.
func (e *hiddenError) Verdict(s verdict.Subject) verdict.Verdict {
	return verdict.Verdict{Reason: s.Failed, Message: e.Error(), Again: verdict.Again{Pace: verdict.Retry}}
}

// unreadSecret is the error of a Secret that is there, or may be, and could not be read.
func unreadSecret(key types.NamespacedName, err error) error {
	if apierrors.IsForbidden(err) {
		return &hiddenError{key: key, cause: err}
	}
	return fmt.Errorf("failed to read Secret %q: %w", key.Name, err)
}

// errStale says that the object is no longer what the reconcile began with.
var errStale = errors.New("the object has changed meanwhile")

// isStale says that a reconcile was decided from an object that has changed or gone: its
// event is on the way.
func isStale(err error) bool {
	return errors.Is(err, errStale) || apierrors.IsConflict(err) || apierrors.IsNotFound(err)
}
