// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/cloudcert-io/cloudcert/hack/e2e/process"
)

// The cluster's addresses. They are in a network namespace of their own.
const (
	nodeName      = "e2e-node"
	nodeIP        = "10.200.0.1"
	podCIDR       = "10.244.0.0/24"
	serviceCIDR   = "10.96.0.0/16"
	apiServiceIP  = "10.96.0.1"
	containerdAPI = "/run/containerd/containerd.sock"
)

// startTimeout bounds the start of the cluster, which takes some ten seconds.
const startTimeout = 3 * time.Minute

// cluster is the control plane and the node, inside the namespaces.
type cluster struct {
	stageInput
	kubeconfig string
}

// runNode starts the cluster and runs the command. Nothing is stopped: all of it
// ends with the namespaces.
func runNode(ctx context.Context, in stageInput, words []string) error {
	c := &cluster{stageInput: in, kubeconfig: filepath.Join(in.Dir, "kubeconfig")}
	for _, variable := range append(in.Env, "E2E_PROVIDER=node", "KUBECONFIG="+c.kubeconfig, "E2E_CLOUD_IP="+nodeIP) {
		name, value, _ := strings.Cut(variable, "=")
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	began := time.Now()
	fmt.Println("==> make a cluster of one node")
	if err := c.start(ctx); err != nil {
		return fmt.Errorf("%w; logs are in %s", err, c.Logs)
	}
	fmt.Printf("    %s\n==> %s\n", time.Since(began).Round(100*time.Millisecond), strings.Join(words, " "))
	return process.Command(ctx, nil, words[0], words[1:]...).Run()
}

func (c *cluster) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for _, step := range []func(context.Context) error{
		c.mounts, c.network, c.pki, c.controlPlane, c.runtime, c.kubelet, c.ready,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// path is a file of the cluster's state.
func (c *cluster) path(elements ...string) string {
	return filepath.Join(append([]string{c.Dir}, elements...)...)
}

func mount(source, target, kind, data string) error {
	if err := syscall.Mount(source, target, kind, 0, data); err != nil {
		return fmt.Errorf("failed to mount %s: %w", target, err)
	}
	return nil
}

// mounts hides the machine's own state from the cluster, and the other way round.
func (c *cluster) mounts(context.Context) error {
	// First away from the machine's mounts, then shared with those of the pods, as
	// the kubelet's volumes have to be.
	for _, flag := range []uintptr{syscall.MS_PRIVATE, syscall.MS_SHARED} {
		if err := syscall.Mount("", "/", "", flag|syscall.MS_REC, ""); err != nil {
			return fmt.Errorf("failed to part with the machine's mounts: %w", err)
		}
	}
	if err := mount("proc", "/proc", "proc", ""); err != nil {
		return err
	}
	if err := c.Groups.mount(); err != nil {
		return err
	}
	for _, dir := range []string{"/run", "/var/log"} {
		if err := mount("tmpfs", dir, "tmpfs", "mode=755"); err != nil {
			return err
		}
	}
	for _, dir := range []string{"kubelet", "containerd", "cni", "pki", "opt", "upper", "work"} {
		if err := os.Mkdir(c.path(dir), 0o755); err != nil {
			return err
		}
	}
	// Folders that are made in it are not made on the machine.
	parent := filepath.Dir(kubeletDir)
	overlay := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", parent, c.path("upper"), c.path("work"))
	if err := mount("overlay", parent, "overlay", overlay); err != nil {
		return err
	}
	if err := os.MkdirAll(kubeletDir, 0o755); err != nil {
		return err
	}
	if err := syscall.Mount(c.path("kubelet"), kubeletDir, "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("failed to mount %s: %w", kubeletDir, err)
	}
	return errors.Join(
		syscall.Mount("", kubeletDir, "", syscall.MS_SHARED|syscall.MS_REC, ""),
		syscall.Sethostname([]byte(nodeName)),
	)
}

// network makes the node's address on a bridge without ports, and a default route:
// the kubelet and kube-proxy look for one. No packet leaves the namespace.
func (c *cluster) network(ctx context.Context) error {
	for _, words := range []string{
		"link set lo up",
		"link add node0 type bridge",
		"addr add " + nodeIP + "/24 dev node0",
		"link set node0 up",
		"route add default dev node0",
	} {
		if err := process.Run(ctx, nil, "ip", strings.Fields(words)...); err != nil {
			return err
		}
	}
	return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644)
}

func (c *cluster) controlPlane(ctx context.Context) error {
	const etcd = "http://127.0.0.1:2379"
	if err := c.daemon(ctx, "etcd", "--data-dir="+c.path("etcd"), "--listen-client-urls="+etcd, "--advertise-client-urls="+etcd,
		"--listen-peer-urls=http://127.0.0.1:2380", "--unsafe-no-fsync"); err != nil {
		return err
	}
	if err := c.daemon(ctx, "kube-apiserver", "--etcd-servers="+etcd, "--secure-port=6443", "--bind-address=0.0.0.0",
		"--advertise-address="+nodeIP, "--service-cluster-ip-range="+serviceCIDR, "--authorization-mode=Node,RBAC",
		"--allow-privileged=true", "--client-ca-file="+c.path("pki", "ca.crt"),
		"--tls-cert-file="+c.path("pki", "apiserver.crt"), "--tls-private-key-file="+c.path("pki", "apiserver.key"),
		// Without it the API server cannot fetch logs, nor exec.
		"--kubelet-client-certificate="+c.path("pki", "admin.crt"), "--kubelet-client-key="+c.path("pki", "admin.key"),
		"--kubelet-preferred-address-types=InternalIP",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file="+c.path("pki", "ca.key"), "--service-account-signing-key-file="+c.path("pki", "ca.key")); err != nil {
		return err
	}
	if err := c.until(ctx, "kubectl", "get", "--raw=/readyz"); err != nil {
		return err
	}
	if err := c.daemon(ctx, "kube-controller-manager", "--kubeconfig="+c.kubeconfig, "--leader-elect=false", "--bind-address=127.0.0.1",
		"--service-account-private-key-file="+c.path("pki", "ca.key"), "--root-ca-file="+c.path("pki", "ca.crt"),
		"--use-service-account-credentials=true"); err != nil {
		return err
	}
	return c.daemon(ctx, "kube-scheduler", "--kubeconfig="+c.kubeconfig, "--leader-elect=false", "--bind-address=127.0.0.1")
}

// runtime starts containerd and loads the images.
func (c *cluster) runtime(ctx context.Context) error {
	var plugins []string
	for _, dir := range cniFolders {
		plugins = append(plugins, fmt.Sprintf("%q", dir))
	}
	runc, err := exec.LookPath("runc")
	if err != nil {
		return err
	}
	if err := c.write("containerd.toml", fmt.Sprintf(`version = 3
root = %q
state = "/run/containerd"
[grpc]
  address = %q
[plugins."io.containerd.internal.v1.opt"]
  path = %q
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = %q
[plugins."io.containerd.cri.v1.runtime"]
  # The scores of this process may be bounded, as in a container.
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = [%s]
    conf_dir = %q
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
      BinaryName = %q
      SystemdCgroup = false
`, c.path("containerd"), containerdAPI, c.path("opt"), pauseName, strings.Join(plugins, ", "), c.path("cni"), runc)); err != nil {
		return err
	}
	if err := c.write("cni/10-bridge.conflist", fmt.Sprintf(`{"cniVersion": "1.0.0", "name": "e2e", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true, "ipam":
    {"type": "host-local", "dataDir": "/run/cni", "ranges": [[{"subnet": %q}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}
]}`, podCIDR)); err != nil {
		return err
	}
	if err := c.daemon(ctx, "containerd", "--config="+c.path("containerd.toml")); err != nil {
		return err
	}
	if err := c.until(ctx, "ctr", "--address="+containerdAPI, "version"); err != nil {
		return err
	}
	pause := c.path("pause.tar")
	if err := writePause(pause, filepath.Join(c.Bin, "pause")); err != nil {
		return err
	}
	for _, archive := range []string{pause, c.Archive} {
		cmd := process.Command(ctx, nil, "ctr", "--address="+containerdAPI, "--namespace=k8s.io", "images", "import", archive)
		cmd.Stdout, cmd.Stderr = nil, nil
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("failed to load an image: %w\n%s", err, out)
		}
	}
	return nil
}

func (c *cluster) kubelet(ctx context.Context) error {
	// At its default, once a minute, a Secret that changes takes as long to come into a volume.
	if err := c.write("kubelet.yaml", fmt.Sprintf(`apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
cgroupRoot: /
containerRuntimeEndpoint: unix://%s
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: %s}}
authorization: {mode: Webhook}
oomScoreAdj: 0 # less than the default may be forbidden, as in a container
failSwapOn: false
syncFrequency: 5s
evictionHard: {memory.available: 100Mi, nodefs.available: 1%%, imagefs.available: 1%%}
imageGCHighThresholdPercent: 100
volumePluginDir: %s
resolvConf: ""
`, containerdAPI, c.path("pki", "ca.crt"), c.path("opt"))); err != nil {
		return err
	}
	if err := c.daemon(ctx, "kubelet", "--config="+c.path("kubelet.yaml"), "--kubeconfig="+c.kubeconfig,
		"--hostname-override="+nodeName, "--node-ip="+nodeIP); err != nil {
		return err
	}
	// What is set to 0 is not the namespace's to change.
	if err := c.write("kube-proxy.yaml", fmt.Sprintf(`apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clientConnection: {kubeconfig: %s}
clusterCIDR: %s
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
hostnameOverride: %s
`, c.kubeconfig, podCIDR, nodeName)); err != nil {
		return err
	}
	return c.daemon(ctx, "kube-proxy", "--config="+c.path("kube-proxy.yaml"))
}

// ready waits until the cluster takes pods.
func (c *cluster) ready(ctx context.Context) error {
	return errors.Join(
		c.until(ctx, "kubectl", "wait", "--for=condition=Ready", "--timeout=1s", "node/"+nodeName),
		c.until(ctx, "kubectl", "get", "--namespace=default", "serviceaccount/default"),
	)
}

func (c *cluster) write(name, content string) error {
	return os.WriteFile(c.path(name), []byte(content), 0o600)
}

// daemon starts a part of the cluster. It runs until everything ends.
func (c *cluster) daemon(ctx context.Context, name string, args ...string) error {
	log, err := os.Create(filepath.Join(c.Logs, name+".log"))
	if err != nil {
		return err
	}
	defer log.Close()
	// The deadline is that of the start. It is not tied to the thread that starts it:
	// the namespace ends it.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), filepath.Join(c.Bin, name), args...)
	cmd.Dir = c.Dir
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("failed to start %s: %w", name, err)
	}
	go func() {
		fmt.Fprintf(os.Stderr, "e2e: %s ended: %v; its log is in %s\n", name, cmd.Wait(), c.Logs)
	}()
	return nil
}

// until repeats a command until it succeeds.
func (c *cluster) until(ctx context.Context, name string, args ...string) error {
	for {
		cmd := process.Command(ctx, nil, filepath.Join(c.Bin, name), args...)
		cmd.Stdout, cmd.Stderr = nil, nil
		out, err := cmd.CombinedOutput()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
		}
		time.Sleep(100 * time.Millisecond)
	}
}
