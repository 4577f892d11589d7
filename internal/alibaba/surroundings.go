// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package alibaba

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"
)

// Problem is what is wrong around the operator where a call fails for no reason of the
// cloud's: its string is fit for a log and a metric's label.
type Problem string

// The problems that can be told apart.
const (
	// ProblemClock means that the node's clock is off.
	ProblemClock Problem = "clock"
	// ProblemUntrusted means that the certificate of the other side is not trusted.
	ProblemUntrusted Problem = "untrusted_certificate"
	// ProblemTLS means that the other side does not speak TLS, or not as we do.
	ProblemTLS Problem = "tls"
	// ProblemName means that a host name cannot be resolved.
	ProblemName Problem = "unresolved_name"
	// ProblemRefused means that nothing listens at the address.
	ProblemRefused Problem = "connection_refused"
	// ProblemProxy means that the proxy does not let the connection through.
	ProblemProxy Problem = "proxy"
	// ProblemTimeout means that there was no connection or no answer in time.
	ProblemTimeout Problem = "timeout"
	// ProblemNetwork means that a connection failed in another way.
	ProblemNetwork Problem = "network"
)

// newTransportError is for a request that had no answer. Its message names the host and
// what to do, and no address or port of our own end, so that it is the same on every
// try. reached reports whether there was a connection on which to send.
func (c *Caller) newTransportError(x exchange, request *http.Request, reached bool, cause error) *Error {
	failure := &Error{Action: x.Action, MayHaveHappened: reached, Cause: cause}
	if errors.Is(cause, context.Canceled) {
		failure.Message = "given up before the answer came"
		return failure
	}
	proxy := c.proxyOf(request)
	peer := x.withoutBucket(request.URL.Host)
	toProxy := false
	if op, ok := errors.AsType[*net.OpError](cause); ok && op.Op == "proxyconnect" {
		peer, toProxy = "the proxy "+proxy, true
	}
	failure.Problem = problemOf(cause)
	if failure.Problem == ProblemNetwork && proxy != "" && !reached {
		failure.Problem = ProblemProxy // net/http returns the status of its answer to CONNECT as a plain error
	}
	failure.Message = problemMessage(failure.Problem, peer, reached, cause)
	if failure.Problem == ProblemProxy {
		failure.Message = fmt.Sprintf("the proxy %s does not connect to %s%s: check HTTPS_PROXY and NO_PROXY, and what the proxy lets through",
			proxy, peer, proxyAnswer(cause))
	} else if toProxy {
		failure.Message += "; the proxy is that of HTTPS_PROXY"
	}
	return failure
}

// proxyOf returns host and port of the proxy for a request, without its user and
// password; empty if there is none.
func (c *Caller) proxyOf(request *http.Request) string {
	transport, ok := c.http.Transport.(*http.Transport)
	if !ok || transport.Proxy == nil {
		return ""
	}
	proxy, err := transport.Proxy(request)
	if err != nil || proxy == nil {
		return "" // an address that is no URL is refused at the start
	}
	return proxy.Host
}

// proxyAnswer returns what the proxy said, such as Forbidden.
func proxyAnswer(err error) string {
	outer, ok := errors.AsType[*url.Error](err)
	if !ok || errors.Unwrap(outer.Err) != nil {
		return ""
	}
	return " (" + scrub(outer.Err.Error(), nil, maxToken) + ")"
}

// problemOf tells apart why a request had no answer.
func problemOf(err error) Problem {
	if isUntrusted(err) {
		return ProblemUntrusted
	}
	if isTLS(err) {
		return ProblemTLS
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return ProblemName
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return ProblemRefused
	}
	if timeout, ok := errors.AsType[net.Error](err); errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) || ok && timeout.Timeout() {
		return ProblemTimeout
	}
	return ProblemNetwork
}

func isUntrusted(err error) bool {
	_, verification := errors.AsType[*tls.CertificateVerificationError](err)
	_, issuer := errors.AsType[x509.UnknownAuthorityError](err)
	_, name := errors.AsType[x509.HostnameError](err)
	_, invalid := errors.AsType[x509.CertificateInvalidError](err)
	return verification || issuer || name || invalid
}

func isTLS(err error) bool {
	_, record := errors.AsType[tls.RecordHeaderError](err)
	_, alert := errors.AsType[tls.AlertError](err)
	op, ok := errors.AsType[*net.OpError](err)
	outer, isURL := errors.AsType[*url.Error](err)
	return record || alert || errors.Is(err, http.ErrSchemeMismatch) ||
		isURL && strings.HasPrefix(outer.Err.Error(), "tls: ") || ok && (op.Op == "remote error" || op.Op == "local error") // net/http's alerts have no type of their own
}

// problemMessage says what to do about a problem with a host.
func problemMessage(p Problem, peer string, reached bool, err error) string {
	switch p {
	case ProblemUntrusted:
		return "the certificate of " + peer + " is not trusted: " + untrustedBecause(err)
	case ProblemTLS:
		return "no TLS connection with " + peer + ": check that the endpoint is right and speaks TLS 1.2 or later"
	case ProblemName:
		return "the name of " + peer + " cannot be resolved: check the endpoint and the DNS of the cluster"
	case ProblemRefused:
		return peer + " refuses the connection: check host and port, and that something listens there"
	case ProblemTimeout:
		if reached {
			return peer + " did not answer in time"
		}
		return "no connection to " + peer + " in time: check the way to it, such as NAT, firewalls, network policies and the proxy"
	}
	if reached {
		return "the connection to " + peer + " ended before its answer was complete"
	}
	return peer + " cannot be reached"
}

func untrustedBecause(err error) string {
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "it is for other host names; check the endpoint"
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		return "it has expired or is not valid yet; check the clock of the node, or have that certificate renewed"
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "its issuer is unknown; add the CA to the file of --cas-ca-file, if it is one that you trust"
	}
	return "its chain does not verify; look at it with openssl s_client"
}

// clockTolerance is how far the cloud lets a time stamp be off (F47).
const clockTolerance = 15 * time.Minute

// asClockError makes an answer say by how much the clock of which node is off, as far as the
// cloud's own is known from the answer. The time is the real one, as the SDK's signer
// takes.
func (e *Error) asClockError(header http.Header, node string) {
	e.Problem = ProblemClock
	clock := "the node's clock"
	if node != "" {
		clock = fmt.Sprintf("the clock of node %q", node)
	}
	message := clock + " is off by more than 15 minutes"
	if cloud, err := http.ParseTime(header.Get("Date")); err == nil {
		message = clock + clockMessage(time.Since(cloud))
	}
	if e.Message != "" {
		e.Message += "; "
	}
	e.Message += message + "; correct the time of the operator's node, for instance by NTP"
}

// clockMessage rounds, so that the text is the same on the next try.
func clockMessage(ahead time.Duration) string {
	off, way := ahead, "ahead of"
	if off < 0 {
		off, way = -off, "behind"
	}
	if off < clockTolerance-time.Minute {
		return " was off when the request was signed, or the request took more than 15 minutes to arrive"
	}
	off = off.Round(5 * time.Minute)
	text := fmt.Sprintf("%d minutes", int(off.Minutes()))
	if off >= 2*time.Hour {
		text = fmt.Sprintf("%d hours", int(off.Round(time.Hour).Hours()))
	}
	return fmt.Sprintf(" is about %s %s the cloud's", text, way)
}
