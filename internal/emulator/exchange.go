// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// maxRequest bounds a request's body in bytes, far above any chain.
const maxRequest = 1 << 20

// reply is an answer before it is written.
type reply struct {
	status      int
	contentType string
	header      map[string]string
	body        []byte
	// failed is the error in the body, if it is one.
	failed *failure
	// code is what the journal notes.
	code string
	// cut ends the connection instead of answering.
	cut bool
}

const jsonType = "application/json;charset=utf-8"

// serve is one exchange, from request to journal.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, d door) {
	w.Header().Set("Cache-Control", "no-store")
	i, inURL, failed := d.style.read(d, w, r)
	i.entry = s.begin(i.region)
	s.describe(i, inURL)
	i.requestID = s.newRequestID()
	var answer reply
	if failed != nil {
		answer = s.refuse(i, failed)
	} else {
		answer = s.answer(r.Context(), i)
	}
	s.finish(i, answer)
	// The cloud's time, not the machine's: clients tell from it that their clock is off.
	w.Header().Set("Date", s.clock.Now().UTC().Format(http.TimeFormat))
	send(w, r, answer)
}

func (rpc) read(d door, w http.ResponseWriter, r *http.Request) (i *invocation, secretInURL bool, failed *failure) {
	parameters, secretInURL, failed := readParameters(w, r)
	return newInvocation(r.Method, parameters, d), secretInURL, failed
}

// newInvocation returns the call that the parameters make at a door.
func newInvocation(method string, parameters map[string]string, d door) *invocation {
	i := &invocation{style: d.style, region: d.region, method: method, parameters: parameters, action: parameters["Action"]}
	a, ok := d.actions[i.action]
	if !ok {
		return i
	}
	i.spec = &a
	if named := parameters["RegionId"]; d.region == "" && slices.Contains(a.product.regions, named) {
		i.region = named
	}
	return i
}

// describe notes in the journal what the call is about.
func (s *Server) describe(i *invocation, secretInURL bool) {
	i.subject = i.parameters["Name"]
	if i.spec != nil && i.spec.subject != nil {
		i.subject = i.spec.subject(i)
	}
	takesKey := i.spec != nil && i.spec.takesKey
	keySent := (i.product().name != "" || i.rest != nil) && !takesKey && holdsKey(i.parameters)
	s.note(i.entry, func(c *Call) {
		c.Product, c.Action, c.SecretInURL, c.KeySent = i.product().name, i.knownAction(), secretInURL, keySent
		if i.action == "UploadUserCertificate" {
			c.Name = validName(i.subject)
		}
		if c.Product != "" && !keySent {
			c.Name = i.subject
		}
		if keySent {
			s.keysSent++
		}
	})
}

// namePattern is what all pages of the documentation allow (F2).
var namePattern = regexp.MustCompile(`^[A-Za-z0-9_]{1,63}$`)

// validName keeps what may be a misplaced secret out of the journal.
func validName(name string) string {
	if name != "" && !namePattern.MatchString(name) {
		return "(invalid)"
	}
	return name
}

func (i *invocation) knownAction() string {
	if i.spec == nil {
		return "(unknown)"
	}
	return i.action
}

// secretParameters must not stand in a URL, which logs and errors show.
var secretParameters = []string{"Key", "EncryptPrivateKey", "SignPrivateKey", "SecurityToken", "OIDCToken"}

// readParameters reads query and form body as one map, as the gateway does (F52).
func readParameters(w http.ResponseWriter, r *http.Request) (all map[string]string, secretInURL bool, failed *failure) {
	all = map[string]string{}
	if r.URL.Path != "/" && r.URL.Path != "" {
		return all, false, fail("InvalidAction.NotFound")
	}
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		return all, false, &failure{code: "UnsupportedHTTPMethod", status: http.StatusMethodNotAllowed, message: "This http method is not supported."}
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return all, false, fail("InvalidParameter", "The query cannot be parsed.")
	}
	for _, name := range secretParameters {
		secretInURL = secretInURL || query.Get(name) != ""
	}
	form, failed := readForm(w, r)
	if failed != nil {
		return all, secretInURL, failed
	}
	for _, values := range []url.Values{query, form} {
		for name, given := range values {
			if _, twice := all[name]; twice || len(given) > 1 {
				return all, secretInURL, fail("InvalidParameter", "A parameter is given twice.")
			}
			all[name] = given[0]
		}
	}
	return all, secretInURL, nil
}

func readForm(w http.ResponseWriter, r *http.Request) (url.Values, *failure) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if _, tooLong := errors.AsType[*http.MaxBytesError](err); tooLong {
		return nil, fail("DataTooLongException")
	}
	if err != nil {
		return nil, fail("InvalidParameter", "The body cannot be read.")
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if len(body) == 0 || err != nil || kind != "application/x-www-form-urlencoded" {
		return nil, nil
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, fail("InvalidParameter", "The body cannot be parsed.")
	}
	return form, nil
}

// succeed returns an answer of status 200 with value as JSON.
func succeed(value any) reply {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	// The cloud writes & as it is, in links and in the string to sign.
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		// All values are plain structs of this package.
		panic(fmt.Sprintf("emulator: %v", err))
	}
	return reply{status: http.StatusOK, contentType: jsonType, body: bytes.TrimSuffix(body.Bytes(), []byte("\n"))}
}

func (s *Server) answerOr(i *invocation, value any, failed *failure) reply {
	if failed != nil {
		return s.refuse(i, failed)
	}
	return i.style.write(s, i, value, nil)
}

// write answers in JSON. A limit that was hit is announced in headers.
func (rpc) write(s *Server, i *invocation, value any, failed *failure) reply {
	if failed == nil {
		return succeed(value)
	}
	r := succeed(errorFor(i, failed))
	r.status, r.header = failed.status, map[string]string{}
	for name, left := range map[string]time.Duration{"X-Ratelimit-User-Api": failed.timeLeft, "X-Ratelimit-User": failed.userTimeLeft} {
		if left > 0 {
			reset := s.clock.Now().Add(left).UnixMilli()
			r.header[name] = fmt.Sprintf("Limit:%d,Remain:0,TimeLeft:%d,Reset:%d", max(0, failed.limit), left.Milliseconds(), reset)
		}
	}
	return r
}

// errorBody is any failure as the gateway and the service write it (F37).
type errorBody struct {
	RequestID          string `json:"RequestId"`
	Message            string
	Recommend          string
	HostID             string `json:"HostId"`
	Code               any
	AccessDeniedDetail *accessDenied `json:",omitempty"`
}

// accessDenied comes with every 403 (F37).
type accessDenied struct {
	AuthAction, AuthPrincipalDisplayName string
	AuthPrincipalOwnerID                 string `json:"AuthPrincipalOwnerId" xml:"AuthPrincipalOwnerId"`
	AuthPrincipalType                    string
	EncodedDiagnosticMessage             string
	NoPermissionType, PolicyType         string
}

// accessDeniedFor says who may not do what. A user is named by its id, a role with its
// session (F72).
func accessDeniedFor(i *invocation, permission string) *accessDenied {
	d := &accessDenied{
		AuthAction: permission, AuthPrincipalType: "SubUser", AuthPrincipalDisplayName: userID,
		EncodedDiagnosticMessage: "AQEAAAAAZBgxr0U1MjA1NTM1LUM4BBktMzE5RS1CODgxLUU1QTI0RDNFQTM1",
		NoPermissionType:         "ImplicitDeny", PolicyType: "AccountLevelIdentityBasedPolicy",
	}
	key := i.principal.key
	if key == nil {
		return d
	}
	d.AuthPrincipalOwnerID = key.account.id
	if key.role != "" {
		d.AuthPrincipalType, d.AuthPrincipalDisplayName = "AssumedRoleUser", roleName(key.role)+":"+key.session
	}
	return d
}

func errorFor(i *invocation, f *failure) errorBody {
	product := i.product()
	body := errorBody{
		RequestID: i.requestID,
		Message:   f.message,
		Recommend: "https://api.aliyun.com/troubleshoot?q=" + url.QueryEscape(f.code) + "&product=" + product.code + "&requestId=" + i.requestID,
		HostID:    product.host(i.region),
		Code:      f.code,
	}
	if f.number > 0 {
		body.Code = f.number
	}
	if f.status == http.StatusForbidden {
		body.AccessDeniedDetail = accessDeniedFor(i, cmp.Or(f.denied, i.permission()))
	}
	return body
}

func (s *Server) refuse(i *invocation, f *failure) reply {
	r := i.style.write(s, i, nil, f)
	r.failed, r.code = f, f.code
	s.note(i.entry, func(c *Call) {
		if c.Decided.IsZero() {
			c.Decided = s.clock.Now()
		}
	})
	return r
}

// finish notes the answer in journal, counters and log.
func (s *Server) finish(i *invocation, r reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := i.entry
	c.Finished, c.Code = s.clock.Now(), r.code
	if !r.cut {
		c.Status = r.status
	}
	if i.spec != nil && (i.principal.account != nil || i.spec.unsigned) {
		s.gauge(i).outcomes[outcome(r)]++
	}
	if s.options.Log == nil {
		return
	}
	s.options.Log.Info("Call", slog.String("region", c.Region), slog.String("account", c.Account),
		slog.String("action", c.Action), slog.String("name", c.Name), slog.Int64("certId", c.CertID),
		slog.Int("status", c.Status), slog.String("code", c.Code), slog.Bool("committed", c.Committed),
		slog.Duration("took", c.Finished.Sub(c.Received)))
}

func outcome(r reply) string {
	switch {
	case r.cut:
		return "cut"
	case r.code != "":
		return r.code
	case r.status == http.StatusOK:
		return "OK"
	}
	return "other"
}

// send writes the answer, or cuts the connection.
func send(w http.ResponseWriter, r *http.Request, a reply) {
	if a.cut {
		cut(w)
	}
	for name, value := range a.header {
		w.Header().Set(name, value)
	}
	w.Header().Set("Content-Type", a.contentType)
	w.WriteHeader(a.status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(a.body)
	}
}

// cut resets the connection, or the stream where HTTP/2 shares it. It does not
// return.
func cut(w http.ResponseWriter) {
	if hijacker, ok := w.(http.Hijacker); ok {
		if conn, _, err := hijacker.Hijack(); err == nil {
			raw := conn
			if layered, ok := conn.(interface{ NetConn() net.Conn }); ok {
				raw = layered.NetConn()
			}
			if tcp, ok := raw.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0)
			}
			_ = conn.Close()
		}
	}
	panic(http.ErrAbortHandler)
}

// newRequestID returns a UUID in upper case, as the gateway does.
func (s *Server) newRequestID() string {
	s.mu.Lock()
	a, b := s.random.Uint64(), s.random.Uint64()
	s.mu.Unlock()
	return strings.ToUpper(fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", a>>32, a>>16&0xffff, a&0xfff, b>>48&0x3fff|0x8000, b&0xffffffffffff))
}
