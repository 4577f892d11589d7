// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package cas

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"

	"github.com/cloudcert-io/cloudcert/internal/ratelimit"
)

// Client calls CAS at one site with one credential. It is safe for concurrent
// use. Every call is idempotent or safe to repeat, and ends within 4.5 s: before
// the successor of a deposed leader can start. Its errors are *Error.
type Client struct {
	cloud    *Cloud
	region   string
	endpoint string
	identity *identity
}

// Client returns the client of a region and a credential. It is cheap enough
// for every reconcile: what is known about the credential and its limits is kept
// by the Cloud, and forgotten an hour after its last use.
func (c *Cloud) Client(region string, p Provider) (*Client, error) {
	endpoint, ok := c.endpoints[region]
	if !ok {
		return nil, fmt.Errorf("unknown region %q", region)
	}
	if p == nil {
		return nil, noCredentials("no provider")
	}
	return &Client{cloud: c, region: region, endpoint: endpoint, identity: c.identityOf(p)}, nil
}

// Region returns the region that the client calls.
func (c *Client) Region() string { return c.region }

// KnownAccount returns the id of the account that the credential is of, and ""
// as long as that was not learned. It never calls.
func (c *Client) KnownAccount() string { return c.identity.knownAccount() }

// Account returns the id of the account that the credential is of. The first
// call asks STS, for at most 2 s; a failure is remembered for a minute, in which
// nothing is called.
func (c *Client) Account(ctx context.Context) (string, error) {
	return c.cloud.learnAccount(ctx, c.identity)
}

// Reserve takes a place in the pace of the action, at most half a second ahead,
// for a Prompt caller. Where there is none, the error is of class Throttled and
// its RetryAfter says when to come back. It does not block. The slot is used by
// one call or released.
func (c *Client) Reserve(ctx context.Context, action Action) (*Slot, error) {
	return c.ReserveAs(ctx, action, ratelimit.Prompt)
}

// ReserveAs is Reserve for callers of any urgency: the less urgent reserve less
// far ahead, and so leave places for the others.
func (c *Client) ReserveAs(ctx context.Context, action Action, u ratelimit.Urgency) (*Slot, error) {
	return c.reserve(ctx, action, u, u.Horizon())
}

func (c *Client) reserve(ctx context.Context, action Action, u ratelimit.Urgency, horizon time.Duration) (*Slot, error) {
	if ctx.Err() != nil {
		return nil, newContextError(ctx, action)
	}
	limiter := c.cloud.limiterFor(c.identity, c.region, action)
	if limiter == nil {
		return nil, &Error{Action: action, Message: "the action has no limiter"}
	}
	place, retryAfter := limiter.Reserve(u, horizon)
	if place == nil {
		return nil, &Error{Action: action, Class: Throttled, RetryAfter: retryAfter, Message: "the account's limit is in use"}
	}
	return &Slot{place: place, key: c.slotKey(action)}, nil
}

func (c *Client) slotKey(action Action) slotKey {
	return slotKey{provider: c.identity.provider.ID(), region: c.region, action: action}
}

// Tag is a tag of a certificate.
type Tag struct{ Key, Value string }

// UploadRequest is one certificate to upload. Formatting it in any way shows its
// name alone.
type UploadRequest struct {
	// Name is unique in the account; at most 63 of letters, digits and _.
	Name string
	// Certificate and PrivateKey are PEM of a TLS certificate, leaf first.
	Certificate, PrivateKey string
	// The PEM of an SM2 pair. The cloud ignores them if the former are set (F5).
	SignCertificate, SignPrivateKey       string
	EncryptCertificate, EncryptPrivateKey string
	// ResourceGroupID is empty for the default group.
	ResourceGroupID string
	// Tags are at most 20.
	Tags []Tag
}

// String returns the name.
func (r UploadRequest) String() string { return "{Name:" + r.Name + " " + redacted + "}" }

// Format keeps every verb of fmt from the private keys.
func (r UploadRequest) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, r.String()) }

// MarshalText keeps every encoder from the private keys.
func (r UploadRequest) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// LogValue keeps slog from the private keys.
func (r UploadRequest) LogValue() slog.Value { return slog.StringValue(r.String()) }

// Uploaded is the answer to an upload.
type Uploaded struct {
	// CertID is at least 1.
	CertID int64
	// ResourceID is for instance cas-upload-xki1d0; it may be empty.
	ResourceID string
	// RequestID is for the cloud's support.
	RequestID string
}

// Upload uploads a certificate under its name, once the slot is due. A nil or
// spent slot is replaced by a new one. The slot is spent if the call was sent,
// else given back.
//
// It is safe to repeat: after a lost answer (MayHaveHappened) the same upload
// either creates the certificate or is of class NameTaken.
func (c *Client) Upload(ctx context.Context, slot *Slot, r UploadRequest) (Uploaded, error) {
	request := &uploadRequest{
		RpcRequest:        newRPC("cas", casVersion, ActionUpload),
		Name:              r.Name,
		Cert:              r.Certificate,
		Key:               r.PrivateKey,
		SignCert:          r.SignCertificate,
		SignPrivateKey:    r.SignPrivateKey,
		EncryptCert:       r.EncryptCertificate,
		EncryptPrivateKey: r.EncryptPrivateKey,
		ResourceGroupID:   r.ResourceGroupID,
	}
	if len(r.Tags) > 0 {
		tags := make([]tagParam, len(r.Tags))
		for i, tag := range r.Tags {
			tags[i] = tagParam(tag)
		}
		request.Tags = &tags
	}
	answer, err := call[uploadAnswer](ctx, c, ActionUpload, slot, request, r.PrivateKey, r.SignPrivateKey, r.EncryptPrivateKey)
	if err != nil {
		return Uploaded{}, err
	}
	return Uploaded{
		CertID:     answer.CertID.int64(),
		ResourceID: string(answer.ResourceID),
		RequestID:  string(answer.RequestID),
	}, nil
}

// Delete deletes a certificate, whoever it belongs to: that it is ours is for
// the caller to prove. A certificate that does not exist is of class NotFound.
func (c *Client) Delete(ctx context.Context, certID int64) error {
	if certID <= 0 {
		return &Error{Action: ActionDelete, Class: Refused, Message: fmt.Sprintf("no certificate has the id %d", certID)}
	}
	request := &deleteRequest{
		RpcRequest: newRPC("cas", casVersion, ActionDelete),
		CertID:     strconv.FormatInt(certID, 10),
	}
	_, err := call[deleteAnswer](ctx, c, ActionDelete, nil, request)
	return err
}

// call signs and sends one request at the time of its slot.
func call[T any](ctx context.Context, c *Client, action Action, slot *Slot, request requests.AcsRequest, secrets ...string) (*T, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if key := c.slotKey(action); !slot.take(key) {
		var err error
		if slot, err = c.Reserve(ctx, action); err != nil {
			return nil, err
		}
		slot.take(key)
	}
	x, credentials, sent, err := prepare(ctx, c, slot, request)
	if err != nil {
		slot.place.GiveBack()
		return nil, err
	}
	x.secrets = slices.Concat(secrets, credentials.secrets())
	x.written = func() { slot.place.Written(sent) }
	answer, err := send[T](ctx, c.cloud, x)
	if err == nil {
		return answer, nil
	}
	if err.Class == Throttled {
		err.RetryAfter = slot.place.Throttled(sent, err.RetryAfter)
	}
	noteRefusal(c.identity.provider, credentials, err)
	return nil, err
}

// prepare does what comes before sending. The credentials come first, because a
// provider may have to call STS; the signature last, because it carries the time.
func prepare(ctx context.Context, c *Client, slot *Slot, request requests.AcsRequest) (exchange, Credentials, time.Time, *Error) {
	action := slot.key.action
	credentials, err := retrieve(ctx, c.identity.provider)
	if err != nil {
		return exchange{}, Credentials{}, time.Time{}, err
	}
	sent, err := slot.wait(ctx)
	if err != nil {
		return exchange{}, Credentials{}, time.Time{}, err
	}
	form, signErr := sign(request, c.region, credentials)
	if signErr != nil {
		return exchange{}, Credentials{}, time.Time{}, &Error{Action: action, Message: "the request cannot be signed", cause: signErr}
	}
	return exchange{action: action, site: c.region, endpoint: c.endpoint, form: form}, credentials, sent, nil
}

// retrieve gets credentials; its errors are *Error. What a provider says beyond
// that is for its own messages to keep clean.
func retrieve(ctx context.Context, p Provider) (Credentials, *Error) {
	credentials, err := p.Retrieve(ctx)
	if err == nil {
		return credentials, nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return Credentials{}, e
	}
	return Credentials{}, &Error{Action: actionCredentials, Class: Unauthenticated, Message: "no credentials can be had", cause: err}
}

// noteRefusal lets a provider that caches know that its credentials are not
// taken any more.
func noteRefusal(p Provider, credentials Credentials, err *Error) {
	if cached, ok := p.(interface{ refused(Credentials) }); ok && err.Class == Unauthenticated {
		cached.refused(credentials)
	}
}
