// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/bundle"
	"github.com/cloudcert-io/cloudcert/internal/cas"
)

// ensureUploaded makes sure that content is in the cloud and that status names
// it. It may be repeated at any time: the name carries who and what, so an upload
// that already happened comes back as NameRepeat and is adopted.
func (r *Reconciler) ensureUploaded(ctx context.Context, next *v1alpha1.CloudCertificate, cloud *cas.Client, slot *cas.Slot, content *bundle.Bundle) error {
	same := next.Status.CertID != 0 && next.Status.ContentHash == content.Hash.String()
	missing := same && r.memory.missing(next)
	if same && !missing && !resyncAsked(next) && !isDoubted(next) {
		return nil
	}
	if !same || missing {
		if known := r.atHand(next, cloud, content); known != nil {
			return r.adopt(ctx, next, *known, content)
		}
	}
	found, looked, err := r.lookFirst(ctx, next, cloud, content, same)
	if found != nil {
		return r.adopt(ctx, next, *found, content)
	}
	if err != nil {
		return err
	}
	if err := r.mayUpload(ctx, next, same); err != nil {
		return err
	}
	// Absence from a list proves nothing by itself: the repair is the same upload,
	// and NameRepeat means that the certificate is there after all.
	name := r.nameFor(next, cloud.Inventory(), content)
	err = r.upload(ctx, next, cloud, slot, name, content)
	if cas.IsNameTaken(err) {
		return r.resolveNameTaken(ctx, next, cloud, name, content, looked)
	}
	return err
}

// lookFirst looks for the certificate before an upload, where there is a reason to: it
// is asked for, or the name was refused, or the content may be there under another name.
// It reports whether a list was searched. Where no list can be read uploads go on, unless
// they would make a second certificate or learn nothing.
func (r *Reconciler) lookFirst(ctx context.Context, next *v1alpha1.CloudCertificate, cloud *cas.Client, content *bundle.Bundle, same bool) (found *cas.Entry, looked bool, err error) {
	name := r.nameFor(next, cloud.Inventory(), content)
	asked := same && !r.memory.missing(next)
	unsure := !same && r.mayHaveOtherName(next)
	taken := r.memory.taken(next, name)
	if !asked && !unsure && !taken {
		return nil, false, nil
	}
	found, err = r.find(ctx, next, cloud, content)
	switch {
	case found != nil, cas.IsThrottled(err):
		return found, true, err
	case err == nil && unsure:
		return nil, true, r.underNoName(next, cloud, content)
	case unsure && !cas.IsDenied(err), taken && !namesCurrent(next, name) && !cas.IsDenied(err):
		return nil, err == nil, err
	}
	return nil, err == nil, nil
}

// listedAge is how long a certificate that was listed is taken to be there still:
// long enough for thousands of objects to adopt from one sweep.
const listedAge = 2 * time.Minute

// atHand returns the certificate of this identity and content that was there a moment
// ago: our own last upload, whose status the cache may not show yet, or one that was
// listed just now. Of anything older the cloud is asked, by an upload.
func (r *Reconciler) atHand(next *v1alpha1.CloudCertificate, cloud *cas.Client, content *bundle.Bundle) *cas.Entry {
	v := cloud.Inventory()
	known, ok := v.Find(r.identity(next), content.Hash.Content())
	switch {
	case !ok:
		return nil
	case v.Wrote(known.CertID):
		ok = known.Name == r.memory.tried(next)
	default:
		ok = r.Clock.Since(known.Seen) <= listedAge
	}
	if !ok {
		return nil
	}
	return &known
}

// isDoubted reports whether it was an open question, when the status was written, whether
// the certificate is there. A restart forgets what else there is to know of it.
func isDoubted(object *v1alpha1.CloudCertificate) bool {
	ready := meta.FindStatusCondition(object.Status.Conditions, v1alpha1.ConditionReady)
	return ready != nil && ready.Reason == v1alpha1.ReasonProgressing
}

// mayHaveOtherName reports whether the content may be in the cloud under another prefix,
// which no upload would meet: an earlier upload whose outcome nobody published may have
// used another prefix. That is so when the prefix is not the one of the current version,
// or the spec has changed since the status answered it, or there is no status to tell.
func (r *Reconciler) mayHaveOtherName(next *v1alpha1.CloudCertificate) bool {
	status := &next.Status
	if status.CertID == 0 {
		return next.Spec.NamePrefix != "" || next.Generation > 1
	}
	_, current, _ := bundle.ParseName(status.Name)
	return status.ObservedGeneration != next.Generation || position(r.names(next, current), status.Name) < 0
}

// underNoName makes sure that content which may have another prefix is in the cloud under
// none. A look-up that found nothing is not enough, because a keyword may find nothing of
// what is there: it takes a complete sweep as well. That one has to be younger than every
// upload which ended without our knowing of it, so that one sweep serves all new objects;
// a name that this process has tried itself is known.
func (r *Reconciler) underNoName(next *v1alpha1.CloudCertificate, cloud *cas.Client, content *bundle.Bundle) error {
	if sameVersion(r.memory.tried(next), r.newName(next, content.Hash.Content())) {
		return nil
	}
	if err := cloud.SweptSince(r.memory.lostSince(r.began())); !cas.IsDenied(err) {
		return err
	}
	return nil // uploads go on
}

// mayUpload says why an upload has to wait, and prepares what must be there before
// it: the finalizer, and the certainty that the object is still what the cache shows.
func (r *Reconciler) mayUpload(ctx context.Context, next *v1alpha1.CloudCertificate, repair bool) error {
	if repair {
		if err := r.recreationRate(next); err != nil {
			return err
		}
	} else if err := r.versionRate(next); err != nil {
		return err
	}
	held := controllerutil.ContainsFinalizer(next, v1alpha1.FinalizerCleanup)
	if next.Spec.DeletionPolicy == v1alpha1.DeletionPolicyDelete && !held {
		return r.setFinalizer(ctx, next, true)
	}
	return r.unchanged(ctx, next)
}

// upload uploads content under its name and makes it the current version.
func (r *Reconciler) upload(ctx context.Context, next *v1alpha1.CloudCertificate, cloud *cas.Client, slot *cas.Slot, name string, content *bundle.Bundle) error {
	r.memory.sending(next, name, r.Clock.Now())
	uploaded, err := cloud.Upload(ctx, slot, uploadRequest(name, next, content))
	r.memory.sending(next, name, r.Clock.Now())
	if cas.IsRefused(err) {
		r.warn(next, content) // it may well be the reason
	}
	if cas.MayHaveHappened(err) {
		r.memory.lost(r.Clock.Now())
	}
	if err != nil {
		return err
	}
	before := next.Status
	cloud.Inventory().Uploaded(uploaded.CertID, uploaded.ResourceID, name)
	r.warn(next, content)
	r.setCurrent(next, cas.Entry{CertID: uploaded.CertID, ResourceID: uploaded.ResourceID, Name: name}, content)
	if before.CertID != 0 && before.ContentHash == next.Status.ContentHash {
		r.memory.recreated(next, r.Clock.Now())
		r.Recorder.Eventf(next, nil, corev1.EventTypeWarning, v1alpha1.ReasonRecreated, "Upload",
			"certificate %d was gone from the cloud; uploaded again as %d", before.CertID, uploaded.CertID)
	}
	return nil
}

// warn reports what is odd about a version that is uploaded all the same.
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
// and the content, so it is the proof; only a digest can refute it. A list that this
// pass has looked through already, in vain, is not read once more: lists lag behind.
func (r *Reconciler) resolveNameTaken(ctx context.Context, next *v1alpha1.CloudCertificate, cloud *cas.Client, name string, content *bundle.Bundle, looked bool) error {
	taken := &nameTakenError{name: name, since: r.memory.nameTaken(next, name, r.Clock.Now())}
	if !looked {
		found, err := r.find(ctx, next, cloud, content)
		if found != nil {
			return r.adopt(ctx, next, *found, content)
		}
		if err != nil {
			return r.withoutList(next, name, err)
		}
	}
	known := namesCurrent(next, name)
	if known && r.Clock.Since(next.Status.LastUploadTime.Time) < cas.DefaultOwnWriteAge {
		return nil // it is there: the list lags behind
	}
	if !known && r.Clock.Since(taken.since) <= keywordLimit {
		return taken
	}
	return r.resolveUnlisted(ctx, next, cloud, content, taken)
}

// namesCurrent reports whether a name is the one of the current certificate.
func namesCurrent(object *v1alpha1.CloudCertificate, name string) bool {
	return object.Status.CertID != 0 && strings.EqualFold(object.Status.Name, name)
}

// withoutList decides what a taken name means where the list cannot be read: what the
// status names is there, unless a sweep has missed it.
func (r *Reconciler) withoutList(next *v1alpha1.CloudCertificate, name string, err error) error {
	if namesCurrent(next, name) && (cas.IsDenied(err) || !r.memory.missing(next) && !cas.IsThrottled(err)) {
		return nil
	}
	return err
}

// resolveUnlisted decides about a taken name that look-ups do not find. A complete sweep
// that began after the name was refused has to show the certificate. Where it does not,
// the name is held by no certificate of this place, and once lists have had time to
// catch up the content goes up under another name.
func (r *Reconciler) resolveUnlisted(ctx context.Context, next *v1alpha1.CloudCertificate, cloud *cas.Client, content *bundle.Bundle, taken *nameTakenError) error {
	late := r.Clock.Since(taken.since) >= lagLimit
	since := taken.since
	if late {
		since = since.Add(lagLimit)
	}
	if err := cloud.SweptSince(since); err != nil {
		return r.withoutList(next, taken.name, err)
	}
	v := cloud.Inventory()
	if found, ok := v.Find(r.identity(next), content.Hash.Content()); ok {
		return r.adopt(ctx, next, found, content)
	}
	taken.unlisted, taken.unreadable = true, v.Unreadable()
	if !late || taken.unreadable > 0 {
		return taken
	}
	names := r.names(next, content.Hash.Content())
	following := position(names, taken.name) + 1 // the first one, where the name has a prefix of before
	if following == len(names) {
		taken.exhausted = true
		return taken
	}
	return r.uploadElsewhere(ctx, next, cloud, content, taken.name, names[following])
}

// uploadElsewhere uploads content under a name that stands in for one which is held by
// nothing that the list shows.
func (r *Reconciler) uploadElsewhere(ctx context.Context, next *v1alpha1.CloudCertificate, cloud *cas.Client, content *bundle.Bundle, held, name string) error {
	log.FromContext(ctx).Info("The name is held by nothing that the list shows; uploading under another", "held", held, "name", name)
	err := r.upload(ctx, next, cloud, nil, name, content)
	if cas.IsNameTaken(err) {
		return &nameTakenError{name: name, since: r.memory.nameTaken(next, name, r.Clock.Now())}
	}
	return err
}

// adopt takes a listed certificate of our name for the current version, unless
// its digest says that it is another one. What has something in the cloud is held.
func (r *Reconciler) adopt(ctx context.Context, next *v1alpha1.CloudCertificate, found cas.Entry, content *bundle.Bundle) error {
	if refuted(found.SHA256, content) {
		return &nameConflictError{name: found.Name, certID: found.CertID}
	}
	if next.Spec.DeletionPolicy == v1alpha1.DeletionPolicyDelete {
		if err := r.setFinalizer(ctx, next, true); err != nil {
			return err
		}
	}
	r.memory.adopted(next, bundle.LowerFields(found.Name))
	r.setCurrent(next, found, content)
	return nil
}

// refuted says that a listed digest is well formed and of another certificate.
// For an SM pair it is unknown which certificate the digest describes [inf], so
// both are taken.
func refuted(listed string, content *bundle.Bundle) bool {
	if !isDigest(listed) {
		return false
	}
	if strings.EqualFold(listed, hexDigest(content.LeafSHA256)) {
		return false
	}
	return content.Type != bundle.SM || !strings.EqualFold(listed, hexDigest(content.EncryptLeafSHA256))
}

// isDigest says that a SHA-256 digest is well formed.
func isDigest(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdefABCDEF") == ""
}

// find looks for the certificate of this identity and content in the cloud's list,
// read after it was first asked for: by a name of the leaf, because the list cannot
// be searched by certificate name [doc], or in a sweep that many share.
func (r *Reconciler) find(ctx context.Context, next *v1alpha1.CloudCertificate, cloud *cas.Client, content *bundle.Bundle) (*cas.Entry, error) {
	now := r.Clock.Now()
	word := keyword(content)
	if r.memory.takenFor(next, now) > keywordLimit {
		word = "" // it is there, and not found by a name that may be no domain: look through the whole list
	}
	found, err := cloud.Look(ctx, r.identity(next), word, r.memory.asking(next, now), func(e cas.Entry) bool {
		_, version, ok := bundle.ParseName(e.Name)
		return ok && version == content.Hash.Content()
	})
	if err != nil {
		return nil, err
	}
	r.memory.answered(next)
	if len(found) == 0 {
		return nil, nil
	}
	return &found[0], nil
}

// keywordLimit is how long a taken name is looked up by keyword. Lists that lag behind
// have caught up by then, in general.
const keywordLimit = time.Minute

// keyword is a name by which the cloud's list finds a certificate. A keyword is looked
// for within names, and one with an asterisk may find nothing.
func keyword(content *bundle.Bundle) string {
	word := content.Facts.CommonName
	if word == "" && len(content.Facts.DNSNames) > 0 {
		word = content.Facts.DNSNames[0]
	}
	return strings.TrimPrefix(word, "*.")
}

// identity is the part of a name that says whose certificate it is.
func (r *Reconciler) identity(object *v1alpha1.CloudCertificate) string {
	return bundle.Identity(r.Options.ClusterID, object.Namespace, object.Name)
}

// nameFor is the name of this content in the cloud. Content that is known to be
// there, or to have been, keeps the name it has, also under a new prefix: its upload
// must meet it. The last name that was tried or found comes first: it may stand in for
// the one of the status.
func (r *Reconciler) nameFor(object *v1alpha1.CloudCertificate, v *cas.Inventory, content *bundle.Bundle) string {
	identity := r.identity(object)
	names := []string{r.memory.tried(object), object.Status.Name}
	for _, h := range object.Status.History {
		names = append(names, h.Name)
	}
	if known, ok := v.Find(identity, content.Hash.Content()); ok {
		names = append(names, known.Name)
	}
	for _, name := range names {
		if id, version, ok := bundle.ParseName(name); ok && id == identity && version == content.Hash.Content() {
			return bundle.LowerFields(name)
		}
	}
	return r.newName(object, content.Hash.Content())
}

// newName is the name of content that has none yet.
func (r *Reconciler) newName(object *v1alpha1.CloudCertificate, content string) string {
	return r.names(object, content)[0]
}

// maxNames is how many names one content may get, one after the other: each stands in for
// one that is held by nothing that the list shows. If a list does not show what is
// there, that many are made at most.
const maxNames = 9

// names are the names that content may get under the prefix of the spec, in the order in
// which they are tried: always the same ones, so that a crash meets them again.
func (r *Reconciler) names(object *v1alpha1.CloudCertificate, content string) []string {
	prefix := object.Spec.NamePrefix
	if prefix == "" {
		prefix = bundle.DefaultPrefix(object.Namespace, object.Name)
	}
	identity := r.identity(object)
	var names []string
	for n := range maxNames {
		name := bundle.Name(bundle.NumberedPrefix(prefix, n+1), identity, content)
		if position(names, name) < 0 { // a prefix may end like a number of ours
			names = append(names, name)
		}
	}
	return names
}

// position is the index of a name, ignoring case; -1 if it is not there.
func position(names []string, name string) int {
	return slices.IndexFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
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
func (r *Reconciler) versionRate(object *v1alpha1.CloudCertificate) error {
	limit := r.Options.MaxVersionsPerHour
	if limit <= 0 {
		return nil
	}
	limit = min(limit, maxHistory)
	hourAgo := r.Clock.Now().Add(-time.Hour)
	times := []time.Time{object.Status.LastUploadTime.Time}
	for _, v := range object.Status.History {
		times = append(times, v.UploadTime.Time)
	}
	recent := since(times, hourAgo)
	if len(recent) < limit {
		return nil
	}
	slices.SortFunc(recent, time.Time.Compare)
	return &versionRateError{limit: limit, until: recent[len(recent)-limit].Add(time.Hour)}
}

// maxRecreations is how often one object is recreated in an hour before somebody has
// to look who deletes it.
const maxRecreations = 3

// recreationRate refuses to upload once more what keeps vanishing.
func (r *Reconciler) recreationRate(object *v1alpha1.CloudCertificate) error {
	recent := r.memory.recreationsSince(object, r.Clock.Now().Add(-time.Hour))
	if len(recent) < maxRecreations {
		return nil
	}
	return &recreationError{certID: object.Status.CertID, count: len(recent), until: recent[0].Add(time.Hour)}
}
