#!/usr/bin/env bash
# Make .venv: .ci/setup.sh ok installs minisd and what it needs, .ci/setup.sh dev also what working on it needs.
# PYTHON and TORCH may name another interpreter and another build of torch; versions are pinned in .ci/constraints.txt.
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:?ok or dev} torch=${TORCH:-torch==2.13.0}

stop() { echo "$1" >&2; exit 2; }
install() { .venv/bin/python -m pip install --disable-pip-version-check --quiet -c .ci/constraints.txt "$@"; }

if [ ! -x .venv/bin/python ]; then
    another='make PYTHON=/path/to/python'
    python=${PYTHON:-}
    for p in python3.11 python3.12 python3.13 python3; do [ -n "$python" ] || python=$(command -v $p || true); done
    [ -n "$python" ] || stop "No Python found. Install Python 3.11 or newer, or name one: $another"
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        stop "$python is older than 3.11, which the pinned packages need. Name another one: $another"
    "$python" -c 'import venv, ensurepip' 2>/dev/null ||
        stop "$python has no venv module. Install it (Debian: apt install python3-venv), then try again."
    echo 'making .venv'
    "$python" -m venv .venv
fi
if [ ! -e .venv/.torch ]; then
    echo "installing $torch (the largest download)"
    install "$torch"
    touch .venv/.torch
fi
echo 'installing minisd and what it needs'
if [ "$what" = ok ]; then
    install -e .
else
    install -e '.[dev]'
    install --no-deps torchcfm==1.0.7    # its own requirements would bring a training framework
    # the site's formulas are rendered by KaTeX where npm can bring it, else as MathML
    if command -v npm >/dev/null; then
        npm ci --prefix .ci/site --silent --no-audit --no-fund || echo 'no KaTeX: the site will have MathML'
    fi
    touch .venv/.ok
fi
touch ".venv/.$what"
