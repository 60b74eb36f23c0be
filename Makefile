# Every target makes .venv by itself when it is missing. EXPERIMENT names an experiment, ARGS adds options:
#   make features EXPERIMENT=cifar10 ARGS="--set dataset.limit=5000"
PYTHON ?= python3
EXPERIMENT ?= cifar10
ARGS ?=
READY := .venv/.ready
RAY := .venv/.ready-ray
DOCS := .venv/.ready-docs
ALL := .venv/.ready-all
BOTTLENECK := .venv/bin/bottleneck
SPHINX := .venv/bin/sphinx-build --fail-on-warning --keep-going --quiet --conf-dir docs --doctree-dir build/doctrees --fresh-env
comma := ,
EXTRAS := dev$(if $(shell command -v nvidia-smi 2>/dev/null),$(comma)gpu)

.DEFAULT_GOAL := help
.PHONY: help demo test test-all test-faults lint docs docs-links reference-pages report-pictures stored-notebook notebook inspect features features-ray simulate-scale train-head probe compare fine-tune report advise bench predict export doctor experiments cache-ls clean

help:  ## show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /  make \1\t/' | expand -t 22

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11 …"; exit 1; }
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --editable ".[$(EXTRAS)]"
	@touch $@

$(RAY): $(READY)
	.venv/bin/pip install --quiet --editable ".[$(EXTRAS),ray]"
	@touch $@

$(ALL): $(READY)
	.venv/bin/pip install --quiet --editable ".[$(EXTRAS),ray,store,store-server,docs,browser]"
	@touch $@

$(DOCS): $(READY)
	.venv/bin/pip install --quiet --editable ".[$(EXTRAS),docs]"
	@touch $@

demo: $(READY)  ## the main job on embedded photographs, without a network
	$(BOTTLENECK) features -e photo-patches $(ARGS)
	$(BOTTLENECK) train-head -e photo-patches $(ARGS)
	$(BOTTLENECK) compare -e photo-patches $(ARGS)

test: $(READY)  ## the tests, in minutes
	.venv/bin/python -m pytest -n 2 --dist loadfile $(ARGS)

test-all: $(ALL)  ## the slow tests too, with Ray and an object store
	.venv/bin/python -m pytest -m "slow or not slow" --timeout 3600 $(ARGS)

test-faults: $(READY)  ## the long fault tests of the cache, with their tally
	.venv/bin/python -m pytest tests/features/test_faults.py -m "slow or not slow" -s --timeout 3600 $(ARGS)

lint: $(READY)  ## style, types, and what imports what
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/mypy tests/user_code.py
	.venv/bin/python tests/import_contracts.py

docs: $(DOCS)  ## the documentation as a site in build/site, read and searched without a network
	.venv/bin/python docs/gallery.py
	$(SPHINX) -b html . build/site
	@echo "build/site/index.html"

docs-links: $(DOCS)  ## ask every address outside of the documentation whether it is there; needs a network
	$(SPHINX) -b linkcheck . build/links

reference-pages: $(READY)  ## write the pages of settings, commands and results anew, after one has changed
	.venv/bin/python docs/settings_page.py
	.venv/bin/python docs/commands_page.py
	.venv/bin/python docs/result_page.py

report-pictures: $(READY)  ## draw the README's pictures of the demo's report anew, by Chromium
	.venv/bin/python docs/report_pictures.py

stored-notebook: $(READY)  ## run the tutorial's notebook and store its outputs in it
	.venv/bin/python docs/stored_notebook.py

notebook: $(READY)  ## run the notebooks in examples/; they make the features that are missing
	BOTTLENECK_HOME=$(or $(BOTTLENECK_HOME),$(CURDIR)/artifacts) .venv/bin/jupyter-execute examples/*.ipynb $(ARGS)

features-ray: $(RAY)  ## stage one on a Ray cluster: one of this machine, or ARGS="--address HOST:PORT"
	$(BOTTLENECK) features --engine-on ray -e $(EXPERIMENT) $(ARGS)

simulate-scale: $(READY)  ## how long stage one takes over workers, with failures and stragglers: a simulation
	.venv/bin/python benchmarks/simulate_scale.py $(ARGS)

inspect features train-head probe compare fine-tune report advise bench predict export: $(READY)
	$(BOTTLENECK) $@ -e $(EXPERIMENT) $(ARGS)

inspect:  ## what is in the images of EXPERIMENT, and what is wrong with them
features:  ## stage one: extract the features of EXPERIMENT once
train-head:  ## stage two: train the head on them
probe:  ## logistic, ridge and k-NN on every cached layer, and layers together
compare:  ## frozen features, fine-tuning and networks from scratch on the same images
fine-tune:  ## train the network itself, killed runs go on at the last epoch
report:  ## everything known of EXPERIMENT on one page, without a network
advise:  ## which method suits the data, and why
bench:  ## stage one's speed on this machine; ARGS=--quick for a short one
predict:  ## classify files by a trained model; ARGS="pictures/ --out labels.csv"
export:  ## write a trained model for other runtimes; ARGS="--format keras,onnx"

doctor: $(READY)  ## what works on this machine, and what is missing for what
	$(BOTTLENECK) doctor $(ARGS)

experiments: $(READY)  ## list the ready-made experiments
	$(BOTTLENECK) experiments

cache-ls: $(READY)  ## list the caches
	$(BOTTLENECK) cache ls $(ARGS)

clean:  ## remove the environment and the tools' caches, never your artifacts
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
