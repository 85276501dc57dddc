"The experiments of the post-mortem at full length: tools/postmortem.py [NAME …] [--small]. Writes data/results/v1.json and the strips figures/v1_*.png; each experiment is kept when it is done, and done again only if it is named."
import statistics, sys, time
from datetime import date
from pathlib import Path

import torch

from minisd.core import machine, read_json, write_json
from minisd.metrics import commit
from minisd.postmortem import CASES, LEFT, SHARES, SINGLE, Faults, Lab, Nets, averaging, batchnorm, between_sessions, clips, measured, result, waterfall
from minisd.viz import grid

root, small = Path(__file__).resolve().parents[1], '--small' in sys.argv
out = Path(sys.argv[sys.argv.index('--small') + 1]) if small else root
updates, n, seeds = (4, 4, 2) if small else (300, 128, 3)
shares = (0., 0.5) if small else SHARES
file, start = out/'data'/'results'/'v1.json', time.monotonic()


def sheet(name, images, labels, **kw):
    "A grid of pictures as figures/v1_NAME.png."
    path = out/'figures'/f'v1_{name}.png'
    path.parent.mkdir(parents=True, exist_ok=True)
    grid(images, labels, gap=4, **kw).save(path)


def strip(name, rows):
    "Rows of pictures under one another, the first of each labelled."
    images, labels = zip(*((x, label if i == 0 else '') for label, pics in rows for i, x in enumerate(pics)))
    sheet(name, list(images), list(labels), cols=len(rows[0][1]), cell=64)


def columns(name, cases, shares, images, label):
    "Two rows a case, a column a share."
    k = next(iter(images.values())).shape[0]
    rows = [(case, i) for case in cases for i in range(min(2, k))]
    pics = [images[f'{case} {f:g}'][i] for case, i in rows for f in shares]
    sheet(name, pics, [f'{label.get(case, case)}, {f:g}' if i == 0 else '' for case, i in rows for f in shares], cols=len(shares), cell=96)


def averages(lab, nets):
    "What is sampled from averaged weights that hold a share of a random start."
    rows, names = [], dict(own='own start', other='another start', anew='begun anew')
    for v1_init in (False, True):
        got, images = averaging(lab, v1_init, updates, shares, min(n, 64))
        rows += got
        columns(f'averages_{"v1" if v1_init else "ours"}', CASES, shares, images, names)
    return rows


def singles(lab, nets):
    "Each fault alone, and none, with the spread over seeds."
    rows, pics = [], []
    for seed in range(seeds):
        got, images = result(nets, Faults(), seed=seed, n=n)
        rows.append(dict(fault=None, seed=seed, **got))
        if seed == 0: pics.append(('no fault', images[:8]))
    for name, value in SINGLE.items():
        got, images = result(nets, Faults(**{name: value}), n=n)
        rows.append(dict(fault=name, value=value, seed=0, **got)); pics.append((name.replace('_', ' '), images[:8]))
    got, images = result(nets, Faults(), anew=True, n=n)
    rows.append(dict(fault='average', value=LEFT, seed=0, **got)); pics.append(('average begun anew', images[:8]))
    strip('singles', pics)
    return rows


def falls(lab, nets):
    "All faults, taken away in the order of their effect alone."
    rows = DONE['singles']['rows']
    clean = statistics.mean(r['score']['mean'] for r in rows if r['fault'] is None)
    order = [r['fault'] for r in sorted((r for r in rows if r['fault']), key=lambda r: r['score']['mean'] - clean)]
    got, images = waterfall(nets, order, n)
    strip('waterfall', [('all faults' if k == 'all' else f'− {k.replace("_", " ")}', v[:8]) for k, v in images.items()])
    return got


def replay(lab, nets):
    "How alike the losses of sessions are, replayed and not."
    out = {}
    for name, faults in (('replayed', Faults(session=SINGLE['session'])), ('fresh', Faults())):
        losses = torch.tensor([r['loss'] for r in nets(faults)[0].log if 'loss' in r])
        k = min(SINGLE['session'], len(losses)//2)
        out[name] = between_sessions(losses[:len(losses)//k*k].view(-1, k))
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
    rows, images = batchnorm(4 if small else 200, shares, n=8 if small else 64, pictures=32 if small else 3000)
    columns('batchnorm', list(dict.fromkeys(r['kind'] for r in rows)), shares, images, {})
    return rows


def negatives(lab, nets):
    "Small CLIPs with fewer negatives, and with padding read as words."
    return clips(2, 128, 32) if small else clips()


EXPERIMENTS = dict(singles=singles, waterfall=falls, averages=averages, replay=replay, clock=clock, batchnorm=norms, clips=negatives)


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
        DONE[name] = dict(rows=rows, minutes=round((time.monotonic() - began)/60, 1), updates=updates, captions=n, machine=machine(), commit=commit(), date=str(date.today()))
        write_json(file, DONE)
        print(f'{name}: {DONE[name]["minutes"]} minutes, {(time.monotonic() - start)/60:.1f} in all', flush=True)


main()
