// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client/config"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"github.com/cloudcert-io/cloudcert/internal/cas"
	"github.com/cloudcert-io/cloudcert/internal/controller/binding"
	"github.com/cloudcert-io/cloudcert/internal/targets"
)

// settings are the operator's flags, checked.
type settings struct {
	region                       string
	endpoints                    map[string]string
	stsEndpoint                  string
	rootCAs                      *x509.CertPool
	clusterID                    string
	watchNamespaces              []string
	defaultCredentialsNamespaces []string
	allowedAccounts              []string
	uploadQPS                    float64
	listQPS                      float64
	maxVersionsPerHour           int
	maxConcurrentReconciles      int
	driftInterval                time.Duration
	pruneDelay                   time.Duration
	settleDelay                  time.Duration
	orphanAfter                  time.Duration
	targets                      []targets.Product
	singleTenant                 bool
	targetEndpoints              map[string]string
	leaderElect                  bool
	leaderElectionNamespace      string
	metricsAddress               string
	metricsCertDir               string
	metricsPerObject             bool
	healthAddress                string
	pprofAddress                 string
	version                      bool
	zap                          zap.Options
}

// parseFlags reads and checks the command line. Its error is flag.ErrHelp when
// help was asked for and written to help.
func parseFlags(args []string, help io.Writer) (*settings, error) {
	s := &settings{endpoints: map[string]string{}, targetEndpoints: map[string]string{}}
	fs := flag.NewFlagSet("manager", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // an error is told once, by main
	var endpoints, targetEndpoints repeated
	var bound list
	var policy, caFile string
	fs.StringVar(&s.region, "region", cas.RegionChina, "region of objects that name none, neither in their spec nor in their status: "+cas.RegionChina+" or "+cas.RegionInternational)
	fs.Var(&endpoints, "cas-endpoint", "`[region=]URL` of the Certificate Management Service, repeatable; https, or http on loopback; without region= it serves --region alone (default: the public endpoint of each region)")
	fs.StringVar(&s.stsEndpoint, "sts-endpoint", "", "`URL` of the Security Token Service for all regions; https, or http on loopback (default: the public endpoint)")
	fs.StringVar(&caFile, "cas-ca-file", "", "`file` of PEM certificates to trust for the cloud's endpoints and a proxy, besides the system's")
	fs.StringVar(&s.clusterID, "cluster-id", "", "`id` of this cluster in every certificate's name, 1 to 63 letters, digits, '.' and '-' (default: the UID of namespace kube-system)")
	fs.Var((*list)(&s.watchNamespaces), "watch-namespaces", "`namespaces` to watch, separated by commas (default: all)")
	fs.Var((*list)(&s.defaultCredentialsNamespaces), "default-credentials-namespaces", "`namespaces` whose objects may use the operator's own credentials, separated by commas; others must bring spec.credentialsSecretRef (default: all)")
	fs.Var((*list)(&s.allowedAccounts), "allowed-account-ids", "`ids` of the accounts to which certificates may be uploaded, separated by commas; nothing is uploaded to another one, or to one that could not be learned (default: all)")
	fs.Float64Var(&s.uploadQPS, "upload-qps", 95, "uploads a second for each account and region; the account's limit is 100")
	fs.Float64Var(&s.listQPS, "list-qps", 9, "list calls a second for each account and region; the account's limit is 10")
	fs.IntVar(&s.maxVersionsPerHour, "max-versions-per-hour", 30, "versions that one object may upload in an hour; 0 means no limit")
	fs.IntVar(&s.maxConcurrentReconciles, "max-concurrent-reconciles", 60, "objects that are worked on at the same time")
	fs.BoolVar(&s.leaderElect, "leader-elect", false, "elect a leader, so that several replicas can run")
	fs.StringVar(&s.leaderElectionNamespace, "leader-election-namespace", "", "`namespace` of the leader's lease (default: the operator's own, which is known inside a cluster only)")
	fs.StringVar(&s.metricsAddress, "metrics-bind-address", ":8443", "`address` of the metrics: HTTPS for authenticated clients, plain HTTP on loopback; 0 for none")
	fs.StringVar(&s.metricsCertDir, "metrics-cert-dir", "", "`folder` with tls.crt and tls.key of the metrics, which are read again when they change (default: a certificate of its own, new with each start)")
	fs.BoolVar(&s.metricsPerObject, "metrics-per-object", true, "serve metrics of each CloudCertificate and CloudCertificateBinding besides those of all together")
	fs.StringVar(&s.healthAddress, "health-probe-bind-address", ":8081", "`address` of /healthz and /readyz; 0 for none")
	fs.StringVar(&s.pprofAddress, "pprof-bind-address", "0", "`address` of net/http/pprof's profiles, without a password and therefore on loopback alone; 0 for none")
	fs.BoolVar(&s.version, "version", false, "print the version and exit")
	fs.DurationVar(&s.driftInterval, "drift-interval", 6*time.Hour, "`time` between two checks of the list of certificates of each account and region; what is gone is uploaded again; 0 means never")
	fs.DurationVar(&s.pruneDelay, "prune-delay", 24*time.Hour, "`time` that a superseded version is kept at least after its successor was published, where spec.revisionHistoryLimit does not keep it longer")
	fs.DurationVar(&s.settleDelay, "settle-delay", 30*time.Second, "`time` that a deletion waits for uploads in flight before it looks what there is to delete")
	fs.DurationVar(&s.orphanAfter, "orphan-after", 24*time.Hour, "`time` after which a deleted object whose credentials are gone, or whose deletions the cloud refuses, is released with what it has in the cloud; 0 means never")
	fs.Var(&bound, "bind-targets", "`kinds` of target that CloudCertificateBindings may have, separated by commas, or all: "+productNames(binding.Built())+" (default: none); all leaves out "+productNames(namedAlone())+", which cost a right to private keys and have to be named")
	fs.StringVar(&policy, "binding-policy", policyRequire, "whether a CertificateTargetPolicy has to admit what is bound with the operator's own credentials: "+policyRequire+", or "+policySingleTenant+" for a cluster whose users all may bind everything")
	fs.Var(&targetEndpoints, "target-endpoint", "`product[/region]=URL` of a product, repeatable; https, or http on loopback (default: the public endpoints)")
	config.RegisterFlags(fs)
	s.zap.BindFlags(fs)
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fs.SetOutput(help)
			fs.Usage()
			return nil, err
		}
		return nil, fmt.Errorf("%w; see --help", err)
	}
	if fs.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q: settings are given as flags, see --help", fs.Arg(0))
	}
	if err := s.checkBinding(bound, policy, targetEndpoints); err != nil {
		return nil, err
	}
	return s, s.check(endpoints, caFile)
}

var (
	clusterIDPattern = regexp.MustCompile(`^[A-Za-z0-9.-]{1,63}$`)
	accountIDPattern = regexp.MustCompile(`^[0-9]{1,64}$`)
)

// check completes the settings, and names the flag that is wrong.
func (s *settings) check(endpoints []string, caFile string) error {
	if s.region != cas.RegionChina && s.region != cas.RegionInternational {
		return fmt.Errorf("--region: %q is not a region of CAS: use %s or %s", s.region, cas.RegionChina, cas.RegionInternational)
	}
	for _, check := range []func() error{
		func() error { return s.addEndpoints(endpoints) },
		s.checkNames, s.checkNumbers, s.checkTimes,
		func() error { return s.readCAs(caFile) },
	} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (s *settings) addEndpoints(endpoints []string) error {
	for _, e := range endpoints {
		region, url, err := cas.ParseEndpoint(e)
		if err != nil {
			return fmt.Errorf("--cas-endpoint: %w", err)
		}
		if region == "" {
			region = s.region
		}
		if s.endpoints[region] != "" {
			return fmt.Errorf("--cas-endpoint: region %s is given twice", region)
		}
		s.endpoints[region] = url
	}
	return nil
}

func (s *settings) checkNames() error {
	if s.pprofAddress != "0" && !isLoopback(s.pprofAddress) {
		return fmt.Errorf("--pprof-bind-address: %q is not on loopback: use 127.0.0.1 and a port, and reach it by kubectl port-forward", s.pprofAddress)
	}
	if s.clusterID != "" && !clusterIDPattern.MatchString(s.clusterID) {
		return fmt.Errorf("--cluster-id: %q is not 1 to 63 letters, digits, '.' and '-'", s.clusterID)
	}
	for _, id := range s.allowedAccounts {
		if !accountIDPattern.MatchString(id) {
			return fmt.Errorf("--allowed-account-ids: %q is not the id of an account, which is a number such as 1234567890123456", id)
		}
	}
	return nil
}

func (s *settings) checkNumbers() error {
	if s.uploadQPS <= 0 || s.listQPS <= 0 {
		return errors.New("--upload-qps and --list-qps must be greater than 0")
	}
	if s.maxVersionsPerHour < 0 {
		return errors.New("--max-versions-per-hour must not be negative; 0 means no limit")
	}
	if s.maxConcurrentReconciles < 1 {
		return errors.New("--max-concurrent-reconciles must be at least 1")
	}
	return nil
}

func (s *settings) checkTimes() error {
	for name, d := range map[string]time.Duration{
		"drift-interval": s.driftInterval, "prune-delay": s.pruneDelay,
		"settle-delay": s.settleDelay, "orphan-after": s.orphanAfter,
	} {
		if d < 0 {
			return fmt.Errorf("--%s must not be negative", name)
		}
	}
	if s.driftInterval > 0 && s.driftInterval < 10*time.Second {
		return errors.New("--drift-interval must be at least 10s, or 0 for never: a check costs a call for each 50 certificates of the account")
	}
	return nil
}

// readCAs adds the certificates of --cas-ca-file to those of the system. They do not
// replace them: CAS, STS and a proxy may each be verified by another CA, and whoever
// wants no other can set SSL_CERT_FILE.
func (s *settings) readCAs(file string) error {
	if file == "" {
		return nil
	}
	pem, err := os.ReadFile(file) //nolint:gosec // whoever sets the flag decides what is trusted
	if err != nil {
		return fmt.Errorf("--cas-ca-file: %w", err)
	}
	if s.rootCAs, err = x509.SystemCertPool(); err != nil {
		return fmt.Errorf("--cas-ca-file: failed to read the system's certificates, to which the file adds: %w", err)
	}
	if !s.rootCAs.AppendCertsFromPEM(pem) {
		return fmt.Errorf("--cas-ca-file: %s holds no PEM certificate", file)
	}
	return nil
}

// repeated collects the values of a flag that may be given several times.
type repeated []string

func (r *repeated) String() string     { return strings.Join(*r, ",") }
func (r *repeated) Set(v string) error { *r = append(*r, v); return nil }

// list is a flag of names separated by commas; giving it again adds to it.
type list []string

func (l *list) String() string { return strings.Join(*l, ",") }

func (l *list) Set(v string) error {
	before := len(*l)
	for name := range strings.SplitSeq(v, ",") {
		if name = strings.TrimSpace(name); name != "" {
			*l = append(*l, name)
		}
	}
	if len(*l) == before {
		return errors.New("names nothing; leave the flag out instead") // an empty value must not widen what was meant to be narrow
	}
	return nil
}

// isLoopback says that an address to listen on is reached from this machine only.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}
