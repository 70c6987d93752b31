# make setup | demo | test | test-slow | lint: each creates the virtual environment .venv on demand.
# make CONSTRAINTS=constraints.txt setup: with the exact versions that the tests passed with.
PYTHON ?= python3
CONSTRAINTS ?=
BIN := .venv/bin
PIP := $(BIN)/pip install -q --disable-pip-version-check $(if $(CONSTRAINTS),-c $(CONSTRAINTS))
CHECK = -c "import sys; sys.exit(0 if (3, 10) <= sys.version_info[:2] <= (3, 12) else 'error: %s is Python %d.%d; use one of 3.10 to 3.12, as xtcocotools cannot be built for later ones: make PYTHON=python3.12 setup' % (sys.executable, *sys.version_info[:2]))"
WORK_DIR := work_dirs/demo/clamp_tiny

.PHONY: setup python-fits FORCE demo test test-slow lint clean

setup: python-fits .venv/.done

# the environment that is there stays, whatever python3 is now; one of another Python that is asked for has to be made anew
python-fits:
	@test "$(origin PYTHON)" = file || test ! -x $(BIN)/python || test "$$($(PYTHON) -V)" = "$$($(BIN)/python -V)" || { echo "error: .venv is of $$($(BIN)/python -V), not of $$($(PYTHON) -V): rm -rf .venv" >&2; exit 1; }

.venv/bin/pip:
	@$(PYTHON) $(CHECK)
	$(PYTHON) -m venv .venv

.venv/.done: requirements.txt setup.py $(if $(CONSTRAINTS),FORCE) | .venv/bin/pip
	@$(BIN)/python $(CHECK)
	$(PIP) "setuptools<81" wheel cython "numpy>=2" "torch>=2.6"
	$(PIP) --no-build-isolation -r requirements.txt
	$(PIP) --no-deps mmpose==1.3.2
	$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

demo: setup
	$(BIN)/python tools/make_demo_data.py --out data/demo
	$(BIN)/python tools/train.py configs/demo/clamp_tiny.py
	$(BIN)/python tools/test.py configs/demo/clamp_tiny.py "$$(cat $(WORK_DIR)/last_checkpoint)" --work-dir $(WORK_DIR)/test
	rm -f $(WORK_DIR)/poses.png
	$(BIN)/python tools/visualize.py compare configs/demo/clamp_tiny.py "$$(cat $(WORK_DIR)/last_checkpoint)" --out $(WORK_DIR)/poses.png

test: setup
	$(BIN)/python -m pytest -n auto --maxprocesses 4

test-slow: setup
	$(BIN)/python -m pytest -m slow -n auto --maxprocesses 2

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

clean:
	rm -rf .venv data/demo work_dirs/demo
