"The experiments of the post-mortem at full length: tools/postmortem.py [NAME …] [--small]. Writes data/results/v1.json and the strips figures/v1_*.png; each experiment is kept when it is done, and done again only if it is named."

import statistics, sys, time
from datetime import date
from pathlib import Path

import matplotlib

matplotlib.use('Agg')
import matplotlib.pyplot as plt
import torch

from minisd.base.core import machine, read_json, write_json
from minisd.base.core import commit
from minisd.lab.postmortem import (
    CASES,
    LEFT,
    SHARES,
    SINGLE,
    Faults,
    Lab,
    Nets,
    averaging,
    batchnorm,
    between_sessions,
    clips,
    crops,
    floors,
    measured,
    preview_range,
    result,
    waterfall,
)

root, small = Path(__file__).resolve().parents[1], '--small' in sys.argv
out = Path(sys.argv[sys.argv.index('--small') + 1]) if small else root
updates, n, seeds = (4, 4, 2) if small else (300, 128, 3)
SIZES = dict(
    averages=dict(updates=updates, captions=min(n, 64)),
    batchnorm=dict(updates=4, pictures=8, train=32) if small else dict(updates=200, pictures=64, train=3000),
    clips=dict(updates=2, pairs=32, train=128) if small else dict(updates=150, pairs=256, train=6000),
    untrained=dict(pictures=16 if small else 256),
)
shares = (0.0, 0.18, 0.27, 0.8) if small else SHARES
file, start = out / 'data' / 'results' / 'v1.json', time.monotonic()


def plate(name, rows, columns=None):
    "Rows of (label, pictures, notes under them or none) as figures/v1_NAME.png."
    n = len(rows[0][1])
    fig, axes = plt.subplots(
        len(rows),
        n,
        figsize=(
            1.6 + 0.95 * n,
            sum(1.05 + 0.13 * (1 + notes[0].count('\n')) if notes else 0.97 for *_, notes in rows) + 0.25,
        ),
        squeeze=False,
        layout='constrained',
    )
    fig.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0, hspace=0)
    for first, axs, (label, pics, notes) in zip([True] + [False] * len(rows), axes, rows):
        for k, (ax, x) in enumerate(zip(axs, pics)):
            ax.imshow(x.permute(1, 2, 0).numpy(), interpolation='nearest')
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
            if notes:
                ax.set_xlabel(notes[k], fontsize=8, labelpad=2)
            if columns and first:
                ax.set_title(columns[k], fontsize=10, pad=3)
        axs[0].set_ylabel(label, rotation=0, ha='right', va='center', fontsize=10, labelpad=6)
    (out / 'figures').mkdir(parents=True, exist_ok=True)
    fig.savefig(out / 'figures' / f'v1_{name}.png', dpi=110, facecolor='white')
    plt.close(fig)


def by_share(name, shares, groups, shown=(0, 1)):
    "Two rows a group of (label, pictures by share, notes by share), a column a share."
    rows = [
        (label if k == 0 else '', [images[f][i] for f in shares], [notes[f] for f in shares] if k else None)
        for label, images, notes in groups
        for k, i in enumerate(shown)
    ]
    plate(name, rows, [f'{f:.3g} %' for f in (100 * f for f in shares)])


def judged(score):
    "What stands beside a row of pictures."
    return f'accuracy {score["mean"]:.2f}\nstructure {score["structure"]:.2f}'


def averages(lab, nets):
    "What is sampled from averaged weights that hold a share of a random start."
    rows, names = [], dict(own='its own\nstart', other='another\nstart', anew='begun anew\nin the last\nquarter')
    for v1_init in (False, True):
        got, images = averaging(lab, v1_init, updates, shares, SIZES['averages']['captions'])
        rows += got
        says = {(r['case'], r['share']): judged(r['score']) for r in got}
        by_share(
            f'averages_{"v1" if v1_init else "ours"}',
            shares,
            [(names[c], {f: images[f'{c} {f:g}'] for f in shares}, {f: says[c, f] for f in shares}) for c in CASES],
            (0, 1) if small else (3, 6),
        )  # a sunset and a day under a clear sky
    return rows


def singles(lab, nets):
    "Each fault alone, and none, with the spread over seeds."
    rows, pics = [], []
    for seed in range(seeds):
        got, images = result(nets, Faults(), seed=seed, n=n)
        rows.append(dict(fault=None, seed=seed, **got))
        if seed == 0:
            pics.append((f'no fault\n{judged(got["score"])}', images[:8], None))
    for name, value in SINGLE.items():
        got, images = result(nets, Faults(**{name: value}), n=n)
        rows.append(dict(fault=name, value=value, seed=0, **got))
        pics.append((f'{name.replace("_", " ")}\n{judged(got["score"])}', images[:8], None))
    got, images = result(nets, Faults(), anew=True, n=n)
    rows.append(dict(fault='average', value=LEFT, seed=0, **got))
    pics.append((f'average begun anew\n{judged(got["score"])}', images[:8], None))
    plate('singles', pics)
    return rows


def falls(lab, nets):
    "All faults, taken away in the order of their effect alone."
    rows = DONE['singles']['rows']
    clean = statistics.mean(r['score']['mean'] for r in rows if r['fault'] is None)
    order = [r['fault'] for r in sorted((r for r in rows if r['fault']), key=lambda r: r['score']['mean'] - clean)]
    got, images = waterfall(nets, order, n)
    plate(
        'waterfall',
        [
            (
                f'{"all faults" if r["without"] is None else "without " + r["without"].replace("_", " ")}\n{judged(r["score"])}',
                images[r['without'] or 'all'][:8],
                None,
            )
            for r in got
        ],
    )
    return got


def all_but_one(lab, nets):
    "All faults of the UNet but the average."
    got, images = result(nets, Faults(**SINGLE), n=n)
    plate('all_but_average', [(f'all but the\naverage\n{judged(got["score"])}', images[:8], None)])
    return [dict(fault='all but the average', **got)]


def replay(lab, nets):
    "How alike the losses of sessions are, replayed and not."
    out = {}
    for name, faults in (('replayed', Faults(session=SINGLE['session'])), ('fresh', Faults())):
        losses = torch.tensor([r['loss'] for r in nets(faults)[0].log if 'loss' in r])
        k = min(SINGLE['session'], len(losses) // 2)
        out[name] = between_sessions(losses[: len(losses) // k * k].view(-1, k))
    return out


def clock(lab, nets):
    "The faulty clock and the right one at different numbers of steps."
    net, rows = nets(Faults())[0].net, []
    for steps in (2, 5) if small else (5, 10, 20, 50):
        for fast in (False, True):
            score, images = measured(lab, net, Faults(fast_clock=fast), n, steps=steps)
            rows.append(dict(steps=steps, fast_clock=fast, score=score))
    return rows


def norms(lab, nets):
    "A VAE with BatchNorm, and one with GroupNorm, under averaged parameters."
    rows, images = batchnorm(
        SIZES['batchnorm']['updates'], shares, SIZES['batchnorm']['pictures'], SIZES['batchnorm']['train']
    )
    psnr, names = {(r['kind'], r['share']): f'{r["psnr"]:.1f} dB' for r in rows}, dict.fromkeys(r['kind'] for r in rows)
    by_share(
        'batchnorm',
        shares,
        [
            (
                k.replace(', ', ',\n').replace('statistics of its own', 'its own\nstatistics'),
                {f: images[f'{k} {f:g}'] for f in shares},
                {f: psnr[k, f] for f in shares},
            )
            for k in names
        ],
    )
    return rows


def negatives(lab, nets):
    "Small CLIPs with fewer negatives, and with padding read as words."
    return clips(SIZES['clips']['updates'], SIZES['clips']['train'], SIZES['clips']['pairs'])


def untrained(lab, nets):
    "The wrong range, free bits, and pictures squashed to a square."
    m = 16 if small else 256
    return dict(range=preview_range(lab.pipe.vae, m)[0], floors=floors(min(m, 64)), crops=crops(m)[0])


EXPERIMENTS = dict(
    untrained=untrained,
    singles=singles,
    waterfall=falls,
    all_but_average=all_but_one,
    averages=averages,
    replay=replay,
    clock=clock,
    batchnorm=norms,
    clips=negatives,
)


def main():
    global DONE
    asked = [a for a in sys.argv[1:] if a in EXPERIMENTS]
    DONE = read_json(file) if file.is_file() else {}
    todo = asked or [e for e in EXPERIMENTS if e not in DONE]
    lab = Lab(64, 16) if small else Lab()
    nets = Nets(lab, updates)
    for name in todo:
        began = time.monotonic()
        rows = EXPERIMENTS[name](lab, nets)
        DONE[name] = dict(
            rows=rows,
            **SIZES.get(name, dict(updates=updates, captions=n)),
            minutes=round((time.monotonic() - began) / 60, 1),
            machine=machine(),
            commit=commit(),
            date=str(date.today()),
        )
        write_json(file, DONE)
        print(f'{name}: {DONE[name]["minutes"]} minutes, {(time.monotonic() - start) / 60:.1f} in all', flush=True)


main()
