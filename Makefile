# For Linux, macOS, and Windows with GNU make. Paths are relative, so the folder's name may hold spaces;
# recipes call Python and nothing else, so no shell's own words are needed.

WINDOWS := $(filter Windows_NT,$(OS))
PYTHON ?= $(if $(WINDOWS),python,python3)
IN_VENV := .venv/$(if $(WINDOWS),Scripts,bin)/python
STAMP := .venv/installed
PIP := -m pip install --disable-pip-version-check

NEW_ENOUGH = @$(1) -c "import sys; sys.exit('seblock needs Python 3.11 or newer, and $(1) is older. Name one: make PYTHON=python3.13' if sys.version_info < (3, 11) else 0)"

# A pytest worker for each core, and so one thread in each: more would only wait for one another.
# `make notebooks` does the same, so that a sum is rounded alike on machines with more cores.
WORKERS ?= logical
test notebooks browser colab hub-test versions peers whole: export OMP_NUM_THREADS = 1
SHARED := -n $(WORKERS) --maxprocesses 8

# WHOLE=1, or `make whole`: all notebooks, both themes, eight students. Else a part that would notice a break.
whole: WHOLE = 1
export WHOLE

.PHONY: help lab test site lint check-notebooks notebooks picture address hooks student wheels sheet slides browser colab hub-test whole versions peers hub bench clean

define HELP
make lab        set up .venv and open JupyterLab on the first notebook
make test       set up .venv; lint, types, tests, every notebook against its stored outputs
make site       set up what it needs and build the web page in build/site (asks npm for MathJax)

make student    the notebooks for a class, without solutions and outputs, and the answers, in build/student
make wheels     every package for a room without a network in build/wheels (asks PyPI and PyTorch)
make slides     the notebooks 00 to 14 as slides in build/slides (asks npm for reveal.js and MathJax)
make sheet      draw the sheets for the wall and for the unplugged lesson again

make hub        set up .venv-hub and start a JupyterHub for a class: hub/README.md (asks npm for its proxy)
make bench      set up .venv and .venv-peers, and measure speed and memory: half an hour on a machine that does nothing else

make lint       the first part of make test: ruff, on all code, the notebooks' too
make check-notebooks   the notebooks' checks alone, without running their cells
make hooks      have git run lint and the notebooks' checks before each commit
make notebooks  run every notebook again and store what it shows
make picture    draw the README's picture again
make address    write the repository's address, from pyproject.toml, into badges and setup cells

make browser    build the page, and try it and three notebooks in JupyterLab, in Chromium, which has to be there
make colab      set up .venv-colab, with Colab's versions; try the setup cell and two notebooks there
make hub-test   set up .venv-hub, and have two students run a notebook on the hub, in Chromium; as root with CI=1
                each in an account of their own, made for the test and removed
make whole      those three with every notebook, both themes and eight students: half an hour, before a release
make versions   tests and notebooks with the oldest versions and the newest (.venv-colab, .venv-peers: 5.5 GB each)
make peers      set up .venv-peers (5.5 GB), look for gates in the networks of timm and torchvision, export ours to ONNX

make clean      remove the environments, build and the caches; .hub, with students' homes, stays

Another Python than $(PYTHON): make clean, then make lab PYTHON=python3.13
Options for JupyterLab: make lab LAB="--no-browser --port 9000"
Options for JupyterHub: make hub HUB="--JupyterHub.bind_url=http://127.0.0.1:9000"
endef

help:
	$(info $(HELP))
	@:

lab: $(STAMP)
	$(IN_VENV) -m jupyterlab --LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb \
		--ContentsManager.pre_save_hook=tools.saving.keep_pictures $(LAB)

test: lint
	$(IN_VENV) -m mypy
	$(IN_VENV) -m pytest $(SHARED) --dist loadscope

lint: $(STAMP)
	$(IN_VENV) -m ruff check
	$(IN_VENV) -m ruff format --check

check-notebooks: $(STAMP)
	$(IN_VENV) -m pytest tests/test_notebooks.py

notebooks: $(STAMP)
	$(IN_VENV) -m ruff format notebooks
	$(IN_VENV) tools/notebooks.py execute

picture: $(STAMP)
	$(IN_VENV) docs/picture.py

student: $(STAMP)
	$(IN_VENV) tools/handouts.py student build/student

# For machines like this one: pip heeds a package's conditions, such as "on Linux", of the machine it runs on.
wheels: $(STAMP)
	$(IN_VENV) tools/handouts.py wheels build/wheels

sheet: $(STAMP)
	$(IN_VENV) docs/sheets.py

address: $(STAMP)
	$(IN_VENV) tools/notebooks.py address

hooks: $(STAMP)
	$(IN_VENV) -m pre_commit install

DOCS_STAMP := .venv/installed-docs
$(DOCS_STAMP): docs/requirements.txt $(STAMP)
	$(IN_VENV) $(PIP) -r docs/requirements.txt
	@$(IN_VENV) -c "open('$(DOCS_STAMP)', 'w').close()"

# MathJax draws the page's formulas, reveal.js turns slides, axe-core looks for what keeps people from reading it.
NPM_STAMP := build/npm/installed-mathjax-4.1.3-axe-core-4.14.1-reveal.js-6.0.2
$(NPM_STAMP):
	npm install --fetch-timeout=60000 --fetch-retries=4 --prefix build/npm --ignore-scripts --no-save --no-audit --no-fund mathjax@4.1.3 axe-core@4.14.1 reveal.js@6.0.2
	@$(PYTHON) -c "open('$(NPM_STAMP)', 'w').close()"

site: $(DOCS_STAMP) $(NPM_STAMP)
	$(IN_VENV) docs/build.py build/npm/node_modules build/site

slides: $(DOCS_STAMP) $(NPM_STAMP)
	$(IN_VENV) docs/slides.py build/npm/node_modules build/slides

BROWSER_STAMP := .venv/installed-browser
$(BROWSER_STAMP): integration/browser/requirements.txt $(STAMP)
	$(IN_VENV) $(PIP) -r integration/browser/requirements.txt
	@$(IN_VENV) -c "open('$(BROWSER_STAMP)', 'w').close()"

browser: site slides $(BROWSER_STAMP)
	$(IN_VENV) -m pytest -n $(WORKERS) --maxprocesses 4 --dist loadgroup integration/browser

# One environment, with the tested torch or with Colab's own, which brings gigabytes for GPUs (make versions).
IN_COLAB := .venv-colab/$(if $(WINDOWS),Scripts,bin)/python
.venv-colab/installed-torch-%: integration/colab/requirements.txt
	$(call NEW_ENOUGH,$(PYTHON))
	$(PYTHON) -m venv --clear .venv-colab
	$(IN_COLAB) $(PIP) torch==$* -r integration/colab/requirements.txt
	@$(IN_COLAB) -c "open('$@', 'w').close()"

# What a version that nobody pinned warns of is no fault here.
ELSEWHERE := -rs -o filterwarnings=default
TWO := notebooks/04_excitation.ipynb notebooks/07_residual_block.ipynb

# The tests of the setup cell leave the package as the cell installs it, for the notebooks.
colab: export COLAB_RELEASE_TAG = tried
colab: .venv-colab/installed-torch-2.13.0
	$(IN_COLAB) -m pytest $(ELSEWHERE) integration/colab
	$(IN_COLAB) -m pytest $(ELSEWHERE) tests/test_live.py
	$(IN_COLAB) -m pytest $(ELSEWHERE) $(SHARED) --dist loadscope $(if $(WHOLE),notebooks,$(TWO))

IN_PEERS := .venv-peers/$(if $(WINDOWS),Scripts,bin)/python
.venv-peers/installed: integration/peers/requirements.txt pyproject.toml
	$(call NEW_ENOUGH,$(PYTHON))
	$(PYTHON) -m venv .venv-peers
	$(IN_PEERS) $(PIP) -r integration/peers/requirements.txt
	@$(IN_PEERS) -c "open('.venv-peers/installed', 'w').close()"

# The oldest that pyproject.toml allows, which are Colab's, and the newest.
versions: .venv-colab/installed-torch-2.11.0 .venv-peers/installed
	$(IN_COLAB) $(PIP) --no-deps -e .
	$(IN_COLAB) -m pytest $(ELSEWHERE) $(SHARED) --dist loadscope
	$(IN_PEERS) -m pytest $(ELSEWHERE) $(SHARED) --dist loadscope

peers: .venv-peers/installed
	$(IN_PEERS) -m pytest $(ELSEWHERE) integration/peers

# Students' accounts must be able to enter this folder and to run this Python.
HUB_PYTHON ?= $(PYTHON)
IN_HUB := .venv-hub/bin/python
.venv-hub/installed: hub/requirements.txt requirements.txt pyproject.toml
	$(call NEW_ENOUGH,$(HUB_PYTHON))
	$(HUB_PYTHON) -m venv .venv-hub
	$(IN_HUB) $(PIP) -r hub/requirements.txt
	npm install --fetch-timeout=60000 --fetch-retries=4 --prefix .venv-hub/proxy --ignore-scripts --no-save --no-audit --no-fund configurable-http-proxy@5.2.0
	@$(IN_HUB) -c "open('.venv-hub/installed', 'w').close()"

.venv-hub/installed-browser: integration/browser/requirements.txt .venv-hub/installed
	$(IN_HUB) $(PIP) -r integration/browser/requirements.txt
	@$(IN_HUB) -c "open('.venv-hub/installed-browser', 'w').close()"

hub: .venv-hub/installed
	$(IN_HUB) -m jupyterhub -f hub/jupyterhub_config.py $(HUB)

hub-test: .venv-hub/installed-browser
	$(IN_HUB) -m pytest -rs hub/tests

whole: browser colab hub-test

# Judged: the four large shapes. Last the compiled ones, which want a C++ compiler.
bench: $(STAMP) .venv-peers/installed
	$(IN_VENV) -m benchmarks.notebooks
	$(IN_VENV) -m benchmarks.classroom
	$(IN_PEERS) -m benchmarks.growth
	$(IN_PEERS) -m benchmarks.growth --allocator tuned
	$(IN_PEERS) -m benchmarks.network
	$(IN_PEERS) -m benchmarks.block
	$(IN_PEERS) -m benchmarks.block --judged --allocator tuned
	$(IN_PEERS) -m benchmarks.block --judged --allocator jemalloc
	$(IN_PEERS) -m benchmarks.block --judged --compiled --rounds 10
	$(IN_PEERS) -m benchmarks.block --judged --rounds 15 --neighbours 2

clean:
	$(PYTHON) -c "import shutil; [shutil.rmtree(d, True) for d in '.venv .venv-colab .venv-peers .venv-hub .mypy_cache .pytest_cache .ruff_cache build seblock.egg-info'.split()]"

# Written last: an install that was interrupted leaves no stamp, and the next call takes it up again.
$(STAMP): requirements.txt pyproject.toml
	$(call NEW_ENOUGH,$(PYTHON))
	$(PYTHON) -m venv .venv
	$(IN_VENV) $(PIP) -r requirements.txt
	@$(IN_VENV) -c "open('$(STAMP)', 'w').close()"
