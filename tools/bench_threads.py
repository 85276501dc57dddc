"""Threads and how they wait for one another, beside an idle and a busy second process: ways compared in one run.

Writes data/results/threads_bench.json; --quick: one round, not written. Each way is a process of its own, since OpenMP
reads its settings once; the ways take turns, idle and busy, so that all see the same machine. Names of pieces of work
(one, eight, update, serve, base) measure these alone and leave the other rows of the file as they are.
"""

import os
import statistics
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

root = Path(__file__).resolve().parents[1]
OURS = 'OMP_NUM_THREADS', 'OMP_WAIT_POLICY', 'GOMP_SPINCOUNT', 'MINISD_THREADS'
ALL = dict(MINISD_THREADS='all')
WAYS = {
    'torch as it is': ALL,
    'OMP_WAIT_POLICY=passive': ALL | dict(OMP_WAIT_POLICY='passive'),
    **{f'GOMP_SPINCOUNT={n}': ALL | dict(GOMP_SPINCOUNT=str(n)) for n in (1000, 5000, 20_000)},
    'one thread': dict(MINISD_THREADS='1'),
    'as minisd chooses': {},
}
BUSY = 'while True: pass'


def timed(f, seconds: float, least: int) -> float:
    "Median milliseconds of calls for some seconds, after two that don't count."
    f(), f()
    times, end = [], time.perf_counter() + seconds
    while len(times) < least or time.perf_counter() < end:
        start = time.perf_counter()
        f()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def sampling(n: int):
    "Pictures of nano at its defaults."
    import torch
    from minisd.inference import Pipeline

    pipe = Pipeline.from_pretrained('nano')
    return lambda: pipe(
        ['a red cabin left of a lake at sunset'] * n, generator=torch.Generator().manual_seed(0), output_type='latent'
    )


def training():
    "An update of nano's UNet, as in `minisd train`."
    import torch
    from minisd.base.core import attention_kernel, autocast, pick_dtype
    from minisd.unet import ModelConfig, UNet

    cfg = ModelConfig.preset('nano').unet
    net = UNet(cfg).to(memory_format=torch.channels_last)
    opt = torch.optim.AdamW(net.parameters(), 1e-3, fused=True)
    x = torch.randn(32, cfg.in_channels, cfg.sample_size, cfg.sample_size)
    ctx = torch.randn(32, 24, cfg.ctx_dim)

    def step():
        with attention_kernel('cpu'):
            with autocast('cpu', pick_dtype('cpu')[0]):
                loss = net(x, torch.rand(32), ctx).square().mean()
            loss.backward()
        opt.step(), opt.zero_grad()

    return step


def serving():
    "Twelve requests of one picture at once, through the batcher."
    from minisd.sampling.batcher import Batcher, Ticket
    from minisd.inference import Pipeline

    batcher = Batcher(Pipeline.from_pretrained('nano'))

    def load():
        for i in range(12):
            batcher.submit(Ticket(dict(prompt='a red cabin left of a lake at sunset'), [i]))
        while batcher.waiting or batcher.running:
            batcher.turn()

    return load


def base():
    "A guided call of base's UNet at 512 px."
    import torch
    from minisd.base.core import autocast, pick_dtype
    from minisd.base.threads import pick_threads, threads
    from minisd.unet import ModelConfig, UNet

    cfg = ModelConfig.preset('base').unet
    net = UNet(cfg).to(memory_format=torch.channels_last).eval()
    x, ctx = torch.randn(2, 4, 64, 64), torch.randn(2, 77, cfg.ctx_dim)

    def call():
        with threads(pick_threads()[0]), torch.inference_mode(), autocast('cpu', pick_dtype('cpu')[0]):
            net(x, torch.rand(2), ctx)

    return call


# what it is called, how it is made, seconds to measure, calls at least, whether the command spins briefly
WORK = dict(
    one=('sampling, one picture', lambda: sampling(1), 2.0, 5, False),
    eight=('sampling, eight pictures', lambda: sampling(8), 2.0, 3, False),
    update=('training, an update of 32', training, 3.0, 4, True),
    serve=('serving, twelve requests at once', serving, 2.0, 3, False),
    base=('base, a guided call at 512 px', base, 2.0, 2, False),
)


def measure(way: str, work: str) -> float:
    "Milliseconds of a piece of work in a process of its own."
    env = {k: v for k, v in os.environ.items() if k not in OURS} | WAYS[way]
    r = subprocess.run([sys.executable, __file__, '--one', work], env=env, capture_output=True, text=True)
    if r.returncode:
        raise SystemExit(r.stderr)
    return float(r.stdout.split()[-1])


def main():
    if '--one' in sys.argv:
        from minisd.base.threads import spin_briefly

        _, make, seconds, least, spin = WORK[sys.argv[-1]]
        if spin and not os.environ.get('MINISD_THREADS'):
            spin_briefly()
        if os.environ.get('MINISD_THREADS') == '1':
            __import__('torch').set_num_threads(1)
        print(timed(make(), seconds, least))
        return
    from tqdm import tqdm
    from minisd.base.core import machine, pick_dtype, read_json, write_json
    from minisd.base.core import commit

    rounds, file = 1 if '--quick' in sys.argv else 2, root / 'data' / 'results' / 'threads_bench.json'
    chosen = [w for w in WORK if w in sys.argv] or list(WORK)
    got = {(way, work, busy): [] for way in WAYS for work in chosen for busy in (False, True)}
    with tqdm(total=rounds * len(got), unit='run', desc='threads') as bar:
        for _ in range(rounds):
            for work in chosen:
                for busy in (False, True):
                    other = subprocess.Popen([sys.executable, '-c', BUSY]) if busy else None
                    try:
                        for way in WAYS:
                            got[way, work, busy].append(measure(way, work))
                            bar.update()
                    finally:
                        if other:
                            other.kill(), other.wait()
    rows = []
    for work in chosen:
        today = statistics.median(got['torch as it is', work, False])
        for way in WAYS:
            idle, busy = (statistics.median(got[way, work, b]) for b in (False, True))
            rows.append(
                dict(
                    work=WORK[work][0],
                    way=way,
                    idle_ms=round(idle, 1),
                    busy_ms=round(busy, 1),
                    idle=round(idle / today, 2),
                    busy=round(busy / today, 2),
                    busy_most=round(max(got[way, work, True]) / today, 2),
                )
            )
    for r in rows:
        print(
            f'{r["work"]:33} {r["way"]:24} idle {r["idle_ms"]:8.1f} ms {r["idle"]:5.2f}   busy {r["busy_ms"]:8.1f} ms {r["busy"]:5.2f} (most {r["busy_most"]:.2f})'
        )
    names = [v[0] for v in WORK.values()]
    if len(chosen) < len(WORK):
        rows += [r for r in read_json(file)['rows'] if r['work'] not in {WORK[w][0] for w in chosen}]
    rows.sort(key=lambda r: names.index(r['work']))
    out = dict(
        rounds=rounds,
        rows=rows,
        dtype=str(pick_dtype('cpu')[0]).removeprefix('torch.'),
        machine=machine(),
        commit=commit(),
        date=str(date.today()),
    )
    if '--quick' not in sys.argv:
        write_json(file, out)


if __name__ == '__main__':
    main()
