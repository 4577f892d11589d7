// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/cloudcert-io/cloudcert/internal/targets"
)

// What the adapters of objects of the cluster have alike.

// objectKey is the object that a target names.
func objectKey(t targets.Target) client.ObjectKey {
	namespace, name, _ := strings.Cut(t.Resource, "/")
	return client.ObjectKey{Namespace: namespace, Name: name}
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
	case apierrors.IsConflict(err):
		e.Class, e.RetryAfter = targets.Progressing, conflictRetry
		e.Message = fmt.Sprintf("failed to %s %q: somebody has changed it meanwhile; it is read again", what, key.Name)
	case apierrors.IsNotFound(err):
		e.Class = targets.TargetNotFound
	case apierrors.IsForbidden(err):
		e.Class = targets.Denied
		e.Message += "; the operator's role allows it where binding.targets of the chart names this kind of target"
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		e.Class = targets.Refused
	}
	return e
}
