# Two commands are enough: `make demo` and `make test`. Both install what they need.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export FER2013 ?= ../shared/data/fer2013/fer2013.csv.gz
BENCH_CLIP := ../shared/data/video/classroom.gif
BENCH_FACES := $(addprefix ../shared/data/video/,head-pose-face-detection-female-and-male.gif \
	learn.mkv school.mkv student.mkv) ../shared/data/ck48/CK+48.zip

.PHONY: demo test test-all check bench bench-data clean

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

# on idle cores; about three hours on two, more with further face models. Sizes are the programs'
# defaults, which pages show
bench: bench-data $(VENV)/test.stamp
	$(BIN)/python benchmarks/dependencies.py
	$(BIN)/python benchmarks/memory.py
	$(BIN)/python benchmarks/training_speed.py
	$(BIN)/python benchmarks/parallel.py
	$(BIN)/python benchmarks/parallel_training.py
	$(BIN)/python benchmarks/classic.py
	$(BIN)/python benchmarks/face_latency.py
	$(BIN)/python benchmarks/domain.py

# before anything is installed or measured
bench-data:
	@for file in "$(FER2013)" $(BENCH_CLIP) $(BENCH_FACES); do test -r "$$file" || { \
		echo "make bench cannot read $$file: see ../shared/data, or give FER2013=PATH" >&2; \
		exit 1; }; done

clean:
	rm -rf $(VENV) out build dist src/*.egg-info
