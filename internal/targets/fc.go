// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package targets

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
)

// The actions of Function Compute.
const (
	fcRead   alibaba.Action = "GetCustomDomain"
	fcUpdate alibaba.Action = "UpdateCustomDomain"
)

// fc is the adapter of domains of Function Compute 3.0. They hold a certificate with its key and no id
// (T101): what we place has its identifier in its name, with a digest by which a certificate
// is told that somebody has put in under the same name.
//
// The key is in the call, and in the answer of each read. It is decoded from none: the types
// below have no field for it.
type fc struct {
	*session
	single
}

// fcDomain is what an update may change of a domain, but for the key.
type fcDomain struct {
	DomainName alibaba.Text `json:"domainName"`
	Protocol   alibaba.Text `json:"protocol"`
	CertConfig struct {
		CertName    alibaba.Text `json:"certName"`
		Certificate alibaba.Text `json:"certificate"`
	} `json:"certConfig"`
	fcSettings
}

// fcSettings are what an update sends back as it was read (T102). Some hold secrets of others.
type fcSettings struct {
	AuthConfig  json.RawMessage `json:"authConfig,omitempty"`
	CORSConfig  json.RawMessage `json:"corsConfig,omitempty"`
	RouteConfig json.RawMessage `json:"routeConfig,omitempty"`
	TLSConfig   json.RawMessage `json:"tlsConfig,omitempty"`
	WAFConfig   json.RawMessage `json:"wafConfig,omitempty"`
}

// all are the fields, each to be changed.
func (s *fcSettings) all() []*json.RawMessage {
	return []*json.RawMessage{&s.AuthConfig, &s.CORSConfig, &s.RouteConfig, &s.TLSConfig, &s.WAFConfig}
}

// Validate tells a domain from no answer.
func (d *fcDomain) Validate() error {
	if d.DomainName == "" || d.Protocol == "" {
		return errNo("domainName or protocol")
	}
	return nil
}

// fcCertificate is what is sent of a certificate.
type fcCertificate struct {
	CertName    string `json:"certName"`
	Certificate string `json:"certificate"`
	PrivateKey  string `json:"privateKey"`
}

// Read implements Adapter.
func (a *fc) Read(ctx context.Context, t Target) (State, error) {
	d, err := a.read(ctx, t, false)
	if err != nil {
		return State{}, err
	}
	return d.state(t), nil
}

func (a *fc) read(ctx context.Context, t Target, begun bool) (*fcDomain, *Error) {
	return send[fcDomain](ctx, a.session, t, begun, alibaba.Call{Action: fcRead, REST: &alibaba.REST{Method: http.MethodGet, Path: fcPath(t)}})
}

func fcPath(t Target) string { return "/2023-03-30/custom-domains/" + alibaba.Segment(t.Domain) }

// state is what a domain holds.
func (d *fcDomain) state(t Target) State {
	s := State{Status: string(d.Protocol)}
	if !strings.Contains(string(d.Protocol), "HTTPS") {
		s.Off = fmt.Sprintf("%s speaks %s at Function Compute: switch HTTPS on in the console first, with any certificate", t.Domain, d.Protocol)
		return s
	}
	if d.CertConfig.CertName == "" && d.CertConfig.Certificate == "" {
		return s
	}
	e := Entry{Role: RoleDefault, Status: StatusServing, Domain: t.Domain, ProviderID: string(d.CertConfig.CertName)}
	name, digest, _ := cutLast(string(d.CertConfig.CertName))
	identifier, ours := strings.CutPrefix(name, fcPrefix)
	if certID, region, ok := ParseIdentifier(identifier); ok && ours && digest != "" && digest == fcDigest(string(d.CertConfig.Certificate)) {
		e.CertIdentifier, e.CertID, e.Region, e.ProviderID = identifier, certID, region, ""
	}
	s.Entries = []Entry{e}
	return s
}

// texts are a value of JSON and all texts in it.
func texts(raw json.RawMessage) []string {
	all := []string{string(raw)}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return append(all, text)
	}
	var fields map[string]json.RawMessage
	_ = json.Unmarshal(raw, &fields) // what is no object has no fields
	for _, field := range fields {
		all = append(all, texts(field)...)
	}
	return all
}

// cutLast cuts a text at its last dash.
func cutLast(text string) (before, after string, found bool) {
	at := strings.LastIndex(text, "-")
	if at < 0 {
		return text, "", false
	}
	return text[:at], text[at+1:], true
}

// fcPrefix begins the names that we give.
const fcPrefix = "cas-"

// fcName is the name of a certificate: cas-12345-cn-hangzhou-0123456789abcdef.
func fcName(c Certificate, chain string) string {
	return fcPrefix + c.Identifier() + "-" + fcDigest(chain)
}

// fcDigest identifies a leaf, in whatever dress its PEM comes back; empty for what is none.
func fcDigest(chain string) string {
	block, _ := pem.Decode([]byte(chain))
	if block == nil {
		return ""
	}
	sum := sha256.Sum256(block.Bytes)
	return hex.EncodeToString(sum[:8])
}

// Place implements Adapter. Everything else that an update may change is read anew right before,
// and sent back as it is, because nobody knows whether it would stay (T102). A certificate that
// has come there meanwhile is not overwritten.
func (a *fc) Place(ctx context.Context, t Target, s State, p Placement) error {
	if send, failure := s.prepare(t, p.Certificate); !send {
		return asError(failure)
	}
	d, failure := a.read(ctx, t, true)
	if failure != nil {
		return failure
	}
	if is := d.state(t); is.Off != s.Off || !slices.Equal(is.Entries, s.Entries) {
		return &Error{Class: Progressing, RetryAfter: progressHint, Message: fmt.Sprintf("somebody has changed %s meanwhile; it is read again", t)}
	}
	if p.Content == nil {
		return &Error{Message: fmt.Sprintf("%s takes a certificate with its key, and none was given", t)}
	}
	return a.update(ctx, t, d, p)
}

// update gives a domain a certificate. The key is read when the call has its turn.
func (a *fc) update(ctx context.Context, t Target, d *fcDomain, p Placement) error {
	next, failure := a.reserve(ctx, t, fcUpdate, true)
	if failure != nil {
		return failure
	}
	content, err := p.Content(ctx)
	if err != nil {
		next.slot.Release()
		return err
	}
	call, failure := d.update(t, p.Certificate, content)
	if failure != nil {
		next.slot.Release()
		return failure
	}
	_, failure = deliver[fcDomain](ctx, a.session, next, call)
	return asError(failure)
}

// update returns the call that gives a domain a certificate. Whatever of it a failure could repeat is
// among its secrets.
func (d *fcDomain) update(t Target, c Certificate, content Content) (alibaba.Call, *Error) {
	for _, setting := range d.all() {
		if string(*setting) == "null" {
			*setting = nil
		}
	}
	secrets := append(texts(d.AuthConfig), content.PrivateKey) // whoever may call a function may be checked by a secret
	body, err := json.Marshal(struct {
		CertConfig fcCertificate `json:"certConfig"`
		Protocol   string        `json:"protocol"`
		fcSettings
	}{fcCertificate{fcName(c, content.Certificate), content.Certificate, content.PrivateKey}, string(d.Protocol), d.fcSettings})
	if err != nil {
		return alibaba.Call{}, &Error{Message: fmt.Sprintf("the settings of %s cannot be sent back", t)} // an error of the encoder may quote them
	}
	return alibaba.Call{Action: fcUpdate, Secrets: secrets, REST: &alibaba.REST{Method: http.MethodPut, Path: fcPath(t), Body: body}}, nil
}
