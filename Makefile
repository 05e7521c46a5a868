# SPDX-License-Identifier: Apache-2.0
# make setup   virtual environment, pinned wheels, compiled interfaces; again only after changes
# make demo    a made clip through the running node; make demo VIDEO=my.mp4 BOX=x0,y0,x1,y1
# make test    all tests; those on real clips need ESAM2_DATA
# make lint    ruff, mypy, import contracts
# make colcon  the same package built and started with colcon, in folders of its own
# make clean   remove what was built; the virtual environment too with make distclean

VENV ?= .venv
PYTHON ?= python3.11
ROS ?= kilted
TORCH ?= cpu
JOBS ?= 2
BOX ?=
VIDEO ?=
ARGS ?=

TORCH_VERSION := 2.13.0
# Only where the configured package indexes have no CPU build.
TORCH_CPU_INDEX ?= https://download.pytorch.org/whl/cpu

BIN := $(abspath $(VENV))/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

DEPENDENCIES := $(VENV)/.dependencies-$(ROS)-$(TORCH)
PACKAGE := $(VENV)/.package
REQUIREMENTS := requirements.txt requirements-dev.txt requirements-ros-$(ROS).txt
SOURCES := $(shell find cmake config esam2_ros launch msg srv -type f -not -name '*.pyc') \
	CMakeLists.txt package.xml pyproject.toml setup.py

PROFILE := $(CURDIR)/config/fastdds_shm.xml
export FASTDDS_DEFAULT_PROFILES_FILE ?= $(PROFILE)
export FASTRTPS_DEFAULT_PROFILES_FILE ?= $(PROFILE)
export ROS_AUTOMATIC_DISCOVERY_RANGE ?= SYSTEM_DEFAULT
# Without these, glibc maps and unmaps a buffer for each large message.
export MALLOC_MMAP_THRESHOLD_ ?= 268435456
export MALLOC_TRIM_THRESHOLD_ ?= 536870912
export MALLOC_TOP_PAD_ ?= 33554432
# The checkout before the installed copy, so that edits take effect at once. Nothing else from
# PYTHONPATH: the modules of a sourced ROS installation do not fit the wheels.
RUN := PYTHONPATH=$(CURDIR) AMENT_PREFIX_PATH=$(abspath $(VENV)) $(BIN)/python

.PHONY: setup demo test lint colcon clean distclean

setup: $(PACKAGE)

$(DEPENDENCIES): $(REQUIREMENTS) requirements-sam2.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { \
	  echo 'The ROS 2 wheels are for Python 3.11: make setup PYTHON=/path/to/python3.11' >&2; exit 1; }
	@for program in cc c++; do command -v $$program >/dev/null || { \
	  echo "$$program is missing: install a C and a C++ compiler, e.g. gcc and g++" >&2; exit 1; }; done
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -q $(REQUIREMENTS:%=-r %)
ifeq ($(TORCH),cpu)
	$(PIP) install -q --no-deps torch==$(TORCH_VERSION)+cpu 2>/dev/null || \
	  $(PIP) install -q --no-deps --index-url $(TORCH_CPU_INDEX) torch==$(TORCH_VERSION)+cpu
else
	$(PIP) install -q torch==$(TORCH_VERSION)
endif
	$(PIP) install -q --no-deps -r requirements-sam2.txt
	rm -f $(VENV)/.dependencies-*
	touch $@

$(PACKAGE): $(DEPENDENCIES) $(SOURCES)
	env -u PYTHONPATH -u AMENT_PREFIX_PATH -u CMAKE_PREFIX_PATH \
	  $(PIP) install -q --no-build-isolation --no-deps .
	touch $@

demo: setup
	$(RUN) -m esam2_ros demo $(if $(VIDEO),--video '$(VIDEO)') $(if $(BOX),--box '$(BOX)') $(ARGS)

# One thread a worker: the workers share the cores already.
test: setup
	OMP_NUM_THREADS=1 $(RUN) -m pytest -q -n $(JOBS) $(ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=$(CURDIR) $(BIN)/lint-imports

colcon: setup
	VENV=$(VENV) scripts/colcon_build.sh

clean:
	rm -rf build install log esam2_ros.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	rm -f $(VENV)/.package
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV)
