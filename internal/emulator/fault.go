// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// FaultKind is what goes wrong.
type FaultKind string

// The faults. A fault that replaces the answer does so before the call takes effect,
// unless Fault.AfterCommit is set; FaultTruncated always does so afterwards.
const (
	// FaultFail answers with Code, Status and Message. The default of Code is
	// ServiceUnavailable, and those of Status and Message are the usual ones of the
	// code. The code need not be one that the cloud is known to have.
	FaultFail FaultKind = "fail"
	// FaultReset resets the connection.
	FaultReset FaultKind = "reset"
	// FaultHang never answers; the call ends when its client gives up, after
	// Delay if that is positive, or when the server closes.
	FaultHang FaultKind = "hang"
	// FaultHTML answers with an HTML page and Status, 502 if not set.
	FaultHTML FaultKind = "html"
	// FaultNumericCode answers an error whose Code is the number Status, 500 if
	// not set.
	FaultNumericCode FaultKind = "numeric-code"
	// FaultEmpty answers 200 without a body.
	FaultEmpty FaultKind = "empty"
	// FaultTruncated answers half of the JSON, after the call has taken effect.
	FaultTruncated FaultKind = "truncated"
	// FaultZeroCertID answers an upload with CertId 0.
	FaultZeroCertID FaultKind = "zero-cert-id"
	// FaultThrottle answers Code, Throttling.User if not set; a positive TimeLeft
	// is announced in x-ratelimit-user-api, a positive UserTimeLeft in x-ratelimit-user.
	FaultThrottle FaultKind = "throttle"
	// FaultDenied answers 403 with Code, NoPermission if not set. Every 403 holds
	// AccessDeniedDetail.
	FaultDenied FaultKind = "denied"
	// FaultNameTaken answers NameRepeat to uploads although no list shows the
	// name. AddForeign with Hidden does so for one name for good.
	FaultNameTaken FaultKind = "name-taken"
	// FaultEchoSignature answers SignatureDoesNotMatch with the string to sign
	// and the private key in it, as the gateway does (F50).
	FaultEchoSignature FaultKind = "echo-signature"
	// FaultListLag makes an upload show in lists only after Delay.
	FaultListLag FaultKind = "list-lag"
	// FaultHide leaves certificates with NameContains out of lists.
	FaultHide FaultKind = "hide"
	// FaultNoDigests empties the digests of certificates with NameContains.
	FaultNoDigests FaultKind = "no-digests"
	// FaultOtherDigests shows for SM pairs the digests of the certificate that
	// encrypts.
	FaultOtherDigests FaultKind = "other-digests"
	// FaultUnreadableID leaves CertificateId out of entries with NameContains, or puts
	// Message in its place.
	FaultUnreadableID FaultKind = "unreadable-id"
	// FaultShortPage drops the last Size entries of a page, 1 if not set. This one and
	// FaultTotalCount strike the lists of another product too, where Product names it.
	FaultShortPage FaultKind = "short-page"
	// FaultTotalCount adds Size to TotalCount, -1 if not set.
	FaultTotalCount FaultKind = "total-count"
)

// inLists are the faults of list answers: NameContains selects entries.
var inLists = []FaultKind{FaultHide, FaultNoDigests, FaultOtherDigests, FaultUnreadableID, FaultShortPage, FaultTotalCount}

// atUploads are the faults that make sense for uploads only.
var atUploads = []FaultKind{FaultZeroCertID, FaultNameTaken, FaultListLag}

// answers are the faults that replace the answer.
var answers = []FaultKind{
	FaultFail, FaultReset, FaultHang, FaultHTML, FaultNumericCode, FaultEmpty, FaultTruncated,
	FaultZeroCertID, FaultThrottle, FaultDenied, FaultNameTaken, FaultEchoSignature,
}

// FaultKinds returns every kind of fault.
func FaultKinds() []FaultKind { return slices.Concat(answers, inLists, []FaultKind{FaultListLag}) }

// OfLists reports whether the fault is one of list answers, whose NameContains selects
// entries instead of calls.
func (k FaultKind) OfLists() bool { return slices.Contains(inLists, k) }

// Fault is something that goes wrong for the calls that it matches. It meets only
// calls that were authenticated and within the limit. Of several faults that replace
// the answer, the one that was injected first does.
type Fault struct {
	Kind FaultKind `json:"kind"`

	// Product, Action, Account, Region and NameContains select calls; empty selects all.
	// NameContains is part of the name to upload, or of the resource of another product.
	Product      string `json:"product,omitempty"`
	Action       string `json:"action,omitempty"`
	Account      string `json:"account,omitempty"`
	Region       string `json:"region,omitempty"`
	NameContains string `json:"nameContains,omitempty"`
	// Skip lets that many selected calls pass first.
	Skip int `json:"skip,omitempty"`
	// Count ends the fault after that many calls; 0 is until it is cleared.
	Count int `json:"count,omitempty"`
	// Probability strikes at random, for 0 < p < 1; 0 strikes always. Calls that
	// are spared do not count.
	Probability float64 `json:"probability,omitempty"`

	// AfterCommit lets the call take effect first.
	AfterCommit bool `json:"afterCommit,omitempty"`
	// The kind says which of Code, Status, Message, TimeLeft, UserTimeLeft, Delay and
	// Size it uses, and what for.
	Code         string        `json:"code,omitempty"`
	Status       int           `json:"status,omitempty"`
	Message      string        `json:"message,omitempty"`
	TimeLeft     time.Duration `json:"-"`
	UserTimeLeft time.Duration `json:"-"`
	Delay        time.Duration `json:"-"`
	Size         int           `json:"size,omitempty"`
}

// activeFault is a fault and what is left of it.
type activeFault struct {
	Fault
	id, skip, struck int
}

// Inject adds a fault and returns its number. It panics for a fault that can
// never strike as it is meant: an unknown kind, action or region.
func (s *Server) Inject(f Fault) int {
	if err := s.validate(f); err != nil {
		panic("emulator: " + err.Error())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faultIDs++
	s.faults = append(s.faults, &activeFault{Fault: f, id: s.faultIDs, skip: f.Skip})
	return s.faultIDs
}

// ClearFault ends one fault; calls that hang go on hanging.
func (s *Server) ClearFault(id int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = slices.DeleteFunc(s.faults, func(f *activeFault) bool { return f.id == id })
}

// ClearFaults ends all faults; calls that hang go on hanging.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// validate returns why a fault can never strike as it is meant.
func (s *Server) validate(f Fault) error {
	if !slices.Contains(FaultKinds(), f.Kind) {
		return fmt.Errorf("unknown kind of fault %q", f.Kind)
	}
	if err := s.validateSelection(f); err != nil {
		return err
	}
	if f.Status != 0 && (f.Status < 200 || f.Status > 599) {
		return fmt.Errorf("status %d is none of an answer", f.Status)
	}
	if f.Skip < 0 || f.Count < 0 || f.Delay < 0 || f.TimeLeft < 0 || f.UserTimeLeft < 0 || f.Probability < 0 || f.Probability >= 1 {
		return fmt.Errorf("a number of fault %q is out of range", f.Kind)
	}
	return nil
}

func (s *Server) validateSelection(f Fault) error {
	if f.Product == "" {
		if _, ok := actions[f.Action]; f.Action != "" && !ok {
			return fmt.Errorf("unknown action %q", f.Action)
		}
		if f.Region != "" && !slices.Contains(Regions, f.Region) {
			return fmt.Errorf("unknown region %q", f.Region)
		}
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	served, ok := s.services[f.Product]
	if !ok {
		return fmt.Errorf("unknown product %q", f.Product)
	}
	if f.Action != "" && !slices.Contains(served, f.Action) {
		return fmt.Errorf("unknown action %q of product %q", f.Action, f.Product)
	}
	return nil
}

// matchFaults picks the faults that a call meets, and uses them up; the caller
// holds the lock.
func (s *Server) matchFaults(i *invocation) []Fault {
	var met []Fault
	for _, f := range s.faults {
		if !f.selects(i) || f.Probability > 0 && s.random.Float64() >= f.Probability {
			continue
		}
		if f.skip > 0 {
			f.skip--
			continue
		}
		f.struck++
		met = append(met, f.Fault)
		i.entry.Faults = append(i.entry.Faults, f.Kind)
	}
	s.faults = slices.DeleteFunc(s.faults, func(f *activeFault) bool { return f.Count > 0 && f.struck >= f.Count })
	return met
}

func (f Fault) selects(i *invocation) bool {
	if f.Action != "" && f.Action != i.action || f.Region != "" && f.Region != i.region {
		return false
	}
	if f.Product != "" && f.Product != i.product().name {
		return false
	}
	if f.Account != "" && (i.principal.account == nil || f.Account != i.principal.account.id) {
		return false
	}
	if f.Kind.OfLists() && f.Product == "" {
		return i.action == "ListUserCertificateOrder"
	}
	if slices.Contains(atUploads, f.Kind) && i.action != "UploadUserCertificate" {
		return false
	}
	return strings.Contains(i.subject, f.NameContains)
}

// meets reports whether the call met a fault of the kind that is about name.
func (i *invocation) meets(kind FaultKind, name string) bool {
	return slices.ContainsFunc(i.faults, func(f Fault) bool {
		return f.Kind == kind && strings.Contains(name, f.NameContains)
	})
}

func (i *invocation) hides(r *record) bool { return i.meets(FaultHide, r.Name) }

// distort cuts a list answer short.
func (i *invocation) distort(a *listAnswer) {
	for _, f := range i.faults {
		switch size := f.Size; f.Kind {
		case FaultShortPage:
			if size == 0 {
				size = 1
			}
			a.CertificateOrderList = a.CertificateOrderList[:max(0, len(a.CertificateOrderList)-size)]
		case FaultTotalCount:
			if size == 0 {
				size = -1
			}
			a.TotalCount = max(0, a.TotalCount+size)
		}
	}
}

// listLag is how long an upload stays out of lists.
func (s *Server) listLag(i *invocation) time.Duration {
	lag := s.options.ListLag
	for _, f := range i.faults {
		if f.Kind == FaultListLag {
			lag = max(lag, f.Delay)
		}
	}
	return lag
}

// struckBy returns the fault that replaces the answer before or after the call
// takes effect.
func (i *invocation) struckBy(after bool) (Fault, bool) {
	at := slices.IndexFunc(i.faults, func(f Fault) bool { return slices.Contains(answers, f.Kind) })
	if at < 0 {
		return Fault{}, false
	}
	f := i.faults[at]
	return f, (f.AfterCommit || f.Kind == FaultTruncated) == after
}

func (s *Server) failBefore(ctx context.Context, i *invocation) (reply, bool) {
	f, ok := i.struckBy(false)
	if !ok {
		return reply{}, false
	}
	s.note(i.entry, func(c *Call) { c.Decided = s.clock.Now() })
	return s.strike(ctx, i, f, reply{}), true
}

func (s *Server) failAfter(ctx context.Context, i *invocation, r reply) reply {
	f, ok := i.struckBy(true)
	if !ok {
		return r
	}
	return s.strike(ctx, i, f, r)
}

// strike returns the answer that a fault makes of the right one.
func (s *Server) strike(ctx context.Context, i *invocation, f Fault, right reply) reply {
	switch f.Kind {
	case FaultReset:
		return reply{cut: true}
	case FaultHang:
		s.hang(ctx, f.Delay)
		return reply{cut: true}
	case FaultHTML:
		return reply{
			status: cmp.Or(f.Status, http.StatusBadGateway), contentType: "text/html; charset=utf-8",
			body: []byte("<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1></center></body></html>\n"),
		}
	case FaultNumericCode:
		failed := i.style.fail("InternalError")
		failed.status = cmp.Or(f.Status, failed.status)
		failed.number = failed.status
		r := i.style.write(s, i, nil, failed)
		r.code = fmt.Sprint(failed.status)
		return r
	case FaultEmpty:
		r := i.style.write(s, i, nil, nil)
		r.body = nil
		return r
	case FaultTruncated:
		right.body = right.body[:len(right.body)/2]
		return right
	case FaultZeroCertID:
		return succeed(uploadAnswer{RequestID: i.requestID})
	default:
		return s.refuse(i, s.failureOf(f, i))
	}
}

// failureOf is the error that a fault answers with.
func (s *Server) failureOf(f Fault, i *invocation) *failure {
	usual := map[FaultKind]string{
		FaultFail: "ServiceUnavailable", FaultThrottle: "Throttling.User", FaultDenied: "NoPermission",
		FaultNameTaken: "NameRepeat", FaultEchoSignature: "SignatureDoesNotMatch",
	}[f.Kind]
	result := i.style.fail(cmp.Or(f.Code, usual))
	result.message = cmp.Or(f.Message, result.message)
	result.status = cmp.Or(f.Status, result.status)
	if f.Kind == FaultEchoSignature {
		i.style.echo(i, result)
	}
	if f.Kind == FaultDenied {
		result.status, result.denied = cmp.Or(f.Status, http.StatusForbidden), i.permission()
	}
	result.timeLeft, result.userTimeLeft, result.limit = f.TimeLeft, f.UserTimeLeft, i.spec.limit(s.options)
	return result
}

// hang waits until the client has gone, the server closes, or d has passed.
func (s *Server) hang(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(s.ctx, cancel)
	defer stop()
	if d > 0 {
		_ = s.clock.Sleep(ctx, d)
		return
	}
	<-ctx.Done()
}
