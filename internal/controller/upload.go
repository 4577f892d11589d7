// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/bundle"
	"github.com/cloudcert-io/cloudcert/internal/cas"
)

// version is one certificate in the cloud, as the operator made it or found it.
type version struct {
	certID     int64
	resourceID string
	name       string
	uploaded   time.Time
}

// ensureUploaded makes sure that content is in the cloud and that status names
// it. It may be repeated at any time: the name carries who and what, so an upload
// that already happened comes back as NameRepeat and is adopted.
func (r *Reconciler) ensureUploaded(ctx context.Context, next *v1alpha1.CloudCertificate, cloud *cas.Client, slot *cas.Slot, content *bundle.Bundle) error {
	status := &next.Status
	same := status.CertID != 0 && status.ContentHash == content.Hash.String()
	if same && !resyncAsked(next) {
		return nil
	}
	name := r.nameFor(next, content)
	if !same {
		if own := r.memory.uploaded(next, name); own != nil {
			setCurrent(next, *own, content) // our cache has not seen our own status write yet
			return nil
		}
	}
	if same || r.memory.taken(next, name) {
		// Absence from a list proves nothing by itself: the repair is the same
		// upload, and NameRepeat means that the certificate is there after all.
		found, err := r.find(ctx, next, cloud, content)
		if found != nil {
			return r.adopt(next, found, content)
		}
		if cas.IsThrottled(err) {
			return err
		}
	}
	if err := r.versionRate(next, same); err != nil {
		return err
	}
	return r.upload(ctx, next, cloud, slot, name, content)
}

// upload uploads content under its name and makes it the current version.
func (r *Reconciler) upload(ctx context.Context, next *v1alpha1.CloudCertificate, cloud *cas.Client, slot *cas.Slot, name string, content *bundle.Bundle) error {
	uploaded, err := cloud.Upload(ctx, slot, uploadRequest(name, next, content))
	if cas.IsNameTaken(err) {
		return r.resolveNameTaken(ctx, next, cloud, name, content)
	}
	if err != nil {
		return err
	}
	made := version{certID: uploaded.CertID, resourceID: uploaded.ResourceID, name: name, uploaded: r.Clock.Now()}
	r.memory.remember(next, made)
	r.warn(next, content)
	setCurrent(next, made, content)
	return nil
}

// warn reports what is odd about a version that was uploaded all the same.
func (r *Reconciler) warn(next *v1alpha1.CloudCertificate, content *bundle.Bundle) {
	for _, warning := range content.Warnings {
		r.Recorder.Eventf(next, nil, "Warning", warning.Reason, "Upload", "%s", truncate(warning.Message))
	}
	if before := next.Status.Certificate.NotAfter; next.Status.CertID != 0 && content.Facts.NotAfter.Before(before.Time) {
		r.Recorder.Eventf(next, nil, "Warning", v1alpha1.ReasonOlderCertificate, "Upload",
			"Secret %q: the certificate expires on %s, before the one that it replaces (%s)", next.Spec.SecretRef.Name,
			content.Facts.NotAfter.UTC().Format(time.RFC3339), before.UTC().Format(time.RFC3339))
	}
}

// resolveNameTaken decides what NameRepeat means. The name carries our identity
// and the content, so it is the proof; only a digest can refute it.
func (r *Reconciler) resolveNameTaken(ctx context.Context, next *v1alpha1.CloudCertificate, cloud *cas.Client, name string, content *bundle.Bundle) error {
	since := r.memory.nameTaken(next, name, r.Clock.Now())
	found, err := r.find(ctx, next, cloud, content)
	if found != nil {
		return r.adopt(next, found, content)
	}
	if known := next.Status.CertID != 0 && strings.EqualFold(next.Status.Name, name); known && (err == nil || cas.IsDenied(err)) {
		return nil // the list lags behind, or may not be read; the name is ours: it is there
	}
	if err != nil {
		return err
	}
	return &nameTakenError{name: name, since: since}
}

// adopt takes a listed certificate of our name for the current version, unless
// its digest says that it is another one.
func (r *Reconciler) adopt(next *v1alpha1.CloudCertificate, found *cas.Certificate, content *bundle.Bundle) error {
	if refuted(found.SHA256, content) {
		return &nameConflictError{name: found.Name, certID: found.CertID}
	}
	setCurrent(next, version{
		certID: found.CertID, resourceID: found.ResourceID, name: found.Name, uploaded: r.Clock.Now(),
	}, content)
	return nil
}

// refuted says that a listed digest is well formed and of another certificate.
// For an SM pair it is unknown which certificate the digest describes [inf], so
// both are taken.
func refuted(listed string, content *bundle.Bundle) bool {
	if len(listed) != 64 || strings.Trim(listed, "0123456789abcdefABCDEF") != "" {
		return false
	}
	if strings.EqualFold(listed, hexDigest(content.LeafSHA256)) {
		return false
	}
	return content.Type != bundle.SM || !strings.EqualFold(listed, hexDigest(content.EncryptLeafSHA256))
}

// find looks for the certificate of this identity and content in the cloud's
// list, by a name of the leaf: the list cannot be searched by certificate name
// [doc]. A leaf without names is looked for in the whole list.
func (r *Reconciler) find(ctx context.Context, next *v1alpha1.CloudCertificate, cloud *cas.Client, content *bundle.Bundle) (*cas.Certificate, error) {
	identity := r.identity(next)
	found, err := cloud.Find(ctx, keyword(content), func(c cas.Certificate) bool {
		id, version, ok := bundle.ParseName(c.Name)
		return ok && id == identity && version == content.Hash.Content()
	})
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

// keyword is a name by which the cloud's list finds a certificate.
func keyword(content *bundle.Bundle) string {
	if content.Facts.CommonName != "" {
		return content.Facts.CommonName
	}
	if len(content.Facts.DNSNames) > 0 {
		return content.Facts.DNSNames[0]
	}
	return ""
}

// identity is the part of a name that says whose certificate it is.
func (r *Reconciler) identity(object *v1alpha1.CloudCertificate) string {
	return bundle.Identity(r.Options.ClusterID, object.Namespace, object.Name)
}

// nameFor is the name of this content in the cloud. Unchanged content keeps the
// name it has, also under a new prefix: its repair must meet it.
func (r *Reconciler) nameFor(object *v1alpha1.CloudCertificate, content *bundle.Bundle) string {
	identity := r.identity(object)
	if id, version, ok := bundle.ParseName(object.Status.Name); ok && id == identity && version == content.Hash.Content() {
		return object.Status.Name
	}
	prefix := object.Spec.NamePrefix
	if prefix == "" {
		prefix = bundle.DefaultPrefix(object.Namespace, object.Name)
	}
	return bundle.Name(prefix, identity, content.Hash.Content())
}

// uploadRequest is the upload of content under name.
func uploadRequest(name string, object *v1alpha1.CloudCertificate, content *bundle.Bundle) cas.UploadRequest {
	m := content.Material
	request := cas.UploadRequest{
		Name:        name,
		Certificate: m.Certificate, PrivateKey: m.PrivateKey,
		SignCertificate: m.SignCertificate, SignPrivateKey: m.SignPrivateKey,
		EncryptCertificate: m.EncryptCertificate, EncryptPrivateKey: m.EncryptPrivateKey,
		ResourceGroupID: object.Spec.ResourceGroupID,
	}
	for _, tag := range object.Spec.Tags {
		request.Tags = append(request.Tags, cas.Tag{Key: tag.Key, Value: tag.Value})
	}
	return request
}

// versionRate refuses an upload of a new version when the object uploaded too
// many in the last hour, counted from its status, so that a restart forgets none.
func (r *Reconciler) versionRate(object *v1alpha1.CloudCertificate, repair bool) error {
	limit := r.Options.MaxVersionsPerHour
	if limit <= 0 || repair {
		return nil
	}
	limit = min(limit, maxHistory)
	hourAgo := r.Clock.Now().Add(-time.Hour)
	var recent []time.Time // newest first, as history is
	for _, t := range uploadTimes(&object.Status) {
		if t.After(hourAgo) {
			recent = append(recent, t.Time)
		}
	}
	if len(recent) < limit {
		return nil
	}
	return &versionRateError{limit: limit, until: recent[limit-1].Add(time.Hour)}
}

// uploadTimes are the known upload times of all versions, newest first.
func uploadTimes(status *v1alpha1.CloudCertificateStatus) []metav1.Time {
	times := []metav1.Time{status.LastUploadTime}
	for _, v := range status.History {
		times = append(times, v.UploadTime)
	}
	return times
}
