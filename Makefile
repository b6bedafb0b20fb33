# Every target sets up .venv by itself; nothing is installed twice (stamps in .venv). Without make: python tools/dev.py …
PYTHON ?= python3
TORCH  ?= torch==2.13.0
export TORCH

# the interpreter of an existing .venv is not needed for this: dev.py needs the standard library only
DEV = $(PYTHON) tools/dev.py

.PHONY: help setup demo test lint types imports tests
help:
	@$(DEV) help

setup demo test lint types imports tests:
	@$(DEV) $@

proof-%:
	@$(DEV) proof $*

bench-%:
	@$(DEV) bench $*
