# The front door. Every target does its own set-up: as root it installs what is missing, else it says what is.

MESTRE_DEPS ?= $(HOME)/.cache/mestre
export MESTRE_DEPS
JOBS ?= $(shell nproc)

CMAKE := $(MESTRE_DEPS)/venv/bin/cmake
CTEST := $(MESTRE_DEPS)/venv/bin/ctest
RELEASE_PRESET := $(if $(CI),ci,release)
CTEST_FLAGS := --output-on-failure --no-tests=error -j $(JOBS)

.DEFAULT_GOAL := build
.NOTPARALLEL:  # the tools that the targets call run in parallel themselves
.PHONY: build test quickstart format check bench clean help setup setup-test configure tests test-asan

build: configure  ## both programs, in build/release/bin/
	$(CMAKE) --build build/release -j $(JOBS) --target programs

test: setup-test format-check tests test-asan tidy  ## everything but what needs a GPU: format, tidy, sanitizers, then the tests
	$(CTEST) --test-dir build/release $(CTEST_FLAGS) -LE gpu

QUICKSTART_TEXT = $(wildcard $(MESTRE_DEPS)/venv/lib/python3*/site-packages/torch/include)
quickstart: build  ## train and compare five tiny models on real text, to a table and four figures
	build/release/bin/mestre data prepare torch-headers "$(QUICKSTART_TEXT)" --include '*.h' --holdout 0.03
	build/release/bin/mestre run experiments/quickstart.toml --report

bench: configure  ## build and run the benchmarks
	$(CMAKE) --build build/release -j $(JOBS) --target benches
	for bench in build/release/bench/*; do echo "== $${bench##*/}"; "$$bench" || exit; done

format: setup-test  ## rewrite the sources in the project's format
	tools/sources.py | xargs -d '\n' clang-format-14 -i

check: setup-test format-check configure  ## what needs no running: format, clang-tidy, include layers, of sources with Torch too
	tools/tidy.py build/release -j $(JOBS) --torch
	tests/layers/headers.py build/release --torch
	tests/layers/layers.py

clean:  ## remove build/ (never the shared folder $MESTRE_DEPS)
	rm -rf build

help:  ## print this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

# The steps behind them.

setup:
	@tools/setup.sh build run
setup-test:
	@tools/setup.sh build run test

# Configured once for each preset; after that ninja itself sees when CMake must run again.
configure_preset = $(CMAKE) --preset $(1) -DCMAKE_MAKE_PROGRAM=$(MESTRE_DEPS)/venv/bin/ninja --log-level=WARNING >/dev/null

configure: setup build/release/configured-$(RELEASE_PRESET)
build/release/configured-$(RELEASE_PRESET): CMakePresets.json
	@$(call configure_preset,$(RELEASE_PRESET))
	@rm -f build/release/configured-* && touch $@

build/asan/configured: CMakePresets.json
	@$(call configure_preset,asan)
	@touch $@

tests: configure
	$(CMAKE) --build build/release -j $(JOBS)

test-asan: setup-test build/asan/configured
	$(CMAKE) --build build/asan -j $(JOBS)
	$(CTEST) --test-dir build/asan $(CTEST_FLAGS) -LE 'gpu|slurm|numeric'

.PHONY: format-check tidy
format-check: setup-test
	tools/sources.py | xargs -d '\n' clang-format-14 --dry-run --Werror

tidy: tests
	tools/tidy.py build/release -j $(JOBS)
