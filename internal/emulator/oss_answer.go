// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// ossNames are the codes of OSS for what the gateway of the other products has codes of its own for
// (T113).
var ossNames = map[string]string{
	"Throttling": "MetaOperationQpsLimitExceeded", "Throttling.User": "MetaOperationQpsLimitExceeded", "Throttling.Api": "MetaOperationQpsLimitExceeded",
	"NoPermission": "AccessDenied", "Forbidden.RAM": "AccessDenied",
	"InvalidAccessKeyId.NotFound": "InvalidAccessKeyId", "InvalidAccessKeyId.Inactive": "InvalidAccessKeyId",
	// A key of a session without its token is a key that nobody has.
	"MissingSecurityToken":                       "InvalidAccessKeyId",
	"InvalidSecurityToken.MismatchWithAccessKey": "AccessKeyIdAndSecurityTokenNotMatch",
	"InvalidSecurityToken.Malformed":             "InvalidSecurityToken",
	"InvalidSecurityToken.Expired":               "SecurityTokenExpired",
}

// ossCodes are codes of OSS (T113).
var ossCodes = map[string]struct {
	status      int
	message, ec string
}{
	"AccessDenied":                        {403, "You have no right to access this object because of bucket acl.", "0003-00000001"},
	"AccessKeyIdAndSecurityTokenNotMatch": {403, "The OSS access key id and security token you provided does not match.", ""},
	"EntityTooLarge":                      {400, "Your proposed upload exceeds the maximum allowed object size.", ""},
	"InternalError":                       {500, "Please contact the server administrator, oss@service.aliyun.com.", ""},
	"InvalidAccessKeyId":                  {403, "The OSS Access Key Id you provided does not exist in our records.", "0002-00000902"},
	"InvalidArgument":                     {400, "Invalid Argument.", ""},
	"InvalidBucketName":                   {400, "The specified bucket is not valid.", ""},
	"InvalidDigest":                       {400, "The Content-MD5 you specified was invalid.", ""},
	"InvalidSecurityToken":                {403, "The security token you provided is invalid.", ""},
	"MetaOperationQpsLimitExceeded":       {503, "Qps limit for the meta operation is exceeded.", ""},
	"MethodNotAllowed":                    {405, "The specified method is not allowed against this resource.", ""},
	"RequestTimeTooSkewed":                {403, "The difference between the request time and the current time is too large.", "0002-00000504"},
	"SecondLevelDomainForbidden":          {403, "The bucket you are attempting to access must be addressed using OSS third level domain.", ""},
	"SecurityTokenExpired":                {403, "The security token you provided has expired.", ""},
	"ServiceUnavailable":                  {503, "Thread pool is almost full, please retry later.", ""},
	"SignatureDoesNotMatch":               {403, "The request signature we calculated does not match the signature you provided. Check your key and signing method.", ""},
}

// fail returns the error of a code, or of the one that OSS has in its place.
func (oss) fail(code string) *failure {
	code = cmp.Or(ossNames[code], code)
	k, ok := ossCodes[code]
	if !ok {
		k.status, k.message = http.StatusBadRequest, "The request has failed."
	}
	return &failure{code: code, status: k.status, message: k.message, ec: k.ec}
}

// ossError is any failure as OSS writes it (T113).
type ossError struct {
	XMLName            xml.Name `xml:"Error"`
	Code, Message      string
	RequestID          string `xml:"RequestId"`
	HostID             string `xml:"HostId"`
	Fields             []ossField
	AccessDeniedDetail *accessDenied `xml:",omitempty"`
	EC                 string        `xml:",omitempty"`
	RecommendDoc       string        `xml:",omitempty"`
}

type ossField struct {
	XMLName xml.Name
	Value   string `xml:",chardata"`
}

func ossErrorFor(i *invocation, f *failure, requestID string) ossError {
	body := ossError{Code: f.code, Message: f.message, RequestID: requestID, HostID: i.rest.header.Get("Host"), EC: f.ec}
	if f.number > 0 {
		body.Code = strconv.Itoa(f.number)
	}
	for _, field := range f.fields {
		body.Fields = append(body.Fields, ossField{XMLName: xml.Name{Local: field.Name}, Value: field.Value})
	}
	if f.denied != "" && f.status == http.StatusForbidden {
		body.AccessDeniedDetail = accessDeniedFor(i, f.denied)
	}
	if f.ec != "" {
		body.RecommendDoc = "https://api.aliyun.com/troubleshoot?q=" + f.ec
	}
	return body
}

// write answers in XML, or without a body where there is nothing to tell.
func (oss) write(_ *Server, i *invocation, value any, f *failure) reply {
	requestID := strings.ReplaceAll(i.requestID, "-", "")[:24]
	r := reply{status: http.StatusOK, contentType: "application/xml", header: map[string]string{"x-oss-request-id": requestID}}
	if f != nil {
		value, r.status = ossErrorFor(i, f, requestID), f.status
		if f.ec != "" {
			r.header["x-oss-ec"] = f.ec
		}
	}
	if value == nil {
		return r
	}
	raw, err := xml.MarshalIndent(value, "", "  ")
	if err != nil {
		// All values are plain structs of the emulator.
		panic(fmt.Sprintf("emulator: %v", err))
	}
	r.body = append([]byte(xml.Header), raw...)
	return r
}
