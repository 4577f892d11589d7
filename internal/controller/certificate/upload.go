// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"context"
	"slices"
	"strings"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/bundle"
	"github.com/cloudcert-io/cloudcert/internal/cas"
	"github.com/cloudcert-io/cloudcert/internal/inventory"
	"github.com/cloudcert-io/cloudcert/internal/protocol"
)

// upload uploads the content under its name and makes it the current version.
func (r *reconciliation) upload(ctx context.Context, name string) error {
	next, v, identity := r.next, r.cloud.Inventory(), r.identity(r.next)
	v.Sending(identity, name)
	uploaded, err := r.cloud.Upload(ctx, r.slot, uploadRequest(name, next, r.content))
	v.Sending(identity, name)
	if alibaba.IsRefused(err) {
		r.announce.oddities(next, r.content) // it may well be the reason
	}
	if alibaba.MayHaveHappened(err) {
		v.Lost()
	}
	if err != nil {
		return err
	}
	result := resultCreated
	before := next.Status
	v.Uploaded(uploaded.CertID, uploaded.ResourceID, name)
	r.announce.oddities(next, r.content)
	r.setCurrent(inventory.Entry{CertID: uploaded.CertID, ResourceID: uploaded.ResourceID, Name: name})
	if before.CertID != 0 && before.ContentHash == next.Status.ContentHash {
		result = resultRecreated
		r.memory.recreated(next, r.Clock.Now())
		r.announce.recreated(r.next, &before)
	}
	uploads.WithLabelValues(next.Status.AccountID, next.Status.Region, result).Inc()
	return nil
}

// setCurrent makes a certificate of the content the current version, from now on.
func (r *reconciliation) setCurrent(e inventory.Entry) {
	setCurrent(r.next, r.cloud.KnownAccount(), e, r.content, r.Clock.Now())
}

// find looks for the certificate of this identity and content in the cloud's list,
// read after it was first asked for: by a name of the leaf, because the list cannot
// be searched by certificate name (F18), or in a sweep that many share.
func (r *reconciliation) find(ctx context.Context) (*inventory.Entry, error) {
	now := r.Clock.Now()
	word := keyword(r.content)
	if last := r.cloud.Inventory().LastAttempt(r.identity(r.next)); last.Taken != "" && now.Sub(last.Since) > protocol.KeywordLimit {
		word = "" // it is there, and not found by a name that may be no domain: look through the whole list
	}
	found, err := r.cloud.LookUp(ctx, r.identity(r.next), word, r.memory.asking(r.next, now), func(e inventory.Entry) bool {
		_, version, ok := bundle.ParseName(e.Name)
		return ok && version == r.content.Hash.Content()
	})
	if err != nil {
		return nil, err
	}
	r.memory.answered(r.next)
	if len(found) == 0 {
		return nil, nil
	}
	return &found[0], nil
}

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

// names are the names that content may get under the prefix of the spec, in the order in
// which they are tried: always the same ones, so that a crash meets them again.
func names(object *v1alpha1.CloudCertificate, identity, content string) []string {
	prefix := object.Spec.NamePrefix
	if prefix == "" {
		prefix = bundle.DefaultPrefix(object.Namespace, object.Name)
	}
	var names []string
	for n := range protocol.MaxNames {
		name := bundle.Name(bundle.NumberedPrefix(prefix, n+1), identity, content)
		if !slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) }) { // a prefix may end like a number of ours
			names = append(names, name)
		}
	}
	return names
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
