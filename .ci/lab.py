"""Run an experiment whole: .ci/lab.py NAME [PART …], or make lab NB="NAME PART".

NAME is a notebook in nbs/lab. It writes its numbers into data/results and its figures into figures, part by part.
In the tests the same notebook runs small and writes nothing here.
"""

import argparse
import json
import os
import sys
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LAB = ROOT / 'nbs' / 'lab'


def cells(file: Path) -> list[str]:
    "Sources of the code cells that are to be run."
    sources = (''.join(c['source']) for c in json.loads(file.read_text())['cells'] if c['cell_type'] == 'code')
    return [s for s in sources if 'nbdev_export()' not in s and '#| eval: false' not in s]


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
    shell = InteractiveShell.instance()
    for source in cells(LAB / f'{a.name}.ipynb'):
        result = shell.run_cell(source)
        if not result.success:
            e = result.error_in_exec
            return sys.exit(e) if isinstance(e, SystemExit) else 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
