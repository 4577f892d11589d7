// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"net/http"
	"time"
)

// failure is an answer that is an error. Its message never repeats a value that
// the client sent, except where the gateway does so too.
type failure struct {
	code    string
	message string
	status  int
	// number, if it is positive, stands in the place of the code.
	number int
	// ec and fields are those of Refusal.
	ec     string
	fields []Field
	// denied is the permission that is missing, if it is one.
	denied string
	// timeLeft and userTimeLeft, if positive, are announced in x-ratelimit-user-api
	// and x-ratelimit-user, with the limit.
	timeLeft, userTimeLeft time.Duration
	limit                  int
}

// known are the codes that the cloud is known to answer with (F39 to F49, F71). The
// messages are examples: those of the cloud may be in another language (F1), and no client
// may depend on them.
var known = map[string]struct {
	status  int
	message string
}{
	"Throttling":                                 {400, "Request was denied due to request throttling."},
	"Throttling.User":                            {400, "Request was denied due to user flow control."},
	"Throttling.Api":                             {400, "Request was denied due to api flow control."},
	"FlowControlError":                           {400, "Request was denied due to flow control."},
	"NameRepeat":                                 {400, "The name already exists."},
	"NameAlreadyExist":                           {400, "The name already exists."},
	"InvalidCertId.NotFound":                     {400, "The certificate does not exist."},
	"NotFound":                                   {400, "The certificate does not exist."},
	"PrivateKeyFormatException":                  {400, "The format of the private key is invalid."},
	"CertificateFormatException":                 {400, "The format of the certificate is invalid."},
	"ParseCertificateFailed":                     {400, "The certificate cannot be parsed."},
	"CertificateChainNotMatch":                   {400, "The certificate chain does not match."},
	"CertificateExpired":                         {400, "The certificate has expired."},
	"DataTooLongException":                       {400, "The data is too long."},
	"InvalidParameter":                           {400, "The specified parameter is invalid."},
	"MissingParameter":                           {400, "A required parameter is missing."},
	"InvalidStatus.DeleteProtection":             {400, "The certificate is protected against deletion."},
	"Forbidden.RAM":                              {403, "User not authorized to operate on the specified resource, or this API doesn't support RAM."},
	"NoPermission":                               {403, "You are not authorized to do this action."},
	"PermissionDenied":                           {403, "Permission denied."},
	"AccessDenied.NoAuth":                        {403, "You have no permission to access this resource."},
	"NotMatch.CertificateAndPrivateKey":          {400, "The certificate and the private key do not match."},
	"KeyNotMatchCert":                            {400, "The private key does not match the certificate."},
	"InsufficientQuota":                          {400, "The quota is insufficient."},
	"InvalidAccessKeyId.NotFound":                {404, "Specified access key is not found."},
	"InvalidAccessKeyId.Inactive":                {400, "Specified access key is disabled."},
	"InvalidSecurityToken.Expired":               {400, "Specified SecurityToken is expired."},
	"InvalidSecurityToken.NotFound":              {404, "Specified SecurityToken is not found."},
	"InvalidSecurityToken.MismatchWithAccessKey": {400, "Specified SecurityToken mismatch with the AccessKey."},
	"MissingSecurityToken":                       {400, "SecurityToken is mandatory for this action."},
	"InvalidSecurityToken.Malformed":             {400, "Specified SecurityToken is malformed."},
	"SignatureDoesNotMatch":                      {400, "Specified signature is not matched with our calculation."},
	"IncompleteSignature":                        {400, "The request signature does not conform to Aliyun standards."},
	"InvalidTimeStamp.Expired":                   {400, "Specified time stamp or date value is expired."},
	"InvalidTimeStamp.Format":                    {400, "Specified time stamp or date value is not well formatted."},
	"SignatureNonceUsed":                         {400, "Specified signature nonce was used already."},
	"ServiceUnavailable":                         {503, "The request has failed due to a temporary failure of the server."},
	"InternalError":                              {500, "The request processing has failed due to some unknown error."},
	"OperationDenied.SystemUpgrading": {
		503, "The system is being upgraded.",
	},
	"InvalidAction.NotFound": {404, "Specified api is not found, please check your url and method."},
	"InvalidVersion":         {400, "Specified parameter Version is not valid."},
	"InvalidRegionId":        {400, "Specified parameter RegionId is not valid."},
	// The codes of STS were recorded (F46). Their status, and which refusal gets which
	// code, is a guess (F78).
	"AuthenticationFail.NoPermission":               {403, "This operation is forbidden by permission system."},
	"AuthenticationFail.OIDCToken.AudienceNotMatch": {400, "The audience of the OIDC token does not match the OIDC provider."},
}

// fail returns the error of a known code; a message replaces the usual one.
func fail(code string, message ...string) *failure {
	k, ok := known[code]
	if !ok {
		k.status, k.message = http.StatusBadRequest, "The request has failed."
	}
	f := &failure{code: code, status: k.status, message: k.message}
	if len(message) > 0 {
		f.message = message[0]
	}
	return f
}
