// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/cas"
	"github.com/cloudcert-io/cloudcert/internal/controller/certificate"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
	"github.com/cloudcert-io/cloudcert/test/testbed"
)

// heapChild names the variable that turns this test binary into the operator
// whose heap is searched. It is a process of its own, because the test itself
// holds the key that must not be found.
const (
	heapChild          = "CLOUDCERT_HEAP_CHILD_KUBECONFIG"
	heapChildNamespace = "CLOUDCERT_HEAP_CHILD_NAMESPACE"
)

// TestCacheHoldsNoPrivateKey gives the operator Secrets as `kubectl apply` makes
// them, with the private key in an annotation too, before its start and while it
// runs, and searches its heap for the key.
func TestCacheHoldsNoPrivateKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, emulator.Options{})
	before := w.applySecret("before", "")
	child := startHeapChild(t, strings.TrimPrefix(w.args[0], "--kubeconfig="), w.namespace)
	child.ask("see " + w.namespace + "/before")
	after := w.applySecret("after", "")
	child.ask("see " + w.namespace + "/after")
	// Watch buffers keep the last bytes that went through them; other Secrets
	// overwrite these, as they would in any cluster.
	for i := range 20 {
		w.applySecret(fmt.Sprintf("filler-%d", i), strings.Repeat("x", 64<<10))
	}
	child.ask("see " + w.namespace + "/filler-19")
	path := filepath.Join(t.TempDir(), "heap")
	child.ask("dump " + path)
	heap, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"before", "after"} {
		secret := &corev1.Secret{}
		if err := kube.Get(ctx, client.ObjectKey{Namespace: w.namespace, Name: name}, secret); err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(heap, []byte(secret.UID)) {
			t.Errorf("the heap dump of %d bytes does not even hold the UID of Secret %s: it proves nothing", len(heap), name)
		}
	}
	for _, key := range []string{before, after} {
		raw, err := base64.StdEncoding.DecodeString(key)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(heap, []byte(key[40:100])) || bytes.Contains(heap, raw[40:100]) {
			t.Error("the heap holds a private key")
		}
	}
}

// applySecret makes a Secret as `kubectl apply` does and returns its private key
// in base64.
func (w *world) applySecret(name, filler string) string {
	w.t.Helper()
	pair := w.issue(name + ".example.com")
	secret := &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name},
		Type:       corev1.SecretTypeTLS,
		Data:       map[string][]byte{"tls.crt": pair.Certificate, "tls.key": pair.PrivateKey},
	}
	applied, err := json.Marshal(secret)
	if err != nil {
		w.t.Fatal(err)
	}
	secret.Annotations = map[string]string{corev1.LastAppliedConfigAnnotation: string(applied), "filler": filler}
	if err := kube.Create(ctx, secret); err != nil {
		w.t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(pair.PrivateKey)
}

// heapProcess is the operator in a process of its own that answers questions.
type heapProcess struct {
	t   *testing.T
	in  io.Writer
	out *bufio.Scanner
}

func startHeapChild(t *testing.T, kubeconfig, namespace string) *heapProcess {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), heapChild+"="+kubeconfig, heapChildNamespace+"="+namespace)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close() // ends the child
		if err := cmd.Wait(); err != nil {
			t.Errorf("the operator under search ended with %v", err)
		}
	})
	return &heapProcess{t: t, in: in, out: bufio.NewScanner(out)}
}

// ask sends a question and waits until it is answered.
func (p *heapProcess) ask(question string) {
	p.t.Helper()
	if _, err := fmt.Fprintln(p.in, question); err != nil {
		p.t.Fatal(err)
	}
	if !p.out.Scan() || p.out.Text() != "ok" {
		p.t.Fatalf("%s: %q %v", question, p.out.Text(), p.out.Err())
	}
}

// runHeapChild is the child's main: the operator's own cache and controller, and
// two questions on standard input: "see namespace/name" waits until the cache
// holds a Secret, "dump file" writes the heap.
func runHeapChild() int {
	mgr, err := startOperator(os.Getenv(heapChild), os.Getenv(heapChildNamespace))
	if err != nil {
		fmt.Fprintln(os.Stderr, "heap child:", err)
		return 1
	}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		verb, argument, _ := strings.Cut(in.Text(), " ")
		switch verb {
		case "see":
			err = seeSecret(mgr, argument)
		case "dump":
			err = dumpHeap(argument)
		}
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println("ok")
	}
	return 0
}

func startOperator(kubeconfig, namespace string) (ctrl.Manager, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: scheme(), Cache: certificate.CacheOptions([]string{namespace}), Metrics: metricsserver.Options{BindAddress: "0"},
	})
	if err != nil {
		return nil, err
	}
	nowhere := "http://127.0.0.1:1" // there is nothing to upload: no call may be made
	caller, err := alibaba.New(alibaba.Config{STSEndpoint: nowhere})
	if err != nil {
		return nil, err
	}
	cloud, err := cas.New(caller, cas.Config{
		Endpoints: map[string]string{region: nowhere, international: nowhere}, UploadQPS: 95, ListQPS: 9,
	})
	if err != nil {
		return nil, err
	}
	r := &certificate.Reconciler{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Recorder: mgr.GetEventRecorder("heap"),
		Accounts: &certificate.Accounts{Cloud: cloud, Metadata: mgr.GetClient(), Live: mgr.GetAPIReader()},
		Options:  certificate.Options{ClusterID: "heap", Region: region, MaxConcurrentReconciles: 1},
		Clock:    clock.RealClock{}, Jitter: func(d time.Duration) time.Duration { return d },
	}
	if err := r.SetupWithManager(ctx, mgr); err != nil {
		return nil, err
	}
	go func() {
		if err := mgr.Start(ctx); err != nil {
			fmt.Fprintln(os.Stderr, "heap child:", err)
			os.Exit(1)
		}
	}()
	if !mgr.GetCache().WaitForCacheSync(ctx) {
		return nil, errors.New("caches did not sync")
	}
	return mgr, nil
}

func seeSecret(mgr ctrl.Manager, key string) error {
	namespace, name, _ := strings.Cut(key, "/")
	return testbed.Eventually(ctx, deadline, 10*time.Millisecond, func() (string, error) {
		secret := &metav1.PartialObjectMetadata{}
		secret.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
		if err := mgr.GetClient().Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, secret); err != nil {
			return err.Error(), nil //nolint:nilerr // the cache may not show it yet
		}
		return "", nil
	})
}

func dumpHeap(path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	for range 3 { // pools need two rounds to be emptied
		runtime.GC()
	}
	debug.WriteHeapDump(file.Fd())
	return nil
}
