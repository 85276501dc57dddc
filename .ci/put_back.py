"""Put v1's faults back, one at a time, and see that a test notices: .ci/put_back.py [NAME …].

The faults are those of FINDINGS in nbs/lab/postmortem.ipynb. Nothing in the repository is changed; it takes minutes.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from minisd.lab.postmortem import FINDINGS, put_back

NOTEBOOKS = Path(__file__).resolve().parents[1] / 'nbs'
SKIPPED = '#| eval: false', '#| slow'


def heading(text: str, above: str) -> str:
    "The last heading of a Markdown cell, or the one above it."
    return next((l.lstrip('# ') for l in reversed(text.splitlines()) if l.startswith(('## ', '### '))), above)


def message(error: BaseException, source: str) -> str:
    "What a failed cell says, in a line; a bare assertion says its cell's last line."
    said = str(error).strip() or source.strip().splitlines()[-1]
    return f'{type(error).__name__}: {said.splitlines()[0][:160]}'


def tried(name: str) -> tuple[str, str]:  # heading, '' if no test noticed; what the test says
    "Run a notebook with a fault in it until a cell fails."
    from execnb.shell import CaptureShell

    nb, above = put_back(name, NOTEBOOKS), ''
    os.chdir((NOTEBOOKS / FINDINGS[name].guard[0]).parent)
    shell = CaptureShell(path='.')
    for c in nb['cells']:
        source = ''.join(c['source'])
        if c['cell_type'] == 'markdown':
            above = heading(source, above)
        elif 'nbdev_export()' not in source and not any(flag in source for flag in SKIPPED):
            shell.run(source)
            if shell.exc:
                return above, message(shell.exc, source)
    return '', 'every test passes'


def alone(name: str) -> tuple[str, str]:
    "The same in a process of its own."
    r = subprocess.run([sys.executable, __file__, '--one', name], capture_output=True, text=True)
    if r.returncode:
        return '', (r.stderr.strip().splitlines() or ['it was killed'])[-1]
    return json.loads(r.stdout.splitlines()[-1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('names', nargs='*', metavar='NAME', help=', '.join(FINDINGS))
    parser.add_argument('--one', action='store_true', help=argparse.SUPPRESS)
    a = parser.parse_args()
    if unknown := {*a.names} - {*FINDINGS}:
        parser.error(f'{min(unknown)} is no finding: choose from {", ".join(FINDINGS)}')
    if a.one:
        print(json.dumps(tried(a.names[0])))
        return 0
    names, missed = a.names or list(FINDINGS), []
    for name in names:
        (book, guard), (found, says) = FINDINGS[name].guard, alone(name)
        where = f'noticed in {book}, {found}' if found else 'NOT noticed'
        if found != guard:
            missed.append(name)
            where += f'; it should be in {book}, {guard}'
        print(f'{name:>15}: {where} ({says})', flush=True)
    print(f'{len(names) - len(missed)} of {len(names)} are noticed where FINDINGS says')
    return bool(missed)


if __name__ == '__main__':
    sys.exit(main())
