// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package alibaba

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth"
	sdkcredentials "github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth/credentials"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
)

// CallTimeout ends every call before the successor of a deposed leader can
// start, which is 5 s later.
const CallTimeout = 4500 * time.Millisecond

// Action is a call of the cloud, by the name that the cloud gives it.
type Action string

// Call is one call of a product. It is made for each call: what is signed is never sent
// again.
type Call struct {
	// Service is the product, by a short name for logs and metrics.
	Service string
	// Action and Version name it.
	Action  Action
	Version string
	// Endpoint is a URL, as CheckEndpoint returns it, and Region the one that it is of.
	Endpoint, Region string
	// Params are sent in the body. Empty values are not sent.
	Params map[string]string
	// REST or OSS, if set, is what is sent in place of Params.
	REST *REST
	OSS  *OSS
	// Secrets are values that may show in no error. Those of the credentials are added.
	Secrets []string
	// Permission is the RAM action that the call needs; empty if it needs none.
	Permission string
	// Codes are the product's own.
	Codes Codes
	// Written, if set, is called when the request has left.
	Written func()
}

// strange is the text of an answer that the cloud would not give, and says who gave it: with a proxy
// in between, or an endpoint that was set, that is the question. The cloud's own have the id of a
// request.
func (c Call) strange(problem, requestID string) string {
	if requestID != "" {
		return problem
	}
	_, host, _ := strings.Cut(c.Endpoint, "://")
	return problem + "; it came from " + host + ": check that this is the cloud's endpoint, and that no proxy or firewall answers in its place"
}

// exchange is one request to the cloud.
type exchange struct {
	Call
	message
	// account is that of the credentials; empty where it is not known.
	account string
	// before is the summary of the last failure of the same call, where it is known.
	before string
	// node is the one on which this process runs.
	node string
	// list is the answer, if it is one with a list.
	list Listing
}

// message is a request as it is sent.
type message struct {
	method, path string
	header       map[string]string
	body         string
}

// formMessage returns the request that carries everything in a form.
func formMessage(form url.Values) message {
	return message{
		method: http.MethodPost, path: "/", body: form.Encode(),
		header: map[string]string{"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"},
	}
}

// sign returns all parameters of a signed call as one form. The gateway
// reads query and body as one map (F52), so that nothing has to stand in the
// URL, which transport errors print. The SDK's request is made anew each time: it keeps
// the parameters of its last use (F55).
func sign(call Call, region string, c Credentials) (url.Values, *Error) {
	request := new(requests.RpcRequest)
	request.InitWithApiInfo("", call.Version, string(call.Action), "", "")
	for name, value := range call.Params {
		if value != "" {
			request.FormParams[name] = value
		}
	}
	var provider sdkcredentials.CredentialsProvider = sdkcredentials.NewStaticAKCredentialsProvider(c.AccessKeyID, c.AccessKeySecret)
	if c.SecurityToken != "" {
		provider = sdkcredentials.NewStaticSTSCredentialsProvider(c.AccessKeyID, c.AccessKeySecret, c.SecurityToken)
	}
	if err := auth.Sign(request, nil, region, provider); err != nil {
		return nil, unsigned(&call, err)
	}
	form := url.Values{}
	for name, value := range request.GetQueryParams() {
		form.Set(name, value)
	}
	for name, value := range request.GetFormParams() {
		form.Set(name, value)
	}
	return form, nil
}

// signed returns a call as it is sent, in the style of its product.
func signed(ctx context.Context, call *Call, credentials Credentials, now time.Time) (message, *Error) {
	switch {
	case call.OSS != nil:
		return signOSS(ctx, call, credentials, now)
	case call.REST != nil:
		return signREST(*call, credentials, now), nil
	}
	form, failure := sign(*call, call.Region, credentials)
	return formMessage(form), failure
}

// unmarshal reads an answer in the style of its product. Its errors may quote the answer.
func (c Call) unmarshal(body []byte, into any) error {
	if c.OSS != nil {
		return unmarshalXML(body, into)
	}
	return json.Unmarshal(body, into)
}

// Send signs and sends a call with credentials of the identity, and decodes its answer
// into a T. Where *T has a method Validate, its error is the message of an answer that can be
// read but says nothing; it must not quote the answer. An answer with a list has to be a
// Listing; any other may have 64 KiB, and of OSS 256.
func Send[T any](ctx context.Context, id *Identity, credentials Credentials, call Call) (*T, *Error) {
	signed, failure := signed(ctx, &call, credentials, time.Now()) // as the SDK's signer does
	if failure != nil {
		return nil, failure
	}
	call.Secrets = slices.Concat(call.Secrets, credentials.secrets())
	answer, failure := send[T](ctx, id.caller, exchange{Call: call, message: signed, account: id.KnownAccount()})
	if failure != nil {
		failure.Account, failure.Region = id.KnownAccount(), call.Region
		id.noteRefusal(credentials, failure)
		return nil, failure
	}
	return answer, nil
}

// send carries out one exchange, decodes its answer and reports to
// Config.Observe. The context has a deadline of at most CallTimeout.
func send[T any](ctx context.Context, c *Caller, x exchange) (answer *T, failure *Error) {
	begin := c.clock.Now()
	defer func() { c.observe(ctx, x, failure, c.clock.Now().Sub(begin)) }()

	answer = new(T)
	x.node = c.node
	x.list, _ = any(answer).(Listing)
	response, body, failure := c.post(ctx, x) //nolint:bodyclose // post has read and closed it
	if failure == nil {
		failure = decode(x, response, body, answer)
	}
	if failure != nil {
		return nil, failure
	}
	return answer, nil
}

// post sends the request and reads the answer, whatever its status.
func (c *Caller) post(ctx context.Context, x exchange) (*http.Response, []byte, *Error) {
	var reached atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { reached.Store(true) },
		WroteRequest: func(httptrace.WroteRequestInfo) {
			if x.Written != nil {
				x.Written()
			}
		},
	})
	request, err := http.NewRequestWithContext(ctx, x.method, x.Endpoint+x.path, strings.NewReader(x.body))
	if err != nil {
		return nil, nil, &Error{Action: x.Action, Message: "the request cannot be made", Cause: err}
	}
	fail := func(err error) *Error { return c.newTransportError(x, request, reached.Load(), err) }
	for name, value := range x.header {
		request.Header.Set(name, value)
	}
	request.Header.Set("User-Agent", c.userAgent)
	response, err := c.http.Do(request)
	if err != nil {
		return nil, nil, fail(err)
	}
	defer response.Body.Close()
	var body []byte
	if x.list != nil && response.StatusCode == http.StatusOK {
		body, err = readList(response.Body, x.list)
	} else {
		body, err = readAnswer(response.Body, x.maxAnswer())
	}
	if errors.Is(err, errTooLong) {
		return nil, nil, &Error{Action: x.Action, Message: x.strange(errTooLong.Error(), ""), HTTPStatus: response.StatusCode, MayHaveHappened: true}
	}
	if err != nil {
		return nil, nil, fail(fmt.Errorf("failed to read the answer: %w", err))
	}
	return response, body, nil
}

// validated is an answer that can tell whether it is one.
type validated interface{ Validate() error }

// failedAnswer is what an answer that is no success may say.
type failedAnswer struct {
	Code, Message      Text
	RequestID          Text `xml:"RequestId"`
	AccessDeniedDetail accessDeniedDetail
	// Endpoint is where OSS has a bucket that was looked for elsewhere (T111), and EC its finer code
	// (T113).
	Endpoint, EC Text
}

// failure makes the error of an answer, whose code and id of the request are clean.
func (f *failedAnswer) failure(x exchange, response *http.Response, code, requestID string) *Error {
	err := newAnswerError(x.Call, response.StatusCode, code, scrub(string(f.Message), x.Secrets, maxMessage), requestID)
	err.EC = scrub(string(f.EC), x.Secrets, maxToken)
	if err.Class == Throttled {
		err.RetryAfter = timeLeft(response.Header)
	}
	if x.OSS != nil && f.Endpoint != "" && err.Class == Denied {
		err.Class, err.Permission = NotFound, ""
	}
	if err.Permission != "" {
		err.Denial = f.AccessDeniedDetail.denial(x.Secrets)
		err.Permission = f.AccessDeniedDetail.permission(err.Permission, x.Secrets)
	}
	if isClock(code) {
		err.asClockError(response.Header, x.node)
	}
	return err
}

// decode reads into a pointer an answer of any shape. Only a status of 200 with a readable
// answer and without an error code is a success.
func decode(x exchange, response *http.Response, body []byte, answer any) *Error {
	var failed failedAnswer
	unreadable := x.unmarshal(body, &failed)
	if unreadable != nil {
		failed = failedAnswer{}
	}
	code := scrub(string(failed.Code), x.Secrets, maxToken)
	requestID := scrub(cmp.Or(string(failed.RequestID), response.Header.Get(requestIDOfOSS)), x.Secrets, maxToken)
	if response.StatusCode != http.StatusOK || (code != "" && code != "200" && code != "OK") {
		return failed.failure(x, response, code, requestID)
	}
	problem := ""
	if unreadable != nil || x.unmarshal(body, answer) != nil {
		problem = "the answer is not the expected " + x.language() // errors of the decoder may quote it
	} else if v, ok := answer.(validated); ok {
		if err := v.Validate(); err != nil {
			problem = err.Error()
		}
	}
	if problem != "" {
		return &Error{
			Action: x.Action, HTTPStatus: response.StatusCode, Message: x.strange(problem, requestID),
			RequestID: requestID, MayHaveHappened: true,
		}
	}
	return nil
}

var timeLeftField = regexp.MustCompile(`TimeLeft:\s*(\d+)\b`)

// maxHint is as much as is believed of what the gateway says.
const maxHint = time.Minute

// timeLeft returns how long the account stays throttled, which the gateway
// sometimes says for the action and for the user: x-ratelimit-user-api:
// …,TimeLeft:<ms> (F29). The larger counts (F30), up to a minute: a hint that is wrong
// must not put a renewal off for hours. There is no Retry-After.
func timeLeft(header http.Header) time.Duration {
	longest := int64(0)
	for _, name := range []string{"X-Ratelimit-User-Api", "X-Ratelimit-User"} {
		if match := timeLeftField.FindStringSubmatch(header.Get(name)); match != nil {
			ms, _ := strconv.ParseInt(match[1], 10, 64) // the largest there is, if it does not fit
			longest = max(longest, ms)
		}
	}
	return time.Duration(min(longest, maxHint.Milliseconds())) * time.Millisecond
}

// CallInfo describes one call that was sent, for metrics and logs. It holds no secret.
type CallInfo struct {
	// Service is the product.
	Service string
	// Account is the one whose credentials signed the call; empty where it is not known.
	Account string
	// Action is the call.
	Action Action
	// Region is that of the call; empty for calls to STS.
	Region string
	// Outcome is "success" or the name of the error's class.
	Outcome string
	// Code is the cloud's error code; empty where none came. It can be anything.
	Code string
	// KnownCode is one of KnownCodes, OtherCode, or empty where no code came: fit for a
	// metric's label.
	KnownCode string
	// RequestID is the cloud's id of a call that failed, for its support.
	RequestID string
	// HTTPStatus is 0 where no answer came.
	HTTPStatus int
	// Problem is that of the error.
	Problem Problem
	// Summary is that of the error.
	Summary string
	// Repeated reports whether the call failed in the same way the last time that it was
	// tried, which is noted for GetCallerIdentity alone: nobody waits for it, and it is
	// tried each minute.
	Repeated bool
	// Duration is the time from sending to the end of the answer.
	Duration time.Duration
}

func (c *Caller) observe(ctx context.Context, x exchange, failure *Error, took time.Duration) {
	if c.onCall == nil {
		return
	}
	info := CallInfo{
		Service: x.Service, Account: x.account, Action: x.Action, Region: x.Region, Outcome: OutcomeSuccess, Duration: took,
	}
	if failure != nil {
		info.Outcome, info.Problem, info.Summary = failure.Class.String(), failure.Problem, failure.Summary()
		info.Code, info.RequestID, info.HTTPStatus = failure.Code, failure.RequestID, failure.HTTPStatus
		info.KnownCode = knownCode(failure.Code, x.Codes)
		info.Repeated = info.Summary == x.before
	}
	c.onCall(ctx, info)
}
