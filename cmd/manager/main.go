// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

// Command manager is the operator: it keeps the certificates of CloudCertificates
// in Alibaba Cloud Certificate Management Service.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/config"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/bundle"
	"github.com/cloudcert-io/cloudcert/internal/cas"
	"github.com/cloudcert-io/cloudcert/internal/controller/binding"
	"github.com/cloudcert-io/cloudcert/internal/controller/calls"
	"github.com/cloudcert-io/cloudcert/internal/controller/certificate"
	"github.com/cloudcert-io/cloudcert/internal/version"
)

// fieldOwner names the operator in the managed fields of what it writes.
const fieldOwner = "cloudcert"

// +kubebuilder:rbac:groups="",namespace=kube-system,resources=namespaces,resourceNames=kube-system,verbs=get
// +kubebuilder:rbac:groups=coordination.k8s.io,namespace=cloudcert-system,resources=leases,verbs=get;watch;create;update

func main() {
	err := run(ctrl.SetupSignalHandler(), os.Args[1:], os.Getenv, os.Stdout)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// run is the operator from its flags to its end: it returns when ctx is done, or
// with the reason why it could not go on.
func run(ctx context.Context, args []string, getenv func(string) string, stdout io.Writer) error {
	s, err := parseFlags(args, stdout)
	if err != nil {
		return err
	}
	if s.version {
		_, err := fmt.Fprintln(stdout, version.String())
		return err
	}
	ctrl.SetLogger(zap.New(zap.UseFlagOptions(&s.zap)))
	saveMemory(ctx)
	if err := cleanProxies(getenv, os.Setenv); err != nil { // before net/http reads them, which it does once
		return err
	}

	kube, err := config.GetConfig()
	if err != nil {
		return fmt.Errorf("failed to find the API server: %w", err)
	}
	kube.QPS = -1 // the API server's priority and fairness limits us; a limit here would only slow a backlog down
	kube.UserAgent = "cloudcert/" + version.Version()
	if printsFrames(getenv("GODEBUG")) {
		kube.NextProtos = []string{"http/1.1"}
	}
	clusterID, err := findClusterID(ctx, kube, s.clusterID)
	if err != nil {
		return err
	}
	caller, err := newCaller(s, getenv)
	if err != nil {
		return err
	}
	accounts, err := newAccounts(s, caller, getenv)
	if err != nil {
		return err
	}
	mgr, err := newManager(kube, s)
	if err != nil {
		return err
	}
	accounts.Metadata, accounts.Live = mgr.GetClient(), mgr.GetAPIReader()
	reconciler := &certificate.Reconciler{
		Client:   mgr.GetClient(),
		Live:     mgr.GetAPIReader(),
		Recorder: mgr.GetEventRecorder(fieldOwner),
		Accounts: accounts,
		Options: certificate.Options{
			ClusterID:               clusterID,
			Region:                  s.region,
			MaxVersionsPerHour:      s.maxVersionsPerHour,
			PruneDelay:              s.pruneDelay,
			SettleDelay:             s.settleDelay,
			OrphanAfter:             s.orphanAfter,
			DriftInterval:           s.driftInterval,
			Bindings:                len(s.targets) > 0,
			MaxConcurrentReconciles: s.maxConcurrentReconciles,
			AllowedAccounts:         s.allowedAccounts,
		},
		Clock:  clock.RealClock{},
		Jitter: func(d time.Duration) time.Duration { return wait.Jitter(d, 0.2) },
	}
	if err := reconciler.SetupWithManager(ctx, mgr); err != nil {
		return err
	}
	certificates, err := certificate.NewFleet(ctx, mgr, reconciler)
	if err != nil {
		return err
	}
	bindings, err := addBindings(ctx, mgr, s, caller, reconciler)
	if err != nil {
		return err
	}
	fleets := []fleet{certificates}
	if bindings != nil {
		fleets = append(fleets, bindings)
	}
	if err := addMetrics(mgr, kube, s, fleets); err != nil {
		return err
	}
	certificate.SetInfo(version.Version(), version.Commit(), clusterID)
	ctrl.Log.Info("Starting", "version", version.String(), "clusterId", clusterID, "region", s.region)
	return start(ctx, mgr, mgr.GetCache().WaitForCacheSync)
}

// printsFrames reports whether a value of GODEBUG makes HTTP/2 print its frames, which hold
// Secrets and the operator's token where they come from the API server. HTTP/2 is not spoken
// then. The cloud's client never speaks it.
func printsFrames(godebug string) bool { return strings.Contains(godebug, "http2debug") }

// newManager makes the manager: caches, servers and leader election.
func newManager(kube *rest.Config, s *settings) (ctrl.Manager, error) {
	scheme := runtime.NewScheme()
	utilruntime.Must(corev1.AddToScheme(scheme))
	utilruntime.Must(v1alpha1.AddToScheme(scheme))

	kept := certificate.CacheOptions(s.watchNamespaces)
	binding.KeepSmall(&kept)
	options := ctrl.Options{
		Scheme:                 scheme,
		Cache:                  kept,
		Client:                 client.Options{FieldOwner: fieldOwner, FieldValidation: metav1.FieldValidationStrict},
		Metrics:                metricsserver.Options{BindAddress: "0"}, // addMetrics
		HealthProbeBindAddress: "0",
		PprofBindAddress:       s.pprofAddress,
	}
	if s.leaderElect {
		lock, err := newLease(kube, s.leaderElectionNamespace)
		if err != nil {
			return nil, err
		}
		options.LeaderElection, options.LeaderElectionResourceLockInterface = true, lock
		options.LeaderElectionID = leaseName // in metrics
		options.LeaseDuration, options.RenewDeadline, options.RetryPeriod = new(leaseDuration), new(renewDeadline), new(retryPeriod)
		options.LeaderElectionReleaseOnCancel = true // main returns as soon as the manager has stopped
	}
	adjust(&options)
	mgr, err := ctrl.NewManager(kube, options)
	if err != nil {
		return nil, fmt.Errorf("failed to set up the manager: %w", err)
	}
	return mgr, addProbes(mgr, s.healthAddress)
}

// cachesSynced is ready when the caches are: a replica that is not the leader is
// ready to become it.
func cachesSynced(mgr ctrl.Manager) healthz.Checker {
	return func(request *http.Request) error {
		ctx, cancel := context.WithTimeout(request.Context(), time.Second)
		defer cancel()
		if !mgr.GetCache().WaitForCacheSync(ctx) {
			return errors.New("caches are not synced yet")
		}
		return nil
	}
}

// findClusterID returns the id in every name in the cloud: the flag's, or the UID
// of the namespace kube-system, which lives as long as the cluster.
func findClusterID(ctx context.Context, kube *rest.Config, flagged string) (string, error) {
	if flagged != "" {
		return flagged, nil
	}
	direct, err := client.New(kube, client.Options{})
	if err != nil {
		return "", fmt.Errorf("failed to make a client of the API server: %w", err)
	}
	namespace := &metav1.PartialObjectMetadata{}
	namespace.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	if err := direct.Get(ctx, client.ObjectKey{Name: metav1.NamespaceSystem}, namespace); err != nil {
		return "", fmt.Errorf("failed to read the UID of namespace kube-system, which is the cluster's id by default: %w; "+
			"allow it, or set --cluster-id", err)
	}
	return string(namespace.UID), nil
}

// newCaller makes what sends every call to the cloud.
func newCaller(s *settings, getenv func(string) string) (*alibaba.Caller, error) {
	return alibaba.New(alibaba.Config{
		STSEndpoint:    s.stsEndpoint,
		RootCAs:        s.rootCAs,
		UserAgent:      "cloudcert/" + version.Version(),
		Node:           getenv("NODE_NAME"),
		Observe:        calls.Observe,
		ObserveRefresh: certificate.ObserveRefresh,
		ObserveAccount: certificate.ObserveAccount,
	})
}

// newAccounts sets up the way to the cloud.
func newAccounts(s *settings, caller *alibaba.Caller, getenv func(string) string) (*certificate.Accounts, error) {
	cloud, err := cas.New(caller, cas.Config{
		Endpoints:   s.endpoints,
		UploadQPS:   s.uploadQPS,
		ListQPS:     s.listQPS,
		ParseName:   bundle.ParseName,
		Workers:     s.maxConcurrentReconciles,
		ObserveWait: certificate.ObserveWait,
	})
	if err != nil {
		return nil, err
	}
	accounts := &certificate.Accounts{Cloud: cloud, OwnNamespaces: s.defaultCredentialsNamespaces}
	accounts.Own, err = caller.EnvironmentProvider(getenv)
	if err != nil {
		// Objects that bring their own credentials can be served all the same.
		accounts.OwnProblem = err.Error()
		ctrl.Log.Info("No credentials of its own", "problem", err.Error())
		return accounts, nil
	}
	// The account follows in a line of its own when a call first needs it: a start calls nothing.
	ctrl.Log.Info("Credentials of its own", "source", alibaba.SourceOf(accounts.Own))
	return accounts, nil
}
