// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"errors"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/cas"
)

// suspendedError ends a pass over a suspended object before anything is read or
// called.
type suspendedError struct {
	moved bool // the Secret is no longer the version that status speaks of
}

func (e *suspendedError) Error() string {
	if e.moved {
		return "suspended by spec.suspend; the Secret has changed since it was last handled"
	}
	return "suspended by spec.suspend"
}

// credentialsError says that there are no credentials for an object.
type credentialsError struct {
	problem, fix string
}

func (e *credentialsError) Error() string { return e.problem + "; " + e.fix }

// nameTakenError says that a name of ours is taken, and that the list does not
// show by what.
type nameTakenError struct {
	name       string
	since      time.Time
	unlisted   bool // a complete sweep that began since then does not show the certificate
	unreadable int  // but holds entries that cannot be read
	exhausted  bool // and every name that could stand in is held likewise
}

func (e *nameTakenError) Error() string {
	since := e.since.UTC().Format(time.RFC3339)
	switch {
	case e.unreadable > 0:
		return fmt.Sprintf("name %q is taken in the cloud since %s, and the list does not show its certificate; "+
			"%d entries of the list cannot be read and may be it: nothing is uploaded until they can", e.name, since, e.unreadable)
	case e.exhausted:
		return fmt.Sprintf("name %q is taken in the cloud since %s, as are the %d names before it, and the list shows none of them; "+
			"check that the credentials may list every resource group (yundun-cert:ListUserCertificateOrder on resource *)", e.name, since, maxNames-1)
	case e.unlisted:
		return fmt.Sprintf("name %q is taken in the cloud since %s, but the complete list does not show its certificate; "+
			"unless it appears, the content is uploaded under another prefix after %s", e.name, since, e.since.Add(lagLimit).UTC().Format(time.RFC3339))
	}
	return fmt.Sprintf("name %q is taken in the cloud but not listed yet; waiting for the list since %s", e.name, since)
}

// nameConflictError says that a name of ours is held by another certificate.
type nameConflictError struct {
	name   string
	certID int64
}

func (e *nameConflictError) Error() string {
	return fmt.Sprintf("name %q is held by certificate %d, which is not the certificate of the Secret; delete it in the console, or change the Secret",
		e.name, e.certID)
}

// versionRateError says that an object uploaded too many versions in the last hour.
type versionRateError struct {
	limit int
	until time.Time
}

func (e *versionRateError) Error() string {
	return fmt.Sprintf("%d versions were uploaded within an hour, the limit of --max-versions-per-hour; "+
		"the next one waits until %s; look for what rewrites the Secret so often", e.limit, e.until.UTC().Format(time.RFC3339))
}

// recreationError says that a certificate vanishes from the cloud again and again.
type recreationError struct {
	certID int64
	count  int
	until  time.Time
}

func (e *recreationError) Error() string {
	return fmt.Sprintf("certificate %d is gone from the cloud, after %d were uploaded again within an hour; "+
		"the next upload waits until %s; look for what deletes them", e.certID, e.count, e.until.UTC().Format(time.RFC3339))
}

// movesError says that an object started anew too often.
type movesError struct {
	count int
	until time.Time
}

func (e *movesError) Error() string {
	return fmt.Sprintf("account, region or identity of the object changed %d times within an hour; the status is left as it is until %s; "+
		"look for a second operator that watches the same namespace with another --cluster-id, --region or account, or for what edits the object",
		e.count, e.until.UTC().Format(time.RFC3339))
}

// errStale says that the object is no longer what the pass began with.
var errStale = errors.New("the object has changed meanwhile")

// isStale says that a pass was decided from an object that has changed or gone: its
// event is on the way.
func isStale(err error) bool {
	return errors.Is(err, errStale) || apierrors.IsConflict(err) || apierrors.IsNotFound(err)
}

// unprovenError says why a certificate cannot be proven to be ours.
type unprovenError struct{ problem string }

func (e *unprovenError) Error() string { return e.problem }

// currentMissingError says that a list does not show the current version: without it,
// no superseded one is deleted.
type currentMissingError struct {
	certID int64
	name   string
}

func (e *currentMissingError) Error() string {
	return fmt.Sprintf("the cloud does not list the current certificate %s, and they may be all that is left; "+
		"the next look for drift uploads it again, and a new value of the annotation %s does so now", nameAndID(e.name, e.certID), v1alpha1.AnnotationResync)
}

// unreadableError says that a list holds entries of which it is unknown whose they are.
type unreadableError struct{ count int }

func (e *unreadableError) Error() string {
	return fmt.Sprintf("%d entries of the account's list cannot be read, and may be certificates of this object; look for them in the console", e.count)
}

// sharedError says that a newer version under the identity of an object was not
// uploaded by this process.
type sharedError struct {
	certID   int64
	name     string
	appeared bool // while this process was running
}

func (e *sharedError) Error() string {
	if e.appeared {
		return fmt.Sprintf("certificate %s is newer and was not uploaded by this operator: another cluster seems to use the same cluster id; "+
			"nothing of this object is deleted until that ends; give each cluster its own --cluster-id", nameAndID(e.name, e.certID))
	}
	return fmt.Sprintf("certificate %s is newer than the current one, and it is unknown who uploaded it: the status may have been restored from a backup, "+
		"or another cluster uses the same cluster id; nothing of this object is deleted until it is renewed the next time", nameAndID(e.name, e.certID))
}

// failureMessage says what the cloud answered, or that it did not.
func failureMessage(e *cas.Error) string {
	if e.Code == "" && e.Message == "" {
		return fmt.Sprintf("%s: no usable answer from the cloud; it is tried again, and the operator's log has the cause", e.Action)
	}
	return fmt.Sprintf("%s: %s; it is tried again", e.Action, e.Summary())
}

// refusalMessage says what the cloud does not take: the certificate, or what the spec
// adds to it.
func refusalMessage(object *v1alpha1.CloudCertificate, e *cas.Error) string {
	name := object.Spec.SecretRef.Name
	if extra := object.Spec.ResourceGroupID != "" || len(object.Spec.Tags) > 0; extra && strings.Contains(e.Code, "Parameter") {
		return fmt.Sprintf("the cloud refuses the upload of Secret %q: %s; check spec.resourceGroupId and spec.tags, or have the certificate issued again", name, e.Summary())
	}
	return fmt.Sprintf("the cloud refuses the content of Secret %q: %s; have it issued again, or ask the cloud's support", name, e.Summary())
}

// deniedMessage says whom to give the permission that the summary names.
func deniedMessage(e *cas.Error) string {
	if e.Permission == "" {
		return e.Summary()
	}
	return e.Summary() + "; grant it on resource * to the credentials in use, by a RAM policy"
}

// credentialsMessage says which credentials the cloud does not take.
func credentialsMessage(object *v1alpha1.CloudCertificate, e *cas.Error) string {
	ref := object.Spec.CredentialsSecretRef.Name
	if e.Code == "MissingSecurityToken" {
		return fmt.Sprintf("the cloud does not take temporary credentials without their token: %s; "+
			"put it into %s of the credentials Secret, or into ALIBABA_CLOUD_SECURITY_TOKEN for the operator's own", e.Summary(), keySecurityToken)
	}
	if ref != "" {
		return fmt.Sprintf("the cloud does not take the credentials of Secret %q: %s; put a valid access key into it", ref, e.Summary())
	}
	return fmt.Sprintf("the cloud does not take the operator's own credentials: %s; correct its access key or RRSA role", e.Summary())
}
