// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/bundle"
	"github.com/cloudcert-io/cloudcert/internal/cas"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
)

// interposed answers some calls of a region itself, and changes the answers to others.
type interposed struct {
	http.RoundTripper
	fail   func(form url.Values) error                     // nil lets a call through
	refuse func(form url.Values) (status int, body string) // 0 lets a call through
	edit   func(form url.Values, body []byte) []byte
}

func (i interposed) RoundTrip(request *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, err
	}
	if i.fail != nil {
		if err := i.fail(form); err != nil {
			return nil, err
		}
	}
	if i.refuse != nil {
		if status, body := i.refuse(form); status != 0 {
			return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: request}, nil
		}
	}
	request.Body, request.ContentLength = io.NopCloser(bytes.NewReader(body)), -1
	response, err := i.RoundTripper.RoundTrip(request)
	if err != nil || i.edit == nil {
		return response, err
	}
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	edited := i.edit(form, answer)
	response.Body, response.ContentLength = io.NopCloser(bytes.NewReader(edited)), int64(len(edited))
	return response, nil
}

// interpose puts something in front of the Chinese region, until it is ended.
func (w *world) interpose(i interposed) (end func()) {
	i.RoundTripper = w.transports[cas.RegionChina]
	w.transports[cas.RegionChina] = i
	return func() { w.transports[cas.RegionChina] = i.RoundTripper }
}

// refuseDeletion refuses to delete one certificate, and counts the tries.
func (w *world) refuseDeletion(certID int64, status int, code string) (tries *int, end func()) {
	tries = new(0)
	return tries, w.interpose(interposed{refuse: func(form url.Values) (int, string) {
		if form.Get("Action") != string(cas.ActionDelete) || form.Get("CertId") != fmt.Sprint(certID) {
			return 0, ""
		}
		*tries++
		return status, fmt.Sprintf(`{"RequestId":"R-1","Message":"it is in use","Code":%q}`, code)
	}})
}

// versions makes the object, with its contents one after another, and returns their
// CertIds.
func (w *world) versions(change func(*v1alpha1.CloudCertificate), contents ...int) (ids []int64) {
	for i, content := range contents {
		w.putContent(theKey, content)
		if i == 0 {
			w.given(change)
		}
		w.work(time.Minute)
		ids = append(ids, w.api.objects[theKey].Status.CertID)
	}
	return ids
}

func keepNone(o *v1alpha1.CloudCertificate) { o.Spec.RevisionHistoryLimit = new(int32(0)) }

func keepNoneAndDelete(o *v1alpha1.CloudCertificate) {
	keepNone(o)
	deleting(o)
}

func (w *world) isThere(certID int64) bool {
	_, there := w.certificates()[certID]
	return there
}

func (w *world) resync(value string) {
	w.api.change(theKey, func(o *v1alpha1.CloudCertificate) {
		o.Annotations = map[string]string{v1alpha1.AnnotationResync: value}
	})
}

// counted is what a metric says, over all tests.
func counted(t *testing.T, name string, labels ...string) (n float64) {
	t.Helper()
	families, err := metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			var values []string
			for _, l := range m.GetLabel() {
				values = append(values, l.GetValue())
			}
			matches := !slices.ContainsFunc(labels, func(l string) bool { return !slices.Contains(values, l) })
			if family.GetName() == name && matches {
				n += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return n
}

// A person deletes the current version in the console right before the one before it is
// due to be pruned: it is all that is left.
func TestTheLastCertificateIsNotPruned(t *testing.T) {
	t.Parallel()
	for name, late := range map[string]time.Duration{
		"deleted long after the last check":    0,
		"deleted between a check and the time": 5 * time.Minute,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
				ids := w.versions(keepNone, 0, 1)
				w.work(pruneDelay - 10*time.Minute)
				if late > 0 {
					w.checkDrift()
					w.work(late)
				}
				w.cloud.DeleteOutOfBand(ownAccount, cas.RegionChina, ids[1])
				w.work(time.Hour)
				if !w.isThere(ids[0]) {
					t.Fatal("the last certificate of the object was pruned")
				}
				_, _, message := w.ready(t)
				if !strings.Contains(message, fmt.Sprint(ids[1])) || !strings.Contains(message, "does not list the current") {
					t.Errorf("Ready says: %s", message)
				}
				w.checkDrift()
				w.work(pruneDelay + 2*time.Hour)
				if status := w.api.objects[theKey].Status; w.isThere(ids[0]) || !w.isThere(status.CertID) || status.HistoryTotal != 0 {
					t.Errorf("after the repair: certificates %v, history %v", len(w.certificates()), status.History)
				}
				w.checkRest()
			})
		})
	}
}

// STS cannot be reached, and the credentials change to another account, which has an
// older content only: neither pruning nor a deletion touches it.
func TestAnotherAccountIsNotTouchedThoughNobodyKnowsIt(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(w *world){
		"by pruning": func(w *world) {
			w.api.change(theKey, func(o *v1alpha1.CloudCertificate) { o.Spec.Tags = []v1alpha1.Tag{{Key: "a", Value: "b"}} })
		},
		"by a deletion": func(w *world) { w.api.remove(theKey) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
				creds := types.NamespacedName{Namespace: theKey.Namespace, Name: "creds"}
				use := func(id, secret string) {
					w.api.putSecret(creds, map[string][]byte{"accessKeyId": []byte(id), "accessKeySecret": []byte(secret)})
				}
				use("LTAIother", "other-secret")
				w.versions(func(o *v1alpha1.CloudCertificate) {
					keepNoneAndDelete(o)
					o.Spec.CredentialsSecretRef.Name = creds.Name
				}, 0)
				use("LTAIown", "own-secret")
				w.work(time.Minute)
				w.putContent(theKey, 1)
				w.work(30 * time.Hour)
				w.operators[0].dead = true
				w.cloud.Inject(emulator.Fault{Kind: emulator.FaultFail, Action: "GetCallerIdentity"})
				use("LTAIother", "other-secret")
				w.work(time.Minute)
				cloud, err := w.operator().cloud.Client(cas.RegionChina, w.otherAccount(t))
				if err != nil {
					t.Fatal(err)
				}
				if err := cloud.SweptSince(time.Now()); err != nil { // somebody else's deletion reads the list
					time.Sleep(time.Minute)
				}
				end(w)
				w.work(10 * time.Minute)
				if len(w.cloud.Certificates(otherAccount, cas.RegionChina)) == 0 {
					t.Error("the certificate in the other account was deleted")
				}
			})
		})
	}
}

// otherAccount are the credentials of the other account.
func (w *world) otherAccount(t *testing.T) alibaba.Provider {
	t.Helper()
	p, err := alibaba.Static(alibaba.Credentials{AccessKeyID: "LTAIother", AccessKeySecret: "other-secret"})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestOneThatCannotBeDeletedHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		status int
		code   string
	}{
		"in use, with a code that nobody knows": {400, "Certificate.InUse"},
		"protected":                             {400, "InvalidStatus.DeleteProtection"},
		"denied":                                {403, "NoPermission"},
		"refused as a parameter":                {400, "InvalidParameter.CertId"},
		"an error inside the cloud":             {500, "InternalError"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
				ids := w.versions(keepNoneAndDelete, 0, 1, 2, 3)
				_, end := w.refuseDeletion(ids[0], tc.status, tc.code)
				w.work(pruneDelay + time.Hour)
				if left := w.certificates(); len(left) != 2 || !w.isThere(ids[0]) || !w.isThere(ids[3]) {
					t.Errorf("pruned to %d certificates, want the current one and the one that cannot be deleted", len(left))
				}
				named := fmt.Sprintf("(%d)", ids[0])
				if status, _, message := w.ready(t); status != "True" || !strings.Contains(message, named) || !strings.Contains(message, tc.code) {
					t.Errorf("Ready is %s: %s", status, message)
				}
				if w.said("event PruneFailed: superseded versions cannot be deleted: "+w.certificates()[ids[0]].Name+" "+named) != 1 {
					t.Error("no event names it, or more than one")
				}
				w.api.remove(theKey)
				w.work(time.Hour)
				if len(w.certificates()) != 1 || !w.isThere(ids[0]) {
					t.Errorf("%d certificates outlive the deletion, want the one that cannot be deleted", len(w.certificates()))
				}
				_, reason, message := w.ready(t)
				if reason != v1alpha1.ReasonDeletionBlocked || !strings.Contains(message, named) || !strings.Contains(message, tc.code) ||
					!strings.Contains(message, "it is tried again ") || !strings.Contains(message, v1alpha1.AnnotationOrphan) {
					t.Errorf("%s: %s", reason, message)
				}
				end()
				w.work(time.Hour)
				if w.api.objects[theKey] != nil || len(w.certificates()) != 0 {
					t.Error("the deletion did not end when it could")
				}
			})
		})
	}
}

// A call that never gets an answer may concern one certificate alone, or several.
func TestWhoseDeletionIsNeverAnsweredHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(w *world){
		"pruning":    func(*world) {},
		"a deletion": func(w *world) { w.api.remove(theKey) },
	} {
		for _, dead := range []int{1, 3} {
			t.Run(fmt.Sprintf("%s, %d of them", name, dead), func(t *testing.T) {
				t.Parallel()
				inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
					ids := w.versions(keepNoneAndDelete, 0, 1, 2, 3, 4)
					stop := w.interpose(interposed{fail: func(form url.Values) error {
						id, _ := strconv.ParseInt(form.Get("CertId"), 10, 64)
						if form.Get("Action") == string(cas.ActionDelete) && slices.Contains(ids[:dead], id) {
							return errors.New("connection reset by peer")
						}
						return nil
					}})
					end(w)
					w.work(pruneDelay + time.Hour)
					for _, id := range ids[dead:4] {
						if w.isThere(id) {
							t.Errorf("certificate %d is held up", id)
						}
					}
					stop()
					w.work(2 * time.Hour)
					w.checkRest()
				})
			})
		}
	}
}

// What concerns all calls alike is not asked for once for each certificate.
func TestWhatConcernsAllDeletionsEndsTheRound(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fault emulator.Fault
		tries int
	}{
		"the network": {emulator.Fault{Kind: emulator.FaultReset}, 2}, // one may have been about its certificate
		"the key":     {emulator.Fault{Kind: emulator.FaultFail, Code: "InvalidAccessKeyId.Inactive"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
				w.versions(keepNone, 0, 1, 2, 3)
				fault := tc.fault
				fault.Action = string(cas.ActionDelete)
				w.cloud.Inject(fault)
				w.work(pruneDelay - time.Minute + 4*time.Second)
				if tries, _ := w.calls(cas.ActionDelete); tries != tc.tries {
					t.Errorf("%d tries in the first round", tries)
				}
				w.cloud.ClearFaults()
				w.work(2 * time.Hour)
				w.checkRest()
			})
		})
	}
}

// A code that nobody knows may pass within seconds, or never.
func TestUnknownCodesAreTriedAgainWithinSecondsAndAtLastHourly(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(w *world){
		"pruning":    func(w *world) { w.work(pruneDelay - time.Minute) },
		"a deletion": func(w *world) { w.api.remove(theKey); w.work(30 * time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
				ids := w.versions(keepNoneAndDelete, 0, 1)
				tries, _ := w.refuseDeletion(ids[0], 400, "Something.New")
				begin(w)
				w.work(2 * time.Minute)
				soon := *tries
				w.work(10 * time.Hour)
				if soon < 3 || *tries > 25 {
					t.Errorf("%d tries within minutes, %d within ten hours", soon, *tries)
				}
			})
		})
	}
}

// conflict has an object with one version, and a certificate of somebody else under the
// name of its next one.
func (w *world) conflict(t *testing.T) (ours int64, theirs emulator.Certificate) {
	t.Helper()
	ours = w.versions(keepNoneAndDelete, 0)[0]
	_, content, _ := bundle.ParseName(w.api.objects[theKey].Status.Name)
	name := strings.Replace(w.api.objects[theKey].Status.Name, content, w.pool[1].content, 1)
	theirs = w.addForeign(name, 3)
	w.putContent(theKey, 1)
	w.work(time.Minute)
	if _, reason, message := w.ready(t); reason != v1alpha1.ReasonNameConflict {
		t.Fatalf("%s: %s", reason, message)
	}
	return ours, theirs
}

func TestWhatADigestRefutedIsNotDeletedAfterARestart(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(w *world){
		"by pruning":    func(*world) {},
		"by a deletion": func(w *world) { w.api.remove(theKey) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
				_, theirs := w.conflict(t)
				w.putContent(theKey, 2) // and the conflict is over
				w.work(time.Minute)
				w.operators[0].dead = true
				w.work(time.Minute)
				w.checkDrift()
				w.work(time.Minute)
				end(w)
				w.work(pruneDelay + 2*time.Hour)
				if !w.isThere(theirs.CertID) {
					t.Error("a certificate that was known to be somebody else's was deleted")
				}
			})
		})
	}
}

func TestWhatADigestRefutedIsNeverDeleted(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		play func(w *world)
		gone bool // the object
	}{
		"by a deletion": {func(w *world) { w.api.remove(theKey); w.work(time.Hour) }, true},
		"by a deletion after a restart": {func(w *world) {
			w.operators[0].dead = true
			w.api.remove(theKey)
			w.work(time.Hour)
		}, true},
		"by a deletion with a restart in its course": {func(w *world) {
			w.api.remove(theKey)
			w.work(5 * time.Second) // it is said why it waits
			w.operators[0].dead = true
			w.work(time.Hour)
		}, true},
		"by a deletion that was blocked for a while": {func(w *world) {
			w.cloud.Inject(emulator.Fault{Kind: emulator.FaultDenied, Action: string(cas.ActionList)})
			w.api.remove(theKey)
			w.work(time.Hour)
			w.operators[0].dead = true
			w.cloud.ClearFaults()
			w.work(2 * time.Hour)
		}, true},
		"as history": {func(w *world) {
			w.putContent(theKey, 2)
			w.work(time.Minute)
			w.checkDrift()
			w.work(30 * time.Hour)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
				ours, theirs := w.conflict(t)
				tc.play(w)
				if !w.isThere(theirs.CertID) {
					t.Error("a certificate that is not ours was deleted")
				}
				if w.isThere(ours) {
					t.Error("ours was not")
				}
				object := w.api.objects[theKey]
				if (object == nil) != tc.gone {
					t.Fatalf("the object is gone: %t", object == nil)
				}
				if tc.gone {
					if w.said(fmt.Sprintf("left alone, because they hold names of this object and may not be its certificates: %s (%d)", theirs.Name, theirs.CertID)) != 1 {
						t.Error("nobody says that it was left alone")
					}
					return
				}
				if object.Status.HistoryTotal != 0 {
					t.Errorf("history names what is not ours: %v", object.Status.History)
				}
			})
		})
	}
}

// A person deleted ours and put another certificate under its name: the status knows
// the digest that it had, also after a restart.
func TestAnotherCertificateUnderANameThatHistoryKnowsIsNotOurs(t *testing.T) {
	t.Parallel()
	inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
		ids := w.versions(deleting, 0, 1)
		name := w.certificates()[ids[0]].Name
		w.cloud.DeleteOutOfBand(ownAccount, cas.RegionChina, ids[0])
		theirs := w.addForeign(name, 3)
		w.operators[0].dead = true
		w.api.remove(theKey)
		w.work(time.Hour)
		if !w.isThere(theirs.CertID) || w.api.objects[theKey] != nil || len(w.certificates()) != 1 {
			t.Errorf("theirs is there: %t, %d certificates", w.isThere(theirs.CertID), len(w.certificates()))
		}
	})
}

func TestWhatWasOnlyEverRefusedIsReleasedAtOnce(t *testing.T) {
	t.Parallel()
	for name, faults := range map[string][]emulator.Fault{
		"the content is refused": {{Kind: emulator.FaultFail, Code: "CertificateFormatException"}},
		"uploads are denied":     {{Kind: emulator.FaultDenied}},
		"there is no quota":      {{Kind: emulator.FaultFail, Code: "InsufficientQuota"}},
		"the key is not taken":   {{Kind: emulator.FaultFail, Code: "InvalidAccessKeyId.Inactive"}},
		"throttled, then denied": {{Kind: emulator.FaultThrottle, Count: 1}, {Kind: emulator.FaultDenied, Skip: 1}},
		"the clock is off":       {{Kind: emulator.FaultFail, Code: "InvalidTimeStamp.Expired"}},
		"the cloud is upgraded":  {{Kind: emulator.FaultFail, Code: "OperationDenied.SystemUpgrading"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
				for _, fault := range faults {
					fault.Action = string(cas.ActionUpload)
					w.cloud.Inject(fault)
				}
				w.given(deleting)
				w.work(2 * time.Hour)
				if tries, _ := w.calls(cas.ActionUpload); tries < 2 {
					t.Fatalf("%d uploads", tries)
				}
				before := len(w.cloud.Journal())
				w.api.remove(theKey)
				if w.api.objects[theKey] != nil || len(w.cloud.Journal()) != before {
					t.Error("an object whose every upload was refused is held")
				}
			})
		})
	}
	t.Run("the cloud was never reached", func(t *testing.T) {
		t.Parallel()
		inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
			end := w.interpose(interposed{fail: func(url.Values) error { return &net.OpError{Op: "dial", Err: errors.New("connection refused")} }})
			defer end()
			w.given(deleting)
			w.work(2 * time.Hour)
			if w.api.remove(theKey); w.api.objects[theKey] != nil {
				t.Error("an object that never reached the cloud is held")
			}
		})
	})
	t.Run("a name that somebody else holds", func(t *testing.T) {
		t.Parallel()
		inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
			theirs := w.intrude(0)
			w.cloud.DeleteOutOfBand(ownAccount, cas.RegionChina, theirs.CertID)
			name := bundle.Name(bundle.DefaultPrefix(theKey.Namespace, theKey.Name), bundle.Identity(clusterID, theKey.Namespace, theKey.Name), w.pool[0].content)
			theirs, err := w.cloud.AddForeign(ownAccount, cas.RegionChina, emulator.Foreign{Name: name, PEM: string(w.pool[3].data["tls.crt"])})
			if err != nil {
				t.Fatal(err)
			}
			w.given(deleting)
			w.work(2 * time.Minute)
			if _, reason, message := w.ready(t); reason != v1alpha1.ReasonNameConflict {
				t.Fatalf("%s: %s", reason, message)
			}
			w.api.remove(theKey)
			w.work(2 * time.Minute) // it may have been taken by an upload of its own, until the list has shown by what
			if w.api.objects[theKey] != nil || !w.isThere(theirs.CertID) {
				t.Error("the object is held, or what is not its own was deleted")
			}
		})
	})
}

// An upload whose answer was lost may have happened, whatever is answered to the next.
func TestWhatMayHaveBeenUploadedIsHeld(t *testing.T) {
	t.Parallel()
	for name, restart := range map[string]bool{"in one process": false, "after a restart": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
				w.cloud.Inject(emulator.Fault{Kind: emulator.FaultReset, Action: string(cas.ActionUpload), AfterCommit: true, Count: 1})
				w.cloud.Inject(emulator.Fault{Kind: emulator.FaultDenied, Action: string(cas.ActionUpload), Skip: 1})
				w.given(deleting)
				w.work(time.Second)
				w.operators[0].dead = restart
				w.work(time.Hour)
				if len(w.certificates()) != 1 || w.api.objects[theKey].Status.CertID != 0 {
					t.Fatal("the first upload did not happen, or its answer was not lost")
				}
				w.api.remove(theKey)
				w.work(time.Hour)
				if w.api.objects[theKey] != nil || len(w.certificates()) != 0 {
					t.Errorf("%d certificates are left", len(w.certificates()))
				}
			})
		})
	}
}

// A name that is taken may be taken by a certificate of an earlier object of this name, which
// Delete removes: only the list can tell, so that a deletion waits for it.
func TestANameThatIsTakenIsHeld(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]emulator.Fault{
		"lists are denied": {Kind: emulator.FaultDenied, Action: string(cas.ActionList)},
		"lists are away":   {Kind: emulator.FaultFail, Action: string(cas.ActionList)},
		"the list lags":    {Kind: emulator.FaultHide, Action: string(cas.ActionList)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
				w.given(func(*v1alpha1.CloudCertificate) {})
				w.work(time.Minute)
				w.api.remove(theKey)
				w.work(time.Minute)
				w.operators[0].dead = true
				w.cloud.Inject(fault)
				w.given(deleting)
				w.work(time.Minute)
				w.cloud.ClearFaults()
				w.api.remove(theKey)
				w.work(2 * time.Hour)
				if left := len(w.certificates()); w.api.objects[theKey] != nil || left != 0 {
					t.Errorf("the object is there: %t; %d certificates are left", w.api.objects[theKey] != nil, left)
				}
			})
		})
	}
}

func TestARefusalThatLastsReleases(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]emulator.Fault{
		"lists are denied":                 {Kind: emulator.FaultDenied, Action: string(cas.ActionList)},
		"deletions are denied":             {Kind: emulator.FaultDenied, Action: string(cas.ActionDelete)},
		"it is protected":                  {Kind: emulator.FaultFail, Code: "InvalidStatus.DeleteProtection", Action: string(cas.ActionDelete)},
		"a code that nobody knows":         {Kind: emulator.FaultFail, Code: "Something.New", Status: 400, Action: string(cas.ActionDelete)},
		"lists fail with a new code":       {Kind: emulator.FaultFail, Code: "Something.New", Status: 400, Action: string(cas.ActionList)},
		"an error that has the status 400": {Kind: emulator.FaultFail, Code: "InternalError", Status: 400, Action: string(cas.ActionDelete)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
				ids := w.versions(deleting, 0, 1)
				before := counted(t, "cloudcert_left_certificates_total", "Released")
				w.cloud.Inject(fault)
				w.api.remove(theKey)
				w.work(12 * time.Hour)
				w.operators[0].dead = true // a restart does not begin anew
				w.work(11*time.Hour + 50*time.Minute)
				if _, reason, message := w.ready(t); reason != v1alpha1.ReasonDeletionBlocked || !strings.Contains(message, fmt.Sprintf("(%d)", ids[0])) ||
					!strings.Contains(message, "it is released with what it has in the cloud at") {
					t.Errorf("%s: %s", reason, message)
				}
				w.work(time.Hour)
				if w.api.objects[theKey] != nil || len(w.certificates()) != 2 || w.said(fmt.Sprintf("(%d)", ids[0])) == 0 || w.said("event Released") != 1 {
					t.Errorf("not released with its certificates: %d events", w.said("event Released"))
				}
				if after := counted(t, "cloudcert_left_certificates_total", "Released"); after < before+2 {
					t.Errorf("counted %v, want 2 more than %v", after, before)
				}
			})
		})
	}
}

// A refusal after a day without the cloud has not lasted for a day.
func TestARefusalThatHasJustBegunDoesNotRelease(t *testing.T) {
	t.Parallel()
	inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
		w.versions(deleting, 0)
		w.cloud.Inject(emulator.Fault{Kind: emulator.FaultReset})
		w.api.remove(theKey)
		w.work(30 * time.Hour)
		w.cloud.ClearFaults()
		w.cloud.Inject(emulator.Fault{Kind: emulator.FaultDenied, Action: string(cas.ActionDelete)})
		w.work(20 * time.Hour)
		if w.api.objects[theKey] == nil {
			t.Fatal("released although the refusal has not lasted for a day")
		}
		w.work(6 * time.Hour)
		if w.api.objects[theKey] != nil {
			t.Error("not released")
		}
	})
}

// Whose an entry is that cannot be read, nobody knows.
func TestADeletionNeedsThatEveryEntryCanBeRead(t *testing.T) {
	t.Parallel()
	inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
		w.versions(deleting, 0)
		end := w.interpose(interposed{edit: func(form url.Values, body []byte) []byte {
			if form.Get("Action") != string(cas.ActionList) || form.Get("Status") != "" {
				return body
			}
			var answer map[string]any
			if err := json.Unmarshal(body, &answer); err != nil {
				t.Fatal(err)
			}
			entries, _ := answer["CertificateOrderList"].([]any)
			answer["CertificateOrderList"] = append(entries, map[string]any{"Name": "an order"})
			answer["TotalCount"] = answer["TotalCount"].(float64) + 1
			return encode(answer)
		}})
		w.api.remove(theKey)
		w.work(time.Hour)
		_, reason, message := w.ready(t)
		if reason != v1alpha1.ReasonDeletionBlocked || !strings.Contains(message, "1 entries of the account's list cannot be read") {
			t.Errorf("%s: %s", reason, message)
		}
		if len(w.certificates()) != 0 {
			t.Error("what is known to be ours is held up")
		}
		end()
		w.work(2 * time.Hour)
		if w.api.objects[theKey] != nil {
			t.Error("the deletion did not end")
		}
	})
}

func TestAResyncEndsEveryWait(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fault  emulator.Fault
		delete bool
	}{
		"of pruning":                {emulator.Fault{Kind: emulator.FaultDenied, Action: string(cas.ActionDelete)}, false},
		"of pruning for a list":     {emulator.Fault{Kind: emulator.FaultDenied, Action: string(cas.ActionList)}, false},
		"of a deletion":             {emulator.Fault{Kind: emulator.FaultDenied, Action: string(cas.ActionDelete)}, true},
		"of a deletion for a list":  {emulator.Fault{Kind: emulator.FaultDenied, Action: string(cas.ActionList)}, true},
		"of a deletion for the key": {emulator.Fault{Kind: emulator.FaultFail, Code: "InvalidAccessKeyId.Inactive", Action: string(cas.ActionDelete)}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
				ids := w.versions(keepNoneAndDelete, 0, 1)
				w.cloud.Inject(tc.fault)
				if tc.delete {
					w.api.remove(theKey)
				}
				w.work(pruneDelay - 4*time.Hour)
				if !tc.delete {
					w.work(10 * time.Hour)
				}
				w.resync("again")
				w.work(10 * time.Second)
				if handled := w.api.objects[theKey].Status.LastHandledResync; handled != "again" {
					t.Errorf("the request is handled: %q", handled)
				}
				reconciles := w.said("reconcile two")
				w.work(4 * time.Minute)
				if n := w.said("reconcile two") - reconciles; n > 10 {
					t.Errorf("%d reconciles within minutes after a request that was handled", n)
				}
				w.cloud.ClearFaults()
				w.work(2 * time.Minute)
				w.resync("and again")
				w.work(10 * time.Second)
				if w.isThere(ids[0]) || tc.delete != (w.api.objects[theKey] == nil) {
					t.Errorf("the old version is there: %t; the object: %t", w.isThere(ids[0]), w.api.objects[theKey] != nil)
				}
			})
		})
	}
}

// Restored from a backup of before the last renewal, in the same cluster.
func TestARestoredBackupIsNotAnotherCluster(t *testing.T) {
	t.Parallel()
	restore := func(w *world, restart bool) {
		w.given(keepNoneAndDelete)
		w.work(time.Hour)
		backup := w.api.objects[theKey].Status
		w.putContent(theKey, 1)
		w.work(time.Hour)
		w.putContent(theKey, 0)
		w.operators[0].dead = restart
		w.api.change(theKey, func(o *v1alpha1.CloudCertificate) { o.Status = backup })
		w.work(time.Hour)
		w.checkDrift()
		w.work(30 * time.Hour)
	}
	t.Run("what this process uploaded is ours", func(t *testing.T) {
		t.Parallel()
		inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
			restore(w, false)
			if w.said("event IdentityShared") != 0 || len(w.certificates()) != 1 {
				t.Errorf("%d certificates, and %d events", len(w.certificates()), w.said("event IdentityShared"))
			}
			w.api.remove(theKey)
			w.work(time.Hour)
			if len(w.certificates()) != 0 || w.api.objects[theKey] != nil {
				t.Errorf("%d certificates are left", len(w.certificates()))
			}
		})
	})
	t.Run("after a restart nobody knows", func(t *testing.T) {
		t.Parallel()
		inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
			restore(w, true)
			_, _, message := w.ready(t)
			if w.said("event IdentityShared") != 0 || len(w.certificates()) != 2 || !strings.Contains(message, "restored from a backup") {
				t.Errorf("%d certificates, %d events: %s", len(w.certificates()), w.said("event IdentityShared"), message)
			}
			w.putContent(theKey, 2)
			w.work(30 * time.Hour)
			if status := w.api.objects[theKey].Status; len(w.certificates()) != 1 || status.HistoryTotal != 0 {
				t.Errorf("the next renewal does not end it: %v", status.History)
			}
			w.checkRest()
		})
	})
}

func TestWhatIsLeftBehindIsCounted(t *testing.T) {
	t.Parallel()
	inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
		w.versions(func(*v1alpha1.CloudCertificate) {}, 0, 1)
		before := counted(t, "cloudcert_left_certificates_total", "LeftBehind")
		w.api.change(theKey, func(o *v1alpha1.CloudCertificate) { o.Spec.Region = cas.RegionInternational })
		w.work(time.Minute)
		if after := counted(t, "cloudcert_left_certificates_total", "LeftBehind"); after < before+2 || w.said("event LeftBehind") != 1 {
			t.Errorf("counted %v, want 2 more than %v", after, before)
		}
	})
}

// Thousands that were renewed at once are due to be pruned at once.
func TestPruningOfManySharesTheList(t *testing.T) {
	t.Parallel()
	const n = 300
	inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
		w.givenMany(n)
		for key := range w.api.objects {
			w.api.change(key, keepNone)
		}
		w.work(time.Minute)
		for i, key := range sortedKeys(w.api.objects) {
			w.putContent(key, (i+1)%5)
		}
		w.work(pruneDelay - time.Minute)
		lists, _ := w.calls(cas.ActionList)
		w.work(time.Hour)
		after, _ := w.calls(cas.ActionList)
		if sweep := 2*n/cas.PageSize + 1; after-lists > 5*sweep {
			t.Errorf("%d list calls to prune %d objects, want a few sweeps of %d", after-lists, n, sweep)
		}
		if got := len(w.certificates()); got != n {
			t.Errorf("%d certificates, want %d", got, n)
		}
		w.checkRest()
	})
}

// It does not run in parallel: the figure is the process's.
func TestTheFigureOfMissingCertificatesFallsWithTheRepair(t *testing.T) {
	inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
		w.versions(func(*v1alpha1.CloudCertificate) {}, 0)
		w.work(11 * time.Minute)
		w.vanish()
		w.checkDrift()
		if got := counted(t, "cloudcert_drift_missing_certificates", ownAccount, cas.RegionChina); got != 1 {
			t.Fatalf("%v certificates are missing, want 1", got)
		}
		w.work(time.Minute)
		w.operator().drift.Places(t.Context()) // it is planned anew every minute
		if got := counted(t, "cloudcert_drift_missing_certificates", ownAccount, cas.RegionChina); got != 0 {
			t.Errorf("%v are still missing after the repair", got)
		}
	})
}

func TestADoubtedLookIsNoSuccess(t *testing.T) {
	inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
		w.givenMany(20)
		w.work(15 * time.Minute)
		w.cloud.Inject(emulator.Fault{Kind: emulator.FaultHide})
		time.AfterFunc(5*time.Minute, w.cloud.ClearFaults)
		success := counted(t, "cloudcert_drift_sweeps_total", "success")
		doubted := counted(t, "cloudcert_drift_sweeps_total", "implausible")
		w.checkDrift()
		if got := counted(t, "cloudcert_drift_sweeps_total", "implausible") - doubted; got != 1 {
			t.Errorf("%v doubted checks", got)
		}
		if got := counted(t, "cloudcert_drift_sweeps_total", "success") - success; got != 1 {
			t.Errorf("%v successes, want the second check alone", got)
		}
	})
}

// What one operator remembers of its uploads says nothing of another's.
func TestAnUploadOfAnotherOperatorIsHeld(t *testing.T) {
	t.Parallel()
	inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
		w.cloud.Inject(emulator.Fault{Kind: emulator.FaultThrottle, Action: string(cas.ActionUpload), Count: 1})
		w.given(deleting)
		first := w.operator()
		for range 20 {
			first.deliver()
			first.run(work{first.queue, theKey})
			if tries, _ := w.calls(cas.ActionUpload); tries > 0 {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
		second := w.start()
		w.settle(second, time.Minute)
		if w.api.objects[theKey].Status.CertID == 0 {
			t.Fatal("nothing was uploaded")
		}
		w.api.remove(theKey)
		w.settle(first, time.Hour)
		if w.api.objects[theKey] != nil || len(w.certificates()) != 0 {
			t.Errorf("%d certificates outlive the object", len(w.certificates()))
		}
	})
}
