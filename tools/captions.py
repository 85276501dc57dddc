"The experiments on captions at full length: tools/captions.py [--workers N] [--small FOLDER]. Writes data/results/captions.json after every run; runs that are there are not done again."
import os, sys, tempfile, time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from datetime import date
from multiprocessing import get_context
from pathlib import Path

from tqdm import tqdm

small = '--small' in sys.argv
out = Path(sys.argv[sys.argv.index('--small') + 1]) if small else Path(__file__).resolve().parents[1]
file = out/'data'/'results'/'captions.json'


def work(condition, seed, effort, n, n_val):
    "One run in a process of its own."
    import torch
    from minisd.experiments import Bench, learn, measure
    torch.set_num_threads(1)
    began, shop = time.monotonic(), work.__dict__.setdefault('shop', None) or Bench(n_val)
    work.shop = shop                                              # pictures and latents stay for the next run
    with tempfile.TemporaryDirectory() as d: pipe = learn(shop, condition, effort, Path(d), seed)
    return measure(shop, pipe, n), time.monotonic() - began


def main():
    from minisd.core import machine, read_json, write_json
    from minisd.experiments import EXPERIMENTS, Condition, Effort, key
    from minisd.metrics import commit
    effort = Effort(2, 8, 2, 8, 16) if small else Effort()
    n, n_val = (16, 16) if small else (192, 256)
    state = dict(effort=asdict(effort), captions=n, validation=n_val)
    done = read_json(file) if file.is_file() else {}
    rows = done.get('rows', []) if {k: done.get(k) for k in state} == state else []
    have = {(key(Condition(**r['condition'])), r['seed']) for r in rows}
    todo = [(c, s) for s in range(3) for c, seeds in EXPERIMENTS.items() if s < seeds and (key(c), s) not in have]
    if small: todo = [(Condition(pictures=32, generic=g), 0) for g in (0., 1.)]
    workers = int(sys.argv[sys.argv.index('--workers') + 1]) if '--workers' in sys.argv else max(1, (os.cpu_count() or 1))
    with ProcessPoolExecutor(workers, get_context('spawn')) as pool, tqdm(total=len(todo), desc='runs', unit='run') as bar:
        jobs = {pool.submit(work, c, s, effort, n, n_val): (c, s) for c, s in todo}
        for job in as_completed(jobs):
            (c, s), (got, seconds) = jobs[job], job.result()
            rows.append(dict(condition=asdict(c), seed=s, minutes=round(seconds/60, 2), **got))
            rows.sort(key=lambda r: (key(Condition(**r['condition'])), r['seed']))
            write_json(file, state | dict(rows=rows, workers=workers, machine=machine(), commit=commit(), date=str(date.today())))
            bar.update()


if __name__ == '__main__': main()
