"How scores depend on guidance and on the number of steps: tools/sweep.py [MODEL] [N]. Writes data/results/sweep.json and figures/sweep.png."
import sys
from pathlib import Path

import matplotlib.pyplot as plt

from minisd.core import write_json
from minisd.metrics import evaluate

root = Path(__file__).resolve().parents[1]
model, n = (sys.argv[1:] + ['nano'])[0], int((sys.argv[2:] + [200])[0])
SHOWN = 'scene', 'subject', 'colour', 'side', 'mean'


def main():
    base = evaluate(model, n=n)
    steps, w = base['settings']['steps'], base['settings']['guidance_scale']
    results = {(steps, w): base}
    grid = [(steps, v) for v in (1., 1.5, 2., 3., 4., 6.)] + [(s, w) for s in (5, 10, 20, 40)]
    for key in grid:
        if key not in results: results[key] = evaluate(model, n=n, steps=key[0], guidance=key[1])
    rows = [dict(steps=s, guidance_scale=v, **r['score'], seconds_per_picture=r['seconds_per_picture']) for (s, v), r in sorted(results.items())]
    write_json(root/'data'/'results'/'sweep.json', dict(captions=n, rows=rows, machine=base['machine'], commit=base['commit'], date=base['date']))
    fig, axes = plt.subplots(1, 2, figsize=(8, 3), sharey=True)
    for ax, by, fixed, value in ((axes[0], 'guidance_scale', 'steps', steps), (axes[1], 'steps', 'guidance_scale', w)):
        part = sorted((r for r in rows if r[fixed] == value), key=lambda r: r[by])
        for a in SHOWN: ax.plot([r[by] for r in part], [r[a] for r in part], 'o-', ms=3, label=a)
        ax.set(xlabel=by.replace('_', ' '), title=f'{fixed.replace("_", " ")} {value:g}')
    axes[0].set_ylabel(f'score, {n} captions'), axes[1].legend(fontsize=8)
    fig.tight_layout(), fig.savefig(root/'figures'/'sweep.png', dpi=110)
    for r in rows: print({k: round(v, 3) for k, v in r.items()})


main()
