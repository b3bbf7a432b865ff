# Every target is a thin name for a script; `scripts/env` holds what they share.
# PYTHON=/path/to/python3 chooses the CPython that the module embeds.
SHELL := /bin/bash
.DEFAULT_GOAL := help

.PHONY: help setup build run demo test test-rust test-python lint fmt bench bench-plot test-trixie wheel clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

setup: ## install what is missing (quick when nothing is)
	@scripts/setup

build: setup ## target/release/libinterlock.so
	@scripts/build

run: build ## a server with the module in the foreground (PORT=6379 ARGS="SAFEMODE yes")
	@scripts/run

demo: build ## a finite tour: Python functions and a concurrent scan while PING stays fast
	@scripts/demo

test: test-rust test-python ## Rust tests and python_tests

test-rust: build ## engine, module and layering tests
	@scripts/test-rust

test-python: build ## python_tests against a stock server (TESTS="-k keys" to choose)
	@scripts/test-python

lint: setup ## rustfmt, clippy with the workspace's lints, Python and shell syntax
	@scripts/lint

fmt: ## format the Rust code
	@cargo fmt --all

bench: build ## the measurements that the documentation quotes (N=1000000 keys)
	@scripts/bench

test-trixie: ## python_tests in a Debian trixie root: Python 3.13, Redis 8, Valkey 8 (as root)
	@scripts/test-trixie

wheel: setup ## the Python package interlock-redis, as dist/*.whl
	@scripts/wheel

clean: ## what was built (not the test environments)
	@cargo clean
