// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/test/testbed"
)

const (
	region       = "cn-hangzhou"
	account      = "1234567890123456"
	accessKey    = "bench-access-key"
	accessSecret = "bench-access-key-secret" // of an emulator on loopback
	// home is the operator's namespace, as in config/.
	home = "cloudcert-system"
	// workload is the namespace of certificates.
	workload = "bench"
)

// world is one control plane, one cloud and the operators between them.
type world struct {
	*bench

	dir        string
	plane      *testbed.ControlPlane
	kube       client.WithWatch
	kubeconfig string // of the operator's ServiceAccount, with its roles and no others
	cloud      *cloud
	operators  []*operator
}

// newWorld starts a control plane and a cloud.
func (b *bench) newWorld(ctx context.Context, cloudArgs ...string) (w *world, err error) {
	w = &world{bench: b}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	if w.dir, err = os.MkdirTemp(b.dir, "world-"); err != nil {
		return w, err
	}
	if w.plane, err = testbed.StartControlPlane(); err != nil {
		return w, err
	}
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return w, err
	}
	if w.kube, err = client.NewWithWatch(w.plane.Config, client.Options{Scheme: scheme}); err != nil {
		return w, err
	}
	if err := w.installRoles(ctx); err != nil {
		return w, err
	}
	if err := w.addNamespace(ctx, workload); err != nil {
		return w, err
	}
	w.cloud, err = b.startCloud(ctx, w.dir, cloudArgs...)
	return w, err
}

// close ends everything. What it cannot end is killed by the kernel with us.
func (w *world) close() {
	for _, o := range w.operators {
		o.end()
	}
	if w.cloud != nil {
		_ = w.cloud.Stop(10 * time.Second)
	}
	if w.plane != nil {
		if err := w.plane.Stop(); err != nil {
			progressf("failed to stop the control plane: %v", err)
		}
	}
	if w.dir != "" {
		_ = os.RemoveAll(w.dir) // the run's folder goes as a whole
	}
}

func (w *world) addNamespace(ctx context.Context, name string) error {
	return w.kube.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
}

// installRoles applies the operator's roles and writes a kubeconfig with a token of
// its ServiceAccount: an administrator would pass the API server's priority and
// fairness by.
func (w *world) installRoles(ctx context.Context) error {
	files, err := filepath.Glob(filepath.Join(testbed.Root(), "config", "rbac", "*.yaml"))
	if err != nil {
		return err
	}
	for _, file := range append([]string{filepath.Join(testbed.Root(), "config", "manager", "namespace.yaml")}, files...) {
		if filepath.Base(file) == "kustomization.yaml" {
			continue
		}
		if err := w.createAll(ctx, file); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	serviceAccount := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: home, Name: "cloudcert"}}
	token := &authenticationv1.TokenRequest{}
	if err := w.kube.SubResource("token").Create(ctx, serviceAccount, token); err != nil {
		return fmt.Errorf("failed to get a token for the operator: %w", err)
	}
	return w.writeKubeconfig(token.Status.Token)
}

func (w *world) createAll(ctx context.Context, file string) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	for documents := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(raw), 4096); ; {
		object := &unstructured.Unstructured{}
		err := documents.Decode(object)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if len(object.Object) == 0 {
			continue // a comment between two separators
		}
		if err := w.kube.Create(ctx, object); err != nil {
			return err
		}
	}
}

func (w *world) writeKubeconfig(token string) error {
	config := rest.CopyConfig(w.plane.Config)
	if err := rest.LoadTLSFiles(config); err != nil {
		return err
	}
	out := clientcmdapi.NewConfig()
	out.Clusters["c"] = &clientcmdapi.Cluster{Server: config.Host, CertificateAuthorityData: config.CAData}
	out.AuthInfos["c"] = &clientcmdapi.AuthInfo{Token: token}
	out.Contexts["c"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "c"}
	out.CurrentContext = "c"
	raw, err := clientcmd.Write(*out)
	if err != nil {
		return err
	}
	w.kubeconfig = filepath.Join(w.dir, "kubeconfig")
	return os.WriteFile(w.kubeconfig, raw, 0o600)
}

// operator is a running operator.
type operator struct {
	*testbed.Process
	began   time.Time
	metrics string // address
	pprof   string // address; empty without profiles
	ending  sync.Once
}

// startOperator starts the operator that is measured.
func (w *world) startOperator(ctx context.Context, args ...string) (*operator, error) {
	return w.start(ctx, w.operator, args...)
}

// start starts a variant of the operator and waits until its caches are filled.
func (w *world) start(ctx context.Context, v variant, args ...string) (*operator, error) {
	var addresses [3]string
	for i := range addresses {
		var err error
		if addresses[i], err = testbed.FreeAddress(); err != nil {
			return nil, err
		}
	}
	env := append([]string{"ALIBABA_CLOUD_ACCESS_KEY_ID=" + accessKey, "ALIBABA_CLOUD_ACCESS_KEY_SECRET=" + accessSecret}, v.env...)
	o := &operator{metrics: addresses[0], began: time.Now()}
	all := append([]string{
		"--kubeconfig=" + w.kubeconfig,
		// Every region leads to the emulator: nothing can reach the real cloud.
		"--cas-endpoint=" + w.cloud.url(region), "--cas-endpoint=ap-southeast-1=" + w.cloud.url("ap-southeast-1"),
		"--sts-endpoint=" + w.cloud.url(region),
		"--metrics-bind-address=" + addresses[0], "--health-probe-bind-address=" + addresses[1], "--zap-devel=false",
	}, args...)
	if w.profiles != "" {
		o.pprof = addresses[2]
		all = append(all, "--pprof-bind-address="+o.pprof)
	}
	var err error
	if o.Process, err = testbed.Start(ctx, v.binary, env, all...); err != nil {
		return nil, err
	}
	w.operators = append(w.operators, o)
	ready, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	return o, o.WaitReady(ready, "http://"+addresses[1]+"/readyz")
}

// end stops the operator as Kubernetes would, once, and waits for its end.
func (o *operator) end() {
	o.ending.Do(func() {
		if err := o.Stop(30 * time.Second); err != nil {
			progressf("the operator ended with %v", err)
		}
	})
}

// endMeanwhile does not wait.
func (o *operator) endMeanwhile() { go o.end() }

// kill ends the operator without warning.
func (o *operator) kill() { o.ending.Do(o.Kill) }
