# SmartSpec Gateway. Everything works on a Debian with Swift, git and make; what else is needed, it installs.
SHELL := /bin/bash
.DEFAULT_GOAL := help
SWIFT_SOURCES := Package.swift Services Shared Tests

.PHONY: help run up down build test test-long fuzz differential check format bench bench-auth bench-bodies bench-ledger bench-outbox bench-faults bench-versions bench-pages pages soak-ledger clean

help: ## this list
	@echo "make TARGET, where TARGET is"; sed -nE 's/^([a-z-]+):.*## (.*)/  \1\t\2/p' Makefile | expand -t 18
	@echo; echo "Settings (ports, folders, provider keys): README.md. Verbs for one component: deploy/local/stack.sh"

run: build ## the whole gateway on this machine, in the foreground; Ctrl-C stops all of it
	@exec bash deploy/local/stack.sh run

up: build ## the same in the background
	@bash deploy/local/stack.sh up

down: ## stops what `make up` started; the data stays
	@bash deploy/local/stack.sh down

build: ## installs missing packages and builds the release executables
	@bash deploy/local/packages.sh
	@bash deploy/local/build.sh -c release

test: ## every test, against a real Postgres and RabbitMQ started for them; then the fuzzer for two minutes
	@bash deploy/local/test.sh $(ARGS)
	@$(if $(ARGS),:,bash Tests/Fuzz/fuzz.sh)

test-long: export FUZZ_SECONDS ?= 1200
test-long: export SCHEMATHESIS_EXAMPLES ?= 1000
test-long: export BILLING_DELIVERIES ?= 10000
test-long: export OUTAGE_SECONDS ?= 600
test-long: test differential ## the same, with the fuzzer for an hour, five million cases for the parsers, 1,000 random requests for each operation, 10,000 deliveries of Stripe, outages of ten minutes

fuzz: ## the fuzzer alone: the parsers, built with the address sanitizer (FUZZ_SECONDS= for each, FUZZ_SEED=)
	@bash Tests/Fuzz/fuzz.sh $(ARGS)

differential: ## the parsers of JSON and event streams next to Python's and httpx-sse's, five million cases; ten to thirty minutes (SEED=)
	@bash deploy/local/packages.sh test
	@bash Tests/Differential/differential.sh $(ARGS)

check: ## format, warnings, imports, architecture and scripts, as CI wants them
	@bash deploy/local/check.sh

format: ## formats the Swift sources
	swift format -i --recursive $(SWIFT_SOURCES)

bench: ## the proxy next to nginx, as a table of ratios
	@bash deploy/local/packages.sh bench
	@bash Tests/Benchmarks/proxy.sh

bench-auth: ## sign-ins under attack, checks of credentials, revocation; about ten minutes (BENCH_PARTS=, BENCH_GUESS_SECONDS=)
	@bash deploy/local/packages.sh bench
	@bash Tests/Benchmarks/auth.sh

bench-bodies: ## hostile bodies next to a plain one: how long each stops the other connections of a loop
	@bash deploy/local/packages.sh bench
	@bash Tests/Benchmarks/bodies.sh

bench-ledger: ## the ledger, with and without RabbitMQ, next to pgbench on the same server
	@bash deploy/local/packages.sh bench
	@bash Tests/Benchmarks/ledger.sh

bench-outbox: ## a backlog of the outbox, in rows a second
	@bash deploy/local/packages.sh
	@bash Tests/Benchmarks/outbox.sh

bench-versions: ## the proxy next to the one of another commit (OTHER=COMMIT)
	@bash deploy/local/packages.sh bench
	@OTHER=$(OTHER) bash Tests/Benchmarks/versions.sh

bench-pages: ## the pages: weight, time to the first byte next to /livez, CPU time of their service (BENCH_PAGE_REQUESTS=)
	@bash deploy/local/packages.sh
	@bash Tests/Benchmarks/pages.sh

bench-faults: ## the gateway under load while its parts fail; about an hour (BENCH_FAULTS=, BENCH_SHARE=)
	@bash deploy/local/packages.sh bench
	@bash Tests/Benchmarks/faults.sh

pages: ## renews the pictures in docs/pages
	@UPDATE_GOLDENS=1 bash deploy/local/test.sh --filter "SystemTests.*docs/pages has a picture"

soak-ledger: ## ten minutes of two ledgers that die under load, every decision checked (SOAK_SECONDS=, SOAK_SEED=)
	@bash deploy/local/packages.sh
	@bash Tests/Soak/soak.sh

clean: ## stops the local stack, deletes its data and everything built
	@bash deploy/local/stack.sh delete
	rm -rf .build
