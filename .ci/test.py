"""What `make check`, `make test` and `make test-slow` run: jobs side by side, the longest first, each in a process.

check   sync, lint, layers, README, and the notebooks that differ from main
test    all notebooks, the package as installed, browser, site
slow    what must take long: cells flagged `#| slow`, with the cells before them, and tests marked `slow`

--jobs N: jobs at a time [default: one a core, four at most]; --remember: write the seconds of this run, by which jobs
are ordered; names: only jobs whose name holds one of them.
"""

import argparse
import importlib
import json
import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SECONDS = ROOT / '.ci' / 'seconds.json'
CODE = 'nbs', '.ci', 'setup.py'  # what people write; minisd/ is made of it
PRELOAD = (
    'einops fastcore.test ipywidgets kornia matplotlib.pyplot nbdev.showdoc numpy PIL.Image safetensors.torch '
    'tokenizers torch typer execnb.shell nbdev.frontmatter nbdev.process'
).split()
LIMIT = 30 * 60  # seconds of a job, after which it hangs
SITE = 'test_site', 'test_playground'  # files of tests that want the site, or what was made for it
SLOW = re.compile(r'^#\|\s*slow\b', re.M)


@dataclass
class Job:
    "One thing that passes or fails."

    name: str
    work: list[str] | Callable  # a command, or a function to call in a forked process
    after: tuple[str, ...] = ()  # names of jobs that must have passed
    began: float = 0.0
    process: object = None
    log: object = field(default_factory=lambda: tempfile.TemporaryFile('w+', errors='replace'))

    def start(self):
        self.began = time.monotonic()
        if callable(self.work):
            self.process = multiprocessing.get_context('fork').Process(target=self.call, name=self.name)
            self.process.start()
        else:
            self.process = subprocess.Popen(
                self.work, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT
            )

    def call(self):
        for f in (1, 2):
            os.dup2(self.log.fileno(), f)
        sys.stdout, sys.stderr = (open(f, 'w', buffering=1, closefd=False) for f in (1, 2))
        sys.exit(0 if self.work() else 1)

    @property
    def code(self) -> int | None:
        "Exit status; None while it runs."
        if time.monotonic() - self.began > LIMIT:
            self.process.kill()
        return self.process.exitcode if callable(self.work) else self.process.poll()

    def said(self) -> str:
        self.log.seek(0)
        return self.log.read()


def preload():
    "What nearly every notebook imports, once; each job is forked from here, so that none sees what another did."
    sys.path.insert(0, str(ROOT))
    for name in PRELOAD:
        importlib.import_module(name)
    import torch

    torch.set_num_threads(1)


def notebook(path: Path, slow: bool) -> bool:
    "Run a notebook from top to bottom and print its slowest cells; with its slow cells, or without them."
    from execnb.shell import CaptureShell
    from nbdev.frontmatter import FrontmatterProc
    from nbdev.process import NBProcessor

    nb, began, seconds = NBProcessor(path, procs=FrontmatterProc, process=True).nb, 0.0, []

    def skipped(cell):
        nonlocal began
        began = time.monotonic()
        if cell.cell_type != 'code' or 'nbdev_export' + '(' in cell.source:
            return True
        said = getattr(cell, 'directives_', None) or {}
        return said.get('eval:', [''])[0].lower() == 'false' or not slow and 'slow' in said

    def done(cell):
        seconds.append((time.monotonic() - began, cell.source.strip().partition('\n')[0][:90]))

    os.chdir(path.parent)
    os.environ |= dict(IN_TEST='1', TQDM_MININTERVAL='10')
    shell = CaptureShell(path)
    try:
        shell.run_all(nb, exc_stop=True, preproc=skipped, postproc=done)
    except BaseException:
        print(shell.prettytb(fname=path))
        return False
    for s, head in sorted(seconds, reverse=True)[:3]:
        print(f'cell {s:.1f} s  {path.stem}: {head}')
    return True


def changed() -> set[str]:
    "Files that differ from the last commit on main, or that git doesn't know."
    git = lambda *a: subprocess.run(['git', *a], cwd=ROOT, capture_output=True, text=True).stdout
    base = git('merge-base', 'HEAD', 'main').strip() or 'HEAD'
    return {*git('diff', '--name-only', base).split('\n'), *git('ls-files', '-o', '--exclude-standard').split('\n')}


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def checks() -> list[Job]:
    "What looks at sources and runs none of them."
    return [
        Job('sync', [sys.executable, '.ci/sync.py']),
        Job('tidy', [sys.executable, '.ci/tidy.py', '--check']),
        Job('lint', ['ruff', 'check', *CODE, 'minisd']),
        Job('format', ['ruff', 'format', '--check', *CODE]),
        Job('layers', [sys.executable, '.ci/layers.py']),
        Job('README', [sys.executable, '.ci/readme.py', '--check']),
    ]


def tests(slow: bool, site: bool) -> list[Job]:
    "Files of tests, without those marked `slow` or those alone; those in `SITE` after the site, if it is built."
    marks, run = 'slow' if slow else 'not slow', []
    for p in sorted((ROOT / '.ci').glob('test_*.py')):
        if slow and 'pytest.mark.slow' not in p.read_text():
            continue
        command = [sys.executable, '-m', 'pytest', '-q', '--durations=3', '--durations-min=3', '-m', marks, name(p)]
        run.append(Job(name(p), command, ('site',) if site and p.stem in SITE else ()))
    return run


def jobs(what: str) -> list[Job]:
    "Everything that a target holds."
    notebooks = [p for p in sorted((ROOT / 'nbs').rglob('*.ipynb')) if '.ipynb_checkpoints' not in p.parts]
    notebooks = [p for p in notebooks if sources(p)]  # a page of prose has nothing to run
    if what == 'check':
        new = changed()
        return checks() + [Job(name(p), partial(notebook, p, False)) for p in notebooks if name(p) in new]
    if what == 'slow':
        run = [Job('v1 put back', [sys.executable, '.ci/put_back.py'])]
        run += [Job(name(p), partial(notebook, p, True)) for p in notebooks if SLOW.search('\n'.join(sources(p)))]
        return run + tests(slow=True, site=False)
    run = checks() + [Job(name(p), partial(notebook, p, False)) for p in notebooks]
    run += [Job('site', [sys.executable, '-W', 'ignore', '.ci/site/build.py'])]
    return run + tests(slow=False, site=True)


def sources(path: Path) -> list[str]:
    return [''.join(c['source']) for c in json.loads(path.read_text())['cells'] if c['cell_type'] == 'code']


def longest_first(todo: list[Job], known: dict[str, float]) -> list[Job]:
    "Jobs by the seconds that they and what waits for them take."
    took = lambda j: known.get(j.name, 30.0)
    whole = lambda j: took(j) + max((took(k) for k in todo if j.name in k.after), default=0.0)
    return sorted(todo, key=whole, reverse=True)


def say(job: Job, seconds: float, so_far: str):
    "A line about a job that has ended; of one that failed, the end of what it said."
    print(f'{so_far}  {"FAILED" if job.code else "passed"}  {job.name} ({seconds:.1f} s)', flush=True)
    if job.code:
        print('\n'.join('        ' + l for l in job.said().splitlines()[-60:]), flush=True)


def go(todo: list[Job], side: int, known: dict[str, float]) -> tuple[dict[str, float], list[Job]]:
    "Run jobs, so many at a time, the longest first; seconds of each, and those that failed."
    todo, active, seconds, failed, began = longest_first(todo, known), [], {}, [], time.monotonic()
    total = len(todo)
    while todo or active:
        for j in [j for j in active if j.code is not None]:
            active.remove(j)
            seconds[j.name] = time.monotonic() - j.began
            failed += [j] if j.code else []
            say(j, seconds[j.name], f'{time.monotonic() - began:5.0f} s  {len(seconds):2d} of {total}')
        free = next((j for j in todo if all(a in seconds for a in j.after)), None)
        if free and len(active) < side:
            todo.remove(free)
            active.append(free)
            free.start()
        else:
            time.sleep(0.1)
    return seconds, failed


def report(todo: list[Job], seconds: dict[str, float]):
    "The slowest jobs and cells."
    print('the ten slowest:')
    for n, s in sorted(seconds.items(), key=lambda p: -p[1])[:10]:
        print(f'{s:7.1f} s  {n}')
    cells = [l for j in todo for l in j.said().splitlines() if l.startswith('cell ')]
    print('\n'.join(sorted(cells, key=lambda l: -float(l.split()[1]))[:10]))


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('what', choices=('check', 'test', 'slow'))
    parser.add_argument('names', nargs='*')
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
    parser.add_argument('--jobs', type=int, default=min(4, cores))
    parser.add_argument('--remember', action='store_true')
    return parser.parse_intermixed_args()


def main() -> int:
    a, begun = options(), time.monotonic()
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get('PYTHONPATH')]))
    os.environ |= dict(HF_HUB_OFFLINE='1', OMP_NUM_THREADS='1', MPLBACKEND='agg', PYTHONPATH=path)
    preload()
    from minisd.base.core import machine, pick_dtype

    todo = [j for j in jobs(a.what) if not a.names or any(n in j.name for n in a.names)]
    for j in todo:
        j.after = tuple(n for n in j.after if n in {k.name for k in todo})  # what isn't run is not waited for
    (dtype, why), m = pick_dtype('cpu'), machine()
    print(
        f'{len(todo)} jobs, {a.jobs} at a time, on {m["cpu"]}, {m["cores"]} cores, '
        f'in {str(dtype).removeprefix("torch.")} ({why})',
        flush=True,
    )
    known = json.loads(SECONDS.read_text()) if SECONDS.is_file() else {}
    seconds, failed = go(todo, a.jobs, known)
    report(todo, seconds)
    if a.remember:
        known |= {n: round(s) for n, s in seconds.items()}
        SECONDS.write_text(json.dumps(known, indent=0, sort_keys=True) + '\n')
    print(f'{time.monotonic() - begun:.0f} s in all')
    for j in failed:  # once more, where the end of a long output is all that is kept
        print(f'FAILED  {j.name}', *j.said().splitlines()[-8:], sep='\n    ')
    print(f'{len(seconds) - len(failed)} passed, {len(failed)} failed')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
