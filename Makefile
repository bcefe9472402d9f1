# Two commands are enough: `make demo` and `make test`. Both install what they need.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test test-all check bench clean

# pip installs into a fresh virtual environment; the stamps make the second call fast
$(VENV)/pip.stamp:
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/demo.stamp: pyproject.toml constraints.txt | $(VENV)/pip.stamp
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[demo]'
	touch $@

$(VENV)/test.stamp: pyproject.toml constraints.txt | $(VENV)/pip.stamp
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[lab,text,test]'
	touch $@ $(VENV)/demo.stamp

demo: $(VENV)/demo.stamp
	$(BIN)/classpulse demo --out out/demo

test: $(VENV)/test.stamp
	$(BIN)/pytest -n 2

test-all: $(VENV)/test.stamp
	$(BIN)/pytest -n 2 -m ''

check: $(VENV)/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

# on idle cores; about an hour on two
bench: $(VENV)/test.stamp
	$(BIN)/python benchmarks/dependencies.py
	$(BIN)/python benchmarks/memory.py
	$(BIN)/python benchmarks/training_speed.py
	$(BIN)/python benchmarks/parallel.py
	$(BIN)/python benchmarks/parallel_training.py

clean:
	rm -rf $(VENV) out build dist src/*.egg-info
