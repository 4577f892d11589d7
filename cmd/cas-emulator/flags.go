// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/cloudcert-io/cloudcert/internal/emulator"
	"github.com/cloudcert-io/cloudcert/internal/emulator/products"
)

// The account of a developer who configures none. It exists nowhere else.
const (
	developmentAccount = "1000000000000000"
	developmentKeyID   = "LTAIdevelopment"
	developmentSecret  = "development-secret"
)

// config is what the flags say.
type config struct {
	listen, listenInternational, adminListen string
	certFile, keyFile                        string
	addressesFile                            string
	accounts, roles, products                []string
	logCalls                                 bool
	options                                  emulator.Options
	productOptions                           products.Options
	productDoors                             []productDoor
}

// productDoor is an address of a product, in one region or in all.
type productDoor struct{ name, product, region, address string }

// parse reads the flags.
func parse(args []string, stderr io.Writer) (config, error) {
	var c config
	var revoked string
	o := &c.options
	flags := flag.NewFlagSet("cas-emulator", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintf(stderr, "cas-emulator serves Alibaba Cloud's Certificate Management Service (CAS) on this machine.\n\nFlags:\n")
		flags.PrintDefaults()
	}
	flags.StringVar(&c.listen, "listen", "127.0.0.1:8070", "`address` of CAS cn-hangzhou and of STS; port 0 picks a free one")
	flags.StringVar(&c.listenInternational, "listen-international", "127.0.0.1:8071", "`address` of CAS ap-southeast-1 and of STS")
	flags.StringVar(&c.adminListen, "admin-listen", "127.0.0.1:8072", "`address` of the admin interface: loopback and plain HTTP only")
	flags.StringVar(&c.certFile, "tls-cert-file", "", "serve CAS over TLS and HTTP/2 with the certificate in this `file`; addresses that are not loopback need it")
	flags.StringVar(&c.keyFile, "tls-key-file", "", "`file` of the private key of --tls-cert-file")
	flags.StringVar(&c.addressesFile, "addresses-file", "", "write the bound addresses to this `file` as JSON, once all are bound")
	flags.BoolVar(&c.logCalls, "log-calls", false, "log one line for each call to standard error, without secrets")
	flags.Func("account", "`id:accessKeyId:accessKeySecret` of an account; repeatable, also for several keys of one account\n(default "+
		developmentAccount+":"+developmentKeyID+":"+developmentSecret+")", collect(&c.accounts))
	flags.Func("role", "`roleARN,oidcProviderARN` of a role that any OIDC token can assume; repeatable", collect(&c.roles))
	flags.IntVar(&o.UploadLimit, "upload-limit", 100, "uploads in any second, for each account and region; negative is no limit")
	flags.IntVar(&o.ListLimit, "list-limit", 10, "lists in any second, for each account and region; negative is no limit")
	flags.IntVar(&o.DeleteLimit, "delete-limit", 100, "deletions in any second, for each account and region; negative is no limit")
	flags.IntVar(&o.DetailLimit, "detail-limit", 100, "details in any second, for each account and region; negative is no limit")
	flags.DurationVar(&o.LatencyBefore.Base, "latency-before", 0, "time before a call is counted and takes effect")
	flags.DurationVar(&o.LatencyBefore.Jitter, "latency-before-jitter", 0, "largest deviation from --latency-before")
	flags.DurationVar(&o.LatencyAfter.Base, "latency-after", 0, "time between the effect of a call and its answer")
	flags.DurationVar(&o.LatencyAfter.Jitter, "latency-after-jitter", 0, "largest deviation from --latency-after")
	flags.DurationVar(&o.ListLag, "list-lag", 0, "time before an upload shows in lists")
	flags.Int64Var(&o.Seed, "seed", 0, "seed of ids, latencies and random faults")
	flags.IntVar(&o.JournalSize, "journal-size", 100_000, "calls that the journal keeps at least; negative keeps all")
	flags.BoolVar(&o.NamesSharedAcrossRegions, "names-shared-across-regions", false, "make names unique over both regions")
	flags.BoolVar(&o.NamesCaseSensitive, "names-case-sensitive", false, "let names differ only in case")
	flags.DurationVar(&o.NameHeldAfterDelete, "name-held-after-delete", 0, "time that the name of a deleted certificate stays taken; negative is for ever")
	flags.BoolVar(&o.SameCertIDs, "same-cert-ids", false, "let both regions count their CertIds from the same number")
	flags.BoolVar(&o.CountThrottled, "count-throttled", false, "count throttled calls against the limit too")
	flags.BoolVar(&o.LimitsSharedAcrossRegions, "limits-shared-across-regions", false, "count the calls of both regions together")
	flags.BoolVar(&o.AcceptPKCS8EC, "accept-pkcs8-ec", false, "accept elliptic-curve keys as PKCS#8")
	flags.BoolVar(&o.NoDigests, "no-digests", false, "leave digests out of lists")
	flags.BoolVar(&o.ListOldestFirst, "list-oldest-first", false, "list the oldest certificates first")
	flags.BoolVar(&o.KeywordWithoutWildcards, "keyword-without-wildcards", false, "let a Keyword that holds * find nothing")
	flags.StringVar(&revoked, "revoked-uploads", "empty", "answer to a list of uploads with Status=REVOKED: empty, ignored (as without a status) or refused")
	flags.StringVar(&o.RevokedUploadsCode, "revoked-uploads-code", "InvalidParameter", "error `code` of --revoked-uploads=refused")
	c.productFlags(flags)
	if err := flags.Parse(args); err != nil {
		return c, err
	}
	var ok bool
	if o.RevokedUploads, ok = revokedAnswers[revoked]; !ok {
		return c, fmt.Errorf("--revoked-uploads is %q, want empty, ignored or refused", revoked)
	}
	return c, c.complete(flags.Args())
}

var revokedAnswers = map[string]emulator.RevokedAnswer{
	"empty": emulator.RevokedEmpty, "ignored": emulator.RevokedIgnored, "refused": emulator.RevokedRefused,
}

// productFlags are those of the products that use certificates.
func (c *config) productFlags(flags *flag.FlagSet) {
	o := &c.productOptions
	flags.Func("product", "`product[/region]=address` of one of "+strings.Join(products.Names(), ", ")+", in that region or in all of its regions; repeatable", collect(&c.products))
	flags.DurationVar(&o.Configuring, "configuring", 0, "time that a listener takes to be changed, in which it refuses other changes")
	flags.DurationVar(&o.Edges, "edges", 0, "time before the edges of a domain serve what is configured")
	flags.DurationVar(&o.ReadLag, "read-lag", 0, "time by which what is read of a listener or domain is late")
	flags.IntVar(&o.AdditionalQuota, "additional-quota", 0, "additional certificates that a load balancer may have; 0 is the documented number of its edition")
	flags.BoolVar(&o.BareIDs, "bare-ids", false, "take certificates of listeners by their numbers alone")
	flags.BoolVar(&o.HongKongIsMainland, "hong-kong-is-mainland", false, "let listeners in cn-hongkong take certificates of cn-hangzhou")
	flags.BoolVar(&o.DefaultNotCounted, "default-not-counted", false, "leave the default out of the TotalCount of a listener's certificates")
	flags.BoolVar(&o.DefaultMovesAdditional, "default-moves-additional", false, "let an additional certificate become the default")
	flags.BoolVar(&o.CertNameNeeded, "cert-name-needed", false, "refuse a certificate of a domain that comes without its name")
	flags.BoolVar(&o.SMListeners, "sm-listeners", false, "let listeners take SM certificates")
	flags.BoolVar(&o.CLBImportsOnce, "clb-imports-once", false, "let CLB answer a second import of a certificate with the copy that it has")
	flags.BoolVar(&o.NLBFailsWith200, "nlb-fails-with-200", false, "let NLB refuse with a status of 200 and Success=false")
	flags.BoolVar(&o.WAFKeepsTLS, "waf-keeps-tls", false, "let WAF keep settings of TLS that a call does not send")
	flags.BoolVar(&o.FCKeepsTheRest, "fc-keeps-the-rest", false, "let Function Compute keep what an update of a domain does not send")
	flags.BoolVar(&o.WAFBareIDs, "waf-bare-ids", false, "let WAF show certificates by their numbers alone")
	flags.BoolVar(&o.ESAWithoutRegion, "esa-without-region", false, "leave the region of CAS out of ESA's list")
	flags.StringVar(&o.OSSStaleCode, "oss-stale-code", "", "`code` with which OSS refuses, with status 409, a change that rests on another certificate than the current one; empty is InvalidArgument with 400")
	flags.BoolVar(&o.OSSFirstWithoutForce, "oss-first-without-force", false, "let OSS take the first certificate of a domain without Force")
	flags.DurationVar(&o.TokenLife, "token-life", 0, "time that a client token is remembered; 0 is for ever")
	flags.StringVar(&o.InUseCode, "in-use-code", "", "`code` with which CAS refuses to delete a certificate that a product uses; empty deletes it")
}

// addProducts reads the addresses of products.
func (c *config) addProducts() error {
	for _, text := range c.products {
		name, address, ok := strings.Cut(text, "=")
		product, region, regional := strings.Cut(name, "/")
		if !ok || address == "" || regional && region == "" || !products.HasRegion(product, region) {
			return fmt.Errorf("invalid --product %q: want product[/region]=address with a product of %s and a region that it has", text, strings.Join(products.Names(), ", "))
		}
		c.productDoors = append(c.productDoors, productDoor{name, product, region, address})
	}
	return nil
}

// collect only stores: an error from here would be printed with the value, which
// holds a secret.
func collect(into *[]string) func(string) error {
	return func(text string) error {
		*into = append(*into, text)
		return nil
	}
}

// complete checks what the flags say together and fills in the accounts.
func (c *config) complete(rest []string) error {
	if len(rest) > 0 {
		return fmt.Errorf("unexpected argument %q", rest[0])
	}
	if (c.certFile == "") != (c.keyFile == "") {
		return errors.New("--tls-cert-file and --tls-key-file belong together")
	}
	o := &c.options
	// Options take 0 for the default, but a user who sets a flag to 0 would mean that nothing passes.
	for _, limit := range []int{o.UploadLimit, o.ListLimit, o.DeleteLimit, o.DetailLimit, o.JournalSize} {
		if limit == 0 {
			return errors.New("a limit of 0 lets nothing pass: use a positive number, or a negative one for no limit")
		}
	}
	for _, d := range []int64{
		int64(o.LatencyBefore.Base), int64(o.LatencyBefore.Jitter), int64(o.LatencyAfter.Base), int64(o.LatencyAfter.Jitter), int64(o.ListLag),
		int64(c.productOptions.Configuring), int64(c.productOptions.Edges), int64(c.productOptions.ReadLag), int64(c.productOptions.TokenLife),
		int64(c.productOptions.AdditionalQuota),
	} {
		if d < 0 {
			return errors.New("latencies, --list-lag and what the products take cannot be negative")
		}
	}
	if len(c.accounts) == 0 {
		o.Accounts = append(o.Accounts, emulator.Account{
			ID: developmentAccount, AccessKeyID: developmentKeyID, AccessKeySecret: developmentSecret,
		})
	}
	for _, text := range c.accounts {
		if err := addAccount(o, text); err != nil {
			return fmt.Errorf("invalid --account: %w", err)
		}
	}
	for _, text := range c.roles {
		if err := addRole(o, text); err != nil {
			return fmt.Errorf("invalid --role: %w", err)
		}
	}
	return c.addProducts()
}

// tls returns nil for plain HTTP.
func (c *config) tls() (*tls.Config, error) {
	if c.certFile == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return nil, fmt.Errorf("failed to load the TLS certificate: %w", err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}

// addAccount never repeats its input in an error: it holds a secret.
func addAccount(o *emulator.Options, text string) error {
	parts := strings.SplitN(text, ":", 3)
	if len(parts) != 3 || parts[0] == "" || parts[1] == "" || parts[2] == "" {
		return errors.New("want id:accessKeyId:accessKeySecret")
	}
	for _, a := range o.Accounts {
		if a.AccessKeyID == parts[1] {
			return errors.New("the access key id is there twice")
		}
	}
	o.Accounts = append(o.Accounts, emulator.Account{ID: parts[0], AccessKeyID: parts[1], AccessKeySecret: emulator.Secret(parts[2])})
	return nil
}

func addRole(o *emulator.Options, text string) error {
	role, provider, ok := strings.Cut(text, ",")
	parts := strings.Split(role, ":")
	if !ok || provider == "" || len(parts) != 5 || parts[3] == "" || !strings.HasPrefix(parts[4], "role/") {
		return errors.New("want acs:ram::<account>:role/<name>,acs:ram::<account>:oidc-provider/<name>")
	}
	o.Accounts = append(o.Accounts, emulator.Account{
		ID: parts[3], Roles: []emulator.Role{{RoleARN: role, OIDCProviderARN: provider}},
	})
	return nil
}
