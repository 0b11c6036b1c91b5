PY := .venv/bin/python
PYTHON = python3# which makes .venv: make install PYTHON=python3.12
.DEFAULT_GOAL := help
unexport PYTHONDONTWRITEBYTECODE # with it every program compiles all its libraries at each start
unexport ALL SINCE TESTS # of make alone; programs have a SINCE of their own

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 24

# An environment of Python 3.11 or newer in the folder $(1); one of an older Python is replaced.
NEW_ENOUGH = import sys; sys.exit(sys.version_info < (3, 11))
define fresh
@$(PYTHON) -c '$(NEW_ENOUGH)' 2>/dev/null || { \
  found=$$($(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null); \
  echo "needs Python 3.11 or newer; $(PYTHON) is $${found:-not there}: make $(or $(firstword $(MAKECMDGOALS)),install) PYTHON=python3.12" >&2; exit 1; }
@$(1)/bin/python -c '$(NEW_ENOUGH)' 2>/dev/null || $(PYTHON) -m venv --clear $(1) || { rm -rf $(1); exit 1; }
endef

install: .venv/.installed ## make .venv from the lock files
.venv/.installed: requirements/uv.txt requirements/dev.txt
	$(call fresh,.venv)
	$(PY) -m pip install --quiet --require-hashes -r requirements/uv.txt
	.venv/bin/uv pip sync --quiet --require-hashes --python $(PY) requirements/dev.txt
	touch $@

.venv-audit/.installed: .venv/.installed requirements/audit.txt
	$(call fresh,.venv-audit)
	.venv/bin/uv pip sync --quiet --require-hashes --python .venv-audit/bin/python requirements/audit.txt
	touch $@

adopt: .venv/.adopt ## what registering models of XGBoost, LightGBM and CatBoost needs besides
.venv/.adopt: .venv/.installed requirements/adopt.txt
	.venv/bin/uv pip install --quiet --require-hashes --python $(PY) -r requirements/adopt.txt
	touch $@

lock: install ## rewrite the lock files from requirements/*.in
	cd requirements && for set in uv dev checkov audit peers; do ../.venv/bin/uv pip compile -q --python-version 3.11 --generate-hashes --no-header --no-annotate $$set.in -o $$set.txt || exit 1; done
	cd requirements && for set in training worker tracing adopt; do ../.venv/bin/uv pip compile -q --python-version 3.11 --generate-hashes --no-header --no-annotate -c dev.txt $$set.in -o $$set.txt || exit 1; done

demo: install ## the whole way of twenty files, from training to the comparison
	$(PY) -m deploy.demo

demo-cloud: install ## the same on emulators of Pub/Sub and Cloud Storage (needs Java)
	$(PY) -m deploy.demo.cloud

up: install ## publisher with its page, two workers and the MLflow UI on this machine, staying up (MODEL=NAME: for a model of yours)
	$(PY) -m deploy.up up $(if $(MODEL),--model $(MODEL))

down: install ## end what `make up` started
	$(PY) -m deploy.up down

status: install ## backlog, receipts, models in force
	$(PY) -m publisher status

bench: install ## how fast, against a plain loop and a naive one (also Beam: see `make peers`); from a file's completion to its output; the queue
	$(PY) -m benchmarks.scoring
	$(PY) -m benchmarks.latency
	$(PY) -m benchmarks.queue

peers: .venv-peers/.installed ## what `benchmarks.scoring --peers` needs: Apache Beam
.venv-peers/.installed: requirements/peers.txt .venv/.installed
	$(call fresh,.venv-peers)
	.venv/bin/uv pip sync --quiet --require-hashes --python .venv-peers/bin/python requirements/peers.txt
	touch $@

.venv-checkov/.installed: requirements/checkov.txt .venv/.installed
	$(call fresh,.venv-checkov)
	.venv/bin/uv pip sync --quiet --require-hashes --python .venv-checkov/bin/python requirements/checkov.txt
	touch $@

checkov: .venv-checkov/.installed ## policy checks of the Terraform module
	.venv-checkov/bin/checkov -d deploy/terraform --framework terraform --skip-download --compact --quiet

terraform-check: install checkov ## the same, and the module's format, validity and tests, with gcloud.sh beside it
	REQUIRE_EMULATORS=1 $(PY) -m pytest -q tests/vms/test_module.py tests/vms/test_gcloud.py

image-check: install ## builds the images and runs the worker out of its own (root; Debian's packages)
	$(PY) -m tests.acceptance.image_check

compose-check: install ## brings compose.yaml up, uploads files, kills a worker (root; Debian's packages)
	$(PY) -m tests.acceptance.compose_check

vm-check: install ## boots a virtual machine as Terraform would, and takes it away under load (root; Debian's packages)
	$(PY) -m tests.acceptance.vm_check

TESTS = tests# which of them: make test TESTS=tests/chaos
ALL =# yes: every test
SINCE =# with ALL, "2 days ago": of the safeguards those whose file was committed to since then, and no nightly tests
MARKED = $(if $(ALL),$(if $(SINCE),not nightly),not slow and not safeguard)

test: install adopt ## the quick tests, in under four minutes
	SAFEGUARDS_SINCE="$(SINCE)" $(PY) -m pytest -m "$(MARKED)" -n $(if $(ALL),5,3) --dist worksteal $(TESTS)

test-all: ## every test; each safeguard of an invariant is taken out, and its tests are seen to fail
	$(MAKE) test ALL=yes

measure: install ## how fast, how long, how much memory: a table of figures beside their bounds (wants a quiet machine)
	$(PY) -m pytest -q -o 'python_files=measure_*.py' tests/measure

docs: install ## rewrite docs/configuration.md from the programs' settings; alert rules, dashboard and tables too
	$(PY) -m deploy.configuration
	$(PY) -m deploy.monitoring

check: install ## ruff and mypy strict (import arrows and the other linters are among the tests)
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

sbom: .venv-audit/.installed ## what a worker, and what everything here is made of: sbom/*.cdx.json (CycloneDX)
	mkdir -p sbom
	for set in worker training dev; do .venv-audit/bin/cyclonedx-py requirements --output-reproducible -o sbom/$$set.cdx.json requirements/$$set.txt || exit 1; done

audit: .venv-audit/.installed ## are vulnerabilities known of what the lock files pin? (asks the package index)
	$(PY) -m deploy.audit

.PHONY: help install adopt lock demo demo-cloud up down status bench peers measure image-check compose-check vm-check checkov terraform-check test test-all docs check sbom audit
