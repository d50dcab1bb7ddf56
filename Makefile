# `make` explains itself. Everything a target needs it gets by itself: Debian
# packages by apt (with sudo when you are not root) and Go modules.

SHELL   := /bin/bash
BIN     := bin
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
TAGS    := nomsgpack# gin's MessagePack, which nothing here speaks: several megabytes of program
GO      := go
DEMO    ?=
DESTDIR ?=
TOOLS   := $(GO) tool -modfile=tools.mod

.DEFAULT_GOAL := help
.PHONY: help demo run build install test test-system test-vm check bench screenshots deps deps-demo fmt clean docs editor

help: ## What can be done here
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: deps-demo build ## Build and run everything with a simulated Steam
	$(BIN)/left4me up --demo $(DEMO)

run: deps-demo build ## Build and run everything with the real Steam
	$(BIN)/left4me up $(DEMO)

build: ## Build the programs into bin/
	@mkdir -p $(BIN)
	CGO_ENABLED=0 $(GO) build -tags '$(TAGS)' -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/ ./cmd/...

install: build ## Lay everything out below DESTDIR, as deploy/README.md describes
	@DESTDIR='$(DESTDIR)' ./scripts/install $(BIN)

test: deps ## All tests, with the race detector
	@./scripts/test

test-system: ## Tests on a real systemd: Debian 13 in a container; needs root
	@./scripts/test-system

test-vm: ## Limits, reboot and kernels 6.12 and 6.1 in an emulated machine; needs root
	@./scripts/test-vm

check: ## Format, vet, staticcheck, import rules, tidy modules
	@./scripts/check

bench: deps build ## Benchmarks; prints each figure, where it has one beside its target
	@./scripts/deps bench
	@./scripts/bench

screenshots: deps ## Take pictures of all pages into screenshots/, README's into docs/img/
	@./scripts/screenshots

deps: ## Install what tests need: PostgreSQL, Redis, Chromium
	@./scripts/deps tests

deps-demo:
	@./scripts/deps demo

docs: ## Documents that are made from the programs: the manual page of l4d2ctl
	$(GO) run ./cmd/l4d2ctl man > docs/l4d2ctl.1.new
	mv docs/l4d2ctl.1.new docs/l4d2ctl.1

editor: ## Bundle the text editor anew from webui/editor; needs Node.js
	@./scripts/deps editor
	cd webui/editor && npm ci --ignore-scripts && npm run build

fmt: ## Format the Go code
	$(TOOLS) gofumpt -w $$(git ls-files '*.go')

clean: ## Remove what was built
	rm -rf $(BIN)
