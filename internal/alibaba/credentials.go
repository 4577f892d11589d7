// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package alibaba

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"
)

// Credentials sign calls. Formatting them in any way shows the access key id
// alone.
type Credentials struct {
	// AccessKeyID names the key; it is no secret.
	AccessKeyID string
	// AccessKeySecret signs.
	AccessKeySecret string
	// SecurityToken comes with temporary credentials; else empty.
	SecurityToken string
	// Expiration is zero for credentials that do not expire.
	Expiration time.Time
}

// String returns the access key id.
func (c Credentials) String() string {
	return fmt.Sprintf("{AccessKeyID:%s AccessKeySecret:%s}", c.AccessKeyID, Redacted)
}

// Format keeps every verb of fmt from the secrets.
func (c Credentials) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, c.String()) }

// MarshalText keeps every encoder from the secrets.
func (c Credentials) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// LogValue keeps slog from the secrets.
func (c Credentials) LogValue() slog.Value { return slog.StringValue(c.String()) }

func (c Credentials) secrets() []string { return []string{c.AccessKeySecret, c.SecurityToken} }

// Provider returns credentials. Implementations are safe for concurrent use and
// cheap while they hold valid credentials.
type Provider interface {
	// Retrieve returns credentials that are valid now.
	Retrieve(ctx context.Context) (Credentials, error)
	// ID tells one credential from another. It stays the same while temporary
	// credentials are renewed, and is a hash: no secret can be told from it.
	ID() string
}

// ErrNoCredentials is wrapped by the error for credentials that are not
// configured, or only in part.
var ErrNoCredentials = errors.New("no credentials are configured")

// NoCredentials is the error for credentials that are not configured, or only in part; the
// message says what is missing.
func NoCredentials(message string) error {
	return &Error{Action: actionCredentials, Class: Unauthenticated, Message: message, Cause: ErrNoCredentials}
}

// Static returns a provider of credentials that are given as they are: a pair
// of access key id and secret, with the security token of a temporary one.
func Static(c Credentials) (Provider, error) {
	switch {
	case c.AccessKeyID == "" && c.AccessKeySecret == "":
		return nil, NoCredentials("access key id and secret are empty")
	case c.AccessKeyID == "":
		return nil, NoCredentials("the access key id is empty")
	case c.AccessKeySecret == "":
		return nil, NoCredentials("the access key secret is empty")
	}
	return newStaticProvider(c, SourceGiven), nil
}

// sealed holds credentials in an unexported field of a struct, where fmt cannot
// call their Format. It prints any pointer's target under a verb that it does
// not know, but of a function only the address.
type sealed func() Credentials

func seal(c Credentials) sealed { return func() Credentials { return c } }

type staticProvider struct {
	id, from    string
	credentials sealed
}

func newStaticProvider(c Credentials, from string) *staticProvider {
	return &staticProvider{id: hashID("static", c.AccessKeyID, c.AccessKeySecret, c.SecurityToken), from: from, credentials: seal(c)}
}

func (p *staticProvider) source() string { return p.from }

func (p *staticProvider) ID() string { return p.id }

func (p *staticProvider) Retrieve(context.Context) (Credentials, error) {
	return p.credentials(), nil
}

// hashID hashes fields, each with its length, so that no two lists are alike.
func hashID(fields ...string) string {
	h := sha256.New()
	for _, field := range fields {
		_ = binary.Write(h, binary.BigEndian, uint64(len(field)))
		_, _ = io.WriteString(h, field)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
