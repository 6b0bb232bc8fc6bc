# `make` lists what there is to make. Go and make are all that run, build and test
# need; every other tool is run through Go, at the version given here.

XCADDY_VERSION   := v0.4.5
GOLANGCI_VERSION := v2.15.0

# What both binaries report as Runestone's own version, beside Caddy's: the tag,
# or the distance from it, as a version that Go accepts for a module.
VERSION = $(shell GIT_OPTIONAL_LOCKS=0 git describe --tags --match 'v[0-9]*.[0-9]*.[0-9]*' --always --dirty 2>/dev/null \
	| sed 's/^[0-9a-f]/v0.0.0-g&/' | grep . || echo v0.0.0)
VERSION_FLAG = -X github.com/caddyserver/caddy/v2.CustomVersion=runestone/$(VERSION)

# RACE=1 makes the tests, and the gateway that the end-to-end tests start, race builds.
RACE     ?=
FUZZTIME ?= 30s

XCADDY   = go run github.com/caddyserver/xcaddy/cmd/xcaddy@$(XCADDY_VERSION)
GOLANGCI = go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' Makefile

CONFIG ?= examples/quickstart.Caddyfile

.PHONY: run
run: ports build ## Run the gateway of CONFIG, by default examples/quickstart.Caddyfile
	@echo
	@echo 'Runestone will listen on http://localhost:4000 for calls to models, and on'
	@echo 'http://localhost:2019, for this machine only, for control and metrics. With OPENAI_API_KEY'
	@echo 'set it passes calls on to OpenAI; with no key at all a mock model makes the answers up.'
	@echo 'Try it in another terminal. Ctrl-C here stops it.'
	@echo
	@echo "  curl http://localhost:4000/v1/chat/completions -H 'Content-Type: application/json' \\"
	@echo "    -d '{\"model\": \"gpt-4o-mini\", \"messages\": [{\"role\": \"user\", \"content\": \"Hello!\"}]}'"
	@echo
	@bin/caddy-dev run --config $(CONFIG) --adapter caddyfile

# Only bash can ask for a port without help; where there is none, Caddy itself says
# what is wrong, though less plainly.
.PHONY: ports
ports:
	@if command -v bash >/dev/null; then for port in 4000 2019; do \
		if bash -c "</dev/tcp/127.0.0.1/$$port" 2>/dev/null; then \
			echo "Port $$port on this machine is taken, and the gateway needs it."; \
			echo "If it is an earlier run, stop that with Ctrl-C, or with: bin/caddy-dev stop"; \
			exit 1; \
		fi; \
	done; fi

.PHONY: build
build: ## Build bin/caddy-dev with go build, for development
	go build -ldflags '$(VERSION_FLAG)' -o bin/caddy-dev ./cmd/caddy

# The flags are xcaddy's own defaults, which it drops when it is given any.
.PHONY: caddy
caddy: check-manifest ## Build bin/caddy with xcaddy from xcaddy.json, for use
	@mkdir -p bin
	go run ./internal/manifest -as '$(VERSION)' >bin/xcaddy.args
	tr '\n' '\0' <bin/xcaddy.args | \
		XCADDY_GO_BUILD_FLAGS="-trimpath -tags=nobadger,nomysql,nopgx -ldflags='-w -s $(VERSION_FLAG)'" \
		xargs -0 $(XCADDY) build --output bin/caddy

# One package after another, since some tests measure; with the race detector none does.
.PHONY: test
test: redis promtool ## Run every test, end-to-end tests included, and say what was skipped; RACE=1 for the race detector
	go run ./.ci/testreport $(if $(RACE),-race,-p 1) ./... ./.ci/testreport

.PHONY: redis
redis: # The server that the tests of the Redis queue start; without one they are skipped
	@if command -v bash >/dev/null; then bash .ci/redis; fi

.PHONY: promtool
promtool: ## Check the alert rules in examples/ and run their tests, if there is a promtool
	@if command -v bash >/dev/null; then bash .ci/promtool; fi

.PHONY: race
race: ## Run every test with the race detector
	$(MAKE) test RACE=1

.PHONY: fuzz
fuzz: ## Fuzz each fuzz target for FUZZTIME (30s)
	@bash .ci/fuzz $(FUZZTIME)

.PHONY: bench
bench: ## Measure the gateway against Caddy's own reverse_proxy
	go run ./bench

.PHONY: bench-overflow
bench-overflow: redis ## Measure the queues of overflow
	go test -run '^$$' -bench . -benchtime 3s ./overflow/...

.PHONY: docs
docs: ## Write anew what documentation is made from code: docs/events.md
	go test ./telemetry -run TestReferenceIsCurrent -update

.PHONY: conformance
conformance: ## Run the official SDKs against the gateway, if npm is there
	@if command -v npm >/dev/null; then bash e2e/conformance/run.sh; \
	else echo 'Skipped: the SDKs need npm, and it is not installed.'; fi

.PHONY: browser
browser: ## Look at the dashboard with a headless Chromium, if that and npm are there
	@bash dashboard/browser/run.sh

.PHONY: fmt
fmt: ## List the files that are not formatted
	@files=$$(gofmt -s -l .) && if [ -n "$$files" ]; then \
		echo "Not formatted (make fmt-fix does it):"; echo "$$files"; exit 1; fi

.PHONY: fmt-fix
fmt-fix: ## Format them
	gofmt -s -w .

.PHONY: vet
vet: ## Run go vet
	go vet ./... ./.ci/testreport

.PHONY: lint
lint: ## Run golangci-lint; the first run compiles it, which takes minutes
	$(GOLANGCI) run ./... ./.ci/testreport

.PHONY: validate
validate: build ## Let Caddy validate every example
	@bash .ci/validate bin/caddy-dev

.PHONY: check-manifest
check-manifest: ## Check that both builds are made of the same modules
	go run ./internal/manifest -check

.PHONY: ci
ci: ## Run what CI runs
	@bash .ci/run
