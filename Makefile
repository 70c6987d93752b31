# make setup | demo | test | test-slow | lint: each creates the virtual environment .venv on demand.
# make CONSTRAINTS=constraints.txt setup: with the exact versions that the tests passed with.
PYTHON ?= python3
CONSTRAINTS ?=
BIN := .venv/bin
PIP := $(BIN)/pip install -q --disable-pip-version-check $(if $(CONSTRAINTS),-c $(CONSTRAINTS))
WORK_DIR := work_dirs/demo/clamp_tiny

.PHONY: setup demo test test-slow lint clean

setup: .venv/.done

.venv/.done: requirements.txt setup.py
	@$(PYTHON) -c "import sys; sys.exit(0 if (3, 10) <= sys.version_info[:2] <= (3, 12) else 'error: $(PYTHON) is Python %d.%d; use one of 3.10 to 3.12, as xtcocotools cannot be built for later ones: make PYTHON=python3.12 setup' % sys.version_info[:2])"
	$(PYTHON) -m venv .venv
	$(PIP) "setuptools<81" wheel cython "numpy>=2" "torch>=2.6"
	$(PIP) --no-build-isolation -r requirements.txt
	$(PIP) --no-deps mmpose==1.3.2
	$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

demo: setup
	$(BIN)/python tools/make_demo_data.py --out data/demo
	$(BIN)/python tools/train.py configs/demo/clamp_tiny.py
	$(BIN)/python tools/test.py configs/demo/clamp_tiny.py $$(cat $(WORK_DIR)/last_checkpoint) --work-dir $(WORK_DIR)/test
	rm -f $(WORK_DIR)/poses.png
	$(BIN)/python tools/visualize.py compare configs/demo/clamp_tiny.py $$(cat $(WORK_DIR)/last_checkpoint) --out $(WORK_DIR)/poses.png

test: setup
	$(BIN)/python -m pytest -n auto --maxprocesses 4

test-slow: setup
	$(BIN)/python -m pytest -m slow -n auto --maxprocesses 2

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

clean:
	rm -rf .venv data/demo work_dirs/demo
