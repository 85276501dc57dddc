"""Run an experiment whole: .ci/lab.py NAME [PART …], or make lab NB="NAME PART".

NAME is a notebook in nbs/lab. It writes its numbers into data/results and its figures into figures, part by part.
In the tests the same notebook runs small and writes nothing here.
"""

import argparse
import json
import os
import sys
import time
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LAB = ROOT / 'nbs' / 'lab'


def cells(file: Path) -> list[str]:
    "Sources of the code cells that are to be run."
    sources = (''.join(c['source']) for c in json.loads(file.read_text())['cells'] if c['cell_type'] == 'code')
    return [s for s in sources if 'nbdev_export()' not in s and '#| eval: false' not in s]


def idle(experiments: list, began: float) -> str:
    "What to say of a run that wrote no result since it began; nothing of another."
    results = [f.stat().st_mtime for e in experiments for f in e.file.parent.glob('*.json')]
    if not results or max(results) > began:
        return ''
    e = experiments[0]
    part = f', or name a part: {", ".join(e.every)}' if e.every else ''
    return f'nothing was left to do: {e.file.relative_to(e.out)} holds all of it. To do it anew, remove that file{part}'


def main() -> int:
    names = sorted(f.stem for f in LAB.glob('*.ipynb') if f.stem != 'experiment')
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('name', choices=names, metavar='NAME', help=', '.join(names))
    parser.add_argument('parts', nargs='*', metavar='PART', help='what to do of it, or again [default: all of it]')
    a = parser.parse_args()
    os.environ |= dict(MINISD_LAB=' '.join(a.parts), MPLBACKEND='agg')
    os.environ['PYTHONPATH'] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get('PYTHONPATH')]))
    sys.path.insert(0, str(ROOT))
    os.chdir(LAB)
    from IPython.core.interactiveshell import InteractiveShell

    warnings.filterwarnings('ignore', "To exit: use")  # said of every SystemExit in a cell
    shell, began = InteractiveShell.instance(), time.time()
    for source in cells(LAB / f'{a.name}.ipynb'):
        result = shell.run_cell(source)
        if not result.success:
            e = result.error_in_exec
            return sys.exit(e) if isinstance(e, SystemExit) else 1
    from minisd.lab.experiment import Experiment

    if says := idle([v for v in shell.user_ns.values() if isinstance(v, Experiment)], began):
        print(says)
    return 0


if __name__ == '__main__':
    sys.exit(main())
