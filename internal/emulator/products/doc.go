// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

// Package products is those products of Alibaba Cloud that serve certificates of CAS, on one
// machine and in memory: load balancers and domains, behind the gateway of package emulator.
//
// Like that it is written from the published interfaces and from what users of the products
// reported, not from any client. It is stricter than the cloud may be: a parameter that an
// action does not know is refused, and so is a certificate that is named by its number alone.
// A number such as (T12) is a fact of docs/targets.md, which says where it comes from and how
// certain it is. Where nobody knows what the cloud does, Unknowns has the answers to choose
// from.
package products
