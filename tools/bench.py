"Times of the things people wait for, medians of several runs: tools/bench.py. Writes data/results/bench.json."

import statistics, subprocess, sys, tempfile, time
from datetime import date
from pathlib import Path

import torch
from tqdm import tqdm

from minisd.base.core import machine, write_json
from minisd.world.painter import render
from minisd.inference import Pipeline
from minisd.base.core import commit

root, prompt = Path(__file__).resolve().parents[1], 'a red cabin left of a lake at sunset'


def median(f, n=5):
    "Median, smallest and largest seconds of `n` calls after one that doesn't count."
    f()
    times = []
    for _ in range(n):
        start = time.perf_counter()
        f()
        times.append(time.perf_counter() - start)
    return dict(median=round(statistics.median(times), 3), min=round(min(times), 3), max=round(max(times), 3))


def generate():
    with tempfile.TemporaryDirectory() as d:
        subprocess.run(
            [sys.executable, '-m', 'minisd.apps.cli', 'generate', prompt, '--seed', '42', '--out', f'{d}/x.png'],
            check=True,
            capture_output=True,
        )
        assert Path(f'{d}/x.png').stat().st_size


def main():
    pipe, gen = Pipeline.from_pretrained('nano'), lambda: torch.Generator().manual_seed(42)
    jobs = {
        'generate: process start to saved picture': generate,
        'sampling: 20 steps with guidance throughout, one picture': lambda: pipe(
            prompt, 20, 3.0, generator=gen(), output_type='latent', solver='euler', guidance_interval=(0.0, 1.0)
        ),
        'sampling: as by default, one picture': lambda: pipe(prompt, generator=gen(), output_type='latent'),
        'sampling: 20 steps without guidance, one picture': lambda: pipe(
            prompt, 20, 1.0, generator=gen(), output_type='latent', solver='euler'
        ),
    }
    seconds = {k: median(f) for k, f in tqdm(jobs.items(), desc='bench')}
    start = time.process_time()
    for i in range(500):
        render(i, 64)
    rate = round(500 / (time.process_time() - start))
    result = dict(
        seconds=seconds,
        default_steps=pipe.defaults['steps'],
        dtype=str(pipe.dtype),
        pictures_per_s={'world: 64 px pictures drawn on one core': rate},
        machine=machine(),
        commit=commit(),
        date=str(date.today()),
    )
    write_json(root / 'data' / 'results' / 'bench.json', result)
    for k, v in seconds.items():
        print(f'{v["median"]:8.3f} s  {k} (from {v["min"]} to {v["max"]})')
    print(f'{rate:8d} /s world: 64 px pictures drawn on one core')


main()
