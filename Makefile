# Every task. Each installs what it needs, once, under .tools/ (see tests/tools/setup.sh and tests/e2e/setup.sh).

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

MODULE := dist/sentry_edge_mirror.wasm
# Of the same build: with the entry points that nginx needs, and with those alone that Envoy's own mirroring needs.
ARTEFACTS := $(MODULE) dist/sentry_edge_mirror_nginx.wasm dist/sentry_edge_mirror_shadow.wasm
RAW := target/wasm32-wasip1/release/sentry_edge_mirror.wasm
PYTHON := .tools/venv/bin/python
SOURCES := $(shell find src -type f) Cargo.toml Cargo.lock build.rs rust-toolchain.toml tests/tools/finish.sh $(wildcard .git/logs/HEAD)
CARGO_HOME ?= $(HOME)/.cargo
# A shell that is older than rustup does not have it.
export PATH := $(CARGO_HOME)/bin:$(PATH)
export CARGO_TARGET_DIR := target
.NOTPARALLEL:

# No path of the building machine in what is published: two builds of one commit are the same bytes.
REMAP := --remap-path-prefix=$(CARGO_HOME)=cargo --remap-path-prefix=$(CURDIR)=.
# LLVM's threshold is made for the caches of a processor; this one takes 7 % off the module and adds 2 % to a request.
export CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS := $(REMAP) -Cllvm-args=-inline-threshold=100
# Nor its linker and its libc in the command, which so runs on any Linux.
CLI_TARGET := $(shell uname -m)-unknown-linux-musl
export CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_RUSTFLAGS := $(REMAP) -Clinker=rust-lld -Clink-self-contained=yes
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_RUSTFLAGS := $(CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_RUSTFLAGS)

.PHONY: help
help: ## this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.PHONY: demo
demo: build e2e-tools ## the main job, shown: SDKs -> Envoy -> Sentry server, the copy at RUM, the logs at SLS (KEEP=1 leaves it running)
	@$(PYTHON) tests/e2e/demo.py

.PHONY: test
test: unit web fuzz-short e2e ## every test

.PHONY: check
check: fresh-rust lint test supply-chain reproducible ## what CI runs: format, lints, every test (the cost against its baseline is one of them), the supply chain

.PHONY: build
build: $(ARTEFACTS) ## dist/sentry_edge_mirror.wasm, and the artefacts for nginx and for Envoy's own mirroring

$(ARTEFACTS) &: $(SOURCES) | cc rust
	@tests/tools/setup.sh binaryen
	@echo '  build: the module'
	cargo build --quiet --locked --release --lib --target wasm32-wasip1
	@tests/tools/finish.sh $(RAW) dist
	@stat -c '%n: %s bytes' $(ARTEFACTS)

.PHONY: cli
cli: cc rust ## dist/sentry-edge-mirror: the command that checks, explains and imports configurations
	@echo '  build: the command'
	@# The library is a cdylib for the module only: that a static target has none is no news.
	cargo build --quiet --locked --profile command --bin sentry-edge-mirror --target $(CLI_TARGET) \
		2> >(sed '/^warning: dropping unsupported crate type `cdylib`/,+1d' >&2)
	@install -D target/$(CLI_TARGET)/command/sentry-edge-mirror dist/sentry-edge-mirror

# The targets, which rustup may not install by itself.
.PHONY: rust
rust:
	@tests/tools/setup.sh rust

# The linker of the host and libFuzzer's compiler, which a fresh machine does not have.
.PHONY: cc
cc:
	@{ command -v cc && command -v c++; } >/dev/null || tests/tools/setup.sh cc

.PHONY: lint
lint: cc rust ## format, lints, links and structure, for the machine and for the module
	python3 tests/tools/links.py
	python3 tests/tools/twins.py
	python3 tests/tools/structure.py
	python3 tests/tools/release/versions.py
	cargo fmt --all --check
	cargo fmt --check --manifest-path tests/fuzz/Cargo.toml
	cargo clippy --quiet --locked --workspace --all-targets -- --deny warnings
	cargo clippy --quiet --locked --manifest-path tests/fuzz/Cargo.toml --target-dir target/fuzz --all-targets -- --deny warnings
	cargo clippy --quiet --locked --lib --target wasm32-wasip1 -- --deny warnings
	cargo clippy --quiet --locked --target wasm32-unknown-unknown --test web -- --deny warnings
	cargo clippy --quiet --locked --manifest-path benches/sls/Cargo.toml --lib --target wasm32-unknown-unknown -- --deny warnings
	RUSTDOCFLAGS='--deny warnings' cargo doc --quiet --locked --workspace --no-deps --document-private-items

.PHONY: unit
unit: build python ## unit and property tests, and the scenarios on the core and on the module
	cargo test --quiet --locked --workspace

# It runs for half a second, so unoptimised: that is built sooner.
.PHONY: web
web: cc rust ## the pure core's conformance tests on wasm32-unknown-unknown under Node
	@tests/tools/setup.sh wasm-bindgen
	@command -v node >/dev/null || tests/e2e/setup.sh
	PATH="$(CURDIR)/.tools/venv/bin:$$PATH" CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER=$(CURDIR)/.tools/bin/wasm-bindgen-test-runner \
		cargo test --locked --target wasm32-unknown-unknown --test web --config 'profile.test.package.sentry-edge-mirror.opt-level=0'

# The hostile bodies of the cost test are made in Python.
.PHONY: python
python:
	@tests/e2e/setup.sh

.PHONY: e2e-tools
e2e-tools:
	@tests/e2e/setup.sh nginx

# What the tests of the image, of the manifests, of the metrics and of the documents need besides.
.PHONY: deploy-tools
deploy-tools: e2e-tools
	@tests/e2e/setup.sh skopeo docker-registry systemd-analyze prometheus protoc curl patch
	@tests/tools/setup.sh supply-chain

.PHONY: e2e
e2e: build cli deploy-tools ## real Envoy, real SDKs, a real Sentry-compatible server
	$(PYTHON) -m pytest --numprocesses 5 --dist loadfile --no-loadscope-reorder tests/e2e

.PHONY: matrix
matrix: build cli deploy-tools ## the end-to-end suite on every Envoy that people run: tests/e2e/matrix.md, envoy/README.md (50 minutes; ONLY=1.36.4, TESTS="files")
	$(PYTHON) tests/e2e/matrix.py $(addprefix --only ,$(ONLY)) $(TESTS)

# One after the other, each also when one before it has failed.
.PHONY: nightly
nightly: ## what is too long for make check: matrix, image-check, chaos, soak, pause (two hours); each writes its results file
	@failed=; for part in matrix image-check chaos soak pause; do \
		$(MAKE) --no-print-directory $$part || failed="$$failed $$part"; \
	done; \
	[ -z "$$failed" ] || { echo "nightly: failed:$$failed" >&2; exit 1; }

.PHONY: pictures
pictures: build e2e-tools ## the dashboard's panels of an Envoy under load with faults: envoy/observability/pictures (4 minutes)
	@tests/e2e/setup.sh prometheus
	@tests/tools/setup.sh pictures
	$(PYTHON) tests/e2e/pictures/run.py $(if $(SECONDS),--seconds $(SECONDS))

.PHONY: cost
cost: build python ## what a request costs: instructions, host calls, copies, allocations (UPDATE_BASELINE=1 writes it); the largest callback
	cargo test --quiet --locked --package edge-tests --test cost -- --nocapture

# Debug information and functions that are not inlined say which files run.
TRACED := target/wasm32-wasip1/debug/traced.wasm
.PHONY: path
path: cc rust python ## the files that run for one mirrored request, for one log and for one signed write (2 minutes)
	@tests/tools/setup.sh binaryen
	cargo build --quiet --locked --lib --target wasm32-wasip1
	cargo build --quiet --locked --package edge-tests --example path
	PATH="$(CURDIR)/.tools/venv/bin:$$PATH" .tools/binaryen/node_modules/.bin/wasm-opt --enable-bulk-memory --enable-sign-ext \
		--enable-mutable-globals --enable-nontrapping-float-to-int --strip-dwarf --log-execution -g \
		target/wasm32-wasip1/debug/sentry_edge_mirror.wasm --output $(TRACED)
	target/debug/examples/path target/wasm32-wasip1/debug/sentry_edge_mirror.wasm $(TRACED)

.PHONY: bench
bench: cost bench-sls ## cost, then side by side with the alternatives, each leg (about 7 minutes; QUICK=1 about two)
	@tests/e2e/setup.sh nginx wrk
	$(PYTHON) benches/side_by_side/run.py $(if $(QUICK),--quick)
	$(PYTHON) benches/mirror_wait/run.py $(if $(QUICK),--rounds 3)

.PHONY: bench-counts
bench-counts: build ## what a mirror makes Envoy do: its instructions and allocations a request, by contender, under callgrind (6 minutes): benches/counts/results.md
	@tests/e2e/setup.sh valgrind
	$(PYTHON) benches/counts/run.py $(if $(ONLY),--only $(ONLY)) $(if $(RATE),--rate $(RATE))

.PHONY: bench-passing
bench-passing: build ## what a request costs that is not mirrored, with envoy/tee.yaml and without the module, under callgrind (10 minutes): benches/counts/passing.md
	@tests/e2e/setup.sh valgrind
	$(PYTHON) benches/counts/passing.py $(if $(ONLY),--only $(ONLY)) $(if $(RATE),--rate $(RATE))

.PHONY: pause
pause: build e2e-tools ## what each hostile body makes another client wait, in real Envoy (half an hour; QUICK=1 some minutes): benches/pause/results.md
	$(PYTHON) benches/pause/run.py $(if $(QUICK),--quick) $(if $(ONLY),--only $(ONLY))

.PHONY: idle
idle: build e2e-tools ## what Envoy holds in memory before the first request, and where (5 minutes): benches/idle/results.md
	$(PYTHON) benches/idle/run.py

.PHONY: fleet
fleet: cc rust ## a thousand workers of the core through outages, in virtual time: benches/fleet/results.md, src/manual/scale.md (6 minutes; QUICK=1 a tenth of them)
	cargo build --quiet --locked --release --package fleet
	target/release/fleet $(if $(QUICK),--quick $(ONLY),$$(git describe --always --dirty --exclude='*'))

SLS_BENCH := cargo build --quiet --locked --release --manifest-path benches/sls/Cargo.toml

.PHONY: bench-sls
bench-sls: cc rust ## the SLS leg: instructions by stage, and speed beside the official SDKs (2 minutes; the first time it builds wasmtime)
	@tests/e2e/setup.sh
	@tests/tools/setup.sh binaryen
	@echo '  build: the SLS bench'
	$(SLS_BENCH) --lib --target wasm32-unknown-unknown
	$(SLS_BENCH) --bin sls-bench
	PATH="$(CURDIR)/.tools/venv/bin:$$PATH" .tools/binaryen/node_modules/.bin/wasm-opt -O3 \
		target/wasm32-unknown-unknown/release/sls_bench.wasm --output target/sls_bench.wasm
	$(PYTHON) benches/sls/run.py target/release/sls-bench target/sls_bench.wasm $(if $(QUICK),--quick)
	$(if $(QUICK),,UPDATE=1 cargo test --quiet --locked --package fleet --test page)

.PHONY: chaos
chaos: build e2e-tools ## 48 faults with real Envoy and all legs, then hostile bodies against another project: tests/e2e/chaos/*.md (half an hour)
	@code=0; \
	$(PYTHON) tests/e2e/chaos/run.py $(if $(SECONDS),--seconds $(SECONDS)) $(if $(ONLY),--only "$(ONLY)") || code=1; \
	$(PYTHON) tests/e2e/chaos/share.py $(if $(SECONDS),--seconds $(SECONDS)) $(if $(ONLY),--only "$(ONLY)") || code=1; \
	exit $$code

.PHONY: share
share: build e2e-tools ## each hostile body ten times a second, all logs of another project arrive: every body (two hours)
	$(PYTHON) tests/e2e/chaos/share.py --all $(if $(SECONDS),--seconds $(SECONDS)) $(if $(ONLY),--only "$(ONLY)")

.PHONY: soak
soak: build e2e-tools ## mixed traffic and random faults for SECONDS (600), SEED repeats a run: memory flat, counters exact: tests/e2e/chaos/soak.md
	$(PYTHON) tests/e2e/chaos/soak.py $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED))

# The pinned Rust counts what an input covers; `address` and the like are in a nightly only: `make fuzz SANITIZER=address`
# (RUSTUP_TOOLCHAIN=nightly). The core has no unsafe code for them to look at.
SANITIZER ?= none

.PHONY: fuzz
fuzz: fuzz-build ## every fuzz target, SECONDS each (60; FUZZ="plugin scrub": only these)
	@tests/fuzz/run.sh $(or $(SECONDS),60) $(FUZZ)

.PHONY: fuzz-short
fuzz-short: fuzz-build ## the saved corpora again, and 5 s of each fuzz target
	@tests/fuzz/run.sh 5

.PHONY: fuzz-build
fuzz-build: cc rust
	@tests/tools/setup.sh supply-chain
	@echo '  build: the fuzz targets'
	@mkdir -p target && .tools/supply-chain/bin/cargo-fuzz build -O --codegen-units 16 --fuzz-dir tests/fuzz \
		--target-dir target/fuzz --sanitizer $(SANITIZER) 2>target/fuzz-build.log || { cat target/fuzz-build.log >&2; exit 1; }

.PHONY: fuzz-corpus
fuzz-corpus: fuzz-build ## saves what the fuzz targets have found to be worth keeping, minimised (FUZZ="...": only of these)
	@tests/fuzz/run.sh minimise $(FUZZ)

# IMAGE_SOURCE: where the sources are, for the annotation org.opencontainers.image.source.
.PHONY: image
image: build ## dist/image: the module as an OCI layout for Istio, Envoy Gateway and Higress (IMAGE_SOURCE=https://...)
	@tests/tools/setup.sh supply-chain
	@.tools/supply-chain/bin/python tests/tools/image/build.py $(MODULE) dist/image $(if $(IMAGE_SOURCE),--source $(IMAGE_SOURCE))

.PHONY: image-check
image-check: image deploy-tools ## the image through a registry, and out of it as a gateway takes it (20 seconds)
	$(PYTHON) -m pytest tests/e2e/test_image.py

# What it consists of: tests/tools/release/collect.py.
.PHONY: published
published: build cli image
	@.tools/supply-chain/bin/python tests/tools/release/collect.py dist/release

# It refuses to begin when CHANGELOG.md does not have the version, something is not committed, or the tag is another
# version's. RELEASE_DRY=1 only says so.
.PHONY: release
release: releasable reproducible ## dist/release: all that is published, built twice (some minutes; RELEASE_DRY=1 before it is one; IMAGE_SOURCE as for image)
	@cat dist/release/SHA256SUMS

.PHONY: releasable
releasable:
	@python3 tests/tools/release/versions.py --release || [ -n "$(RELEASE_DRY)" ]

.PHONY: supply-chain
supply-chain: published ## licences, sources and doubles (deny.toml), known vulnerabilities where RustSec can be reached, pins, the SBOM
	@tests/tools/supply_chain/deny.sh licenses bans sources
	@tests/tools/supply_chain/advisories.sh
	.tools/supply-chain/bin/python -m unittest discover --start-directory tests/tools/supply_chain

.PHONY: fresh-rust
fresh-rust: ## make installs Rust's targets by itself, also where rustup does not
	@tests/tools/fresh_rust.sh

.PHONY: reproducible
reproducible: published ## a second build in another folder, of all that a release publishes, is the same bytes (some minutes)
	@tests/tools/reproduce.sh

.PHONY: clean
clean: ## everything that was built, not the installed tools
	rm -rf target dist
