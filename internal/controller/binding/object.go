// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"errors"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/cloudcert-io/cloudcert/internal/targets"
)

// What the adapters of objects of the cluster have alike.

// objectKey is the object that a target names. One that belongs to no namespace is named alone.
func objectKey(t targets.Target) client.ObjectKey {
	if namespace, name, ok := strings.Cut(t.Resource, "/"); ok {
		return client.ObjectKey{Namespace: namespace, Name: name}
	}
	return client.ObjectKey{Name: t.Resource}
}

// short cuts what somebody else wrote.
func short(text string) string {
	const most = 64
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

// conflictRetry is when an object is read again that changed between read and write: whoever writes
// to it, such as the cloud controller manager, may have more to write.
const conflictRetry = time.Second

// objectError is the failure of an adapter of an object of the cluster.
func objectError(what string, key client.ObjectKey, err error) error {
	e := &targets.Error{Class: targets.Transient, Cause: err, Message: fmt.Sprintf("failed to %s %q: %v", what, key.Name, err)}
	switch {
	case apierrors.IsConflict(err), isFailedTest(err):
		e.Class, e.RetryAfter = targets.Progressing, conflictRetry
		e.Message = fmt.Sprintf("failed to %s %q: somebody has changed it meanwhile; it is read again", what, key.Name)
	case apierrors.IsNotFound(err):
		e.Class = targets.TargetNotFound
	case meta.IsNoMatchError(err):
		e.Class = targets.TargetNotFound
		e.Message = fmt.Sprintf("failed to %s %q: the cluster has no objects of this kind; install the ALB Ingress controller, or bind the listener itself (alb)", what, key.Name)
	case apierrors.IsForbidden(err):
		e.Class = targets.Denied
		e.Message += "; the operator's role allows it where binding.targets of the chart names this kind of target"
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		e.Class = targets.Refused
	}
	return e
}

// isFailedTest reports whether a JSON patch was refused because a test in it failed: the API server
// says that something is invalid, and names neither a kind nor a field.
func isFailedTest(err error) bool {
	status, ok := errors.AsType[*apierrors.StatusError](err)
	if !ok || !apierrors.IsInvalid(err) {
		return false
	}
	details := status.Status().Details
	return details == nil || details.Kind == "" && len(details.Causes) == 0
}
