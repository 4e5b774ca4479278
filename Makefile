# KERNELS chooses the kernels of the VM tests: make test-vm KERNELS="5.10 7.2", or KERNELS=all
KERNELS ?= 6.1 6.12
# ESCAPES_KERNELS chooses those on which the ways around a rule are tried.
ESCAPES_KERNELS ?= 6.1 6.12 7.2
VERSION ?= $(or $(patsubst v%,%,$(shell git describe --tags --match 'v[0-9]*' 2>/dev/null)),0.1.0)
FUZZTIME ?= 20s
VM_TIMEOUT ?= 40m
# How many guests run at once. Each takes one core and up to 2 GB.
VM_JOBS ?= 2

# Tests of a package inside the minimal guest, on every kernel (build tag "kernel"): name=package, one a line.
KERNEL_TESTS := \
	bpflsm=./lsm/bpflsm

# Tests of the installed .deb inside the full guest (build tag "e2e"): name=package=variable that names the kernels, one a line.
E2E_TESTS := \
	e2e=./test/e2e=able \
	escapes=./test/escapes=escaping

PROGRAMS := build/hostarmord build/hostarmor

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

override kernels := $(if $(filter all,$(KERNELS)),5.10 6.1 6.12 7.2,$(KERNELS))
NFPM_VERSION ?= v2.45.2
NFPM := go run github.com/goreleaser/nfpm/v2/cmd/nfpm@$(NFPM_VERSION)
STATICCHECK := go run honnef.co/go/tools/cmd/staticcheck@v0.8.2
LDFLAGS := -s -w -X main.version=$(VERSION) -X main.commit=$(shell git rev-parse HEAD 2>/dev/null)

.PHONY: FORCE
FORCE:

.PHONY: help
help: ## list the targets (this)
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  KERNELS=\"$(KERNELS)\" (5.10 6.1 6.12 7.2, or all), ESCAPES_KERNELS=\"$(ESCAPES_KERNELS)\", VM_JOBS=$(VM_JOBS), VERSION=$(VERSION), FUZZTIME=$(FUZZTIME)"

.PHONY: generate
generate: deps-bpf ## regenerate the BPF objects and all other generated files
	go generate ./...

.PHONY: build
build: $(PROGRAMS) ## static binaries into build/

$(PROGRAMS): build/%: FORCE
	CGO_ENABLED=0 go build -trimpath -ldflags "$(LDFLAGS)" -o $@ ./cmd/$*

# -short leaves out the longest of the random tests, which have no goroutines.
.PHONY: test
test: deps check ## everything: format, vet, unit tests, race detector, lint, VM tests
	@echo "test: unit tests"
	go test ./...
	@echo "test: unit tests under the race detector"
	CGO_ENABLED=1 go test -race -short ./...
	@echo "test: lint"
	@$(MAKE) --no-print-directory lint
	@echo "test: tests on real kernels ($(kernels); escapes: $(escaping)), $(VM_JOBS) at a time"
	@$(MAKE) --no-print-directory test-vm
	@echo "test: everything passed"

.PHONY: check
check: ## gofmt and go vet
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "not formatted (run gofmt -w): $$unformatted" >&2; exit 1; fi
	go vet ./...
	go vet -tags kernel,bench,e2e,large,soak,vm ./...

.PHONY: lint
lint: check deps-bpf ## check, go.mod, staticcheck, and are the generated files up to date
	go mod tidy -diff
	$(STATICCHECK) ./...
	$(STATICCHECK) -tags kernel,bench,e2e,large,soak,vm ./...
	test/vm/generated.sh

# All of them run, and then it fails if one has failed.
.PHONY: test-vm
test-vm: ## tests on real kernels in QEMU: KERNELS="6.1 6.12"
	@rm -rf build/log
	@code=0; $(MAKE) --no-print-directory -k -j $(VM_JOBS) test-smoke test-kernel test-e2e || code=$$?; \
		echo; echo "Tests on real kernels:"; cat build/log/*.result || true; exit $$code

.PHONY: test-smoke
test-smoke: vm
	test/vm/logged.sh $@ go test -count=1 -timeout 20m -tags vm ./test/vm/...

.PHONY: test-kernel test-e2e
test-kernel:
test-e2e:

# in-vm starts a test binary in a guest: $(call in-vm,kernel,flags,binary)
in-vm = test/vm/logged.sh $$@ build/vm run --kernel $1 --timeout $(VM_TIMEOUT) $2 -- $3 -test.v -test.timeout 0

define kernel-test
build/$1.test: FORCE
	CGO_ENABLED=0 go test -c -tags kernel -o $$@ $2
$(foreach k,$(kernels),$(call kernel-test-on,$1,$k))
endef
define kernel-test-on

.PHONY: test-kernel-$1-$2
test-kernel-$1-$2: vm build/$1.test
	$(call in-vm,$2,--guest minimal,build/$1.test)
test-kernel: test-kernel-$1-$2

endef
$(foreach t,$(KERNEL_TESTS),$(eval $(call kernel-test,$(word 1,$(subst =, ,$t)),$(word 2,$(subst =, ,$t)))))

# 5.10 cannot enforce by BPF-LSM: test-kernel proves that it says so, and nothing more can be tested there.
able := $(filter-out 5.10,$(kernels))
escaping := $(filter-out 5.10,$(ESCAPES_KERNELS))

define e2e-test
build/$1.test: FORCE
	CGO_ENABLED=0 go test -c -tags e2e -o $$@ $2
$(foreach k,$($3),$(call e2e-test-on,$1,$k))
endef
define e2e-test-on

.PHONY: test-e2e-$1-$2
test-e2e-$1-$2: vm-full deb build/$1.test
	$(call in-vm,$2,--guest full --file "$$$$(echo dist/hostarmor_*.deb)",build/$1.test)
test-e2e: test-e2e-$1-$2

endef
$(foreach t,$(E2E_TESTS),$(eval $(call e2e-test,$(word 1,$(subst =, ,$t)),$(word 2,$(subst =, ,$t)),$(word 3,$(subst =, ,$t)))))

.PHONY: test-large
test-large: vm-full deb ## 100,000 rules through the service, in an emulated guest: minutes
	CGO_ENABLED=0 go test -c -tags e2e,large -o build/large.test ./test/e2e
	build/vm run --kernel $(firstword $(able)) --guest full --memory 4000 --timeout 30m --file "$$(echo dist/hostarmor_*.deb)" -- \
		build/large.test -test.run '^TestLarge$$' -test.v -test.timeout 0

# Minutes of load, and what the guest and the test need around it.
DURATION ?= 30m

.PHONY: soak
soak: vm-full deb ## everything at once for DURATION: nothing is judged wrongly, nothing grows
	CGO_ENABLED=0 go test -c -tags e2e,soak -o build/soak.test ./test/e2e
	build/vm run --kernel $(firstword $(able)) --guest full --timeout $$(( $(DURATION:m=) + 20 ))m --file "$$(echo dist/hostarmor_*.deb)" -- \
		build/soak.test -test.run '^TestSoak$$' -test.v -test.timeout 0 -soak $(DURATION) $(SOAK_FLAGS)

# The first seed, the number of policy sets, and the accesses under each.
RANDOM_SETS ?= 1000 60 1750

.PHONY: random verifier-cost
random: $(addprefix random-,$(able)) ## 100,000 random accesses, judged by the kernel and by the reference
verifier-cost: $(addprefix verifier-cost-,$(able)) ## write the verifier's counts of KERNELS anew, for the diff to be read

.PHONY: $(addprefix random-,$(able)) $(addprefix verifier-cost-,$(able))
$(addprefix random-,$(able)): random-%: vm build/bpflsm.test
	build/vm run --kernel $* --env BPFLSM_RANDOM="$(RANDOM_SETS)" --timeout $(VM_TIMEOUT) -- \
		build/bpflsm.test -test.run '^TestRandomPolicies$$' -test.v -test.timeout 0

$(addprefix verifier-cost-,$(able)): verifier-cost-%: vm build/bpflsm.test
	build/vm run --kernel $* --env BPFLSM_VERIFIER_COST=/job/verifier.txt --get /job/verifier.txt:lsm/bpflsm/testdata/verifier/$*.txt \
		--timeout $(VM_TIMEOUT) -- build/bpflsm.test -test.run '^TestVerifierCost$$' -test.timeout 0

# Reboots of one machine, driven from here.
boot_tests := $(addprefix test-boot-,$(able))
.PHONY: $(boot_tests)
test-e2e: $(boot_tests)
$(boot_tests): test-boot-%: vm-full deb
	test/vm/logged.sh $@ env KERNELS=$* go test -count=1 -timeout 1h -v -tags vm ./test/e2e/boot

# The harness itself, and its cache.
.PHONY: vm vm-full
vm: deps-vm build/vm
	build/vm prepare --kernels "$(sort $(kernels) $(escaping) 6.1)"
vm-full: vm
	build/vm prepare --kernels "" --guest full

build/vm: FORCE
	CGO_ENABLED=0 go build -trimpath -o $@ ./test/vm/cmd/vm

.PHONY: demo
demo: vm-full deb ## a policy at work on a real machine, in about two minutes
	test/vm/demo/demo.sh

.PHONY: deb
deb: build ## dist/hostarmor_VERSION_amd64.deb
	mkdir -p dist
	rm -f dist/hostarmor_*.deb
	VERSION=$(VERSION) ARCH=amd64 $(NFPM) package --config packaging/nfpm.yaml --packager deb --target dist/

.PHONY: rpm
rpm: build ## dist/hostarmor-VERSION.x86_64.rpm
	mkdir -p dist
	rm -f dist/hostarmor-*.rpm
	VERSION=$(VERSION) ARCH=amd64 $(NFPM) package --config packaging/nfpm.yaml --packager rpm --target dist/

.PHONY: corpus
corpus: ## what becomes of other people's KubeArmor policies: make corpus DIR=...
	@test -n "$(DIR)" || { echo "corpus: say where they are: make corpus DIR=..." >&2; exit 2; }
	go run ./test/corpus $(DIR)

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME
	@for package in $$(go list ./...); do \
		targets=$$(go test -list '^Fuzz' $$package | { grep '^Fuzz' || true; }); \
		for target in $$targets; do \
			echo "fuzz $$package $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package; \
		done; \
	done

.PHONY: bench
bench: ## benchmarks of the pure parts, and instruction counts on KERNELS (docs/benchmarks.md)
	go test -run '^$$' -bench . -benchmem ./...
	@$(MAKE) --no-print-directory -k -j $(VM_JOBS) $(addprefix bench-cost-,$(kernels))

# Under icount a nanosecond of the guest's clock is one instruction, so a busy machine changes nothing.
.PHONY: $(addprefix bench-cost-,$(kernels))
$(addprefix bench-cost-,$(kernels)): bench-cost-%: vm build/bpflsm-bench.test
	test/vm/logged.sh $@ build/vm run --kernel $* --icount --memory 3000 --timeout $(VM_TIMEOUT) -- \
		build/bpflsm-bench.test -test.run '^Test(Cost|RenameStorm)$$' -test.v

build/bpflsm-bench.test: FORCE
	CGO_ENABLED=0 go test -c -tags kernel,bench -o $@ ./lsm/bpflsm

.PHONY: deps deps-vm deps-bpf
deps:
	test/vm/deps.sh all
deps-vm:
	test/vm/deps.sh vm
deps-bpf:
	test/vm/deps.sh bpf

.PHONY: clean
clean: ## remove build/ and dist/ (the VM cache stays)
	rm -rf build dist
