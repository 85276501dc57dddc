"Before a commit: clean, export, format and lint the notebooks and files of Python that are in it."

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def files(*args: str) -> set[str]:
    "Names that git tells."
    said = subprocess.run(['git', *args, '-z'], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return {f for f in said.split('\0') if f}


def call(*command: str) -> bool:
    return subprocess.run(command, cwd=ROOT).returncode == 0


def changed() -> set[str]:
    "Files that differ from what is staged, and modules that git doesn't know."
    return files('diff', '--name-only') | files('ls-files', '-o', '--exclude-standard', 'minisd')


def mend(notebooks: list[str], written: list[str]) -> bool:
    "Clean, format, lint and export; whether all of it went well."
    good = all(call('nbdev_clean', '--fname', f) for f in notebooks)
    good = good and (not notebooks or call(sys.executable, '.ci/tidy.py', *notebooks))
    good = good and call('ruff', 'format', '-q', *written) and call('ruff', 'check', '-q', *written)
    return good and all(call('nbdev_export', '--path', f) for f in notebooks)


def main() -> int:
    staged = files('diff', '--cached', '--name-only', '--diff-filter=ACMR')
    written = sorted(f for f in staged if f.endswith(('.ipynb', '.py')) and not f.startswith('minisd/'))
    before = changed()
    if half := sorted({*written} & before):
        print(f'staged in part: {", ".join(half)}. Add the rest, too, or keep it elsewhere')
        return 1
    good = not written or mend([f for f in written if f.endswith('.ipynb')], written)
    new = sorted(changed() - before)
    if good and new:
        good = call('git', 'add', *new)
        print('added to the commit:', ', '.join(new))
    elif new:
        print('changed, not staged:', ', '.join(new))
    return not good


if __name__ == '__main__':
    sys.exit(main())
