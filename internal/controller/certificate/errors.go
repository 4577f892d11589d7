// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/alibaba"
)

// credentialsError says that there are no credentials for an object.
type credentialsError struct {
	problem, fix string
}

func (e *credentialsError) Error() string { return e.problem + "; " + e.fix }

// errStale says that the object is no longer what the pass began with.
var errStale = errors.New("the object has changed meanwhile")

// isStale says that a pass was decided from an object that has changed or gone: its
// event is on the way.
func isStale(err error) bool {
	return errors.Is(err, errStale) || apierrors.IsConflict(err) || apierrors.IsNotFound(err)
}

// failureMessage says what the cloud answered, or that it did not.
func failureMessage(e *alibaba.Error) string {
	if e.Code == "" && e.Message == "" {
		return fmt.Sprintf("%s: no usable answer from the cloud; it is tried again, and the operator's log has the cause", e.Action)
	}
	return fmt.Sprintf("%s: %s; it is tried again", e.Action, e.Summary())
}

// refusalMessage says what the cloud does not take: the certificate, or what the spec
// adds to it.
func refusalMessage(object *v1alpha1.CloudCertificate, e *alibaba.Error) string {
	name := object.Spec.SecretRef.Name
	if extra := object.Spec.ResourceGroupID != "" || len(object.Spec.Tags) > 0; extra && strings.Contains(e.Code, "Parameter") {
		return fmt.Sprintf("the cloud refuses the upload of Secret %q: %s; check spec.resourceGroupId and spec.tags, or have the certificate issued again", name, e.Summary())
	}
	return fmt.Sprintf("the cloud refuses the content of Secret %q: %s; have it issued again, or ask the cloud's support", name, e.Summary())
}

// deniedMessage says whom to give the permission that the summary names.
func deniedMessage(e *alibaba.Error) string {
	if e.Permission == "" {
		return e.Summary()
	}
	return e.Summary() + "; grant it on resource * to the credentials in use, by a RAM policy"
}

// credentialsMessage says which credentials the cloud does not take.
func credentialsMessage(object *v1alpha1.CloudCertificate, e *alibaba.Error) string {
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
