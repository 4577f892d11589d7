// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Reasons of the condition Ready that only a CloudCertificateBinding has. The others are those
// of a CloudCertificate: Synced, Progressing, Suspended, CredentialsUnavailable, AccessDenied, QuotaExceeded,
// Throttled and DeletionBlocked.
const (
	// ReasonCertificateNotReady: there is no such CloudCertificate, it has no certId yet, or
	// it is not Synced.
	ReasonCertificateNotReady = "CertificateNotReady"
	// ReasonNotAllowed: no CertificateTargetPolicy admits the binding, or the operator does
	// not serve this kind of target.
	ReasonNotAllowed = "NotAllowed"
	// ReasonRegionMismatch: the certificate is in the region of CAS that the target does not
	// take certificates from.
	ReasonRegionMismatch = "RegionMismatch"
	// ReasonDomainMismatch: the certificate does not cover the domain of the target.
	ReasonDomainMismatch = "DomainMismatch"
	// ReasonOccupied: a certificate of somebody else is in the slot, or another binding has
	// it.
	ReasonOccupied = "Occupied"
	// ReasonManagedElsewhere: the cloud controller manager or an Ingress controller manages
	// the listener, and would undo what is placed.
	ReasonManagedElsewhere = "ManagedElsewhere"
	// ReasonTargetNotFound: the target does not exist for these credentials.
	ReasonTargetNotFound = "TargetNotFound"
	// ReasonBindFailed: the target could not be read or changed, for a reason that is
	// expected to pass.
	ReasonBindFailed = "BindFailed"
)
