// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/bundle"
	"github.com/cloudcert-io/cloudcert/internal/cas"
	"github.com/cloudcert-io/cloudcert/internal/controller/certificate"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
	"github.com/cloudcert-io/cloudcert/internal/protocol"
)

// Some tools write key and certificate one after the other.
func TestAMismatchIsAVerdictOnlyIfItLasts(t *testing.T) {
	t.Parallel()
	inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
		w.given(func(*v1alpha1.CloudCertificate) {})
		w.work(time.Minute)
		half := maps.Clone(w.pool[0].data)
		half["tls.key"] = w.pool[1].data["tls.key"]
		w.api.putSecret(secretOf(theKey), half)
		live := &countedReads{Reader: w.operator().r.Live}
		w.operator().r.Live = live
		w.work(3 * time.Second)
		status, reason, message := w.ready(t)
		if status != "False" || reason != v1alpha1.ReasonProgressing || !strings.Contains(message, "tls.key does not match") {
			t.Errorf("Ready is %s, %s: %s", status, reason, message)
		}
		if isStalled(w) {
			t.Error("half of a change is taken for a verdict")
		}
		if live.secrets != 1 {
			t.Errorf("the Secret was read %d times while nothing changed", live.secrets)
		}
		w.putContent(theKey, 1)
		w.work(time.Second)
		if _, reason, message := w.ready(t); reason != v1alpha1.ReasonSynced {
			t.Errorf("after the other half: %s: %s", reason, message)
		}
		if _, created := w.calls(cas.ActionUpload); created != 2 {
			t.Errorf("%d certificates were made, want one for each pair", created)
		}
		w.api.putSecret(secretOf(theKey), half)
		w.work(9 * time.Second) // of ten, in which the other half may come
		if isStalled(w) {
			t.Error("Stalled before the time has passed")
		}
		w.work(2 * time.Second)
		if _, reason, _ := w.ready(t); reason != v1alpha1.ReasonInvalidCertificate || !isStalled(w) {
			t.Errorf("a mismatch that lasts: %s, Stalled %t", reason, isStalled(w))
		}
		reconciles := w.said("reconcile two")
		w.work(time.Hour)
		if got := w.said("reconcile two") - reconciles; got != 0 {
			t.Errorf("%d reconciles over what only a person can mend", got)
		}
	})
}

// A code that nobody knows may pass in seconds, or never.
func TestAnUnknownCodeIsRetriedFromSecondsToAnHour(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 500, 503} {
		t.Run(fmt.Sprintf("with status %d", status), func(t *testing.T) {
			t.Parallel()
			inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
				w.given(func(*v1alpha1.CloudCertificate) {})
				w.work(time.Minute)
				w.cloud.Inject(emulator.Fault{Kind: emulator.FaultFail, Action: string(cas.ActionUpload), Code: "Odd.Code", Status: status})
				before, _ := w.calls(cas.ActionUpload)
				w.putContent(theKey, 1)
				w.work(20 * time.Second)
				if now, _ := w.calls(cas.ActionUpload); now-before < 3 || now-before > 6 {
					t.Errorf("%d tries in the first 20 seconds", now-before)
				}
				w.work(12 * time.Hour)
				if now, _ := w.calls(cas.ActionUpload); now-before < 15 || now-before > 26 {
					t.Errorf("%d tries in 12 hours", now-before)
				}
			})
		})
	}
}

// A page of a gateway with status 503 is an outage, and no rate limit that Ready waits out.
func TestAGatewayThatIsAwayIsNoRateLimit(t *testing.T) {
	t.Parallel()
	inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
		w.given(func(*v1alpha1.CloudCertificate) {})
		w.work(time.Minute)
		w.cloud.Inject(emulator.Fault{Kind: emulator.FaultHTML, Status: 503})
		w.putContent(theKey, 1)
		before, _ := w.calls(cas.ActionUpload)
		w.work(time.Hour)
		if status, reason, message := w.ready(t); status != "False" || reason != v1alpha1.ReasonUploadFailed || !strings.Contains(message, "503") {
			t.Errorf("Ready %s, %s: %s", status, reason, message)
		}
		if now, _ := w.calls(cas.ActionUpload); now-before > 30 {
			t.Errorf("%d tries in an hour", now-before)
		}
		w.cloud.ClearFaults()
		w.work(10 * time.Minute)
		w.checkRest()
	})
}

// TestACheckDuringAnOutageChangesNoReady: what a person asks to have looked at is as it was, as far
// as anybody knows, until the cloud answers. A renewal that comes meanwhile is another matter.
func TestACheckDuringAnOutageChangesNoReady(t *testing.T) {
	t.Parallel()
	inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
		w.given(func(*v1alpha1.CloudCertificate) {})
		w.work(time.Hour)
		w.cloud.Inject(emulator.Fault{Kind: emulator.FaultFail, Code: "InternalError", Status: 500})
		w.resync("now")
		w.work(time.Hour)
		status, reason, message := w.ready(t)
		if status != "True" || reason != v1alpha1.ReasonSynced {
			t.Errorf("Ready %s, %s: %s", status, reason, message)
		}
		for _, want := range []string{"is in the cloud as certificate", v1alpha1.AnnotationResync, "InternalError", "tried again"} {
			if !strings.Contains(message, want) {
				t.Errorf("message %q does not say %q", message, want)
			}
		}
		if handled := w.api.objects[theKey].Status.LastHandledResync; handled != "" {
			t.Errorf("the check %q counts as made", handled)
		}
		w.putContent(theKey, 1)
		w.work(time.Minute)
		if status, reason, message := w.ready(t); status != "False" || reason != v1alpha1.ReasonUploadFailed {
			t.Errorf("a renewal that does not reach the cloud: Ready %s, %s: %s", status, reason, message)
		}
		w.cloud.ClearFaults()
		w.work(10 * time.Minute)
		if handled := w.api.objects[theKey].Status.LastHandledResync; handled != "now" {
			t.Errorf("after the outage the check %q counts as made", handled)
		}
		w.checkRest()
	})
}

func TestAResyncBeginsSlowRetriesAnew(t *testing.T) {
	t.Parallel()
	inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
		w.cloud.Inject(emulator.Fault{Kind: emulator.FaultDenied, Action: string(cas.ActionUpload)})
		w.given(func(*v1alpha1.CloudCertificate) {})
		w.work(6*time.Hour + 30*time.Minute)
		tries, _ := w.calls(cas.ActionUpload)
		w.api.change(theKey, func(o *v1alpha1.CloudCertificate) {
			o.Annotations = map[string]string{v1alpha1.AnnotationResync: "now"}
		})
		w.work(20 * time.Minute) // at once, after 5 and after 15 minutes
		if now, _ := w.calls(cas.ActionUpload); now-tries != 3 {
			t.Errorf("%d tries within 20 minutes of the request", now-tries)
		}
		w.work(12 * time.Hour)
		if now, _ := w.calls(cas.ActionUpload); now-tries > 17 {
			t.Errorf("%d tries in half a day: each of them begins anew", now-tries)
		}
	})
}

// etcd goes back to a snapshot while the operator runs: the resourceVersion that our last
// write replaced is the present one again.
func TestARestoreOfEtcdUnderTheOperator(t *testing.T) {
	t.Parallel()
	inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
		w.given(func(*v1alpha1.CloudCertificate) {})
		w.work(time.Hour)
		snapshot := w.snapshot()
		w.putContent(theKey, 1)
		w.work(time.Minute)
		w.restoreEtcd(snapshot)
		w.putContent(theKey, 2)
		w.work(10 * time.Second)
		got := w.api.objects[theKey].Status
		if _, content, _ := bundle.ParseName(got.Name); content != w.pool[2].content || len(got.History) != 2 {
			t.Errorf("ten seconds after the restore and a renewal: %s", encode(got))
		}
		w.checkRest()
	})
}

// While the API server has a later version than the cache, memory is right.
func TestACacheThatIsStuckIsNotBelieved(t *testing.T) {
	t.Parallel()
	inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
		w.given(func(*v1alpha1.CloudCertificate) {})
		w.work(time.Minute)
		old := w.api.objects[theKey]
		w.putContent(theKey, 1)
		w.work(time.Minute)
		uploads, _ := w.calls(cas.ActionUpload)
		w.operator().objects.seen[theKey] = old
		w.operator().queue.Add(reconcile.Request{NamespacedName: theKey})
		w.work(time.Minute)
		if now, _ := w.calls(cas.ActionUpload); now != uploads {
			t.Errorf("%d uploads from what a stuck cache shows", now-uploads)
		}
	})
}

// A status that was restored from another cluster names certificates of that cluster.
func TestAStatusOfAnotherIdentityIsNotBelieved(t *testing.T) {
	t.Parallel()
	for name, spec := range map[string]func(*v1alpha1.CloudCertificate){
		"retained": func(*v1alpha1.CloudCertificate) {},
		"deleted and pruned": func(o *v1alpha1.CloudCertificate) {
			deleting(o)
			o.Spec.RevisionHistoryLimit = new(int32(0))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
				production := w.start()
				production.r.Options.ClusterID = "production"
				w.given(spec)
				w.work(time.Minute)
				theirs := w.api.objects[theKey].Status
				w.foreign[certificateID{placeOf(w.api.objects[theKey]), theirs.CertID}] = true
				production.dead = true
				w.work(time.Second)
				got := w.api.objects[theKey].Status
				if _, reason, _ := w.ready(t); reason != v1alpha1.ReasonSynced || got.CertID == theirs.CertID || len(got.History) > 0 || got.HistoryTotal > 0 {
					t.Errorf("%s, %s", reason, encode(got))
				}
				if w.said("event LeftBehind") != 1 || w.said(theirs.Name) == 0 {
					t.Error("no event names what was left behind")
				}
				w.checkDrift()
				w.putContent(theKey, 1)
				w.work(50 * time.Hour)
				w.checkDrift()
				w.checkRest()
				w.api.remove(theKey)
				w.work(time.Hour)
				if w.said("event PruneFailed") > 0 || w.said("event Released") > 0 || w.said("event Recreated") > 0 {
					t.Error("an event speaks of what was never ours")
				}
				if _, there := w.certificates()[theirs.CertID]; !there {
					t.Error("the other cluster's certificate is gone")
				}
			})
		})
	}
}

// It is not deleted either by an object that is being deleted when the status comes.
func TestADeletionDoesNotBelieveAForeignStatus(t *testing.T) {
	t.Parallel()
	inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
		production := w.start()
		production.r.Options.ClusterID = "production"
		w.given(deleting)
		w.work(time.Minute)
		theirs := w.api.objects[theKey].Status
		w.foreign[certificateID{placeOf(w.api.objects[theKey]), theirs.CertID}] = true
		production.dead = true
		w.api.remove(theKey)
		w.work(time.Hour)
		if w.api.objects[theKey] != nil || w.said("event LeftBehind") != 1 || w.said("event Released") > 0 || len(w.certificates()) != 1 {
			t.Errorf("gone: %t, %d certificates", w.api.objects[theKey] == nil, len(w.certificates()))
		}
	})
}

// Two operators that do not agree to whom or where an object belongs must come to rest.
func TestTwoOperatorsDoNotMoveAnObjectWithoutEnd(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		differ func(*certificate.Reconciler)
		moves  int // of both together within an hour, at most
	}{
		"of two regions":     {func(r *certificate.Reconciler) { r.Options.Region = cas.RegionInternational }, 0},
		"of two cluster ids": {func(r *certificate.Reconciler) { r.Options.ClusterID = "another" }, 2 * protocol.MaxMoves},
		"of two accounts": {func(r *certificate.Reconciler) {
			other, err := alibaba.Static(alibaba.Credentials{AccessKeyID: "LTAIother", AccessKeySecret: "other-secret"})
			if err != nil {
				t.Fatal(err)
			}
			r.Accounts.Own = other
		}, 2 * protocol.MaxMoves},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
				w.report = func(string) {} // two operators that disagree keep no promise together
				w.start()
				tc.differ(w.start().r)
				w.given(func(*v1alpha1.CloudCertificate) {})
				began, renewed := time.Now(), false
				for time.Since(began) < 50*time.Minute {
					for _, op := range w.operators {
						op.deliver()
						if due := op.due(); len(due) > 0 {
							op.run(due[0])
						}
					}
					if !renewed && time.Since(began) > 10*time.Minute {
						renewed = true
						w.putContent(theKey, 1)
					}
					time.Sleep(100 * time.Millisecond)
				}
				writes, moves := w.said("kube status"), w.said("event LeftBehind")
				if moves > tc.moves || writes > 40 {
					t.Errorf("%d moves and %d status writes in 50 minutes", moves, writes)
				}
				if braked := w.said("event MovedTooOften"); tc.moves > 0 && moves == tc.moves && (braked == 0 || braked > 2) {
					t.Errorf("%d events say that they stopped", braked)
				}
			})
		})
	}
}

// An API server whose CRD lacks a field drops it.
func TestAnOlderCRDKeepsNoRenewalBack(t *testing.T) {
	t.Parallel()
	for _, field := range []string{"historyTotal", "secretUID", "certIdentifier", "contentHash", "lastUploadTime", "certificate"} {
		t.Run(field, func(t *testing.T) {
			t.Parallel()
			inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
				w.api.lacks = field
				w.given(func(o *v1alpha1.CloudCertificate) { o.Spec.RevisionHistoryLimit = new(int32(0)) })
				w.work(time.Minute)
				w.putContent(theKey, 1)
				w.work(time.Minute)
				status := w.api.objects[theKey].Status
				if _, reason, _ := w.ready(t); reason != v1alpha1.ReasonSynced || !strings.HasSuffix(status.Name, w.pool[1].content) {
					t.Errorf("%s: %s", reason, encode(status))
				}
				if w.said("event CRDTooOld") != 1 {
					t.Errorf("%d events say that the CRD is too old", w.said("event CRDTooOld"))
				}
				if _, deletions := w.calls(cas.ActionDelete); deletions > 0 {
					t.Error("pruned before its users had time")
				}
				reconciles, writes := w.said("reconcile two"), w.said("kube status")
				w.work(9 * time.Hour)
				if reconciles, writes = w.said("reconcile two")-reconciles, w.said("kube status")-writes; reconciles > 3 || writes > 3 {
					t.Errorf("%d reconciles and %d writes in 9 hours of rest", reconciles, writes)
				}
			})
		})
	}
}

// The name of a certificate that is gone may stay taken. What holds it is no certificate,
// so that Ready must not say that one is there.
func TestANameThatIsHeldAfterADeletionIsGivenUp(t *testing.T) {
	t.Parallel()
	for name, disturb := range map[string]func(w *world){
		"by one operator":             func(*world) {},
		"by one that is started anew": func(w *world) { w.operators[0].dead = true },
		"although the status is lost": func(w *world) {
			w.api.change(theKey, func(o *v1alpha1.CloudCertificate) { o.Status = v1alpha1.CloudCertificateStatus{} })
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, emulator.Options{Unknowns: emulator.Unknowns{NameHeldAfterDelete: -1}}, func(t *testing.T, w *world) {
				w.given(func(*v1alpha1.CloudCertificate) {})
				w.work(15 * time.Minute)
				first := w.api.objects[theKey].Status
				w.vanish()
				w.checkDrift()
				w.work(3 * time.Minute)
				status, reason, message := w.ready(t)
				if status == "True" || reason != v1alpha1.ReasonProgressing || !strings.Contains(message, "does not show its certificate") {
					t.Errorf("Ready is %s, %s: %s", status, reason, message)
				}
				disturb(w)
				w.work(6 * time.Minute)
				if status, _, _ := w.ready(t); status == "True" || len(w.certificates()) != 0 {
					t.Errorf("after nine minutes Ready is %s, with %d certificates", status, len(w.certificates()))
				}
				w.work(15 * time.Minute)
				status, reason, message = w.ready(t)
				second := w.api.objects[theKey].Status
				if reason != v1alpha1.ReasonSynced || second.Name != strings.Replace(first.Name, "a_two_", "a_two_2_", 1) || second.HistoryTotal != 0 {
					t.Errorf("Ready is %s, %s: %s: %s", status, reason, message, encode(second))
				}
				w.operators[0].dead = true
				w.work(time.Hour)
				lists, _ := w.calls(cas.ActionList)
				w.putContent(theKey, 1)
				w.work(5 * time.Second)
				if now, _ := w.calls(cas.ActionList); now != lists {
					t.Error("a renewal waited for a list")
				}
				if third := w.api.objects[theKey].Status; !strings.HasPrefix(third.Name, "a_two_"+bundle.Identity(clusterID, theKey.Namespace, theKey.Name)) {
					t.Errorf("the renewal is %s", third.Name)
				}
				w.events++ // the deletion
				w.checkRest()
			})
		})
	}
}

// Where names are unique over both regions, what stays in the old one holds the name.
func TestAMoveBetweenRegionsThatShareTheirNames(t *testing.T) {
	t.Parallel()
	inWorld(t, emulator.Options{Unknowns: emulator.Unknowns{NamesSharedAcrossRegions: true}}, func(t *testing.T, w *world) {
		w.given(func(*v1alpha1.CloudCertificate) {})
		w.work(time.Minute)
		w.api.change(theKey, func(o *v1alpha1.CloudCertificate) { o.Spec.Region = cas.RegionInternational })
		w.work(5 * time.Minute)
		if status, reason, message := w.ready(t); status == "True" || reason != v1alpha1.ReasonProgressing {
			t.Errorf("Ready is %s, %s: %s", status, reason, message)
		}
		w.work(10 * time.Minute)
		got := w.api.objects[theKey].Status
		if _, reason, _ := w.ready(t); reason != v1alpha1.ReasonSynced || got.Region != cas.RegionInternational || !strings.HasPrefix(got.Name, "a_two_2_") {
			t.Errorf("%s: %s", reason, encode(got))
		}
		w.events++
		w.checkRest()
	})
}

// What cannot be read may be what is looked for.
func TestAnEntryThatCannotBeReadKeepsTheName(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fault  emulator.Fault
		reason string
		says   string
	}{
		"an entry is unreadable":   {emulator.Fault{Kind: emulator.FaultUnreadableID}, v1alpha1.ReasonProgressing, "entries of the list cannot be read"},
		"lists are denied":         {emulator.Fault{Kind: emulator.FaultDenied}, v1alpha1.ReasonAccessDenied, "yundun-cert:ListUserCertificateOrder"},
		"the list does not add up": {emulator.Fault{Kind: emulator.FaultShortPage}, v1alpha1.ReasonUploadFailed, "ListUserCertificateOrder"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
				w.given(func(*v1alpha1.CloudCertificate) {})
				w.work(time.Minute)
				tc.fault.Action = string(cas.ActionList)
				w.cloud.Inject(tc.fault)
				w.operators[0].dead = true
				w.api.change(theKey, func(o *v1alpha1.CloudCertificate) { o.Status = v1alpha1.CloudCertificateStatus{} })
				w.work(3 * time.Hour)
				if status, reason, message := w.ready(t); status == "True" || reason != tc.reason || !strings.Contains(message, tc.says) {
					t.Errorf("Ready is %s, %s: %s", status, reason, message)
				}
				if _, created := w.calls(cas.ActionUpload); created != 1 {
					t.Errorf("%d certificates were made of one content", created)
				}
				w.cloud.ClearFaults()
				w.work(2 * time.Hour)
				w.events += 2
				w.checkRest()
			})
		})
	}
}

// A keyword may find nothing of what is there: only a complete list is a miss.
func TestContentUnderAnotherPrefixIsFoundWithoutAKeyword(t *testing.T) {
	t.Parallel()
	inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
		identity := bundle.Identity(clusterID, theKey.Namespace, theKey.Name)
		other, err := w.cloud.AddForeign(ownAccount, cas.RegionChina, emulator.Foreign{
			Name: bundle.Name("before", identity, w.pool[0].content), PEM: string(w.pool[1].data["tls.crt"]), // of other domains
		})
		if err != nil {
			t.Fatal(err)
		}
		w.cloud.Inject(emulator.Fault{Kind: emulator.FaultNoDigests})
		w.given(func(o *v1alpha1.CloudCertificate) { o.Spec.NamePrefix = "shop" })
		w.work(time.Minute)
		if got := w.api.objects[theKey].Status; got.CertID != other.CertID || len(w.certificates()) != 1 {
			t.Errorf("%d certificates: %s", len(w.certificates()), encode(got))
		}
		// One list serves all that come later.
		lists, _ := w.calls(cas.ActionList)
		w.givenMany(5)
		for i := range 5 {
			w.api.change(types.NamespacedName{Namespace: "many", Name: fmt.Sprintf("object-%03d", i)}, func(o *v1alpha1.CloudCertificate) { o.Spec.NamePrefix = "shop" })
		}
		w.work(time.Minute)
		if now, _ := w.calls(cas.ActionList); now-lists > 2*5 {
			t.Errorf("%d list calls for five new objects after a complete list, want look-ups alone", now-lists)
		}
	})
}

// However a list shows a name, it is uploaded as it always was.
func TestNamesAreUploadedInLowerCase(t *testing.T) {
	t.Parallel()
	inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
		lower := bundle.Name("Shop", bundle.Identity(clusterID, theKey.Namespace, theKey.Name), w.pool[0].content)
		if _, err := w.cloud.AddForeign(ownAccount, cas.RegionChina, emulator.Foreign{Name: strings.ToUpper(lower), PEM: string(w.pool[0].data["tls.crt"])}); err != nil {
			t.Fatal(err)
		}
		w.given(func(o *v1alpha1.CloudCertificate) { o.Spec.NamePrefix = "Shop" })
		w.work(15 * time.Minute)
		w.vanish()
		w.checkDrift()
		w.work(time.Minute)
		if got, want := w.api.objects[theKey].Status.Name, strings.Replace(lower, "Shop", "SHOP", 1); got != want {
			t.Errorf("uploaded as %s, want %s", got, want)
		}
	})
}

// isStalled reports whether the object of the stories waits for a person.
func isStalled(w *world) bool {
	return meta.IsStatusConditionTrue(w.api.objects[theKey].Status.Conditions, v1alpha1.ConditionStalled)
}

// countedReads counts the Secrets that are read live.
type countedReads struct {
	client.Reader
	secrets int
}

func (c *countedReads) Get(ctx context.Context, key client.ObjectKey, into client.Object, options ...client.GetOption) error {
	if _, ok := into.(*corev1.Secret); ok {
		c.secrets++
	}
	return c.Reader.Get(ctx, key, into, options...)
}

// A check that was asked for is answered once, also where the status cannot keep that it was.
func TestAResyncUnderAnOlderCRDHoldsUpNothing(t *testing.T) {
	t.Parallel()
	inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
		w.api.lacks = "lastHandledResync"
		w.given(func(o *v1alpha1.CloudCertificate) { o.Spec.RevisionHistoryLimit = new(int32(0)) })
		w.work(time.Minute)
		w.putContent(theKey, 1)
		w.work(time.Minute)
		w.resync("1")
		w.work(time.Minute)
		reconciles := w.said("reconcile two")
		w.work(26 * time.Hour)
		if reconciles = w.said("reconcile two") - reconciles; reconciles > 10 || len(w.certificates()) != 1 {
			t.Errorf("%d reconciles in a day, and %d certificates", reconciles, len(w.certificates()))
		}
		before := len(w.cloud.Journal())
		w.resync("2")
		w.work(time.Minute)
		if len(w.cloud.Journal()) == before {
			t.Error("the next request is not answered")
		}
	})
}

// Where STS cannot be reached it is unknown whose account new credentials reach: the same
// certificate is sent once more before the status says that it is there.
func TestNewCredentialsOfAnUnknownAccountAreSentTheCertificate(t *testing.T) {
	t.Parallel()
	inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
		creds := types.NamespacedName{Namespace: theKey.Namespace, Name: "creds"}
		w.api.putSecret(creds, map[string][]byte{"accessKeyId": []byte("LTAIown"), "accessKeySecret": []byte("own-secret")})
		w.given(func(o *v1alpha1.CloudCertificate) { o.Spec.CredentialsSecretRef.Name = creds.Name })
		w.work(time.Minute)
		w.cloud.Inject(emulator.Fault{Kind: emulator.FaultFail, Action: "GetCallerIdentity"})
		w.putCredentials(theKey.Namespace)
		w.work(time.Minute)
		if got := len(w.cloud.Certificates(otherAccount, cas.RegionChina)); got != 1 {
			_, reason, message := w.ready(t)
			t.Errorf("%d certificates in the account of the new credentials; the status says %s: %s", got, reason, message)
		}
	})
}

// After a restart nobody knows that the credentials have changed. While STS is away the account
// of what is uploaded then is unknown, and the status does not go on naming the one before.
func TestACertificateInAnUnknownAccountIsNotSaidToBeInTheOneBefore(t *testing.T) {
	t.Parallel()
	inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
		creds := types.NamespacedName{Namespace: theKey.Namespace, Name: "creds"}
		w.api.putSecret(creds, map[string][]byte{"accessKeyId": []byte("LTAIown"), "accessKeySecret": []byte("own-secret")})
		w.given(func(o *v1alpha1.CloudCertificate) { o.Spec.CredentialsSecretRef.Name = creds.Name })
		w.work(time.Minute)
		w.operators[0].dead = true
		w.cloud.Inject(emulator.Fault{Kind: emulator.FaultFail, Action: "GetCallerIdentity"})
		w.putCredentials(theKey.Namespace)
		w.putContent(theKey, 1)
		w.work(time.Minute)
		status := w.api.objects[theKey].Status
		if made := w.cloud.Certificates(otherAccount, cas.RegionChina); len(made) != 1 || status.CertID != made[0].CertID {
			t.Fatalf("the status names certificate %d, and the other account holds %v", status.CertID, made)
		}
		if status.AccountID != "" {
			t.Errorf("the certificate is said to be in account %s, which nobody knows", status.AccountID)
		}
		w.cloud.ClearFaults()
		w.checkDrift()
		w.work(time.Hour)
		if got := w.api.objects[theKey].Status.AccountID; got != otherAccount {
			t.Errorf("account %q once it can be learned, want %s", got, otherAccount)
		}
	})
}
