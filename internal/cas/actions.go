// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package cas

import (
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
)

// Action is a call of the cloud, by the name that the cloud gives it.
type Action string

// The calls to which limits apply.
const (
	// ActionUpload is limited to 100 a second and account (F28).
	ActionUpload Action = "UploadUserCertificate"
	// ActionList is limited to 10 a second and account (F28).
	ActionList Action = "ListUserCertificateOrder"
	// ActionDelete is limited to 100 a second and account (F28).
	ActionDelete Action = "DeleteUserCertificate"
)

const (
	actionCallerIdentity Action = "GetCallerIdentity"
	actionAssumeRole     Action = "AssumeRoleWithOIDC"
	// actionCredentials names errors for which nothing was called.
	actionCredentials Action = "credentials"
)

const (
	casVersion = "2020-04-07"
	stsVersion = "2015-04-01"
)

// permission returns the RAM action that the call needs; empty for the calls
// to STS, which need none.
func (a Action) permission() string {
	switch a {
	case ActionUpload, ActionList, ActionDelete:
		return "yundun-cert:" + string(a)
	default:
		return ""
	}
}

// The requests, for the SDK's signer. They are made per call and never used
// again: a request keeps the parameters of the last one (F55). Empty values are
// not sent.

type uploadRequest struct {
	*requests.RpcRequest
	Name              string      `position:"Body" name:"Name"`
	Cert              string      `position:"Body" name:"Cert"`
	Key               string      `position:"Body" name:"Key"`
	SignCert          string      `position:"Body" name:"SignCert"`
	SignPrivateKey    string      `position:"Body" name:"SignPrivateKey"`
	EncryptCert       string      `position:"Body" name:"EncryptCert"`
	EncryptPrivateKey string      `position:"Body" name:"EncryptPrivateKey"`
	ResourceGroupID   string      `position:"Body" name:"ResourceGroupId"`
	Tags              *[]tagParam `position:"Body" name:"Tags" type:"Repeated"`
}

type tagParam struct {
	Key   string `name:"Key"`
	Value string `name:"Value"`
}

type listRequest struct {
	*requests.RpcRequest
	OrderType       string `position:"Body" name:"OrderType"`
	Status          string `position:"Body" name:"Status"`
	Keyword         string `position:"Body" name:"Keyword"`
	CurrentPage     string `position:"Body" name:"CurrentPage"`
	ShowSize        string `position:"Body" name:"ShowSize"`
	ResourceGroupID string `position:"Body" name:"ResourceGroupId"`
}

type deleteRequest struct {
	*requests.RpcRequest
	CertID string `position:"Body" name:"CertId"`
}

// callerIdentityRequest is ours because the SDK's comes with the SDK's Client.
type callerIdentityRequest struct {
	*requests.RpcRequest
}

func newRPC(product, version string, action Action) *requests.RpcRequest {
	r := new(requests.RpcRequest)
	r.InitWithApiInfo(product, version, string(action), "", "")
	return r
}
