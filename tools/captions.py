"The experiments on captions at full length: tools/captions.py [--small FOLDER]. Writes data/results/captions.json and figures/captions.png after every run; runs that are there are not done again."

import sys, tempfile, time
from dataclasses import asdict
from datetime import date
from pathlib import Path

from tqdm import tqdm

from minisd.base.core import machine, read_json, write_json
from minisd.lab.captions import EXPERIMENTS, Bench, Condition, Effort, captions_figure, key, learn, measure
from minisd.base.core import commit

small = '--small' in sys.argv
out = Path(sys.argv[sys.argv.index('--small') + 1]) if small else Path(__file__).resolve().parents[1]
file = out / 'data' / 'results' / 'captions.json'


def main():
    effort = Effort(2, 8, 2, 8, 16) if small else Effort()
    n, n_val = (16, 16) if small else (192, 256)
    state = dict(effort=asdict(effort), captions=n, validation=n_val)
    done = read_json(file) if file.is_file() else {}
    rows = done.get('rows', []) if {k: done.get(k) for k in state} == state else []
    have = {(key(Condition(**r['condition'])), r['seed']) for r in rows}
    todo = [(c, s) for s in range(3) for c, seeds in EXPERIMENTS.items() if s < seeds and (key(c), s) not in have]
    if small:
        todo = [(Condition(pictures=32, generic=g), 0) for g in (0.0, 1.0)]
    bench = Bench(n_val)
    for c, seed in tqdm(todo, desc='runs', unit='run'):
        began = time.monotonic()
        styles = ('rich', 'short') if c in (Condition(), Condition(style='short')) else ('rich',)
        with tempfile.TemporaryDirectory() as d:
            got = measure(bench, learn(bench, c, effort, Path(d), seed), n, styles)
        rows.append(dict(condition=asdict(c), seed=seed, minutes=round((time.monotonic() - began) / 60, 2), **got))
        rows.sort(key=lambda r: (key(Condition(**r['condition'])), r['seed']))
        write_json(file, state | dict(rows=rows, machine=machine(), commit=commit(), date=str(date.today())))
        (out / 'figures').mkdir(exist_ok=True)
        captions_figure(read_json(file)).savefig(out / 'figures' / 'captions.png', dpi=110, facecolor='white')


if __name__ == '__main__':
    main()
