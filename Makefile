# make demo: pictures of prompts with the shipped weights. make test: everything that CI runs. Both make .venv first.
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: demo setup check test test-slow export run lab docs clean
demo: .venv/.ok          # pictures of some prompts, as a file in this folder
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

run: .venv/.dev          # run notebooks and save their outputs: make run NB=nbs/03_flow.ipynb
	python .ci/notebooks.py $(NB)

lab: .venv/.dev          # run an experiment whole: make lab NB=captions; make lab alone lists them
	python .ci/lab.py $(or $(NB),--help)

docs: .venv/.dev         # the site, from the notebooks as they are saved, into _docs/; with npm also the playground
	python -W ignore .ci/site/build.py

clean:                   # everything that can be made again
	rm -rf .venv build dist *.egg-info _docs _proc .ci/site/node_modules

.venv/.%: .ci/setup.sh .ci/constraints.txt .ci/site/package-lock.json settings.ini setup.py
	@PYTHON='$(PYTHON)' TORCH='$(TORCH)' .ci/setup.sh $*
