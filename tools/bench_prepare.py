"Speed of `minisd prepare` against Pillow alone, and its peak memory: tools/bench_prepare.py. Writes data/results/prepare_bench.json."

import io, json, statistics, subprocess, sys, tempfile, time
from datetime import date
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from tqdm import tqdm

from minisd.base.core import machine, write_json
from minisd.world.painter import render
from minisd.world.scenes import scene_of
from minisd.base.core import commit
from minisd.pictures.prepare import PrepareConfig, encode, prepare_piece
from minisd.pictures.sources import open_source

root, sides, rounds = Path(__file__).resolve().parents[1], (683, 1024), 7


def photo(i, side):
    "A drawn picture enlarged to 4:3, with a photograph's noise, as a JPEG file."
    im = render(i, 512)[0].resize((side, side * 3 // 4), Image.BICUBIC)
    noise = np.random.default_rng(i).normal(0, 5, (*im.size[::-1], 3))
    out = io.BytesIO()
    Image.fromarray((np.asarray(im, float) + noise).clip(0, 255).astype(np.uint8)).save(out, 'JPEG', quality=90)
    return out.getvalue()


def folder(d, files):
    "A folder of pictures with metadata."
    d.mkdir(parents=True)
    for i, f in enumerate(files):
        (d / f'{i:05d}.jpg').write_bytes(f)
    (d / 'metadata.jsonl').write_text(
        ''.join(
            json.dumps(dict(file_name=f'{i:05d}.jpg', text=scene_of(i).caption('rich'))) + '\n'
            for i in range(len(files))
        )
    )
    return open_source(d)


def alone(files, cfg):
    "Decode, resize, encode, as `minisd.pictures.images.read_picture` does, and nothing else."
    for f in files:
        with Image.open(f) as im:
            im.draft('RGB', (2 * cfg.size, 2 * cfg.size))
            encode(ImageOps.fit(im.convert('RGB'), (cfg.size, cfg.size), Image.BICUBIC), cfg)


def seconds(f, *args):
    "Seconds of processor time and of the clock."
    cpu, wall = time.process_time(), time.perf_counter()
    f(*args)
    return time.process_time() - cpu, time.perf_counter() - wall


def speed(d, n=128):
    "Pictures a second of one core, ours and Pillow's taken in turn."
    out = {}
    for side in sides:
        source = folder(d / str(side), [photo(i, side) for i in range(n)])
        files = sorted((d / str(side)).glob('*.jpg'))
        for name in ('webp', 'jpeg'):
            cfg, ours, theirs = PrepareConfig(format=name), [], []
            (d / 'pieces').mkdir(exist_ok=True)
            for r in range(rounds + 1):
                a, b = seconds(prepare_piece, source, cfg, d / 'pieces', 0, 0), seconds(alone, files, cfg)
                if r:
                    ours.append(a), theirs.append(b)  # the first round warms up
            ratio = [[b[k] / a[k] for a, b in zip(ours, theirs)] for k in (0, 1)]
            rate = lambda times: round(n / statistics.median(t[0] for t in times), 1)
            out[f'{side} × {side * 3 // 4} jpeg to 256 {name}'] = dict(
                pictures_per_s_a_core=rate(ours),
                pillow_alone=rate(theirs),
                ratio=round(statistics.median(ratio[0]), 3),
                ratio_range=[round(min(ratio[0]), 3), round(max(ratio[0]), 3)],
                ratio_by_the_clock=round(statistics.median(ratio[1]), 3),
            )
    return out


CHILD = '''
import sys
from minisd.pictures.prepare import PrepareConfig, prepare
peak = lambda: next(int(l.split()[1]) for l in open('/proc/self/status') if l.startswith('VmHWM'))/1024   # ru_maxrss would begin with the parent's
before = peak()
m = prepare(sys.argv[1], sys.argv[2], PrepareConfig(size=128, near=None, validation=0.05), workers=1)
print(m["rows"], m["kept"], round(before), round(peak()))
'''


def memory(d, n):
    "Peak memory of preparing `n` pictures in one process, MB."
    base = [photo(i, 256) for i in range(100)]
    folder(
        d / f'source{n}', [base[i % 100] + b'%d' % i for i in range(n)]
    )  # another file each, so that every row has work to do
    r = subprocess.run(
        [sys.executable, '-c', CHILD, str(d / f'source{n}'), str(d / f'out{n}')],
        check=True,
        capture_output=True,
        text=True,
    )
    rows, kept, before, peak = map(int, r.stdout.split())
    return dict(rows=rows, kept=kept, after_imports_mb=before, peak_mb=peak)


def main():
    with tempfile.TemporaryDirectory() as d:
        result = dict(
            speed=speed(Path(d)),
            memory=[memory(Path(d), n) for n in tqdm((500, 5000), desc='memory')],
            rounds=rounds,
            machine=machine(),
            commit=commit(),
            date=str(date.today()),
        )
    write_json(root / 'data' / 'results' / 'prepare_bench.json', result)
    for k, v in result['speed'].items():
        print(f'{v["pictures_per_s_a_core"]:7.1f} pictures/s a core, {v["ratio"]:.0%} of Pillow alone  {k}')
    for m in result['memory']:
        print(f'{m["peak_mb"]:7d} MB at most for {m["rows"]} rows ({m["after_imports_mb"]} MB after the imports)')


if __name__ == '__main__':
    main()
