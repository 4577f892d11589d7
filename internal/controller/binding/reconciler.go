// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

// Package binding reconciles CloudCertificateBindings: it carries each new version of a
// CloudCertificate to the one place that a binding names, and publishes in its status what is
// there.
package binding

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/bundle"
	"github.com/cloudcert-io/cloudcert/internal/controller/retries"
	rules "github.com/cloudcert-io/cloudcert/internal/protocol/binding"
	"github.com/cloudcert-io/cloudcert/internal/targets"
	"github.com/cloudcert-io/cloudcert/internal/verdict"
)

// Options are the settings of the operator that decide how bindings are reconciled.
type Options struct {
	// ClusterID is part of every name in the cloud.
	ClusterID string
	// Targets are the kinds of target that are switched on.
	Targets []targets.Product
	// SingleTenant reports whether the operator's own credentials may be used without a
	// CertificateTargetPolicy.
	SingleTenant bool
	// DriftInterval is the time between two checks of a target that is up to date; 0 is never.
	DriftInterval time.Duration
	// OrphanAfter is how long a deleted binding waits for what may never help; 0 is for ever.
	OrphanAfter time.Duration
	// MaxConcurrentReconciles is how many bindings are reconciled at the same time.
	MaxConcurrentReconciles int
}

// Credentials finds what an object of a namespace acts with in the cloud.
type Credentials interface {
	// Provider returns the credentials of a Secret, or the operator's own where its name is
	// empty. Its error is a verdict.Judge where they are missing.
	Provider(ctx context.Context, namespace, secret string) (alibaba.Provider, error)
	// Account returns the account that credentials are of; empty where it cannot be learned.
	Account(ctx context.Context, p alibaba.Provider) string
}

// Reconciler brings CloudCertificateBindings and their targets together. It is safe for
// concurrent use by the workers of one controller.
type Reconciler struct {
	// Client reads bindings, CloudCertificates, policies and the metadata of namespaces from the
	// cache, and writes to the API server.
	client.Client
	// Live reads from the API server.
	Live        client.Reader
	Recorder    events.EventRecorder
	Credentials Credentials
	// Adapter returns the adapter of a product that acts with credentials. Checks for drift have
	// time.
	Adapter func(p targets.Product, by alibaba.Provider, namespace string, check bool) (targets.Adapter, error)
	// Rates returns how many calls a second products are let go now.
	Rates   func() map[targets.Pace]float64
	Options Options
	Clock   clock.PassiveClock
	// Jitter spreads a periodic delay, so that objects which failed together are not tried
	// again together.
	Jitter func(time.Duration) time.Duration

	memory memory
	rounds rounds
	home   home
}

// maxSteps is more than any reconcile takes: a property test of the rules says so.
const maxSteps = 20

// errStale says that something is no longer what the reconcile began with.
var errStale = errors.New("the object has changed meanwhile")

// isStale reports whether a reconcile was decided from what has changed or gone: its event is
// on the way.
func isStale(err error) bool {
	return errors.Is(err, errStale) || apierrors.IsConflict(err) || apierrors.IsNotFound(err)
}

// Reconcile takes one step after the other until one is the last: observe, decide, act, publish.
// A target is read and written by one reconcile at a time, for all that want to know or write.
func (r *Reconciler) Reconcile(ctx context.Context, object *v1alpha1.CloudCertificateBinding) (reconcile.Result, error) {
	p, err := r.begin(ctx, object)
	if err != nil {
		return reconcile.Result{}, err
	}
	defer func() { p.release() }()
	for range maxSteps {
		step := rules.Decide(p.observe())
		if _, asks := step.(rules.Inspect); !asks {
			p.tell()
		}
		if rules.Ends(step) {
			return p.conclude(ctx, step)
		}
		if err := p.act(ctx, step); err != nil {
			return p.again(err)
		}
	}
	return p.again(errors.New("the reconcile did not come to an end; it begins anew"))
}

// again requeues a reconcile that could not go on. What it has read of a watched object was news that has
// decided nothing, and no event will tell of it again.
func (r *reconciliation) again(err error) (reconcile.Result, error) {
	if watchable[r.place.Product] != "" && r.hasNews() {
		r.memory.seen(r.before, unread)
	}
	if after, ok := isTurn(err); ok {
		return reconcile.Result{RequeueAfter: r.Jitter(after)}, nil // it is woken by the next reading, if that comes earlier
	}
	if isStale(err) {
		return reconcile.Result{RequeueAfter: r.memory.retries.Next(r.before, retries.CatchUp, verdict.Never)}, nil
	}
	return reconcile.Result{}, err
}

// act takes a step. Any error that it returns ends the reconcile; what Decide has to know of the
// outcome it notes.
func (r *reconciliation) act(ctx context.Context, step rules.Step) error {
	switch step.(type) {
	case rules.Record, rules.Place, rules.Remove, rules.Discard:
		if r.isOld() {
			return nil // Decide asks for a read again
		}
	}
	switch step := step.(type) {
	case rules.Read:
		return r.read(ctx)
	case rules.Inspect:
		r.inspect(ctx)
	case rules.Hold:
		return r.setFinalizer(ctx, step.Want)
	case rules.Record:
		return r.record(ctx, step)
	case rules.Place:
		return r.placeCurrent(ctx, step)
	case rules.Remove:
		return r.remove(ctx, step)
	case rules.Discard:
		return r.discard(ctx, step)
	default:
		return fmt.Errorf("nothing is known of the step %T", step)
	}
	return nil
}

// inspect asks who else manages the resource.
func (r *reconciliation) inspect(ctx context.Context) {
	owner, err := r.adapter.Owner(ctx, r.target(), *r.state)
	if err != nil {
		r.soFar.Inspect = r.failureOf(err)
		return
	}
	text := owner.Manager
	if text != "" && owner.Detail != "" {
		text += " (" + owner.Detail + ")"
	}
	r.memory.inspected(r.next, text)
	r.owner = &text
}

// placeCurrent asks for the current version to be served. Right before, the binding and its
// CloudCertificate are read live: whoever prunes a version reads the bindings live in turn, and
// this one's status names the version by now.
func (r *reconciliation) placeCurrent(ctx context.Context, step rules.Place) error {
	if err := r.unchanged(ctx); err != nil {
		return err
	}
	live, err := r.sameCertificate(ctx)
	if err != nil {
		return err
	}
	certificate := targets.Certificate{
		CertID: live.Status.CertID, Region: live.Status.Region, Name: live.Status.Name, SM: live.Spec.Type == v1alpha1.CertificateTypeSM,
	}
	err = r.putIn(ctx, targets.Placement{
		Certificate: certificate, Seed: r.placementSeed(certificate), Content: r.contentOf(live),
	})
	if _, waits := isTurn(err); waits {
		return err
	}
	if err != nil && !errors.Is(err, errHandedIn) {
		r.soFar.Place = r.failureOf(err)
		return nil
	}
	r.soFar.Placed = true
	r.memory.restores(r.before, step.Drift)
	r.outdate()
	return nil
}

// sameCertificate reads the CloudCertificate live: it still names the version that the reconcile
// knows as the current one, and stays.
func (r *reconciliation) sameCertificate(ctx context.Context) (*v1alpha1.CloudCertificate, error) {
	live := &v1alpha1.CloudCertificate{}
	if err := r.Live.Get(ctx, client.ObjectKeyFromObject(r.certificate), live); err != nil {
		return nil, fmt.Errorf("failed to read the CloudCertificate again: %w", err)
	}
	same := live.UID == r.certificate.UID && live.Status.CertID == r.certificate.Status.CertID && live.Status.Region == r.certificate.Status.Region
	if !same || !live.DeletionTimestamp.IsZero() {
		return nil, errStale
	}
	return live, nil
}

// remove takes certificates out of the resource, none of which another binding has come to need
// since the decision.
func (r *reconciliation) remove(ctx context.Context, step rules.Remove) error {
	if err := r.unchanged(ctx); err != nil {
		return err
	}
	needed, err := r.neededByOthers(ctx, r.Live)
	switch {
	case err != nil:
		return err
	case slices.ContainsFunc(step.IDs, func(id rules.ID) bool { return slices.Contains(needed, id) }):
		return errStale
	}
	removal := targets.Removal{Seed: r.removalSeed("remove")}
	for _, e := range r.state.Entries {
		if slices.Contains(step.IDs, idOf(e)) && e.Role != targets.RoleStored {
			removal.Entries = append(removal.Entries, e)
		}
	}
	err = r.takeOut(ctx, removal)
	if _, waits := isTurn(err); waits {
		return err
	}
	if err != nil && !errors.Is(err, errHandedIn) {
		r.soFar.Remove = r.failureOf(err)
		return nil
	}
	if step.Replaced != "" {
		r.next.Status.ReplacedCertIdentifier = step.Replaced
	}
	r.soFar.Removed = true
	r.outdate()
	return nil
}

// outdate drops what was read, where a write is visible at once.
func (r *reconciliation) outdate() {
	if r.place.instant {
		r.state = nil
	}
}

// placementSeed is the same for the same attempt, also after a crash.
func (r *reconciliation) placementSeed(certificate targets.Certificate) string {
	return fmt.Sprintf("%s/place/%s/%d", r.next.UID, certificate.Identifier(), r.next.Status.PendingSince.Unix())
}

// removalSeed is another one each time. The reading that a removal follows shows that these
// certificates are there: either they were put in again since the removal before, or that one has
// come to nothing. Its token would get the answer of then, and nothing would be taken out.
func (r *reconciliation) removalSeed(step string) string {
	return fmt.Sprintf("%s/%s/%d", r.next.UID, step, r.Clock.Now().UnixNano())
}

// unchanged reads the binding live: it is the one that the reconcile knows, to the letter.
func (r *reconciliation) unchanged(ctx context.Context) error {
	live := &v1alpha1.CloudCertificateBinding{}
	if err := r.Live.Get(ctx, client.ObjectKeyFromObject(r.next), live); err != nil {
		return fmt.Errorf("failed to read the binding again: %w", err)
	}
	if live.UID != r.next.UID || live.ResourceVersion != r.next.ResourceVersion {
		return errStale
	}
	return nil
}

// identity is the field of every name in the cloud that says whose certificate it is.
func (r *Reconciler) identity(c *v1alpha1.CloudCertificate) string {
	return bundle.Identity(r.Options.ClusterID, c.Namespace, c.Name)
}

func hashOf(text string) uint64 {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(text))
	return hash.Sum64()
}
