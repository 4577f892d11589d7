// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

// Package emulator is the Certificate Management Service (CAS) of Alibaba Cloud
// and the part of its Security Token Service (STS) that CAS clients need, on one
// machine and in memory.
//
// It is written from the published interface and not from any client: signature,
// clock and nonces are verified, limits are strict, names are unique and every
// quirk that clients stumble over is there. Where the interface is silent the
// choice is marked [inf] beside the code, and the Options that turn it round are
// listed in Unknowns. [doc] marks what an official page says, [src] what public
// clients show.
//
// Private keys and credentials that it holds are given out by the calls that
// give them out in the cloud and by nothing else.
package emulator
