// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

// Package emulator is the Certificate Management Service (CAS) of Alibaba Cloud
// and the part of its Security Token Service (STS) that CAS clients need, on one
// machine and in memory.
//
// It is written from the published interface and from recorded answers, not from any
// client: signature, clock and nonces are verified, limits are strict, names are unique,
// and the quirks that clients stumble over are there. A number such as (F12) is a fact of
// docs/cas.md, which says where it comes from and how certain it is. Where nobody knows
// what the cloud does, a comment calls the emulator's choice a guess; Unknowns lists the
// options that choose the other answer.
//
// Only the calls that return private keys and credentials in the cloud return them here.
package emulator
