# Everything flocksy needs is made here, from a machine that has Python 3.11+ with venv and make.
PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin

# Compiled once, whatever the machine has set, and not by each of the thousand processes that the tests start.
export PYTHONDONTWRITEBYTECODE =

.PHONY: rig test fuzz soak soak-crash soak-long soak-many soak-million soak-planner soak-sparse \
	lint compiled bench adversary adversary-quick explore-deep adversary-single adversary-active adversary-report \
	play soak-faults test-mounts lock clean

rig: $(VENV)/.installed
	$(BIN)/python -m benchmarks.rig

test: $(VENV)/.installed-dev
	@$(MAKE) --no-print-directory -j 2 lint compiled
	$(BIN)/python -m pytest -n 4 --dist worksteal

# Every worker would compile all tests for itself when they begin, all at once.
compiled: $(VENV)/.installed-dev
	@$(BIN)/python -m pytest --collect-only -q -q >/dev/null || true  # the tests will say why

lint: $(VENV)/.installed-dev
	$(BIN)/python fsm/generate.py --check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --platform win32
	$(BIN)/mypy --platform darwin

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.lock pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --require-hashes --only-binary :all: -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/.installed-dev: requirements-dev.lock $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --require-hashes --only-binary :all: -r requirements-dev.lock
	touch $@

# Two cores, otherwise idle; some minutes. The figures and their machine are in docs/performance.md.
bench: $(VENV)/.installed
	$(BIN)/python -m benchmarks.goodput
	$(BIN)/python -m benchmarks.latency
	$(BIN)/python -m benchmarks.many
	$(BIN)/python -m benchmarks.delta

# Who sent it? Needs root (namespaces), tcpdump, iproute2, and a machine with nothing else to do. Each
# call takes under 50 minutes and says whether it is complete; call it again to go on. What it found
# is then printed by adversary-report, all of it or what SERIES names (docs/anonymity.md).
ADVERSARY = $(BIN)/python -m benchmarks.adversary
MEASURED ?= build/adversary
adversary: $(VENV)/.installed-adversary
	$(ADVERSARY) measure $(MEASURED) who whether

adversary-single: $(VENV)/.installed-adversary
	$(ADVERSARY) measure $(MEASURED) single

adversary-active: $(VENV)/.installed-adversary
	$(ADVERSARY) measure $(MEASURED) active

adversary-report: $(VENV)/.installed-adversary
	$(ADVERSARY) analyse $(MEASURED) $(SERIES)

# For every day: some of everything, under five minutes, and finds only what is gross.
adversary-quick: $(VENV)/.installed-adversary
	rm -rf build/adversary-quick
	$(ADVERSARY) measure build/adversary-quick quick
	$(ADVERSARY) analyse build/adversary-quick

$(VENV)/.installed-adversary: requirements-adversary.lock $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --require-hashes --only-binary :all: -r requirements-adversary.lock
	touch $@

# Kill -9 and power cuts, again and again; half an hour. The figures are in docs/boxes.md.
soak-crash: $(VENV)/.installed-dev
	$(BIN)/python -m tests.boxes.test_power_cut --seeds 300
	$(BIN)/python -m tests.integration.kills --kills 300

# Whole flocks in memory by the hundred thousand; some minutes. The figures are in docs/boxes.md.
soak-planner: $(VENV)/.installed-dev
	$(BIN)/python -m tests.sync.soak_planner

# Every test that mounts a file system, and the play below: fails where one cannot be mounted. Needs root, e2fsprogs,
# dosfstools, exfatprogs, ntfs-3g and fuse3, and where the kernel has no exFAT or FAT exfat-fuse and fusefat.
test-mounts: $(VENV)/.installed-dev
	FLOCKSY_TESTS_MUST_MOUNT=1 $(BIN)/python -m pytest tests/boxes/test_attributes.py \
		tests/boxes/test_damaged_index.py tests/boxes/test_mac_disk.py tests/boxes/test_names.py \
		tests/boxes/test_removable.py tests/boxes/test_sick_disks.py tests/integration/test_boxes.py
	FLOCKSY_TESTS_MUST_MOUNT=1 $(BIN)/python -m tests.integration.play --rounds 1

# Git, photos, mail, a build and a drive that comes and goes, as people have them; some minutes.
play: $(VENV)/.installed-dev
	$(BIN)/python -m tests.integration.play --rounds 5

# 100,000 files on three nodes: ten minutes on two laden cores. This and the next fail where memory or the cost of one
# change is beyond what docs/performance.md allows.
soak-many: $(VENV)/.installed
	$(BIN)/python -m benchmarks.crowd

# 1,000,000 files in one box without a wire; some 6 GB of disk, and no more than two hours.
soak-million: $(VENV)/.installed
	timeout 7200 $(BIN)/python -m benchmarks.crowd --alone --files 1000000 --directories 10000

# Files of 2 GB and 20 GB of holes on three nodes: fails where memory follows from the size, or any process
# has had more than 150 MiB. Some minutes. The figures are in docs/performance.md.
soak-sparse: $(VENV)/.installed
	$(BIN)/python -m benchmarks.sparse

# Every run of three nodes within wider bounds than the tests have; an hour and several GB.
explore-deep: $(VENV)/.installed-dev
	$(BIN)/python -m tests.protocol.explore_deep

# Whole flocks under virtual time, seed after seed, on all processors: docs/reliability.md. Stops after
# so many minutes, and goes on from there when called again.
SEEDS   ?= 10000
MINUTES ?= 120
soak: $(VENV)/.installed-dev
	$(BIN)/python -m tests.simulator.soak --seeds $(SEEDS) --minutes $(MINUTES)

# Faults of every kind in real nodes, one after the other: docs/reliability.md. Those of the network need
# root (namespaces) and iproute2.
soak-faults: $(VENV)/.installed-dev
	$(BIN)/python -m tests.integration.faults

# Three real nodes with constant small changes; two hours, unless MINUTES says otherwise.
soak-long: $(VENV)/.installed-dev
	$(BIN)/python -m tests.integration.soak_long --minutes $(MINUTES)

# Hostile bytes for every decoder under coverage guidance: docs/reliability.md. On all processors unless
# PROCESSES says otherwise; for TARGETS alone if some are named, as often as each needs or EXECUTIONS says.
# Stops after so many minutes, and goes on from there when called again.
EXECUTIONS ?=
PROCESSES  ?=
TARGETS    ?=
fuzz: $(VENV)/.installed-fuzz
	$(BIN)/python -m tests.fuzz --minutes $(MINUTES) \
		$(if $(EXECUTIONS),--executions $(EXECUTIONS)) \
		$(if $(PROCESSES),--processes $(PROCESSES)) $(TARGETS)

$(VENV)/.installed-fuzz: requirements-fuzz.lock $(VENV)/.installed-dev
	$(BIN)/python -m pip install --quiet --require-hashes --only-binary :all: -r requirements-fuzz.lock
	touch $@

# After a change of dependencies in pyproject.toml.
LOCK = uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header \
	--no-annotate --no-emit-index-url --no-emit-find-links --no-strip-extras
lock: $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet uv
	grep -o 'flit_core==[0-9.]*' pyproject.toml > build-backend.txt
	$(BIN)/$(LOCK) pyproject.toml build-backend.txt -o requirements.lock
	$(BIN)/$(LOCK) pyproject.toml build-backend.txt --extra dev -o requirements-dev.lock
	$(BIN)/$(LOCK) pyproject.toml build-backend.txt --extra adversary -o requirements-adversary.lock
	$(BIN)/$(LOCK) pyproject.toml build-backend.txt --extra fuzz -o requirements-fuzz.lock
	rm build-backend.txt

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
