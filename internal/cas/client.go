// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package cas

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"time"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/gate"
	"github.com/cloudcert-io/cloudcert/internal/ratelimit"
)

// Client calls CAS in one region with one credential. It is safe for concurrent
// use. Every call is idempotent or safe to repeat, and ends within 4.5 s: before
// the successor of a deposed leader can start. Its errors are *Error.
type Client struct {
	cloud    *Cloud
	region   string
	endpoint string
	identity *alibaba.Identity
	behalf   Behalf
}

// Client returns the client of a region and a credential. It is cheap enough
// for every reconcile: what is known about the credential and its limits is kept
// elsewhere, and forgotten an hour after its last use.
func (c *Cloud) Client(region string, p alibaba.Provider) (*Client, error) {
	endpoint, ok := c.endpoints[region]
	if !ok {
		return nil, fmt.Errorf("unknown region %q", region)
	}
	if p == nil {
		return nil, alibaba.NoCredentials("no provider")
	}
	identity, _ := c.caller.Identity(p)
	return &Client{cloud: c, region: region, endpoint: endpoint, identity: identity}, nil
}

// Credential tells one credential from another; no secret can be told from it.
func (c *Client) Credential() string { return c.identity.Credential() }

// KnownAccount returns the id of the account that the credential is of, and ""
// as long as that was not learned. It never calls.
func (c *Client) KnownAccount() string { return c.identity.KnownAccount() }

// Account returns the id of the account that the credential is of. The first
// call asks STS, for at most 2 s; a failure is remembered for a minute, in which
// nothing is called.
func (c *Client) Account(ctx context.Context) (string, error) {
	account, err := c.identity.Account(ctx)
	if err == nil {
		var places []gate.Place
		for _, region := range Regions() {
			places = append(places, gate.Place{Region: region})
		}
		c.cloud.gates.Known(c.identity, places...)
	}
	return account, err
}

// Reserve takes a place in the pace of the action, at most half a second ahead,
// for a Prompt caller. Where there is none, the error is of class Throttled and
// its RetryAfter says when to come back. It does not block. The slot is used by
// one call or released.
func (c *Client) Reserve(ctx context.Context, action alibaba.Action) (*Slot, error) {
	return c.ReserveAs(ctx, action, ratelimit.Prompt)
}

// ReserveAs is Reserve for callers of any urgency: the less urgent reserve less
// far ahead, and so leave places for the others.
func (c *Client) ReserveAs(ctx context.Context, action alibaba.Action, u ratelimit.Urgency) (*Slot, error) {
	return c.reserve(ctx, action, u, u.Horizon())
}

func (c *Client) reserve(ctx context.Context, action alibaba.Action, u ratelimit.Urgency, horizon time.Duration) (*Slot, error) {
	slot, failure := c.way().Reserve(ctx, action, u, horizon)
	if failure != nil {
		return nil, failure
	}
	return slot, nil
}

// way is how the client's calls go now: whose limits they are is learned on the way.
func (c *Client) way() *gate.Way {
	place := gate.Place{Region: c.region}
	through, _ := c.cloud.gates.Of(c.identity, place)
	return &gate.Way{Gate: through, Place: place, Identity: c.identity, Clock: c.cloud.clock, Tenant: c.behalf.Tenant, Waited: c.waited}
}

// Slot is a place in the pace of one action of one account and region, for calls with one
// credential. It is used by one call, or given back.
type Slot = gate.Slot

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
func (r UploadRequest) String() string { return "{Name:" + r.Name + " " + alibaba.Redacted + "}" }

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
}

// Upload uploads a certificate under its name, once the slot is due. A nil or
// spent slot is replaced by a new one. The slot is spent if the call was sent,
// else given back.
//
// It is safe to repeat: after a lost answer (MayHaveHappened) the same upload
// either creates the certificate or is of class NameTaken.
func (c *Client) Upload(ctx context.Context, slot *Slot, r UploadRequest) (Uploaded, error) {
	params := map[string]string{
		"Name":              r.Name,
		"Cert":              r.Certificate,
		"Key":               r.PrivateKey,
		"SignCert":          r.SignCertificate,
		"SignPrivateKey":    r.SignPrivateKey,
		"EncryptCert":       r.EncryptCertificate,
		"EncryptPrivateKey": r.EncryptPrivateKey,
		"ResourceGroupId":   r.ResourceGroupID,
	}
	for i, tag := range r.Tags {
		prefix := "Tags." + strconv.Itoa(i+1)
		params[prefix+".Key"], params[prefix+".Value"] = tag.Key, tag.Value
	}
	call := c.newCall(ActionUpload, params)
	call.Secrets = []string{r.PrivateKey, r.SignPrivateKey, r.EncryptPrivateKey}
	answer, err := send[uploadAnswer](ctx, c, slot, call)
	if err != nil {
		return Uploaded{}, err
	}
	return Uploaded{CertID: answer.CertID.Int64(), ResourceID: bounded(answer.ResourceID)}, nil
}

// Delete deletes a certificate, whoever it belongs to: that it is ours is for
// the caller to prove. A certificate that does not exist is of class NotFound.
func (c *Client) Delete(ctx context.Context, certID int64) error {
	if certID <= 0 {
		return &alibaba.Error{Action: ActionDelete, Class: alibaba.Refused, Message: fmt.Sprintf("no certificate has the id %d", certID)}
	}
	call := c.newCall(ActionDelete, map[string]string{"CertId": strconv.FormatInt(certID, 10)})
	_, err := send[deleteAnswer](ctx, c, nil, call)
	return err
}

// send sends one call at the time of its slot; see gate.Send.
func send[T any](ctx context.Context, c *Client, slot *Slot, call alibaba.Call) (*T, error) {
	ctx, cancel := context.WithTimeout(ctx, alibaba.CallTimeout)
	defer cancel()
	answer, sent, failure := gate.Send[T](ctx, c.way(), slot, call)
	if failure == nil {
		c.tell(call.Action, nil)
		return answer, nil
	}
	if sent {
		c.tell(call.Action, failure)
	}
	return nil, failure
}

// Behalf says for whom a client calls.
type Behalf struct {
	// Tenant shares the account's limits with other tenants; empty is the operator itself.
	Tenant string
	// Sent, if set, is told of every call that was sent, and its error.
	Sent func(action alibaba.Action, err error)
}

// For returns the same client for calls on somebody's behalf. Sweeps are the operator's own,
// whoever asks for them.
func (c *Client) For(b Behalf) *Client {
	client := *c
	client.behalf = b
	return &client
}

// tell says that a call was sent.
func (c *Client) tell(action alibaba.Action, err error) {
	if c.behalf.Sent != nil {
		c.behalf.Sent(action, err)
	}
}
