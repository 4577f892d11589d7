// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package cas

import (
	"github.com/cloudcert-io/cloudcert/internal/alibaba"
)

// The calls to which limits apply.
const (
	// ActionUpload is limited to 100 a second and account (F28).
	ActionUpload alibaba.Action = "UploadUserCertificate"
	// ActionList is limited to 10 a second and account (F28).
	ActionList alibaba.Action = "ListUserCertificateOrder"
	// ActionDelete is limited to 100 a second and account (F28).
	ActionDelete alibaba.Action = "DeleteUserCertificate"
)

// Service is the short name of the product in logs and metrics.
const Service = "cas"

const version = "2020-04-07"

// codes are those of CAS alone (F40 to F49).
var codes = alibaba.Codes{
	"NameRepeat":       alibaba.NameTaken,
	"NameAlreadyExist": alibaba.NameTaken,

	"InvalidCertId.NotFound": alibaba.NotFound,

	"PrivateKeyFormatException":         alibaba.Refused,
	"NotMatch.CertificateAndPrivateKey": alibaba.Refused,
	"CertificateFormatException":        alibaba.Refused,
	"ParseCertificateFailed":            alibaba.Refused,
	"CertificateChainNotMatch":          alibaba.Refused,
	"CertificateExpired":                alibaba.Refused,
	"DataTooLongException":              alibaba.Refused,
	"KeyNotMatchCert":                   alibaba.Refused,

	"InsufficientQuota": alibaba.Quota,

	// Seen for bought instances (F26).
	"InvalidStatus.DeleteProtection": alibaba.DeleteProtected,
}

// Codes returns the error codes that are known of calls to CAS, each with its class.
func Codes() alibaba.Codes { return alibaba.KnownCodes(codes) }

// Actions returns the calls, in order.
func Actions() []alibaba.Action { return []alibaba.Action{ActionDelete, ActionList, ActionUpload} }

// newCall returns a call of the client's region.
func (c *Client) newCall(action alibaba.Action, params map[string]string) alibaba.Call {
	return alibaba.Call{
		Service: Service, Action: action, Version: version, Endpoint: c.endpoint, Region: c.region, Params: params,
		Permission: "yundun-cert:" + string(action), Codes: codes,
	}
}
