// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/protocol"
	"github.com/cloudcert-io/cloudcert/internal/verdict"
)

// failureOf is an error of a call, as far as decisions rest on it.
func failureOf(err error) *protocol.Failure {
	if err == nil {
		return nil
	}
	return &protocol.Failure{Err: err, Throttled: alibaba.IsThrottled(err), Denied: alibaba.IsDenied(err), Refusal: isRefusal(err)}
}

// isRefusal reports whether waiting may never help: the credentials are missing or not
// taken, or the cloud refuses.
func isRefusal(err error) bool { return verdict.Of(err, verdict.Subject{}).Refusal }
