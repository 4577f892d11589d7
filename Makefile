# Copyright The cloudcert Authors.
# SPDX-License-Identifier: Apache-2.0

.SHELLFLAGS := -euc
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

TOOL := go tool -modfile=hack/tools/go.mod
# The chart lies outside the module of its tests, where go does not look before it
# takes a result from its cache: -count=1.
CHARTTEST := -C test/chart -count=1 ./...
# One goroutine acts in a schedule, where the race detector finds nothing and takes five times
# as long: the simulation runs without it.
SIMULATED := ^TestSimulation|^TestBrokenProtocolsAreCaught|^TestNothingThatIsRememberedIsNeeded
SIMULATION := -timeout=40m ./internal/simulation -run=$(SIMULATED) -schedules=10000
# test/apiserver, which waits most, is named first: go begins with it, and the others compute beside it.
TESTED := -timeout=40m -skip=$(SIMULATED) ./test/apiserver ./...
# The race detector needs a C compiler; without one the tests run, and say so.
RACE := $(shell [ "$$(go env CGO_ENABLED)" = 1 ] && command -v "$$(go env CC)" >/dev/null && echo -race)

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
IMAGE ?= ghcr.io/cloudcert-io/cloudcert:dev
PROVIDER ?= auto
PKG := github.com/cloudcert-io/cloudcert/internal/version
LDFLAGS := -s -w -X $(PKG).version=$(VERSION) -X $(PKG).commit=$(COMMIT)

.PHONY: help
help: ## Show this help.
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: generate
generate: ## Generate deepcopy code, CRDs, roles, the chart's CRDs and README, and config's alerts.
	@$(TOOL) controller-gen object:headerFile=hack/boilerplate.go.txt paths=./api/...
	@$(TOOL) controller-gen crd paths=./api/... output:crd:dir=config/crd/bases
	@$(TOOL) controller-gen rbac:roleName=cloudcert paths=./internal/controller/... paths=./cmd/manager/... output:rbac:dir=config/rbac
	@go run ./hack/chart
	@go -C test/chart tool helm-docs --chart-search-root=../../charts --sort-values-order=file --log-level=warning

# What generate writes. Anything else may differ from the commit while verify runs.
GENERATED := 'api/*/zz_generated.*' config/crd/bases config/rbac/role.yaml config/prometheus/prometheus_rule.yaml 'charts/cloudcert/templates/crd_*.yaml' charts/cloudcert/README.md

# What stays although no program calls it: tests' own parts, what the emulator offers to tests in
# the same process, and what fmt calls by itself.
ALIVE := -e '^test/' -e '^hack/' -e 'internal/emulator/' -e 'internal/bundle/bundletest/' -e 'secret.Format'

# vet leaves hack/cluster out: its one file is compiled where it is needed, and vet would
# compile all of cert-manager another time.
.PHONY: verify
verify: generate ## Regenerate; fail if that is not committed, a module is not tidy, vet complains or code is dead.
	@git diff --exit-code -- $(GENERATED) || { echo "error: these are not what is committed: stage them if they should be" >&2; exit 1; }
	@new="$$(git ls-files --others --exclude-standard -- $(GENERATED))"; [ -z "$$new" ] || { echo "error: not in git: $$new" >&2; exit 1; }
	@for module in . hack/cluster hack/prometheus hack/tools test/chart; do go -C "$$module" mod tidy -diff; done
	@for module in . test/chart; do go -C "$$module" vet -tags=e2e,bench ./...; done
	@dead="$$($(TOOL) deadcode ./cmd/... ./test/... ./hack/... | grep -v $(ALIVE) || true)"; [ -z "$$dead" ] || { echo "error: no program calls these:"; echo "$$dead"; exit 1; } >&2

.PHONY: lint
lint: ## Run the linters, also over the workflows and the release's configuration.
	@linter="$$(go run ./hack/assets linter)" && "$$linter" run ./... && cd test/chart && "$$linter" run ./...
	@$(TOOL) actionlint -shellcheck= -pyflakes=
	@$(TOOL) goreleaser check --quiet

.PHONY: test
test: ## Run unit tests, tests on a real API server and those of the chart.
ifeq ($(RACE),)
	@echo "no C compiler was found: the race detector is off" >&2
endif
	@assets="$$(go run ./hack/assets)" && prometheus="$$(go run ./hack/assets prometheus)" && \
	  KUBEBUILDER_ASSETS="$$assets" PROMETHEUS_ASSETS="$$prometheus" hack/test '$(RACE) $(TESTED)' '$(SIMULATION)' '$(CHARTTEST)'

.PHONY: chart
chart: ## Lint the Helm chart and test what it renders, refuses and grants.
	@go -C test/chart tool helm lint --strict --quiet ../../charts/cloudcert
	@assets="$$(go run ./hack/assets)" && KUBEBUILDER_ASSETS="$$assets" hack/test '$(CHARTTEST)'

.PHONY: demo
demo: build ## Tell the whole story on this machine; KEEP=1 leaves everything running.
	@assets="$$(go run ./hack/assets)" && KUBEBUILDER_ASSETS="$$assets" go run ./test/demo

.PHONY: e2e
e2e: ## Test on a real cluster: kind's, or as root a node of its own; RUN=<regexp> selects.
	@go build -o bin/e2e ./hack/e2e && exec bin/e2e -provider='$(PROVIDER)' go test -tags e2e -count=1 -timeout 30m -v -run '$(RUN)' ./test/e2e

.PHONY: e2e-end
e2e-end: ## As root, interrupt and kill such nodes, and see that nothing is left of them.
	@go test -tags e2e -count=1 -timeout 40m -run LeavesNothing ./hack/e2e/node

# exec: an interrupt reaches the benchmark itself, which ends what it started.
BENCH = assets="$$(go run ./hack/assets)" && go build -o bin/bench ./test/bench && KUBEBUILDER_ASSETS="$$assets" exec bin/bench --commit=$(COMMIT)

.PHONY: bench
bench: build ## Measure speed and memory (40 minutes); ARGS=-h shows its flags.
	@$(BENCH) --json=bin/bench.json --plots=bin $(ARGS)

.PHONY: bench-quick
bench-quick: build ## Keep the benchmark alive: a tenth of the size, judging counts alone.
	@$(BENCH) --quick --lanes=4 $(ARGS)

.PHONY: build
build: ## Build the operator and the emulator into bin/.
	@CGO_ENABLED=0 go build -trimpath -ldflags='$(LDFLAGS)' -o bin/ ./cmd/...

.PHONY: image
image: ## Build the container image IMAGE with docker or buildah.
	@go run ./hack/image -name='$(IMAGE)' -version='$(VERSION)' -commit='$(COMMIT)'

# A version, where no image is named: what is installed should say what it is.
build-installer: IMAGE := $(if $(filter file,$(origin IMAGE)),ghcr.io/cloudcert-io/cloudcert:$(VERSION:v%=%),$(IMAGE))
.PHONY: build-installer
build-installer: ## Write config/default with IMAGE, else VERSION's image, into dist/install.yaml.
	@go -C test/chart run ./installer -folder=../../config/default -image='$(IMAGE)' -output=../../dist/install.yaml

.PHONY: release-snapshot
release-snapshot: build-installer ## Make what a release publishes on GitHub in dist/release, and publish nothing.
	@$(TOOL) goreleaser release --snapshot --clean

.PHONY: assets-dir
assets-dir: ## Obtain etcd and kube-apiserver if need be, and print their folder.
	@go run ./hack/assets
