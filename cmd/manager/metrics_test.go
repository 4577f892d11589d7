// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
)

const readersToken = "header.payload.signature-of-prometheus"

// reviewer answers reviews as an API server does, and keeps what it was asked.
type reviewer struct {
	broken  bool
	asked   []authorizationv1.SubjectAccessReviewSpec
	reviews int
}

func (a *reviewer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.reviews++
	w.Header().Set("Content-Type", "application/json")
	switch {
	case a.broken:
		http.Error(w, `{"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "etcd is away", "code": 500}`, http.StatusInternalServerError)
	case strings.HasSuffix(r.URL.Path, "/tokenreviews"):
		review := &authenticationv1.TokenReview{}
		_ = json.NewDecoder(r.Body).Decode(review)
		review.Status = authenticationv1.TokenReviewStatus{Error: "invalid bearer token"}
		if name, ok := strings.CutPrefix(review.Spec.Token, "header.payload.signature-of-"); ok {
			review.Status = authenticationv1.TokenReviewStatus{Authenticated: true, User: authenticationv1.UserInfo{
				Username: name, UID: "uid-of-" + name, Groups: []string{"system:authenticated"},
				Extra: map[string]authenticationv1.ExtraValue{"pod": {"a", "b"}},
			}}
		}
		_ = json.NewEncoder(w).Encode(review)
	default:
		review := &authorizationv1.SubjectAccessReview{}
		_ = json.NewDecoder(r.Body).Decode(review)
		a.asked = append(a.asked, review.Spec)
		review.Status.Allowed = review.Spec.User == "prometheus" && review.Spec.NonResourceAttributes.Verb == "get"
		_ = json.NewEncoder(w).Encode(review)
	}
}

// readable makes clients speak JSON, which the reviewer reads.
func readable(server *httptest.Server) *rest.Config {
	return &rest.Config{Host: server.URL, ContentConfig: rest.ContentConfig{ContentType: runtime.ContentTypeJSON}}
}

func TestMetricsAreGuarded(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		broken        bool
		method        string
		authorization string
		want          int
		reviews       int
	}{
		"a reader":                     {authorization: "Bearer " + readersToken, want: http.StatusOK, reviews: 2},
		"a reader, scheme in any case": {authorization: "bearer " + readersToken, want: http.StatusOK, reviews: 2},
		"a reader who wants to write":  {method: http.MethodPost, authorization: "Bearer " + readersToken, want: http.StatusForbidden, reviews: 2},
		"somebody without the right":   {authorization: "Bearer header.payload.signature-of-stranger", want: http.StatusForbidden, reviews: 2},
		"a token that is not known":    {authorization: "Bearer forged", want: http.StatusUnauthorized, reviews: 1},
		"no token":                     {want: http.StatusUnauthorized},
		"an empty token":               {authorization: "Bearer ", want: http.StatusUnauthorized},
		"another scheme":               {authorization: "Basic cHJvbWV0aGV1czp4", want: http.StatusUnauthorized},
		"an API server that fails":     {broken: true, authorization: "Bearer " + readersToken, want: http.StatusInternalServerError, reviews: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api := &reviewer{broken: tc.broken}
			server := httptest.NewServer(api)
			t.Cleanup(server.Close)
			var logged strings.Builder
			log := funcr.New(func(prefix, args string) { logged.WriteString(prefix + args) }, funcr.Options{Verbosity: 9})
			passed := false
			next := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { passed = true })
			handler, err := guardMetrics(readable(server), server.Client(), log, next)
			if err != nil {
				t.Fatal(err)
			}
			request := httptest.NewRequest(tc.method, "/metrics", nil)
			if tc.authorization != "" {
				request.Header.Set("Authorization", tc.authorization)
			}
			answer := httptest.NewRecorder()
			handler.ServeHTTP(answer, request)
			if answer.Code != tc.want || passed != (tc.want == http.StatusOK) {
				t.Errorf("answered %d, want %d; let through: %t", answer.Code, tc.want, passed)
			}
			if api.reviews != tc.reviews {
				t.Errorf("%d requests to the API server, want %d", api.reviews, tc.reviews)
			}
			if challenge := answer.Header().Get("WWW-Authenticate"); (challenge != "") != (tc.want == http.StatusUnauthorized) {
				t.Errorf("WWW-Authenticate: %q", challenge)
			}
			if tc.broken == (logged.Len() == 0) || strings.Contains(logged.String()+answer.Body.String(), "signature") {
				t.Errorf("the log says %q, the answer %q", &logged, answer.Body)
			}
		})
	}
}

// Everything that is known of a user goes into the question what he may.
func TestTheReviewIsOfTheWholeUser(t *testing.T) {
	t.Parallel()
	api := &reviewer{}
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	handler, err := guardMetrics(readable(server), server.Client(), funcr.New(func(string, string) {}, funcr.Options{}), http.NotFoundHandler())
	if err != nil {
		t.Fatal(err)
	}
	request := httptest.NewRequest(http.MethodGet, "/metrics?name[]=x", nil)
	request.Header.Set("Authorization", "Bearer "+readersToken)
	handler.ServeHTTP(httptest.NewRecorder(), request)
	want := []authorizationv1.SubjectAccessReviewSpec{{
		User: "prometheus", UID: "uid-of-prometheus", Groups: []string{"system:authenticated"},
		Extra:                 map[string]authorizationv1.ExtraValue{"pod": {"a", "b"}},
		NonResourceAttributes: &authorizationv1.NonResourceAttributes{Path: "/metrics", Verb: "get"},
	}}
	if diff := cmp.Diff(want, api.asked); diff != "" {
		t.Errorf("the review (-want +got):\n%s", diff)
	}
}
