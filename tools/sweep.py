"How few evaluations are enough: solvers, grids and guidance compared on a model. tools/sweep.py [PART …] with parts solvers, accuracy, guidance, default (all of them if none is named), or figure alone. Writes data/results/sweep.json and figures/sweep.png."

import sys, time
from datetime import date
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from tqdm import tqdm

from minisd.base.core import generator, machine, read_json, write_json
from minisd.world.dataset import World
from minisd.flow import SOLVERS, density_grid, fitted, heun, time_grid
from minisd.inference import Pipeline
from minisd.base.core import commit
from minisd.world.probe import load_probe, score

root = Path(__file__).resolve().parents[1]
FILE, DISTANCE, CAPTIONS, BATCH = root / 'data' / 'results' / 'sweep.json', 32, 300, 50
COST = dict(midpoint=2, heun=2, rk4=4)


class Bench:
    "A model with validation captions and their noise."

    def __init__(self, n):
        self.pipe, self.val, self.evaluations = (
            Pipeline.from_pretrained('nano', torch.float32),
            World('validation', n=n),
            0,
        )
        self.texts, self.gens, net = (
            self.val.texts(),
            lambda i, j: [generator(0, 'evaluate', k) for k in range(i, j)],
            self.pipe.unet,
        )

        def counted(x, *args):
            self.evaluations += len(x)
            return net(x, *args)

        self.pipe.net = counted

    @torch.inference_mode()
    def sample(self, solve, ts, **kw):
        "Latents of all captions, and evaluations a picture."
        self.evaluations, out = 0, []
        for i in range(0, len(self.texts), BATCH):
            job = self.pipe.prepare(
                self.texts[i : i + BATCH],
                1,
                generator=self.gens(i, min(i + BATCH, len(self.texts))),
                solver='euler',
                **kw,
            )
            out.append(solve(job.velocity, job.x, ts))
        return torch.cat(out), self.evaluations / len(self.texts)

    def grid(self, name, steps):
        return density_grid(steps, self.pipe.sampling['density']) if name == 'fitted' else time_grid(steps, float(name))

    def scored(self, z):
        return score(torch.cat([self.pipe.decode(b) for b in z.split(BATCH)]), self.val.scenes(), load_probe())


def solvers():
    "Distance to a fine solution against evaluations, every solver on every grid."
    b, rows = Bench(DISTANCE), []
    truth, _ = b.sample(heun, time_grid(200))
    jobs = [
        (s, g, n)
        for s in SOLVERS
        for g in ('1', '2', 'fitted')
        for n in (4, 6, 8, 10, 12, 20)
        if n % COST.get(s, 1) == 0
    ] + [('fitted', 'fitted', int(n)) for n in b.pipe.sampling['weights'] if int(n) <= 12 or n == '20']
    for s, g, n in tqdm(jobs, desc='solvers', unit='run'):
        steps = n // COST.get(s, 1)
        z, passes = b.sample(
            fitted(b.pipe.sampling['weights'][str(steps)]) if s == 'fitted' else SOLVERS[s], b.grid(g, steps)
        )
        far = (z - truth).flatten(1).square().mean(1)
        rows.append(
            dict(
                solver=s,
                grid=g,
                steps=steps,
                evaluations=n,
                passes=passes,
                distance=(far.mean().sqrt() / truth.std()).item(),
                median=(far.sqrt().median() / truth.std()).item(),
            )
        )
    return dict(rows=rows, captions=DISTANCE, reference='Heun, 200 steps')


def accuracy():
    "Attribute accuracy of the runs that matter."
    b, rows = Bench(CAPTIONS), []
    runs = (
        [('euler', '1', n) for n in (4, 6, 8, 12, 20)]
        + [('ab2', '2', n) for n in (6, 8, 12)]
        + [('dpmpp_2m', '1', n) for n in (6, 8, 12)]
        + [('fitted', 'fitted', n) for n in (4, 5, 6, 7, 8, 10, 12)]
    )
    for s, g, n in tqdm(runs, desc='accuracy', unit='run'):
        z, passes = b.sample(fitted(b.pipe.sampling['weights'][str(n)]) if s == 'fitted' else SOLVERS[s], b.grid(g, n))
        rows.append(dict(solver=s, grid=g, steps=n, evaluations=n, passes=passes, score=b.scored(z)))
    return dict(rows=rows, captions=CAPTIONS, subjects=sum(len(s.subjects) for s in b.val.scenes()))


def guidance():
    "Scale, interval and refinements of guidance, at 20 Euler steps."
    b, rows, all_ = Bench(200), [], [0.0, 1.0]
    runs = (
        [(w, all_, {}) for w in (1.0, 2.0, 3.0, 6.0)]
        + [(3.0, i, {}) for i in ([0.0, 0.5], [0.1, 0.6], [0.2, 0.7], [0.3, 0.6], [0.5, 1.0])]
        + [
            (6.0, all_, dict(guidance_rescale=0.7)),
            (6.0, all_, dict(zero_star=True)),
            (3.0, all_, dict(zero_star=True)),
        ]
    )
    for w, interval, kw in tqdm(runs, desc='guidance', unit='run'):
        z, passes = b.sample(SOLVERS['euler'], time_grid(20), guidance_scale=w, guidance_interval=interval, **kw)
        rows.append(
            dict(
                guidance_scale=w,
                interval=interval,
                **kw,
                passes=passes,
                score=b.scored(z),
                contrast=b.pipe.decode(z[:100]).std().item(),
            )
        )
    real = b.val.images()[:100].float() / 255
    return dict(
        rows=rows, captions=200, subjects=sum(len(s.subjects) for s in b.val.scenes()), contrast_real=real.std().item()
    )


def default():
    "The model's default, and with more guidance, against 20 steps of Euler guided throughout, on many captions."
    b, rows = Bench(1000), []
    own = b.pipe.defaults['steps']
    runs = [('fitted', own, 3.0, [0.2, 0.7]), ('fitted', own, 4.0, [0.2, 0.7]), ('euler', 20, 3.0, [0.0, 1.0])]
    for s, n, w, interval in tqdm(runs, desc='default', unit='run'):
        z, passes = b.sample(
            fitted(b.pipe.sampling['weights'][str(n)]) if s == 'fitted' else SOLVERS[s],
            b.grid('fitted' if s == 'fitted' else '1', n),
            guidance_scale=w,
            guidance_interval=interval,
        )
        rows.append(
            dict(
                solver=s,
                steps=n,
                guidance_scale=w,
                interval=interval,
                passes=passes,
                score=b.scored(z),
                contrast=b.pipe.decode(z[:100]).std().item(),
            )
        )
    return dict(rows=rows, captions=1000, subjects=sum(len(s.subjects) for s in b.val.scenes()))


def figure(r):
    "Distance and accuracy against evaluations."
    names = dict(
        euler='Euler',
        midpoint='midpoint',
        heun='Heun',
        rk4='RK4',
        ab2='Adams–Bashforth 2',
        ab3='Adams–Bashforth 3',
        dpmpp_2m='DPM++(2M)',
        fitted='fitted grid and weights',
    )
    fig, (ax, bx) = plt.subplots(1, 2, figsize=(11, 4.4), layout='constrained')
    colour = {s: 'k' if s == 'fitted' else f'C{k}' for k, s in enumerate(names)}
    for s, name in names.items():
        best = {
            n: min(q['distance'] for q in r['solvers']['rows'] if q['solver'] == s and q['evaluations'] == n)
            for n in sorted({q['evaluations'] for q in r['solvers']['rows'] if q['solver'] == s})
        }
        ax.plot(*zip(*best.items()), 'o-', ms=4, lw=2.5 if s == 'fitted' else 1, color=colour[s], label=name)
    aim = next(
        q['distance'] for q in r['solvers']['rows'] if (q['solver'], q['grid'], q['steps']) == ('euler', '1', 20)
    )
    (
        ax.axhline(aim, color='0.5', ls=':', lw=1),
        ax.text(20, aim * 1.06, '20 uniform steps of Euler', fontsize=8, color='0.3', ha='right'),
    )
    (
        ax.set(
            xlabel='guided calls',
            ylabel='distance to the exact solution (std)',
            yscale='log',
            title='each solver on its best grid',
        ),
        ax.legend(fontsize=8),
    )
    for j, s in enumerate(('euler', 'ab2', 'dpmpp_2m', 'fitted')):
        q = [x for x in r['accuracy']['rows'] if x['solver'] == s]
        y = [x['score']['subject'] for x in q]
        bx.errorbar(
            [x['steps'] + 0.12 * j for x in q],
            y,
            [(v * (1 - v) / r['accuracy']['subjects']) ** 0.5 for v in y],
            fmt='o-',
            ms=4,
            lw=2.5 if s == 'fitted' else 1,
            elinewidth=1,
            color=colour[s],
            label=f"{names[s]}{'' if s == 'fitted' else ', shift ' + q[0]['grid']}",
        )
    none = next(x['score']['subject'] for x in r['guidance']['rows'] if x['guidance_scale'] == 1)
    (
        bx.axhline(none, color='0.5', ls=':', lw=1),
        bx.text(20, none + 0.002, '20 steps without guidance', fontsize=8, color='0.3', ha='right'),
    )
    (
        bx.set(
            xlabel='guided calls',
            ylabel='subjects that are right',
            title=f"{r['accuracy']['captions']} captions, with standard errors",
            xlim=(3, 21),
            ylim=(0.9, 1),
        ),
        bx.legend(fontsize=8, loc='center right'),
    )
    fig.savefig(root / 'figures' / 'sweep.png', dpi=110)


def main():
    parts = dict(solvers=solvers, accuracy=accuracy, guidance=guidance, default=default)
    wanted = [p for p in sys.argv[1:] if p != 'figure'] if sys.argv[1:] else list(parts)
    if bad := set(wanted) - set(parts):
        sys.exit(f'{min(bad)} is no part: choose from {", ".join(parts)}')
    for name in wanted:
        start = time.monotonic()
        part = parts[name]()
        result = read_json(FILE) if FILE.is_file() else {}
        result[name] = part | dict(
            minutes=round((time.monotonic() - start) / 60, 1),
            machine=machine(),
            commit=commit(),
            date=str(date.today()),
        )
        write_json(FILE, result)
    result = read_json(FILE)
    if parts.keys() <= result.keys():
        figure(result)
    print(FILE)


main()
