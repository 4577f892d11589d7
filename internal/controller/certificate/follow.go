// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"context"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/protocol"
)

// follow writes a line for a step, for whoever follows an object. What is published is a line of
// its own.
func follow(ctx context.Context, step protocol.Step) {
	logger := log.FromContext(ctx).V(1)
	switch step := step.(type) {
	case protocol.Hold:
		logger.Info("Writing the finalizer", "on", step.Want)
	case protocol.Learn:
		logger.Info("Learning the account of the credentials")
	case protocol.Read:
		logger.Info("Reading the Secret", "slot", step.Reserve)
	case protocol.StartAnew:
		logger.Info("Starting anew where the object belongs by now")
	case protocol.LookUp:
		logger.Info("Looking the certificate up in the cloud's list")
	case protocol.List, protocol.ListTogether:
		logger.Info("Reading the cloud's list")
	case protocol.Adopt:
		logger.Info("Adopting a certificate", "certId", step.Entry.CertID, "certificate", step.Entry.Name)
	case protocol.Upload:
		logger.Info("Uploading", "certificate", step.Name, "repair", step.Repair)
	case protocol.Delete:
		for _, e := range step.Entries {
			logger.Info("Deleting a superseded or no longer wanted certificate", "certId", e.CertID, "certificate", e.Name)
		}
	}
}

// followWait writes a line for a step that waits for the account's limit.
func followWait(ctx context.Context, err error) {
	if wait, ok := alibaba.RetryAfter(err); ok && alibaba.IsThrottled(err) {
		log.FromContext(ctx).V(1).Info("Waiting for a slot of the account's limit", "after", wait.String())
	}
}

// ObserveAccount writes a line for a credential whose account is learned; it is meant for
// alibaba.Config.ObserveAccount.
func ObserveAccount(info alibaba.AccountInfo) { logAccount(ctrl.Log.WithName("cloud"), info) }

// logAccount tells of the operator's own credentials, and of the many that others may bring to
// whoever asks for more.
func logAccount(logger logr.Logger, info alibaba.AccountInfo) {
	if info.Source == alibaba.SourceGiven {
		logger = logger.V(1)
	}
	logger.Info("Learned the account of credentials", "source", info.Source, "account", info.Account)
}
