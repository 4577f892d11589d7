// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package cas

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth"
	sdkcredentials "github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth/credentials"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
)

const (
	// callTimeout ends every call before the successor of a deposed leader can
	// start, which is 5 s later.
	callTimeout = 4500 * time.Millisecond
	// maxAnswer bounds the answers that hold a list, in bytes; 50 certificates
	// with 100 names each are far below.
	maxAnswer = 8 << 20
)

// exchange is one request to the cloud: what is sent and what may not be shown.
type exchange struct {
	action   Action
	site     string
	endpoint string
	form     url.Values
	secrets  []string
	// before is the summary of the last failure of the same call, where it is known.
	before string
	// written, if set, is told when the request has left.
	written func()
}

// sign returns all parameters of a signed request as one form. The gateway
// reads query and body as one map (F52), so that nothing has to stand in the
// URL, which transport errors print.
func sign(request requests.AcsRequest, region string, c Credentials) (url.Values, error) {
	if err := requests.InitParams(request); err != nil {
		return nil, fmt.Errorf("failed to collect the parameters: %w", err)
	}
	var provider sdkcredentials.CredentialsProvider = sdkcredentials.NewStaticAKCredentialsProvider(c.AccessKeyID, c.AccessKeySecret)
	if c.SecurityToken != "" {
		provider = sdkcredentials.NewStaticSTSCredentialsProvider(c.AccessKeyID, c.AccessKeySecret, c.SecurityToken)
	}
	if err := auth.Sign(request, nil, region, provider); err != nil {
		return nil, fmt.Errorf("failed to sign: %w", err)
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

// send carries out one exchange, decodes its answer and reports to
// Config.Observe. The context has a deadline of at most callTimeout.
func send[T any](ctx context.Context, c *Cloud, x exchange) (answer *T, failure *Error) {
	begin := c.clock.Now()
	defer func() { c.observe(x, failure, c.clock.Now().Sub(begin)) }()

	response, body, failure := c.post(ctx, x) //nolint:bodyclose // post has read and closed it
	if failure != nil {
		return nil, failure
	}
	return decode[T](x, response, body)
}

// post sends the form and reads the answer, whatever its status.
func (c *Cloud) post(ctx context.Context, x exchange) (*http.Response, []byte, *Error) {
	var reached atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { reached.Store(true) },
		WroteRequest: func(httptrace.WroteRequestInfo) {
			if x.written != nil {
				x.written()
			}
		},
	})
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, x.endpoint+"/", strings.NewReader(x.form.Encode()))
	if err != nil {
		return nil, nil, &Error{Action: x.action, Message: "the request cannot be made", cause: err}
	}
	fail := func(err error) *Error { return c.newTransportError(x, request, reached.Load(), err) }
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", c.userAgent)
	response, err := c.http.Do(request)
	if err != nil {
		return nil, nil, fail(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return nil, nil, fail(fmt.Errorf("failed to read the answer: %w", err))
	}
	if len(body) > maxAnswer {
		return nil, nil, &Error{Action: x.action, Message: "the answer is too long", HTTPStatus: response.StatusCode, MayHaveHappened: true}
	}
	return response, body, nil
}

// validated is an answer that can tell whether it is one.
type validated interface{ validate() error }

// decode reads an answer of any shape. Only a status of 200 with a readable
// answer and without an error code is a success.
func decode[T any](x exchange, response *http.Response, body []byte) (*T, *Error) {
	var failed struct{ Code, Message, RequestID text }
	unreadable := json.Unmarshal(body, &failed)
	if unreadable != nil {
		failed.Code, failed.Message, failed.RequestID = "", "", ""
	}
	code := scrub(string(failed.Code), x.secrets, maxToken)
	requestID := scrub(string(failed.RequestID), x.secrets, maxToken)
	if response.StatusCode != http.StatusOK || (code != "" && code != "200" && code != "OK") {
		err := newAnswerError(x.action, response.StatusCode, code, scrub(string(failed.Message), x.secrets, maxMessage), requestID)
		if err.Class == Throttled {
			err.RetryAfter = timeLeft(response.Header)
		}
		if code == codeClock {
			err.asClockError(response.Header)
		}
		return nil, err
	}
	answer := new(T)
	err := unreadable
	if err == nil {
		err = json.Unmarshal(body, answer)
	}
	if v, ok := any(answer).(validated); ok && err == nil {
		err = v.validate()
	}
	if err != nil {
		// Not err itself: errors of the decoder may quote the answer.
		message := "the answer is not the expected JSON"
		if v, ok := errors.AsType[answerError](err); ok {
			message = string(v)
		}
		return nil, &Error{
			Action: x.action, HTTPStatus: response.StatusCode, Message: message,
			RequestID: requestID, MayHaveHappened: true,
		}
	}
	return answer, nil
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
	// Action is the call.
	Action Action
	// Site is the region of a call to CAS; empty for calls to STS.
	Site string
	// Outcome is "success" or the name of the error's class.
	Outcome string
	// Code is the cloud's error code; empty where none came. It can be anything: as a
	// metric's label it would be too many.
	Code string
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

func (c *Cloud) observe(x exchange, failure *Error, took time.Duration) {
	if c.onCall == nil {
		return
	}
	info := CallInfo{Action: x.action, Site: x.site, Outcome: "success", Duration: took}
	if failure != nil {
		info.Outcome, info.Problem, info.Summary = failure.Class.String(), failure.Problem, failure.Summary()
		info.Code, info.RequestID, info.HTTPStatus = failure.Code, failure.RequestID, failure.HTTPStatus
		info.Repeated = info.Summary == x.before
	}
	c.onCall(info)
}
