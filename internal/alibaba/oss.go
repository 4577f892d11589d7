// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package alibaba

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // Content-MD5 is what OSS takes, against faults and not against people
	"encoding/base64"
	"encoding/xml"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss/credentials"
	"github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss/signer"
)

// OSS makes a call one about a bucket of Object Storage Service, whose interface speaks XML.
type OSS struct {
	Method string
	Bucket string
	// Query names what of the bucket is meant, as it is signed: "cname&comp=add".
	Query string
	// Body is XML; empty for none. It holds no secret: nothing of it is cut out of what is shown.
	Body []byte
}

// requestIDOfOSS is the header with the id of a request, which not every answer of OSS repeats.
const requestIDOfOSS = "X-Oss-Request-Id"

// bucketEndpoint returns the URL of a bucket and the path in it: the bucket is a label of the host,
// and a segment of the path where the host is an address (T111).
func bucketEndpoint(endpoint, bucket string) (at, path string) {
	scheme, host, _ := strings.Cut(endpoint, "://")
	if isAddress(host) {
		return endpoint, "/" + bucket + "/"
	}
	return scheme + "://" + bucket + "." + host, "/"
}

// withoutBucket is the host of an endpoint. Whether it answers is told to all whose calls go there, and
// the bucket is one tenant's.
func (c Call) withoutBucket(host string) string {
	if c.OSS == nil {
		return host
	}
	return strings.TrimPrefix(host, c.OSS.Bucket+".")
}

// isAddress reports whether a host, with a port or without, can have no label before it.
func isAddress(host string) bool {
	if name, _, _ := strings.Cut(host, ":"); name == "localhost" {
		return true
	}
	_, err := netip.ParseAddrPort(host)
	if err != nil {
		_, err = netip.ParseAddr(strings.Trim(host, "[]"))
	}
	return err == nil
}

// signOSS returns such a call with signature version 4, by the signer of OSS' own SDK. Its endpoint
// becomes that of the bucket. The signature does not cover the body, which TLS protects.
func signOSS(ctx context.Context, call *Call, c Credentials, now time.Time) (message, *Error) {
	at, path := bucketEndpoint(call.Endpoint, call.OSS.Bucket)
	request, err := http.NewRequestWithContext(ctx, call.OSS.Method, at+path+"?"+call.OSS.Query, http.NoBody)
	if err != nil {
		return message{}, unsigned(call, err)
	}
	if body := call.OSS.Body; len(body) > 0 {
		sum := md5.Sum(body) //nolint:gosec // see above
		request.Header.Set("Content-Type", "application/xml")
		request.Header.Set("Content-MD5", base64.StdEncoding.EncodeToString(sum[:]))
	}
	product := "oss"
	err = new(signer.SignerV4).Sign(ctx, &signer.SigningContext{
		Product: &product, Region: &call.Region, Bucket: &call.OSS.Bucket, Request: request, Time: now,
		Credentials: &credentials.Credentials{AccessKeyID: c.AccessKeyID, AccessKeySecret: c.AccessKeySecret, SecurityToken: c.SecurityToken},
	})
	if err != nil {
		return message{}, unsigned(call, err)
	}
	call.Endpoint = at
	m := message{method: request.Method, path: request.URL.RequestURI(), body: string(call.OSS.Body), header: map[string]string{"Accept": "application/xml"}}
	for name := range request.Header {
		m.header[name] = request.Header.Get(name)
	}
	return m, nil
}

// unsigned is the error of a call that cannot be signed.
func unsigned(call *Call, cause error) *Error {
	return &Error{Action: call.Action, Message: "the request cannot be signed", Cause: cause}
}

// unmarshalXML reads an answer of OSS. One without a body says nothing more than its status.
func unmarshalXML(body []byte, into any) error {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	return xml.Unmarshal(body, into) //nolint:gosec // into plain fields, out of a bounded answer; Go expands no entities
}

// language is the one that answers are in, for people.
func (c Call) language() string {
	if c.OSS != nil {
		return "XML"
	}
	return "JSON"
}
