// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

// Command demo tells the whole story on one machine: a real API server, the
// operator's binary and the emulator; a Secret becomes a certificate that a listener
// serves, is renewed, and status and listener follow. With KEEP=1 everything keeps running until it is
// interrupted.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/test/testbed"
)

const (
	namespace = "shop"
	region    = "cn-hangzhou"
	account   = "1234567890123456"
	accessKey = "demo-access-key"
	// A made-up secret of an emulator that listens on loopback alone.
	accessSecret = "demo-access-key-secret"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "\ndemo failed:", err)
		os.Exit(1)
	}
}

// demo is what the steps share.
type demo struct {
	dir        string
	plane      *testbed.ControlPlane
	kubeconfig string
	kube       client.Client
	emulator   *testbed.Process
	addresses  map[string]string
	manager    *testbed.Process
	metrics    string
	ca         *testbed.CA
	first      *v1alpha1.CloudCertificate
}

// run does the steps one after the other, and undoes them whatever happens.
func run(ctx context.Context) (err error) {
	d := &demo{}
	if d.dir, err = os.MkdirTemp("", "cloudcert-demo-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.cleanUp()) }()
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"start a control plane (etcd and kube-apiserver)", d.startControlPlane},
		{"start the emulator of the cloud", d.startEmulator},
		{"start the operator", d.startOperator},
		{"create a certificate Secret and a CloudCertificate", d.createObjects},
		{"wait until the certificate is in the cloud", d.waitSynced},
		{"bind the certificate to a listener of an ALB", d.bind},
		{"renew the Secret, as cert-manager would", d.renew},
		{"wait until the listener serves the new certificate, and the old one is gone", d.waitPruned},
	} {
		fmt.Printf("==> %s\n", step.what)
		began := time.Now()
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
		fmt.Printf("    done in %s\n\n", time.Since(began).Round(time.Millisecond))
	}
	if os.Getenv("KEEP") != "" {
		d.printAccess()
		<-ctx.Done()
	}
	return nil
}

func (d *demo) startControlPlane(context.Context) error {
	plane, err := testbed.StartControlPlane()
	if err != nil {
		return err
	}
	d.plane = plane
	d.kubeconfig = filepath.Join(d.dir, "kubeconfig")
	if err := os.WriteFile(d.kubeconfig, plane.Kubeconfig, 0o600); err != nil {
		return err
	}
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return err
	}
	d.kube, err = client.New(plane.Config, client.Options{Scheme: scheme})
	return err
}

// startEmulator runs cas-emulator on addresses that the kernel chooses.
func (d *demo) startEmulator(ctx context.Context) error {
	file := filepath.Join(d.dir, "addresses.json")
	var err error
	d.emulator, err = testbed.Start(ctx, binary("cas-emulator"), nil,
		"--listen=127.0.0.1:0", "--listen-international=127.0.0.1:0", "--admin-listen=127.0.0.1:0",
		"--product=alb=127.0.0.1:0", "--product=cdn=127.0.0.1:0", "--product=oss=127.0.0.1:0",
		"--addresses-file="+file, fmt.Sprintf("--account=%s:%s:%s", account, accessKey, accessSecret))
	if err != nil {
		return err
	}
	return eventually(ctx, func() (bool, error) {
		if d.emulator.Exited() {
			return false, fmt.Errorf("it ended:\n%s", d.emulator.Output())
		}
		raw, err := os.ReadFile(file)
		return err == nil && json.Unmarshal(raw, &d.addresses) == nil, nil
	})
}

func (d *demo) startOperator(ctx context.Context) error {
	health, err := testbed.FreeAddress()
	if err != nil {
		return err
	}
	if d.metrics, err = testbed.FreeAddress(); err != nil {
		return err
	}
	// Both regions lead to the emulator: an object of the other one must not reach the
	// real cloud.
	cloud, other := "http://"+d.addresses[region], "http://"+d.addresses["ap-southeast-1"]
	d.manager, err = testbed.Start(ctx, binary("manager"),
		[]string{"ALIBABA_CLOUD_ACCESS_KEY_ID=" + accessKey, "ALIBABA_CLOUD_ACCESS_KEY_SECRET=" + accessSecret},
		"--kubeconfig="+d.kubeconfig, "--cas-endpoint="+cloud, "--cas-endpoint=ap-southeast-1="+other, "--sts-endpoint="+cloud,
		"--bind-targets=alb,cdn,configmap,oss", "--target-endpoint=alb=http://"+d.addresses["alb"], "--target-endpoint=cdn=http://"+d.addresses["cdn"],
		"--target-endpoint=oss=http://"+d.addresses["oss"], "--prune-delay=1s",
		"--metrics-bind-address="+d.metrics, "--health-probe-bind-address="+health)
	if err != nil {
		return err
	}
	return d.manager.WaitReady(ctx, "http://"+health+"/readyz")
}

func (d *demo) createObjects(ctx context.Context) error {
	var err error
	if d.ca, err = testbed.NewCA("Demo CA"); err != nil {
		return err
	}
	secret, err := d.issue()
	if err != nil {
		return err
	}
	for _, object := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}},
		secret,
		&v1alpha1.CloudCertificate{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "web"},
			Spec: v1alpha1.CloudCertificateSpec{
				SecretRef: v1alpha1.SecretReference{Name: secret.Name}, RevisionHistoryLimit: new(int32(0)),
			},
		},
	} {
		if err := d.kube.Create(ctx, object); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) waitSynced(ctx context.Context) error {
	if err := d.waitFor(ctx, 0); err != nil {
		return err
	}
	return d.show(ctx)
}

func (d *demo) renew(ctx context.Context) error {
	secret, err := d.issue()
	if err != nil {
		return err
	}
	if err := d.kube.Update(ctx, secret); err != nil {
		return err
	}
	old := d.first.Status.CertID
	if err := d.waitFor(ctx, old); err != nil {
		return err
	}
	if history := d.first.Status.History; len(history) != 1 || history[0].CertID != old {
		return fmt.Errorf("history is %+v, want certificate %d", history, old)
	}
	return d.show(ctx)
}

// issue makes the Secret web-tls with a fresh certificate.
func (d *demo) issue() (*corev1.Secret, error) {
	pair, err := d.ca.Issue(90*24*time.Hour, nil, host, "example.com")
	if err != nil {
		return nil, err
	}
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "web-tls"},
		Type:       corev1.SecretTypeTLS,
		Data:       map[string][]byte{"tls.crt": pair.Certificate, "tls.key": pair.PrivateKey},
	}, nil
}

// waitFor waits until the object is Ready with another certificate than old.
func (d *demo) waitFor(ctx context.Context, old int64) error {
	d.first = &v1alpha1.CloudCertificate{}
	err := eventually(ctx, func() (bool, error) {
		err := d.kube.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "web"}, d.first)
		status := &d.first.Status
		return meta.IsStatusConditionTrue(status.Conditions, v1alpha1.ConditionReady) && status.CertID != old, err
	})
	if err != nil {
		return fmt.Errorf("%w; conditions: %+v; the operator's log:\n%s", err, d.first.Status.Conditions, d.manager.Output())
	}
	return nil
}

// show prints what a user sees in the cluster and in the cloud.
func (d *demo) show(ctx context.Context) error {
	fmt.Printf("\n    $ kubectl get ccert -n %s -o wide\n", namespace)
	if err := d.showTable(ctx); err != nil {
		return err
	}
	for _, v := range d.first.Status.History {
		fmt.Printf("    in status.history: certificate %d, %s\n", v.CertID, v.Name)
	}
	fmt.Println("\n    the emulator's view:")
	return d.showCloud(ctx)
}

// showTable prints the table that the API server renders for kubectl.
func (d *demo) showTable(ctx context.Context) error {
	config := rest.CopyConfig(d.plane.Config)
	config.GroupVersion, config.APIPath = &v1alpha1.GroupVersion, "/apis"
	config.NegotiatedSerializer = serializer.NewCodecFactory(runtime.NewScheme()).WithoutConversion()
	rc, err := rest.RESTClientFor(config)
	if err != nil {
		return err
	}
	raw, err := rc.Get().Namespace(namespace).Resource("cloudcertificates").
		SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").Do(ctx).Raw()
	if err != nil {
		return err
	}
	table := &metav1.Table{}
	if err := json.Unmarshal(raw, table); err != nil {
		return err
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', 0)
	var header []string
	for _, column := range table.ColumnDefinitions {
		header = append(header, strings.ToUpper(column.Name))
	}
	fmt.Fprintln(w, "    "+strings.Join(header, "\t"))
	for _, row := range table.Rows {
		var cells []string
		for i, cell := range row.Cells {
			if number, ok := cell.(float64); ok && table.ColumnDefinitions[i].Type == "integer" {
				cell = int64(number)
			}
			cells = append(cells, fmt.Sprint(cell))
		}
		fmt.Fprintln(w, "    "+strings.Join(cells, "\t"))
	}
	return w.Flush()
}

// showCloud prints the certificates that the emulator holds.
func (d *demo) showCloud(ctx context.Context) error {
	url := fmt.Sprintf("http://%s/certificates?account=%s&region=%s", d.addresses["admin"], account, region)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	fmt.Println("    " + strings.ReplaceAll(strings.TrimSpace(string(body)), "\n", "\n    "))
	return nil
}

func (d *demo) printAccess() {
	fmt.Printf(`everything keeps running; interrupt (Ctrl-C) to end it. In another terminal:
    export KUBECONFIG=%s
    kubectl get ccert,ccb -n %s -o wide
    kubectl get events.events.k8s.io -n %s
    curl -s http://%s/certificates       # the emulator's certificates
    curl -s http://%s/journal            # every call that it got
    curl -s http://%s/emulator/listeners # the emulator's listener
    curl -s http://%s/metrics            # the operator's metrics
Bindings of alb, cdn, configmap and oss can be tried. docs/emulator.md says how to make listeners, domains and faults by
the port of its certificates; the account is %s.
`, d.kubeconfig, namespace, namespace, d.addresses["admin"], d.addresses["admin"], d.addresses["admin"], d.metrics, account)
}

// cleanUp ends everything in the reverse order.
func (d *demo) cleanUp() error {
	fmt.Println("==> clean up")
	var errs []error
	for _, process := range []*testbed.Process{d.manager, d.emulator} {
		if process != nil {
			errs = append(errs, process.Stop(20*time.Second))
		}
	}
	if d.plane != nil {
		errs = append(errs, d.plane.Stop())
	}
	return errors.Join(append(errs, os.RemoveAll(d.dir))...)
}

// binary is a command that `make build` made.
func binary(name string) string { return filepath.Join(testbed.Root(), "bin", name) }

// eventually asks until the answer is yes, for at most a minute.
func eventually(ctx context.Context, ask func() (bool, error)) error {
	return testbed.Eventually(ctx, time.Minute, 20*time.Millisecond, func() (string, error) {
		if done, err := ask(); done || err != nil {
			return "", err
		}
		return "it did not happen", nil
	})
}
