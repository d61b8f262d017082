# Everything a developer types. `make setup` may be repeated at any time; every other target does it first.
.ONESHELL:

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
VENV := .venv
PYTHON := $(VENV)/bin/python
# Another interpreter than the system's: make setup BASE_PYTHON=/path/to/python3
BASE_PYTHON :=
# Commands that some tests use, and their packages: Go 1.19 (Debian 12 has it), a browser for the HTML page, node for other
# viewers' importers, qemu for arm64 programs.
# Where there is no such package (Ubuntu has Chromium as a snap only) those tests are skipped.
TEST_TOOLS := chromium=chromium node=nodejs npm=npm go-1.19=golang-1.19-go qemu-aarch64=qemu-user
# What others offer for the same work; the bench leaves out what is not there, and says so.
BENCH_TOOLS := bpftrace=bpftrace trace-bpfcc=bpfcc-tools uftrace=uftrace gcc=gcc
PACKAGES := python3 python3-venv python3-bpfcc gcc libc6-dev binutils zstd
APT_INSTALL := $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends
SOURCES := funcrec tests demo docs
PYTEST := $(VENV)/bin/pytest -q -n 2 --dist worksteal

.PHONY: help setup packages test-packages bench-packages lint test test-failed test-unit test-bpf test-all test-real demo bench bench-guard soak fuzz golden build clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: packages $(VENV)/.ready ## system packages, virtual environment, Go toolchain; leaves .venv/bin/funcrec
	@$(PYTHON) -m tests.toolchain

# apt-get runs only when something is missing: no network and no root are needed the second time.
packages:
	@missing=()
	for package in $(PACKAGES); do
	    [[ $$(dpkg-query -W -f '$${Status}' $$package 2>/dev/null) == *' installed' ]] || missing+=($$package)
	done
	(( $${#missing[@]} )) || exit 0
	if ! command -v apt-get >/dev/null; then
	    echo "no apt-get here; install the equivalents of: $${missing[*]}" >&2
	    exit 0
	fi
	echo "installing $${missing[*]}"
	$(SUDO) apt-get update -qq
	$(APT_INSTALL) "$${missing[@]}" >/dev/null

# Tried once for each environment.
test-packages: setup $(VENV)/.test-tools
bench-packages: setup $(VENV)/.bench-tools
$(VENV)/.test-tools: tools := $(TEST_TOOLS)
$(VENV)/.bench-tools: tools := $(BENCH_TOOLS)
$(VENV)/.test-tools $(VENV)/.bench-tools: | $(VENV)/.ready
	@for tool in $(tools); do
	    command -v $${tool%=*} >/dev/null || ! command -v apt-get >/dev/null && continue
	    echo "installing $${tool#*=}"
	    [[ $$(apt-cache policy $${tool#*=}) == *'Candidate: '[0-9]* ]] || $(SUDO) apt-get update -qq
	    $(APT_INSTALL) $${tool#*=} >/dev/null 2>&1 || echo "no package $${tool#*=} here: what needs it is left out"
	done
	touch $@

# --group needs pip 25.1, which is newer than the pip of Debian 12 and Ubuntu 24.04.
$(VENV)/.ready: pyproject.toml
	@base=$(BASE_PYTHON)
	for candidate in /usr/bin/python3 python3 python3.14 python3.13 python3.12 python3.11; do
	    [[ -z $$base ]] || break
	    ! $$candidate -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || base=$$candidate
	done
	[[ -n $$base ]] || { echo "Python 3.11 or newer is needed: make setup BASE_PYTHON=/path/to/python3" >&2; exit 1; }
	[[ -x $(PYTHON) ]] || $$base -m venv $(VENV)
	echo "installing the Python packages"
	export PIP_DISABLE_PIP_VERSION_CHECK=1
	$(PYTHON) -m pip install --quiet --upgrade 'pip>=25.1'
	$(PYTHON) -m pip install --quiet --editable . --group test --group lint --group build
	touch $@

lint: setup ## ruff and mypy
	@$(VENV)/bin/ruff check $(SOURCES)
	$(VENV)/bin/ruff format --check $(SOURCES)
	$(VENV)/bin/mypy

test: test-packages ## all tests but the long matrices; with root they use real uprobes
	@$(PYTEST) -m 'not slow'

test-failed: test-packages ## what failed the last time, one test after the other
	@$(VENV)/bin/pytest -q --last-failed --last-failed-no-failures none -m 'not slow'

test-unit: setup ## what needs no root: unit, property and golden tests
	@$(PYTEST) -m 'not slow' tests/unit tests/property tests/golden

test-bpf: setup ## the tests with real uprobes only
	@FUNCREC_REQUIRE_BPF=1 $(PYTEST) -m 'bpf and not slow'

test-all: test-packages ## all tests, with every Go version and build variant
	@$(PYTEST)

test-real: setup ## etcd, caddy, hugo, prometheus and the API server of Kubernetes at pinned versions, under load; builds take minutes
	@FUNCREC_REAL=1 $(VENV)/bin/pytest -q -s tests/real

demo: setup ## build real Go programs, record them under load: a call graph, then a release compared with the one before
	@SUDO='$(SUDO)' demo/call-graph
	SUDO='$(SUDO)' demo/story

bench: bench-packages ## cost, start-up, drain and replay as ratios within one run, other tools beside it; the table goes to bench/results
	@$(PYTHON) -m tests.bench

bench-guard: setup ## fail when a traced call has become much dearer than an empty program at the same sites
	@$(PYTHON) -m tests.bench.guard

SOAK_KILLS ?= 500
soak: setup ## kill recorders at random moments, SOAK_KILLS times: nothing left behind, files readable
	@$(PYTHON) -m tests.soak.kills $(SOAK_KILLS)

FUZZ_MINUTES ?= 60
fuzz: setup ## hostile traces through the reader, every view and export, guided by coverage, for FUZZ_MINUTES
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --group fuzz
	$(PYTHON) -m tests.fuzz --coverage --minutes $(FUZZ_MINUTES)

golden: setup ## add golden traces and listings that are missing
	@$(PYTHON) -m tests.golden.make

build: setup ## wheel and sdist in dist/
	@$(PYTHON) -m build --no-isolation --outdir dist

clean: ## remove everything that was built or fetched
	rm -rf $(VENV) .cache build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
