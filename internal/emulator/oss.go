// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"crypto/md5" //nolint:gosec // Content-MD5 is a checksum of the interface
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// oss is the style of Object Storage Service: a call is a method and a query of a bucket, is
// signed with signature version 4 of OSS, and speaks XML.
type oss struct {
	// identify is Buckets of Service.
	identify func(method string, query url.Values) (action string)
}

// read returns the call that method, bucket and query make at a door. Its body is one more
// parameter.
func (t oss) read(d door, w http.ResponseWriter, r *http.Request) (i *invocation, secretInURL bool, failed *failure) {
	call := &restCall{path: r.URL.Path, query: r.URL.RawQuery, header: r.Header.Clone()}
	call.header.Set("Host", r.Host)
	if r.ContentLength >= 0 {
		call.header.Set("Content-Length", strconv.FormatInt(r.ContentLength, 10))
	}
	at := call.address()
	i = &invocation{style: t, region: d.region, method: r.Method, parameters: map[string]string{"Bucket": at.bucket}, rest: call}
	query, err := url.ParseQuery(r.URL.RawQuery)
	secretInURL = strings.Contains(r.URL.Path+r.URL.RawQuery, "PRIVATE") || query.Has("x-oss-security-token")
	if err != nil {
		return i, secretInURL, t.fail("InvalidArgument")
	}
	if at.bucket != "" && at.key == "" {
		if a, ok := d.actions[t.identify(r.Method, query)]; ok {
			i.action, i.spec = t.identify(r.Method, query), &a
			i.region = call.region(d.region, a.product.regions)
		}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		return i, secretInURL, t.fail("EntityTooLarge")
	}
	call.body = body
	if len(body) > 0 {
		i.parameters["Body"] = string(body)
	}
	return i, secretInURL, nil
}

// ossAddress is what the host and the path of a call name.
type ossAddress struct {
	// region is empty where the host names none.
	region, bucket, key string
	// secondLevel says that the path names the bucket although the host has to.
	secondLevel bool
}

// ossHost is the name of an endpoint, with or without a bucket (T111).
var ossHost = regexp.MustCompile(`^(?:([a-z0-9-]+)\.)?oss-([a-z0-9-]+?)(?:-internal)?\.aliyuncs\.com$`)

// address returns what a call is about. The bucket is the first label of the host; an address of
// an IP, or localhost, has it as the first part of the path (T111).
func (c *restCall) address() ossAddress {
	host := c.header.Get("Host")
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	path := strings.TrimPrefix(c.path, "/")
	bucket, key, _ := strings.Cut(path, "/")
	if net.ParseIP(host) != nil || host == "localhost" {
		return ossAddress{bucket: bucket, key: key}
	}
	if parts := ossHost.FindStringSubmatch(host); parts != nil {
		if parts[1] == "" {
			return ossAddress{region: parts[2], bucket: bucket, key: key, secondLevel: bucket != ""}
		}
		return ossAddress{region: parts[2], bucket: parts[1], key: path}
	}
	label, _, _ := strings.Cut(host, ".")
	return ossAddress{bucket: label, key: path}
}

// region returns the region that is called: that of the door or else that of the host, or else
// the one that was signed, if the product is there.
func (c *restCall) region(door string, regions []string) string {
	if door != "" {
		return door
	}
	named := c.address().region
	if named == "" {
		named = c.scope().region
	}
	if !slices.Contains(regions, named) {
		return ""
	}
	return named
}

var bucketPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$`)

// accept verifies that the call exists and who makes it.
func (t oss) accept(s *Server, i *invocation) *failure {
	switch {
	case i.rest.address().secondLevel:
		return t.fail("SecondLevelDomainForbidden")
	case i.spec == nil:
		return t.fail("MethodNotAllowed")
	case !bucketPattern.MatchString(i.parameters["Bucket"]):
		return t.fail("InvalidBucketName")
	}
	who, failed := s.authenticateOSS(i, t)
	if failed != nil {
		return failed
	}
	i.principal = who
	s.note(i.entry, func(c *Call) { c.Account = who.account.id })
	if i.spec.refuseUnknown(i.parameters) != nil {
		return t.fail("InvalidArgument")
	}
	sum := md5.Sum(i.rest.body) //nolint:gosec // see the import
	if sent := i.rest.header.Get("Content-MD5"); sent != "" && sent != base64.StdEncoding.EncodeToString(sum[:]) {
		return t.fail("InvalidDigest")
	}
	return nil
}
