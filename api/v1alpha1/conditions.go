// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Condition types of a CloudCertificate and of a CloudCertificateBinding. They follow
// kstatus: Ready is always present, Stalled only while it is True.
const (
	// ConditionReady is True while the certificate of the Secret is in the cloud
	// under status.certId; of a binding, while the target uses it.
	ConditionReady = "Ready"
	// ConditionStalled is True while only a person can bring the object forward:
	// a change of the Secret, of the spec or of the account is needed.
	ConditionStalled = "Stalled"
)

// Reasons of the condition Ready (and of Stalled, where both are set). An event
// that reports a transition carries the same reason.
const (
	// ReasonSynced: the content of the Secret is in the cloud.
	ReasonSynced = "Synced"
	// ReasonProgressing: something else has to happen first and is expected to
	// happen by itself: an issuer is at work, a key does not match yet, or a name is
	// taken in the cloud whose certificate is not listed.
	ReasonProgressing = "Progressing"
	// ReasonSuspended: spec.suspend is true and no call is made to the cloud.
	ReasonSuspended = "Suspended"
	// ReasonSecretNotFound: the Secret, or a key of it that is needed, is missing
	// or empty.
	ReasonSecretNotFound = "SecretNotFound"
	// ReasonInvalidCertificate: the content of the Secret cannot be served. With
	// Stalled it is the operator's own verdict, without it the cloud's refusal.
	ReasonInvalidCertificate = "InvalidCertificate"
	// ReasonCredentialsUnavailable: there are no working credentials for the
	// cloud.
	ReasonCredentialsUnavailable = "CredentialsUnavailable"
	// ReasonAccountNotAllowed: the account of the credentials is not on the list of
	// those to which the operator may upload, or could not be learned yet.
	ReasonAccountNotAllowed = "AccountNotAllowed"
	// ReasonAccessDenied: the credentials lack a permission that is needed; the
	// message names the RAM action.
	ReasonAccessDenied = "AccessDenied"
	// ReasonQuotaExceeded: the account holds as many certificates as it may.
	ReasonQuotaExceeded = "QuotaExceeded"
	// ReasonThrottled: an upload has been waiting for the account's rate limit,
	// or for the object's own, for more than a minute.
	ReasonThrottled = "Throttled"
	// ReasonUploadFailed: the cloud could not be reached or answered with an
	// error that is expected to pass.
	ReasonUploadFailed = "UploadFailed"
	// ReasonNameConflict: the unique name of this version is held by a
	// certificate that is not ours, by its digest.
	ReasonNameConflict = "NameConflict"
	// ReasonDeletionBlocked: certificates of a deleted object could not be
	// removed from the cloud yet.
	ReasonDeletionBlocked = "DeletionBlocked"
)

// Reasons of events that report something other than a condition.
const (
	// ReasonLeftBehind: account or region of the object changed, or its status was
	// another object's; the certificates that the status named stay where they are,
	// and the event names them.
	ReasonLeftBehind = "LeftBehind"
	// ReasonMovedTooOften: account, region or identity of the object changed more than
	// three times in an hour; its status is left as it is for a while.
	ReasonMovedTooOften = "MovedTooOften"
	// ReasonOlderCertificate: a new version expires before the one it replaces.
	ReasonOlderCertificate = "OlderCertificate"
	// ReasonRecreated: the current version had vanished from the cloud and was
	// uploaded again.
	ReasonRecreated = "Recreated"
	// ReasonRestored: the target of a binding uses a version again that somebody else had
	// replaced or taken out; the event says which.
	ReasonRestored = "Restored"
	// ReasonPruned: a superseded version was deleted from the cloud.
	ReasonPruned = "Pruned"
	// ReasonPruneFailed: a superseded version could not be deleted from the cloud.
	ReasonPruneFailed = "PruneFailed"
	// ReasonPruneHeld: a superseded version is not deleted from the cloud, because a binding
	// has it or has not been read yet; the event names those bindings.
	ReasonPruneHeld = "PruneHeld"
	// ReasonIdentityShared: a newer version under the identity of this object was
	// not uploaded by this operator; nothing of the object is deleted meanwhile.
	ReasonIdentityShared = "IdentityShared"
	// ReasonCRDTooOld: the CustomResourceDefinition lacks fields that the operator
	// writes. It is said once, about the first object that was concerned.
	ReasonCRDTooOld = "CRDTooOld"
	// ReasonReleased: a deleted object was let go although certificates of it may
	// remain in the cloud; the event names those that are known.
	ReasonReleased = "Released"
)

// Annotations and finalizers that the operator reads on a CloudCertificate and on a
// CloudCertificateBinding.
const (
	// AnnotationResync asks for a check of the cloud now, by any new value. Its
	// removal is no request.
	AnnotationResync = "cloudcert.io/resync"
	// AnnotationOrphan with the value "true" lets a deletion go without touching
	// the cloud.
	AnnotationOrphan = "cloudcert.io/orphan"
	// FinalizerCleanup holds an object with deletionPolicy Delete until its
	// certificates are gone from the cloud.
	FinalizerCleanup = "cloudcert.io/cleanup"
	// FinalizerUnbind holds a binding with onDelete Unbind until its certificates are gone
	// from the target.
	FinalizerUnbind = "cloudcert.io/unbind"
)
