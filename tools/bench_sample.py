"Sampling against the same network driven naively, as ratios in one run: tools/bench_sample.py [nano|base …]. Writes data/results/sample_bench.json; base has random weights and is large: some minutes."

import statistics, sys, time
from datetime import date
from pathlib import Path

import torch
from tqdm import tqdm

from minisd.clip import CLIP, Tokenizer
from minisd.base.core import cpu_has_bf16, machine, read_json, write_json
from minisd.world.dataset import World
from minisd.inference import Pipeline
from minisd.base.core import commit
from minisd.unet import ModelConfig, UNet
from minisd.vae import VAE

root, PROMPT = Path(__file__).resolve().parents[1], 'a red cabin left of a lake at sunset'
FILE, INTERVAL = root / 'data' / 'results' / 'sample_bench.json', (0.2, 0.7)


def pipeline(name):
    "The shipped nano, or base with random weights."
    if name == 'nano':
        return Pipeline.from_pretrained('nano', torch.float32)
    torch.manual_seed(0)
    c = ModelConfig.preset('base')
    tok = Tokenizer.train(World('train', n=500).texts(), c.clip.vocab_size, c.clip.length)
    tok.tok.add_tokens(
        [f'<unused{i}>' for i in range(c.clip.vocab_size - tok.vocab_size)]
    )  # as large a table as the preset's
    return Pipeline(VAE(c.vae), CLIP(c.clip), UNet(c.unet), tok, dtype=torch.float32)


@torch.inference_mode()
def naive(pipe, steps):
    "A picture as one would write it first: two calls a step, float32, contiguous."
    (c, m), (n, k) = (pipe.encode_prompt([t]) for t in (PROMPT, ''))
    u = pipe.unet.cfg
    x = torch.randn(1, u.in_channels, u.sample_size, u.sample_size, generator=torch.Generator().manual_seed(0))
    for i in range(steps):
        t = torch.full((1,), i / steps)
        vu, vc = pipe.unet(x, t, n, k), pipe.unet(x, t, c, m)
        x = x + (vu + 3 * (vc - vu)) / steps
    return pipe.vae.decode(x)


def ways(pipe, steps, compiled):
    "Name -> (prepare, run): each adds one thing to the one before."
    layout = lambda f: lambda: [m.to(memory_format=f) for m in (pipe.unet, pipe.vae)]
    call = lambda n=steps, **kw: (
        lambda: pipe(
            PROMPT,
            n,
            3.0,
            generator=torch.Generator().manual_seed(0),
            **{'solver': 'euler', 'shift': 1.0, 'guidance_interval': (0.0, 1.0), 'output_type': 'pt'} | kw,
        )
    )
    plain, last = layout(torch.contiguous_format), layout(torch.channels_last)

    def fast():
        last()
        pipe.to('cpu', torch.bfloat16 if cpu_has_bf16() else torch.float32)

    def slow(f):
        return lambda: (pipe.to('cpu', torch.float32), f())

    out = {
        'naive: two calls a step, float32, contiguous': (slow(plain), lambda: naive(pipe, steps)),
        'one call a step': (slow(plain), call()),
        'and channels_last': (slow(last), call()),
    }
    if cpu_has_bf16():
        out['and bfloat16'] = fast, call()
    out['and guidance in an interval'] = fast, call(guidance_interval=INTERVAL)
    if compiled is not None:
        out['and torch.compile'] = lambda: (fast(), setattr(pipe, 'net', compiled)), call(guidance_interval=INTERVAL)
    if pipe.sampling:
        out['and 8 fitted steps in place of 20, not compiled'] = (
            fast,
            call(n=8, solver='fitted', shift=None, guidance_interval=INTERVAL),
        )
    return out


def bench(name, rounds):
    "Seconds a picture of each way, in turn, so that all see the same machine."
    pipe, steps = pipeline(name), dict(nano=20, base=4)[name]
    pipe.compile() if name == 'nano' else None
    compiled, pipe.net = (pipe.net if name == 'nano' else None), pipe.unet
    todo, seconds = ways(pipe, steps, compiled), {}
    for r in tqdm(range(rounds + 1), desc=name, unit='round'):
        for way, (prepare, run) in todo.items():
            pipe.net = pipe.unet
            prepare()
            start = time.perf_counter()
            run()
            if r:
                seconds.setdefault(way, []).append(time.perf_counter() - start)  # the first round warms up
    pipe.net = pipe.unet
    first = seconds['naive: two calls a step, float32, contiguous']
    rows = [
        dict(
            way=w,
            seconds=round(statistics.median(s), 4),
            times_as_fast=round(statistics.median(a / b for a, b in zip(first, s)), 2),
        )
        for w, s in seconds.items()
    ]
    return dict(
        steps=steps,
        rounds=rounds,
        rows=rows,
        machine=machine(),
        bf16=cpu_has_bf16(),
        commit=commit(),
        date=str(date.today()),
    )


def main():
    names = sys.argv[1:] or ['nano', 'base']
    if bad := set(names) - {'nano', 'base'}:
        sys.exit(f'{min(bad)} is no preset: choose from nano, base')
    result = read_json(FILE) if FILE.is_file() else {}
    for name in names:
        result[name] = bench(name, dict(nano=15, base=3)[name])
        write_json(FILE, result)
        for r in result[name]['rows']:
            print(f'{name}: {r["seconds"]:8.3f} s, {r["times_as_fast"]:.2f} times as fast as naive: {r["way"]}')


main()
