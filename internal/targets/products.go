// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package targets

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
)

// product is what is known of a product, and nothing that has to be computed.
type product struct {
	name Product
	// called is its name for people.
	called string
	// version is that of its interface, permission what stands before the colon of its RAM
	// actions.
	version, permission string
	// hosts are its endpoints by region. A host that is made up would not answer, so that a
	// region which is not listed needs --target-endpoint (T5).
	hosts map[string]string
	// home is the region that calls name where a target has none.
	home string
	// rates are the calls a second that one account makes in one region, by action.
	rates map[alibaba.Action]float64
	// looks are the actions that Read and Copies begin with.
	looks []alibaba.Action
	// codes are those of the product alone (T8).
	codes alibaba.Codes
	// noCertificate are those among them that say of the certificate that it is not there, and
	// already and gone those that say that there is nothing to do.
	noCertificate []string
	already, gone string
	// quota is how many certificates fit, as documented; 0 is not known. raise says how there
	// can be more.
	quota int
	raise string
	// sm reports whether it can be given a pair of SM2 certificates.
	sm bool
	// keyed reports whether it is sent the private key.
	keyed bool
	// apart reports whether it costs a right to a private key: it is served only where it is named,
	// and not by "all".
	apart bool
	// rights are permissions of other products that a change needs as well.
	rights []string
	// adapter makes an adapter.
	adapter func(*session) Adapter
}

const (
	// reads is the rate of what has no documented limit, for which we take one a second (T10), less
	// a tenth: the cloud may count two calls closer together than they were sent.
	reads = 0.9
	// unknownWrites is that of changes without one.
	unknownWrites = 0.9
	// listenerWrites are the 200 a minute of ALB, less a tenth (T10).
	listenerWrites = 3
	// domainWrites and domainReads are the 30 and 100 a second of CDN and DCDN, less some, for
	// others use them too (T30).
	domainWrites, domainReads = 25, 90
)

// The regions of load balancers, by what stands on the pages that list them (T20).
const (
	albRegions = "cn-qingdao cn-beijing cn-zhangjiakou cn-wulanchabu cn-hangzhou cn-shanghai cn-nanjing cn-fuzhou cn-shenzhen " +
		"cn-heyuan cn-guangzhou cn-chengdu cn-hongkong ap-northeast-1 ap-northeast-2 ap-southeast-1 ap-southeast-2 " +
		"ap-southeast-3 ap-southeast-5 ap-southeast-6 ap-southeast-7 ap-south-1 eu-central-1 eu-west-1 us-east-1 us-west-1 me-central-1"
	// (T21)
	nlbRegions = "cn-qingdao cn-beijing cn-zhangjiakou cn-wulanchabu cn-hangzhou cn-shanghai cn-nanjing cn-fuzhou cn-shenzhen " +
		"cn-heyuan cn-guangzhou cn-chengdu cn-hongkong ap-northeast-1 ap-northeast-2 ap-southeast-1 ap-southeast-3 " +
		"ap-southeast-5 ap-southeast-6 ap-southeast-7 eu-central-1 eu-west-1 us-east-1 us-west-1 me-central-1"
	// (T39)
	vodRegions = "cn-shanghai cn-beijing cn-shenzhen ap-southeast-1 ap-southeast-5 ap-northeast-1 eu-central-1 us-west-1"
	// (T85)
	mseRegions = "cn-hangzhou cn-shanghai cn-qingdao cn-beijing cn-zhangjiakou cn-wulanchabu cn-shenzhen cn-guangzhou cn-chengdu " +
		"cn-hongkong ap-southeast-1 ap-southeast-5 ap-northeast-1 eu-central-1 us-east-1 us-west-1"
	// (T105)
	fcRegions = "cn-qingdao cn-beijing cn-zhangjiakou cn-huhehaote cn-hangzhou cn-shanghai cn-shenzhen cn-chengdu cn-hongkong " +
		"ap-northeast-1 ap-southeast-1 ap-southeast-3 ap-southeast-5 eu-central-1 eu-west-1 us-east-1 us-west-1"
	// (T110)
	ossRegions = "cn-hangzhou cn-shanghai cn-nanjing cn-fuzhou cn-wuhan-lr cn-qingdao cn-beijing cn-zhangjiakou cn-huhehaote cn-wulanchabu " +
		"cn-shenzhen cn-heyuan cn-guangzhou cn-chengdu cn-hongkong ap-northeast-1 ap-northeast-2 ap-southeast-1 ap-southeast-3 " +
		"ap-southeast-5 ap-southeast-6 ap-southeast-7 eu-central-1 eu-west-1 us-east-1 us-west-1 me-east-1 me-central-1"
	// Products that are there twice, like CAS.
	bothRegions = china + " " + international
	// Those of CLB but for the ones that share an endpoint (T40).
	clbRegions = "cn-qingdao cn-beijing cn-zhangjiakou cn-huhehaote cn-wulanchabu cn-shanghai cn-nanjing cn-fuzhou cn-shenzhen " +
		"cn-heyuan cn-guangzhou cn-chengdu cn-hongkong ap-northeast-1 ap-northeast-2 ap-southeast-1 ap-southeast-2 ap-southeast-3 " +
		"ap-southeast-5 ap-southeast-6 ap-southeast-7 eu-central-1 eu-west-1 us-east-1 us-west-1 me-east-1 me-central-1"
)

// clbHosts returns the endpoints of CLB (T40).
func clbHosts() map[string]string {
	hosts := regional("slb", clbRegions)
	for _, region := range []string{"cn-hangzhou", "cn-hangzhou-finance", "cn-shanghai-finance-1", "cn-shenzhen-finance-1"} {
		hosts[region] = "https://slb.aliyuncs.com"
	}
	return hosts
}

// ossHosts returns the endpoints of OSS: buckets are labels of them (T111).
func ossHosts() map[string]string {
	hosts := map[string]string{}
	for region := range strings.FieldsSeq(ossRegions) {
		hosts[region] = "https://oss-" + region + ".aliyuncs.com"
	}
	return hosts
}

// regional returns the endpoints <prefix>.<region>.aliyuncs.com of regions.
func regional(prefix, regions string) map[string]string {
	hosts := map[string]string{}
	for region := range strings.FieldsSeq(regions) {
		hosts[region] = "https://" + prefix + "." + region + ".aliyuncs.com"
	}
	return hosts
}

// The two regions of CAS, which some products have too.
const (
	china         = "cn-hangzhou"
	international = "ap-southeast-1"
)

// listenerCodes are those of ALB and NLB. What the Terraform provider tries again is Busy or
// Transient here (T8, T9).
var listenerCodes = alibaba.Codes{
	"IncorrectStatus.*":                    alibaba.Busy,
	"IncorrectBusinessStatus.LoadBalancer": alibaba.Busy,
	"ResourceInConfiguring.*":              alibaba.Busy,
	"LockFailed":                           alibaba.Busy,
	"Conflict.Acl":                         alibaba.Busy,
	"VipStatusNotSupport":                  alibaba.Busy,
	"IdempotenceProcessing":                alibaba.Busy,
	"SystemBusy":                           alibaba.Transient,
	"-22001":                               alibaba.Transient,
	"-22031":                               alibaba.Transient,
	"-21020":                               alibaba.Transient,
	"IdempotenceSignatureMismatch":         alibaba.Transient,
	"ResourceNotFound.*":                   alibaba.NotFound,
	"ResourceAlreadyAssociated.*":          alibaba.Refused,
	"ResourceNotAssociated.*":              alibaba.Refused,
	"IllegalParam.*":                       alibaba.Refused,
	"IllegalParamSize.*":                   alibaba.Refused,
	"OperationDenied.*":                    alibaba.Refused,
	"QuotaExceeded.*":                      alibaba.Quota,
}

// table has the products that are built.
var table = map[Product]*product{
	ALB: {
		name: ALB, called: "ALB", version: "2020-06-16", permission: "alb", hosts: regional("alb", albRegions),
		looks: []alibaba.Action{listenerRead},
		rates: map[alibaba.Action]float64{
			listenerRead: reads, listenerList: reads, listenerBalancer: reads,
			listenerDefault: listenerWrites, listenerAdd: listenerWrites, albRemove: listenerWrites,
		},
		codes:         listenerCodes,
		noCertificate: []string{"ResourceNotFound.Certificate"},
		already:       "ResourceAlreadyAssociated.Certificate",
		gone:          "ResourceNotAssociated.Certificate",
		quota:         25,
		raise: "a Basic instance holds 10 additional certificates over all of its listeners, a Standard one 25: take off what is not needed, " +
			"or have alb_quota_loadbalancer_certificates_num_standard_edition (or _basic_edition) raised in the Quota Center",
		sm:      true, // for accounts that the cloud has enabled: others are refused (T16)
		adapter: func(s *session) Adapter { return &listeners{s, albDialect} },
	},
	NLB: {
		name: NLB, called: "NLB", version: "2022-04-30", permission: "nlb", hosts: regional("nlb", nlbRegions),
		looks: []alibaba.Action{listenerRead},
		rates: map[alibaba.Action]float64{
			listenerRead: reads, listenerList: reads, listenerBalancer: reads,
			listenerDefault: unknownWrites, listenerAdd: unknownWrites, nlbRemove: unknownWrites,
		},
		codes:         listenerCodes,
		noCertificate: []string{"ResourceNotFound.Certificate"},
		already:       "ResourceAlreadyAssociated.Certificate",
		gone:          "ResourceNotAssociated.Certificate",
		raise:         "take additional certificates off the listener that are not needed, or have the quota raised in the Quota Center",
		sm:            true, // as for ALB
		adapter:       func(s *session) Adapter { return &listeners{s, nlbDialect} },
	},
	CLB: {
		name: CLB, called: "CLB", version: "2014-05-15", permission: "slb", hosts: clbHosts(),
		looks: []alibaba.Action{clbRead, clbStore},
		rates: map[alibaba.Action]float64{
			clbRead: reads, clbDomains: reads, clbStore: reads, clbBalancer: reads,
			clbImport: unknownWrites, clbSet: unknownWrites, clbSetDomain: unknownWrites, clbMakeDomain: unknownWrites, clbDelete: unknownWrites,
		},
		codes: alibaba.Codes{
			"DomainExtensionProcessing":                alibaba.Busy,
			"BackendServer.configuring":                alibaba.Busy,
			"ServiceIsConfiguring":                     alibaba.Busy,
			"ProcessingSameRequest":                    alibaba.Busy,
			"OperationFailed.ListenerStatusNotSupport": alibaba.Busy,
			"ListenerNotFound":                         alibaba.NotFound,
			"InvalidLoadBalancerId.*":                  alibaba.NotFound,
			"ServerCertificateId.NotFound":             alibaba.NotFound,
			"InvalidParameter.DomainExtensionId":       alibaba.Transient, // it was there when it was read
			"DomainExtensionAlreadyExist":              alibaba.Transient, // it was not there when it was read
			"CertificateAndPrivateKeyIsRefered":        alibaba.DeleteProtected,
			"CertificateNotMatchPrivateKey":            alibaba.Refused,
			"OperationUnsupported.*":                   alibaba.Refused,
			"QuotaExceeded.*":                          alibaba.Quota,
		},
		noCertificate: []string{"ServerCertificateId.NotFound"},
		gone:          "ServerCertificateId.NotFound",
		quota:         100,
		raise:         "the store of a region holds 100 server certificates: delete those that no listener uses, or have the quota raised in the Quota Center",
		adapter:       func(s *session) Adapter { return &clb{s} },
	},
	WAF: {
		name: WAF, called: "WAF", version: "2021-10-01", permission: "yundun-waf", hosts: regional("wafopenapi", bothRegions), home: china,
		looks: []alibaba.Action{wafRead},
		rates: map[alibaba.Action]float64{wafRead: reads, wafSet: unknownWrites},
		codes: alibaba.Codes{
			"Waf.Pullin.ResourceProcessing": alibaba.Busy,
			"Waf.Pullin.MustListenHTTPS":    alibaba.Refused,
			"Waf.Pullin.DomainNotExist":     alibaba.NotFound, // a guess, like the next (T53)
			"Waf.Pullin.CertNotExist":       alibaba.NotFound,
		},
		noCertificate: []string{"Waf.Pullin.CertNotExist"},
		adapter:       func(s *session) Adapter { return &waf{session: s} },
	},
	ESA: {
		name: ESA, called: "ESA", version: "2024-09-10", permission: "esa", hosts: regional("esa", bothRegions), home: china,
		looks: []alibaba.Action{esaList},
		rates: map[alibaba.Action]float64{esaList: reads, esaSet: unknownWrites},
		codes: alibaba.Codes{
			"Site.NotFound":          alibaba.NotFound, // a guess, like the next two
			"Certificate.IdNotFound": alibaba.NotFound,
			"Certificate.NotFound":   alibaba.NotFound,
			"Certificate.Duplicated": alibaba.Refused,
			"CertQuotaCheckFailed":   alibaba.Quota,
		},
		noCertificate: []string{"Certificate.NotFound"},
		quota:         2,
		raise:         "the free plan holds 2 certificates, expired ones included: delete those that are not needed, or change the plan",
		adapter:       func(s *session) Adapter { return &esa{session: s} },
	},
	GA: {
		name: GA, called: "GA", version: "2019-11-20", permission: "ga", hosts: regional("ga", china), home: china,
		looks: []alibaba.Action{gaRead},
		rates: map[alibaba.Action]float64{
			gaRead: reads, gaList: reads, gaDefault: unknownWrites, gaReplace: unknownWrites, gaAdd: unknownWrites,
		},
		codes: alibaba.Codes{
			"StateError.*":                 alibaba.Busy,
			"NotActive.*":                  alibaba.Busy,
			"IdempotenceProcessing":        alibaba.Busy,
			"IdempotenceSignatureMismatch": alibaba.Transient,
			"NotExist.Domain":              alibaba.Transient, // it was there when it was read
			"Exist.Domain":                 alibaba.Transient, // it was not there when it was read
			"NotExist.*":                   alibaba.NotFound,
			"NotSupport.*":                 alibaba.Refused,
			"IllegalParameter.*":           alibaba.Refused,
			"QuotaExceeded.*":              alibaba.Quota,
		},
		noCertificate: []string{"NotExist.Certificate"},
		quota:         25,
		raise:         "a listener holds 25 additional certificates: take off what is not needed, or use another listener",
		adapter:       func(s *session) Adapter { return &ga{session: s} },
	},
	DDoS: {
		name: DDoS, called: "Anti-DDoS", version: "2020-01-01", permission: "yundun-ddoscoo", hosts: regional("ddoscoo", bothRegions), home: china,
		looks: []alibaba.Action{ddosRead},
		rates: map[alibaba.Action]float64{ddosRead: reads, ddosNames: reads, ddosSet: unknownWrites},
		codes: alibaba.Codes{
			"DomainNotExist":  alibaba.NotFound, // a guess, like the next (T81)
			"SslCertNotExist": alibaba.NotFound,
		},
		noCertificate: []string{"SslCertNotExist"},
		adapter:       func(s *session) Adapter { return &ddos{session: s} },
	},
	MSE: {
		name: MSE, called: "MSE", version: "2019-05-31", permission: "mse", hosts: regional("mse", mseRegions),
		looks: []alibaba.Action{mseRead},
		rates: map[alibaba.Action]float64{mseRead: reads, mseSet: unknownWrites},
		codes: alibaba.Codes{
			"400": alibaba.Refused, // with a status of 200 (T86)
			"404": alibaba.NotFound,
		},
		adapter: func(s *session) Adapter { return &mse{session: s} },
	},
	FC: {
		name: FC, called: "Function Compute", version: "2023-03-30", permission: "fc", hosts: regional("fcv3", fcRegions),
		looks: []alibaba.Action{fcRead},
		rates: map[alibaba.Action]float64{fcRead: reads, fcUpdate: unknownWrites},
		codes: alibaba.Codes{
			"DomainNameNotFound": alibaba.NotFound,
			"InvalidArgument":    alibaba.Refused,
		},
		keyed:   true,
		apart:   true,
		adapter: func(s *session) Adapter { return &fc{session: s} },
	},
	OSS: {
		name: OSS, called: "OSS", version: "2019-05-17", permission: "oss", hosts: ossHosts(),
		looks: []alibaba.Action{ossRead},
		rates: map[alibaba.Action]float64{ossRead: reads, ossSet: unknownWrites},
		codes: alibaba.Codes{
			"AccessDenied":                        alibaba.Denied,
			"SecurityTokenExpired":                alibaba.Unauthenticated,
			"AccessKeyIdAndSecurityTokenNotMatch": alibaba.Unauthenticated,
			"NoSuchBucket":                        alibaba.NotFound,
			"PermanentRedirect":                   alibaba.NotFound, // the bucket is in another region
			"NoSuchCnameInRecord":                 alibaba.Refused,  // no such domain with the authorities of China
			"CertificateInvalidCasId":             alibaba.NotFound,
			"NeedVerifyDomainOwnership":           alibaba.Refused,
			"CnameAlreadyExists":                  alibaba.Refused,
			"CnameDenied":                         alibaba.Refused,
			"CnameIsForbidden":                    alibaba.Refused,
			"CnameIsRisk":                         alibaba.Refused,
			"InvalidArgument":                     alibaba.Refused,
			"MalformedXML":                        alibaba.Refused,
			"MetaOperationQpsLimitExceeded":       alibaba.Throttled,
			"QpsLimitExceeded":                    alibaba.Throttled,
			"InDebt":                              alibaba.Transient, // like the next three, nothing that a permission mends
			"InDebtOverdue":                       alibaba.Transient,
			"UserDisable":                         alibaba.Transient,
			"AbnormalBucketOwnerStatus":           alibaba.Transient,
		},
		noCertificate: []string{"CertificateInvalidCasId"},
		apart:         true,
		rights:        ossRights,
		adapter:       func(s *session) Adapter { return &oss{session: s} },
	},
	CDN:  network(CDN, "CDN", "2018-05-10", "Domain", "Cdn", map[string]string{china: "https://cdn.aliyuncs.com"}),
	VOD:  network(VOD, "VOD", "2017-03-21", "VodDomain", "Vod", regional("vod", vodRegions)),
	DCDN: network(DCDN, "DCDN", "2018-01-15", "DcdnDomain", "Dcdn", map[string]string{china: "https://dcdn.aliyuncs.com"}),
}

// network returns what is known of CDN, DCDN or VOD: their interfaces differ in the names of their
// actions.
func network(name Product, called, version, read, set string, hosts map[string]string) *product {
	actions := domainActions{
		read: alibaba.Action("Describe" + read + "CertificateInfo"),
		set:  alibaba.Action("Set" + set + "DomainSSLCertificate"),
	}
	home := ""
	if _, central := hosts[china]; central {
		home = china
	}
	return &product{
		name: name, called: called, version: version, permission: string(name), hosts: hosts, home: home,
		looks: []alibaba.Action{actions.read},
		rates: map[alibaba.Action]float64{actions.read: domainReads, actions.set: domainWrites},
		codes: alibaba.Codes{
			"InvalidDomain.*":           alibaba.NotFound,
			"InvalidDomain.notOnline":   alibaba.Refused,
			"InvalidDomain.Offline":     alibaba.Refused,
			"DomainInSafeMode":          alibaba.Refused,
			"DomainInProtectedMode":     alibaba.Refused,
			"Certificate.NotFind":       alibaba.NotFound,
			"Certificate.*":             alibaba.Refused,
			"CertificateContent.*":      alibaba.Refused,
			"CertNameAlreadyExists":     alibaba.Refused,
			"CertName.MissingParameter": alibaba.Refused,
			"SetDomainCertificate.*":    alibaba.Refused,
			"Abs.CertRegion.*":          alibaba.Refused,
			"InvalidSSLProtocol.*":      alibaba.Refused,
			"SSLPub.*":                  alibaba.Refused,
			"SSLPri.*":                  alibaba.Refused,
			"InvalidEnv":                alibaba.Refused,
			"AuthenticationFailed":      alibaba.Refused,
			"CreateCertificateFailed":   alibaba.Transient,
			"ServiceBusy":               alibaba.Transient,
		},
		noCertificate: []string{"Certificate.NotFind"},
		adapter:       func(s *session) Adapter { return &domains{session: s, actions: actions} },
	}
}

// Names returns the products that are built, sorted: what --bind-targets can name besides the
// objects of a cluster.
func Names() []Product { return slices.Sorted(maps.Keys(table)) }

// CallsOf returns the calls that may be made for a target, sorted, with the codes that are known of
// them, and the region that they name. It returns none for an object of the cluster.
func CallsOf(t Target) (region string, actions []alibaba.Action, codes alibaba.Codes) {
	p, ok := table[t.Product]
	if !ok {
		return "", nil, nil
	}
	return cmp.Or(t.Region, p.home), slices.Sorted(maps.Keys(p.rates)), alibaba.KnownCodes(p.codes)
}

// TakesSM reports whether a product can be given a pair of SM2 certificates. It may still
// refuse one.
func TakesSM(name Product) bool {
	p, ok := table[name]
	return ok && p.sm
}

// TakesKey reports whether a product is sent the private key, with Placement.Content.
func TakesKey(name Product) bool {
	p, ok := table[name]
	return ok && p.keyed
}

// ByNameAlone reports whether a product costs a right to private keys, so that "all" does not stand for
// it: it is sent the key, or fetches it with the rights of the caller.
func ByNameAlone(name Product) bool {
	p, ok := table[name]
	return ok && p.apart
}

// IsIn reports whether a product is known to be in a region (T5).
func IsIn(name Product, region string) bool {
	p, ok := table[name]
	return ok && p.hosts[region] != ""
}

// regionOfCAS returns the region of CAS whose certificates load balancers of a region take. Of Hong
// Kong it is not known (T4).
func regionOfCAS(region string) string {
	if strings.HasPrefix(region, "cn-") && !isHongKong(region) {
		return china
	}
	return international
}

func isHongKong(region string) bool { return strings.HasPrefix(region, "cn-hongkong") }

// RegionOfCAS returns the region of CAS that a target takes certificates from: inside and outside
// of mainland China. It is empty where that is not plain, and the product decides: for products
// that serve both, for Hong Kong (T4), and where the region of the target is not known.
func RegionOfCAS(t Target) string {
	if t.Product != ALB && t.Product != NLB || t.Region == "" || isHongKong(t.Region) {
		return ""
	}
	return regionOfCAS(t.Region)
}
