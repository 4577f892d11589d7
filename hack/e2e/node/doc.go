// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

// Package node makes a cluster of one node where there is no docker: only then is any
// of this needed. With docker, kind makes the cluster (hack/e2e/kind.go), and nothing
// in this folder runs.
//
// The node is etcd, the control plane, kubelet, containerd with runc, kube-proxy and a
// bridge in fresh namespaces. It takes three processes:
//
//   - Run, which makes cgroups and removes them in the end;
//   - enter, which is inside the cgroups and so sees them as the root of its new
//     cgroup namespace;
//   - init, the first process of the new namespaces, which reaps, and whose end is
//     the end of everything in them; the cluster is its child.
//
// Each is killed with the one before it, so that nothing is left whatever happens.
package node

// Prefix begins the names of everything that a run makes outside its namespaces; the
// id of its process follows.
const Prefix = "cloudcert-e2e-"

// StageFlag begins the arguments of the processes that Run starts of this program,
// which has to hand those after it to RunStage.
const StageFlag = "-stage"

// Config is what a node is made from.
type Config struct {
	Dir     string // for the node's state: it goes with the run
	Logs    string // folder for the logs of its parts
	Bin     string // folder of binaries: those of hack/assets, kubectl and pause
	Archive string // the operator's image
	Env     []string
}
