# make demo: pictures of prompts with the shipped weights. make test: everything that CI runs. Both make .venv first.
PYTHON ?= $(firstword $(foreach p,python3.11 python3.12 python3.13 python3,$(if $(shell command -v $(p)),$(p))))
TORCH  ?= torch==2.13.0
BIN    := .venv/bin
PIP    := $(BIN)/python -m pip install --disable-pip-version-check --quiet -c .ci/constraints.txt
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: demo setup check test test-slow bench-threads export run release bench bench-train bench-sample bench-serve bench-prepare evaluate captions states fit-sampler drive postmortem put-back sweep plan gallery readme docs clean
demo: .venv/.ok
	minisd demo

setup: .venv/.dev        # .venv with everything that working on it needs, and the hooks of git
	git config --local include.path ../.gitconfig

check: .venv/.dev        # a minute or two: sync, lint, layers, README, and the notebooks that differ from main
	python .ci/test.py check

test: .venv/.dev         # everything that a change can break: notebooks, package, browser, site; ten minutes on two cores
	python .ci/test.py test

test-slow: .venv/.dev    # what must take long: repeated kills, load, post-mortem in short, long resumes
	python .ci/test.py slow

export: .venv/.dev       # minisd/, README and the tables of the site, from the notebooks and the result files
	nbdev_clean && nbdev_export && python .ci/readme.py

run: .venv/.dev          # run the notebooks and save their outputs: make run NB=nbs/03_flow.ipynb
	python .ci/notebooks.py $(NB)

release: .venv/.ok       # make release RUN=runs/nano: put a trained run into the package, measured
	python .ci/release.py $(RUN)

bench: .venv/.ok         # times of the things people wait for, into data/results/bench.json
	python tools/bench.py

bench-train: .venv/.dev   # training steps compared, into data/results/train_bench.json
	python tools/bench_train.py

bench-sample: .venv/.ok   # sampling against the same network driven naively, into data/results/sample_bench.json
	python tools/bench_sample.py

bench-threads: .venv/.ok  # threads beside an idle and a busy process, a quarter of an hour, into data/results/threads_bench.json
	python tools/bench_threads.py

bench-serve: .venv/.dev  # the server under load against v1's lock, a quarter of an hour, into data/results/serve_bench.json and figures/serve_load.png
	python tools/bench_serve.py

bench-prepare: .venv/.dev # minisd prepare against Pillow alone, and its memory, into data/results/prepare_bench.json
	python tools/bench_prepare.py

evaluate: .venv/.dev      # everything that is measured of the shipped model, into data/results/evaluation.json
	minisd evaluate nano --n 1000 --out data/results/evaluation.json

captions: .venv/.dev      # what captions are worth: small models on better and worse ones, hours; into data/results/captions.json and figures/captions.png
	python tools/captions.py

states: .venv/.ok        # what the states of a caption say, with and without each helper of the text tower: half an hour; into data/results/states.json
	python tools/states.py

fit-sampler: .venv/.ok   # grid, solver weights and preview of the shipped model, into minisd/weights/nano/sampling.json
	minisd fit-sampler minisd/weights/nano

drive: .venv/.dev        # the widget and the server's page in a real browser (Chromium), screenshots into figures/
	python .ci/drive_widget.py --figures
	python .ci/drive_page.py --figures

postmortem: .venv/.ok    # v1's faults, each as an experiment: about an hour; into data/results/v1.json and figures/v1_*.png
	python tools/postmortem.py

put-back: .venv/.dev     # puts each of v1's faults back and sees a test fail: a few minutes
	python .ci/put_back.py

sweep: .venv/.ok         # solvers, grids and guidance compared, about half an hour; into data/results/sweep.json and figures/sweep.png
	python tools/sweep.py

plan: .venv/.ok          # memory and hours on a T4, computed without one, into data/results/plan.json
	python tools/plans.py

gallery: .venv/.ok       # the pictures of the site's gallery, with their settings in the files
	rm -rf figures/gallery
	minisd generate nbs/site/gallery.txt --seed 0 --out 'figures/gallery/{i}.png'

readme: .venv/.ok        # README's tables, from data/results
	python .ci/readme.py

docs: .venv/.dev         # the site, from the notebooks as they are saved, into _docs/
	python -W ignore .ci/site/build.py

clean:
	rm -rf .venv build dist *.egg-info _docs _proc

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo 'No Python found. Install Python 3.11 or newer, or name one: make PYTHON=/path/to/python' >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is older than 3.11, which the pinned packages need. Name another one: make PYTHON=/path/to/python" >&2; exit 2; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "$(PYTHON) has no venv module. Install it (Debian: apt install python3-venv), then try again." >&2; exit 2; }
	@echo 'making .venv'
	@$(PYTHON) -m venv .venv

.venv/.torch: | .venv/bin/python
	@echo 'installing $(TORCH) (the largest download)'
	@$(PIP) $(TORCH)
	@touch $@

.venv/.ok: .ci/constraints.txt settings.ini setup.py .venv/.torch
	@echo 'installing minisd and what it needs'
	@$(PIP) -e .
	@touch $@

.venv/.dev: .venv/.ok
	@echo 'installing the development extra'
	@$(PIP) -e '.[dev]'
	@$(PIP) --no-deps torchcfm==1.0.7    # its own requirements would bring a training framework
	@touch $@
