// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"cmp"
	"context"
	"hash/fnv"
	"iter"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/cas"
	"github.com/cloudcert-io/cloudcert/internal/inventory"
	"github.com/cloudcert-io/cloudcert/internal/protocol"
)

const (
	// A sweep that misses more than a tenth of what statuses name, and more than
	// plausibleMissing, is doubted: the list may be wrong.
	plausibleShare   = 10
	plausibleMissing = 5
	// doubtDelay is when a doubted sweep is repeated, and doubtPace how fast the
	// repairs go that the second one confirms.
	doubtDelay = 10 * time.Minute
	doubtPace  = time.Second
	// planInterval is how often the plan is made anew, at most: places come and go with
	// objects.
	planInterval = time.Minute
)

// DriftPlace is a place whose list is swept for all objects there. Objects whose
// account could not be learned share one if they share their credentials.
type DriftPlace struct {
	protocol.Place
	credentials types.NamespacedName
}

// driftPlaceOf is where an object's status says that it has something.
func driftPlaceOf(o *v1alpha1.CloudCertificate) DriftPlace {
	p := DriftPlace{Place: placeOf(o)}
	if p.Account == "" && o.Spec.CredentialsSecretRef.Name != "" {
		p.credentials = credentialsKey(o)
	}
	return p
}

// Drift compares what statuses name with what the cloud lists, place by place: it
// costs one sweep of the list for all objects of an account and region. It repairs
// nothing itself: it has an object looked at whose certificate is not listed, or
// which has other superseded versions in the cloud than its status says.
type Drift struct {
	*Reconciler
	// enqueue has an object reconciled, after those that came by a change.
	enqueue func(context.Context, client.ObjectKey)

	lost sync.Map // the places where the last check missed something: DriftPlace to *cas.Client
}

// finding is what was found out about an object that its status does not show.
type finding struct {
	missing  int64 // the current version, which a complete list does not show
	outdated bool  // other superseded versions, or other credentials
}

// isMissing reports whether the current version was found to be missing.
func (f finding) isMissing(object *v1alpha1.CloudCertificate) bool {
	return f.missing != 0 && f.missing == object.Status.CertID
}

// outdate notes that something has changed that the status does not show.
func (r *Reconciler) outdate(object *v1alpha1.CloudCertificate) {
	r.memory.findings.Change(object, func(f *finding) { f.outdated = true })
}

// NeedLeaderElection says that only the leader checks.
func (d *Drift) NeedLeaderElection() bool { return true }

// Start checks each place at wall-clock multiples of the interval, plus a phase of
// its own, so that operators that share an account do not check at the same time.
func (d *Drift) Start(ctx context.Context) error {
	driftInterval.Set(d.Options.DriftInterval.Seconds())
	if d.Options.DriftInterval > 0 {
		keepChecking(ctx, d.Options.DriftInterval, d.Places, d.Check)
	}
	return nil
}

// keepChecking has every place checked once in an interval, until ctx ends. One that
// takes long holds up itself alone.
func keepChecking(ctx context.Context, interval time.Duration, places func(context.Context) []DriftPlace, check func(context.Context, DriftPlace)) {
	var rounds sync.WaitGroup
	defer rounds.Wait()
	var busy sync.Map
	var before []DriftPlace
	planned := time.Now()
	for sleep(ctx, min(planInterval, interval/4)) {
		now := time.Now()
		present := places(ctx)
		for _, p := range present {
			if dueSince(p, planned, interval).After(now) {
				continue
			}
			if _, still := busy.LoadOrStore(p, true); !still {
				rounds.Go(func() {
					defer busy.Delete(p)
					check(ctx, p)
				})
			}
		}
		measurePlaces(before, present, now)
		before, planned = present, now
	}
}

// measurePlaces begins to measure places that are new, and takes back what was measured of
// those that are no more.
func measurePlaces(before, present []DriftPlace, now time.Time) {
	isAmong := func(places []DriftPlace, p DriftPlace) bool {
		return slices.ContainsFunc(places, func(other DriftPlace) bool { return other.Place == p.Place })
	}
	for _, p := range present {
		if !isAmong(before, p) {
			lastSuccess.WithLabelValues(p.Account, p.Region).Set(float64(now.Unix()))
			missing.WithLabelValues(p.Account, p.Region)
		}
	}
	for _, old := range before {
		if !isAmong(present, old) {
			lastSuccess.DeleteLabelValues(old.Account, old.Region)
			missing.DeleteLabelValues(old.Account, old.Region)
		}
	}
}

// dueSince is the first time after a moment at which a place is looked at.
func dueSince(p DriftPlace, after time.Time, interval time.Duration) time.Time {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(p.Account + "/" + p.Region + "/" + p.credentials.String()))
	phase := time.Duration(hash.Sum64() % uint64(interval)) //nolint:gosec // an interval is positive
	due := after.Truncate(interval).Add(phase)
	if !due.After(after) {
		due = due.Add(interval)
	}
	return due
}

// sleep waits, and says whether to go on.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// claims are the objects of a place whose status names a certificate there.
func (d *Drift) claims(ctx context.Context, p DriftPlace) []*v1alpha1.CloudCertificate {
	return slices.DeleteFunc(d.objects(ctx), func(o *v1alpha1.CloudCertificate) bool { return driftPlaceOf(o) != p })
}

// objects are those that drift is about: synced, alive and not suspended.
func (d *Drift) objects(ctx context.Context) []*v1alpha1.CloudCertificate {
	list := &v1alpha1.CloudCertificateList{}
	if err := d.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
		return nil // only a cache that was never started fails, and the manager ends with it
	}
	var objects []*v1alpha1.CloudCertificate
	for i := range list.Items {
		o := &list.Items[i]
		if o.Status.CertID != 0 && !o.Spec.Suspend && o.DeletionTimestamp.IsZero() && o.Status.Region == d.region(o) && d.speaksFor(o) &&
			meta.IsStatusConditionTrue(o.Status.Conditions, v1alpha1.ConditionReady) {
			objects = append(objects, o)
		}
	}
	return objects
}

// Places are where the statuses of all objects say that there is something. What was missing is
// measured again.
func (d *Drift) Places(ctx context.Context) []DriftPlace {
	d.recount(ctx)
	known := map[DriftPlace]bool{}
	var places []DriftPlace
	for _, o := range d.objects(ctx) {
		if p := driftPlaceOf(o); !known[p] {
			known[p] = true
			places = append(places, p)
		}
	}
	slices.SortFunc(places, func(a, b DriftPlace) int {
		return cmp.Or(cmp.Compare(a.Account, b.Account), cmp.Compare(a.Region, b.Region), cmp.Compare(a.credentials.String(), b.credentials.String()))
	})
	return places
}

// Check checks one place, and has what it finds there reconciled.
func (d *Drift) Check(ctx context.Context, p DriftPlace) {
	log := log.FromContext(ctx).WithName("drift").WithValues("account", p.Account, "region", p.Region)
	cloud, gone := d.sweep(ctx, p)
	if cloud == nil {
		return
	}
	pace := time.Duration(0)
	if claims := len(d.claims(ctx, p)); len(gone) > plausibleMissing && len(gone)*plausibleShare > claims {
		sweeps.WithLabelValues(p.Region, sweepImplausible).Inc()
		log.Error(nil, "The cloud does not list many certificates that it should; checking again before anything is repaired",
			"missing", len(gone), "of", claims, "again", doubtDelay.String())
		if !sleep(ctx, doubtDelay) {
			return
		}
		first := gone
		if cloud, gone = d.sweep(ctx, p); cloud == nil {
			return
		}
		gone = slices.DeleteFunc(gone, func(o *v1alpha1.CloudCertificate) bool { return !slices.ContainsFunc(first, sameClaim(o)) })
		pace = doubtPace
	}
	sweeps.WithLabelValues(p.Region, sweepSucceeded).Inc()
	lastSuccess.WithLabelValues(p.Account, p.Region).Set(float64(d.Clock.Now().Unix()))
	cloud.Inventory().Trust()
	for _, o := range d.claims(ctx, p) {
		if d.isOutdated(o, cloud) {
			d.outdate(o)
			d.enqueue(ctx, client.ObjectKeyFromObject(o))
		}
	}
	if len(gone) > 0 {
		log.Info("Certificates are gone from the cloud; uploading them again", "missing", len(gone))
	}
	for _, o := range gone {
		d.memory.findings.Change(o, func(f *finding) { f.missing = o.Status.CertID })
		d.changes.missed(o, d.Clock.Now())
		d.enqueue(ctx, client.ObjectKeyFromObject(o))
		if pace > 0 && !sleep(ctx, pace) {
			return
		}
	}
}

// sameClaim matches an object that names the same certificate.
func sameClaim(o *v1alpha1.CloudCertificate) func(*v1alpha1.CloudCertificate) bool {
	return func(other *v1alpha1.CloudCertificate) bool {
		return o.UID == other.UID && o.Status.CertID == other.Status.CertID
	}
}

// sweep sweeps a place, and returns the objects whose certificate is not listed. The
// client is nil where that is not possible: a credential that may not list, or is not
// taken, leaves it to the next one of the place.
func (d *Drift) sweep(ctx context.Context, p DriftPlace) (*cas.Client, []*v1alpha1.CloudCertificate) {
	var failure error
	tried := 0
	for cloud := range d.clients(ctx, p) {
		if failure = cloud.Sweep(ctx); failure == nil {
			d.lost.Store(p, cloud)
			return cloud, d.count(ctx, p, cloud)
		}
		if tried++; !alibaba.IsOfCredential(failure) {
			break
		}
	}
	if failure != nil {
		sweeps.WithLabelValues(p.Region, sweepFailed).Inc()
		log.FromContext(ctx).WithName("drift").Info("Could not check what is in the cloud",
			"account", p.Account, "region", p.Region, "credentials tried", tried, "problem", failure.Error())
	}
	return nil, nil
}

// count returns the objects of a place whose certificate was not there when the list was
// last read, nor seen since, and measures how many there are.
func (d *Drift) count(ctx context.Context, p DriftPlace, cloud *cas.Client) []*v1alpha1.CloudCertificate {
	v := cloud.Inventory()
	gone := slices.DeleteFunc(d.claims(ctx, p), func(o *v1alpha1.CloudCertificate) bool {
		return !o.Status.LastUploadTime.Time.Before(v.Swept()) ||
			slices.ContainsFunc(v.Entries(d.identity(o)), func(e inventory.Entry) bool { return e.CertID == o.Status.CertID })
	})
	missing.WithLabelValues(p.Account, p.Region).Set(float64(len(gone)))
	if len(gone) == 0 {
		d.lost.Delete(p)
	}
	return gone
}

// recount measures again where something was missing: it may have been repaired. It
// calls nobody.
func (d *Drift) recount(ctx context.Context) {
	d.lost.Range(func(p, cloud any) bool {
		d.count(ctx, p.(DriftPlace), cloud.(*cas.Client))
		return true
	})
}

// clients yields a client for each credential of the objects in a place, the operator's own
// first. An object whose credentials turn out to be of another account is reconciled.
func (d *Drift) clients(ctx context.Context, p DriftPlace) iter.Seq[*cas.Client] {
	claims := d.claims(ctx, p)
	slices.SortStableFunc(claims, func(a, b *v1alpha1.CloudCertificate) int {
		return cmp.Compare(a.Spec.CredentialsSecretRef.Name, b.Spec.CredentialsSecretRef.Name) // the operator's have no name
	})
	return func(yield func(*cas.Client) bool) {
		known := map[string]bool{}
		for _, o := range claims {
			cloud, err := d.Accounts.client(ctx, o, p.Region)
			if err != nil || known[cloud.Credential()] {
				continue
			}
			if id := account(ctx, cloud); id != "" && p.Account != "" && id != p.Account {
				d.enqueue(ctx, client.ObjectKeyFromObject(o))
				continue
			}
			known[cloud.Credential()] = true
			if !yield(cloud) {
				return
			}
		}
	}
}

// isOutdated says that the cloud lists superseded versions that the status does not
// know, or does not list some that it does, or that the account is known by now.
func (d *Drift) isOutdated(o *v1alpha1.CloudCertificate, cloud *cas.Client) bool {
	next := o.DeepCopy()
	deriveHistory(next, cloud.Inventory(), d.identity(next), d.Clock.Now())
	return o.Status.AccountID == "" && cloud.KnownAccount() != "" || next.Status.HistoryTotal != o.Status.HistoryTotal ||
		!slices.EqualFunc(next.Status.History, o.Status.History, func(a, b v1alpha1.CertificateVersion) bool { return a.CertID == b.CertID })
}
