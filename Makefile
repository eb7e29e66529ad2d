# For Linux, macOS, and Windows with GNU make. Paths are relative, so the folder's name may hold spaces;
# recipes call Python and nothing else, so no shell's own words are needed.

WINDOWS := $(filter Windows_NT,$(OS))
PYTHON ?= $(if $(WINDOWS),python,python3)
IN_VENV := .venv/$(if $(WINDOWS),Scripts,bin)/python
STAMP := .venv/installed

NEW_ENOUGH = @$(1) -c "import sys; sys.exit('seblock needs Python 3.11 or newer, and $(1) is older. Name one: make PYTHON=python3.13' if sys.version_info < (3, 11) else 0)"

# A pytest worker for each core, and so one thread in each: more would only wait for one another.
# `make notebooks` does the same, so that a sum is rounded alike on machines with more cores.
WORKERS ?= logical
test browser notebooks colab versions peers class: export OMP_NUM_THREADS = 1

.PHONY: help lab test lint check-notebooks notebooks address hooks site browser colab versions peers class hub bench clean

define HELP
make lab        set up .venv and open JupyterLab on the first notebook
make test       set up .venv; lint, types, tests, every notebook against its stored outputs
make lint       the first part of that alone: ruff, the package's and the notebooks' code
make notebooks  run every notebook again and store what it shows
make address    write the repository's address, from pyproject.toml, into badges and setup cells
make hooks      have git run lint and the notebooks' checks (not the cells) before each commit
make check-notebooks   the notebooks' checks alone, without running their cells
make site       set up what it needs and build the web page in build/site (asks npm for MathJax)
make browser    build it, and try it and every notebook in JupyterLab, in Chromium, which has to be there
make colab      set up .colab, with Colab's versions; try the setup cell and every notebook there; Binder's pins
make versions   set up .floors and .peers (5.5 GB each); tests and notebooks on the oldest versions and the newest
make peers      set up .peers (5.5 GB) and look for gates in the networks of timm and torchvision
make class      set up .class, and have eight students run a notebook on a JupyterHub, in Chromium; as root with
                CI=1 each in an account of their own, made for the test and removed
make hub        set up .class and start the JupyterHub of classroom/ (asks npm for its proxy)
make bench      set up .venv and .peers, and measure speed and memory: half an hour on a machine that does nothing else
make clean      remove .venv, .colab, .floors, .peers, .class, build and the caches; .hub, with homes, stays

Another Python than $(PYTHON): make clean, then make lab PYTHON=python3.13
Options for JupyterLab: make lab LAB="--no-browser --port 9000"
Options for JupyterHub: make hub HUB="--JupyterHub.bind_url=http://127.0.0.1:9000"
endef

help:
	$(info $(HELP))
	@:

lab: $(STAMP)
	$(IN_VENV) -m jupyterlab --LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb $(LAB)

test: lint
	$(IN_VENV) -m mypy
	$(IN_VENV) -m pytest -n $(WORKERS) --maxprocesses 8 --dist loadscope

lint: $(STAMP)
	$(IN_VENV) -m ruff check
	$(IN_VENV) -m ruff format --check

check-notebooks: $(STAMP)
	$(IN_VENV) -m pytest tests/test_notebooks.py

notebooks: $(STAMP)
	$(IN_VENV) -m ruff format notebooks
	$(IN_VENV) tools/notebooks.py execute

address: $(STAMP)
	$(IN_VENV) tools/notebooks.py address

hooks: $(STAMP)
	$(IN_VENV) -m pre_commit install

WEB_STAMP := .venv/installed-web
$(WEB_STAMP): requirements-web.txt $(STAMP)
	$(IN_VENV) -m pip install --disable-pip-version-check -r requirements-web.txt
	@$(IN_VENV) -c "open('$(WEB_STAMP)', 'w').close()"

# MathJax draws the page's formulas, axe-core looks for what keeps people from reading it.
NPM_STAMP := build/npm/installed-mathjax-4.1.3-axe-core-4.14.1
$(NPM_STAMP):
	npm install --prefix build/npm --ignore-scripts --no-save --no-audit --no-fund mathjax@4.1.3 axe-core@4.14.1
	@$(PYTHON) -c "open('$(NPM_STAMP)', 'w').close()"

site: $(WEB_STAMP) $(NPM_STAMP)
	$(IN_VENV) tools/website.py build/npm/node_modules build/site

browser: site
	$(IN_VENV) -m pytest -c tests/browser/pytest.ini --rootdir . -n $(WORKERS) --maxprocesses 4 --dist loadgroup tests/browser

# Colab's versions, but the tested torch: Colab's own brings libraries for GPUs (make versions).
IN_COLAB := .colab/$(if $(WINDOWS),Scripts,bin)/python
.colab/installed: requirements-colab.txt
	$(call NEW_ENOUGH,$(PYTHON))
	$(PYTHON) -m venv .colab
	$(IN_COLAB) -m pip install --disable-pip-version-check torch==2.13.0 -r requirements-colab.txt
	@$(IN_COLAB) -c "open('.colab/installed', 'w').close()"

# setup_cell.py leaves the package as the cell installs it, for the notebooks.
colab: export COLAB_RELEASE_TAG = tried
colab: .colab/installed
	$(IN_COLAB) -m pytest -c tests/colab/pytest.ini --rootdir . tests/colab/binder.py tests/colab/setup_cell.py
	$(IN_COLAB) -m pytest -c tests/colab/pytest.ini --rootdir . -n $(WORKERS) --maxprocesses 8 --dist loadscope --nbval --nbval-current-env notebooks

# The floors that pyproject.toml names: Colab's versions, its torch among them.
IN_FLOORS := .floors/$(if $(WINDOWS),Scripts,bin)/python
.floors/installed: requirements-colab.txt pyproject.toml
	$(call NEW_ENOUGH,$(PYTHON))
	$(PYTHON) -m venv .floors
	$(IN_FLOORS) -m pip install --disable-pip-version-check torch==2.11.0 -r requirements-colab.txt -e .
	@$(IN_FLOORS) -c "open('.floors/installed', 'w').close()"

# Newest versions on purpose; nothing of this environment reaches requirements.txt.
IN_PEERS := .peers/$(if $(WINDOWS),Scripts,bin)/python
.peers/installed: pyproject.toml
	$(call NEW_ENOUGH,$(PYTHON))
	$(PYTHON) -m venv .peers
	$(IN_PEERS) -m pip install --disable-pip-version-check torch==2.15.0 torchvision==0.29.2 timm==1.0.31 pytest pytest-xdist nbval nbclient -e .
	@$(IN_PEERS) -c "open('.peers/installed', 'w').close()"

# A warning of a version that nobody pinned is no fault here.
VERSIONS := -n $(WORKERS) --maxprocesses 8 --dist loadscope -o filterwarnings=default
versions: .floors/installed .peers/installed
	$(IN_FLOORS) -m pytest $(VERSIONS)
	$(IN_PEERS) -m pytest $(VERSIONS)

peers: .peers/installed
	$(IN_PEERS) -m pytest -c tests/peers/pytest.ini --rootdir . tests/peers/gates_of_peers.py

# Students' accounts must be able to enter this folder and to run this Python.
CLASS_PYTHON ?= $(PYTHON)
IN_CLASS := .class/bin/python
.class/installed: requirements-class.txt requirements.txt pyproject.toml
	$(call NEW_ENOUGH,$(CLASS_PYTHON))
	$(CLASS_PYTHON) -m venv .class
	$(IN_CLASS) -m pip install --disable-pip-version-check -r requirements-class.txt
	npm install --prefix .class/proxy --ignore-scripts --no-save --no-audit --no-fund configurable-http-proxy@5.2.0
	@$(IN_CLASS) -c "open('.class/installed', 'w').close()"

class: .class/installed
	$(IN_CLASS) -m pytest -c tests/classroom/pytest.ini --rootdir . tests/classroom

hub: .class/installed
	$(IN_CLASS) -m jupyterhub -f classroom/jupyterhub_config.py $(HUB)

# Judged: the four large shapes. Last the compiled ones, which want a C++ compiler.
bench: $(STAMP) .peers/installed
	$(IN_VENV) -m benchmarks.notebooks
	$(IN_VENV) -m benchmarks.classroom
	$(IN_PEERS) -m benchmarks.growth
	$(IN_PEERS) -m benchmarks.growth --allocator tuned
	$(IN_PEERS) -m benchmarks.network
	$(IN_PEERS) -m benchmarks.block
	$(IN_PEERS) -m benchmarks.block --judged --allocator tuned
	$(IN_PEERS) -m benchmarks.block --judged --allocator jemalloc
	$(IN_PEERS) -m benchmarks.block --judged --compiled --rounds 10

clean:
	$(PYTHON) -c "import shutil; [shutil.rmtree(d, True) for d in '.venv .colab .floors .peers .class .mypy_cache .pytest_cache .ruff_cache build seblock.egg-info'.split()]"

# Written last: an install that was interrupted leaves no stamp, and the next call takes it up again.
$(STAMP): requirements.txt pyproject.toml
	$(call NEW_ENOUGH,$(PYTHON))
	$(PYTHON) -m venv .venv
	$(IN_VENV) -m pip install --disable-pip-version-check -r requirements.txt
	@$(IN_VENV) -c "open('$(STAMP)', 'w').close()"
