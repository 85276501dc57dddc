"""Load test of the server against v1's way, a lock: tools/bench_serve.py [--seconds N]. Writes data/results/serve_bench.json and figures/serve_load.png; about a quarter of an hour on two cores.

With --apart N: how far N pictures that are made beside others are from the same made alone, in each precision. Writes data/results/serve_apart.json; a second or two a picture and precision where bfloat16 is native."""

import argparse, asyncio, base64, io, math, random, signal, socket, statistics, subprocess, sys, time
from datetime import date
from pathlib import Path

import httpx
import numpy as np
import psutil
import torch
from tqdm import tqdm

from minisd.sampling.batcher import Batcher, Ticket, off_by
from minisd.apps.cli import DEMO
from minisd.base.core import DTYPES, cpu_has_bf16, machine, read_json, write_json
from minisd.inference import Pipeline
from minisd.base.core import commit
from minisd.apps.serve import ServerConfig

root = Path(__file__).resolve().parents[1]
FILE, FIGURE = root / 'data' / 'results' / 'serve_bench.json', root / 'figures' / 'serve_load.png'
APART = root / 'data' / 'results' / 'serve_apart.json'
LEVELS, STEPS = (1, 4, 16, 64, 128), (6, 8, 11, 11, 16, 20)  # clients at a time; steps of their requests, in turn
SHORT = 300.0  # seconds that a request may take


def locked(port):
    "v1's server: the pipeline behind a lock, one request after the other."
    import uvicorn
    from fastapi import FastAPI
    from pydantic import BaseModel

    class Request(BaseModel):
        prompt: str
        steps: int = 11
        seed: int = 42

    app, pipe, lock = FastAPI(), Pipeline.from_pretrained('nano'), asyncio.Lock()

    def picture(r):
        file = io.BytesIO()
        pipe(r.prompt, r.steps, generator=torch.Generator().manual_seed(r.seed)).images[0].save(file, 'png')
        return 'data:image/png;base64,' + base64.b64encode(file.getvalue()).decode()

    @app.get('/health')
    async def health():
        return dict(model_ready=True)

    @app.post('/generate')
    async def generate(r: Request):
        start = time.perf_counter()
        async with lock:
            image = await asyncio.to_thread(picture, r)
        return dict(
            image=image, prompt=r.prompt, steps=r.steps, seed=r.seed, generation_time_s=time.perf_counter() - start
        )

    uvicorn.run(app, host='127.0.0.1', port=port, log_level='error')


class Server:
    "One of the two, as a process of its own."

    def __init__(self, kind):
        with socket.socket() as s:
            s.bind(('127.0.0.1', 0))
            port = s.getsockname()[1]
        command = ['-m', 'minisd', 'serve', '--port'] if kind == 'batched' else [__file__, '--locked']
        self.p = subprocess.Popen(
            [sys.executable, *command, str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=root
        )
        self.url = f'http://127.0.0.1:{port}'
        for _ in range(600):
            try:
                if httpx.get(self.url + '/health').json()['model_ready']:
                    break
            except httpx.TransportError:
                pass
            if self.p.poll() is not None:
                sys.exit(f'the {kind} server did not start')
            time.sleep(0.1)
        self.process = psutil.Process(self.p.pid)

    def megabytes(self):
        return self.process.memory_info().rss / 2**20

    def stop(self):
        self.p.send_signal(signal.SIGTERM)
        return self.p.wait(60)


def body(i):
    return dict(prompt=DEMO[i % len(DEMO)], steps=STEPS[i % len(STEPS)], seed=i)


async def load(url, clients, seconds=None, requests=None, what=body, bar=None):
    "So many clients, each with one request after the other, for a time or a number of requests: seconds of each answer, and how many had which status."
    todo, took, status, stop = iter(range(requests or 10**9)), [], {}, time.perf_counter() + (seconds or 1e9)

    async def client(http):
        while time.perf_counter() < stop and (i := next(todo, None)) is not None:
            start = time.perf_counter()
            r = await http.post('/generate', json=what(i))
            status[r.status_code] = status.get(r.status_code, 0) + 1
            if r.status_code == 200:
                took.append(time.perf_counter() - start)
            elif r.status_code == 429:
                await asyncio.sleep(float(r.headers['retry-after']) * random.uniform(0.5, 1.5))
            if bar:
                bar.update()

    begin = time.perf_counter()
    async with httpx.AsyncClient(base_url=url, timeout=SHORT, limits=httpx.Limits(max_connections=None)) as http:
        await asyncio.gather(*(client(http) for _ in range(clients)))
    return dict(took=took, status=status, seconds=time.perf_counter() - begin)


def summary(parts):
    "What several stretches of load come to."
    took, status = np.concatenate([p['took'] for p in parts]), {}
    for p in parts:
        for k, v in p['status'].items():
            status[str(k)] = status.get(str(k), 0) + v
    q = lambda p: round(float(np.percentile(took, p)), 3)
    return dict(
        pictures=len(took),
        per_second=round(len(took) / sum(p['seconds'] for p in parts), 2),
        p50=q(50),
        p95=q(95),
        p99=q(99),
        status=status,
        rejected=status.get('429', 0),
    )


def overhead(url, n=24):
    "Median seconds of one client's request and of the same call of the pipeline here, in turn."
    pipe, http, two = Pipeline.from_pretrained('nano'), httpx.Client(base_url=url, timeout=SHORT), ([], [])
    for i in range(n + 2):
        for k, f in enumerate(
            (
                lambda: http.post('/generate', json=dict(prompt=DEMO[i % len(DEMO)], seed=i)).raise_for_status(),
                lambda: pipe(DEMO[i % len(DEMO)], generator=torch.Generator().manual_seed(i)),
            )
        ):
            time.sleep(0.05)  # threads of the other process that still spin
            start = time.perf_counter()
            f()
            if i >= 2:
                two[k].append(time.perf_counter() - start)
    return dict(
        server=round(statistics.median(two[0]), 4),
        pipeline=round(statistics.median(two[1]), 4),
        ratio=round(statistics.median(a / b for a, b in zip(*two)), 3),
        requests=n,
    )


def requests(n, pick):
    "Calls that have nothing in common, each with its seed; half of the prompts are long."
    prompts = [*DEMO, *(f'{a}, {b}' for a, b in zip(DEMO, DEMO[1:]))]
    for _ in range(n):
        call = dict(
            prompt=pick.choice(prompts),
            num_inference_steps=pick.choice((4, 8, 11, 20)),
            guidance_scale=pick.choice((1.0, 3.0, 7.5, 20.0)),
            solver=pick.choice((None, 'euler', 'heun', 'dpmpp_2m')),
        )
        yield call, pick.randrange(2**63)


def beside(pipe, calls):
    "What a batcher makes of calls that come at once: the pictures, and the most rows that each shared a call with."
    pictures, batcher = {}, Batcher(pipe, rows=64)
    tickets = [
        Ticket(call, [seed], lambda name, data, i=i: pictures.update({i: data})) for i, (call, seed) in enumerate(calls)
    ]
    for t in tickets:
        batcher.submit(t)
    while batcher.turn():
        pass
    return [pictures[i]['output'].images[0] for i in range(len(calls))], [max(t.rows) for t in tickets]


def apart(dtype, n):
    "How many levels of 255 pictures beside others are from those alone, by guidance scale: the most of any value, the largest mean of a picture; and how many are the same to the last bit."
    pipe, pick, found, shared = Pipeline.from_pretrained('nano', DTYPES[dtype]), random.Random(0), {}, []
    with tqdm(total=n, desc=dtype, unit='picture') as bar:
        while bar.n < n:
            calls = list(requests(pick.choice((2, 4, 8, 16)), pick))
            for (call, seed), picture, rows in zip(calls, *beside(pipe, calls)):
                alone = pipe(**call, generator=torch.Generator().manual_seed(seed)).images[0]
                found.setdefault(call['guidance_scale'], []).append(off_by(picture, alone))
                shared.append(rows)
                bar.update()
    guidance = {
        f'{w:g}': dict(pictures=len(v), most=max(o['most'] for o in v), mean=round(max(o['mean'] for o in v), 3))
        for w, v in sorted(found.items())
    }
    same = sum(o['most'] == 0 for v in found.values() for o in v)
    return dict(
        pictures=bar.n,
        same=same,
        most=max(g['most'] for g in guidance.values()),
        mean=max(g['mean'] for g in guidance.values()),
        rows=[min(shared), max(shared)],
        guidance=guidance,
    )


def draw(result):
    import matplotlib

    matplotlib.use('Agg')
    import matplotlib.pyplot as plt

    fig, axs = plt.subplots(1, 2, figsize=(10, 3.6))
    at, colours = np.arange(len(LEVELS)), dict(lock='#b5653a', batched='#2a6f97')
    for k, (kind, c) in enumerate(colours.items()):
        rows, name = (
            [result['levels'][str(n)][kind] for n in LEVELS],
            dict(lock="v1's way: a lock", batched='batched in flight')[kind],
        )
        bars = axs[0].bar(at + (k - 0.5) * 0.38, [r['per_second'] for r in rows], 0.36, color=c, label=name)
        axs[0].bar_label(bars, fmt='%.1f', padding=2, fontsize=9)
        axs[1].plot(at, [r['p50'] for r in rows], 'o-', color=c, label=f'{name}, p50')
        axs[1].plot(at, [r['p99'] for r in rows], 'o--', color=c, alpha=0.6, label=f'{name}, p99')
    for ax, title, y in zip(axs, ('Throughput', 'Seconds to a picture'), ('pictures a second', 'seconds, logarithmic')):
        ax.set(title=title, xlabel='clients at a time', ylabel=y, xticks=at, xticklabels=LEVELS)
        ax.legend(frameon=False, fontsize=9)
    axs[0].set_ylim(0, axs[0].get_ylim()[1] * 1.25)
    axs[1].set_yscale('log')
    axs[1].grid(alpha=0.3)
    for ax in axs:
        ax.spines[['top', 'right']].set_visible(False)
    fig.tight_layout()
    fig.savefig(FIGURE, dpi=110)


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument(
        '--seconds',
        type=float,
        default=15,
        help='of each stretch of load; there are four of them for each number of clients',
    )
    a.add_argument('--requests', type=int, default=2000, help='of the memory test')
    a.add_argument('--apart', type=int, metavar='N', help='compare N pictures of each precision instead')
    a.add_argument('--locked', type=int, metavar='PORT', help="serve v1's way")
    a = a.parse_args()
    if a.locked:
        return locked(a.locked)
    if a.apart:
        found = {dtype: apart(dtype, a.apart) for dtype in DTYPES}
        about = dict(native=cpu_has_bf16(), machine=machine(), commit=commit(), date=str(date.today()))
        return print(read_json(write_json(APART, found | about)))
    servers = {k: Server(k) for k in ('lock', 'batched')}
    try:
        for s in servers.values():
            asyncio.run(load(s.url, 4, requests=24))  # warm
        result = dict(overhead=overhead(servers['batched'].url), levels={})
        parts = {(n, k): [] for n in LEVELS for k in servers}
        with tqdm(total=4 * len(LEVELS), desc='load', unit='stretch') as bar:
            for _ in range(2):
                for n in LEVELS:
                    for k, s in servers.items():
                        parts[n, k].append(asyncio.run(load(s.url, n, seconds=a.seconds)))
                        bar.update()
        for n in LEVELS:
            row = {k: summary(parts[n, k]) for k in servers}
            row['times_as_fast'] = round(
                statistics.median(
                    len(y['took']) / y['seconds'] * x['seconds'] / len(x['took'])
                    for x, y in zip(parts[n, 'lock'], parts[n, 'batched'])
                ),
                2,
            )
            result['levels'][str(n)] = row
        servers['lock'].stop()
        third = lambda m, last: round(
            statistics.median(m[-4:] if last else m[1:5]), 1
        )  # the first reading is from before the load
        memory, short, s = [], lambda i: dict(prompt=DEMO[i % len(DEMO)], steps=6, seed=i), servers['batched']
        with tqdm(total=a.requests, desc='memory', unit='request') as bar:
            for i in range(13):
                memory.append(round(s.megabytes(), 1))
                if i < 12:
                    asyncio.run(load(s.url, 16, requests=math.ceil(a.requests / 12), what=short, bar=bar))
        result['memory'] = dict(
            requests=a.requests, megabytes=memory, early=third(memory, False), late=third(memory, True)
        )
        result['exit_status'] = s.stop()
    finally:
        for s in servers.values():
            s.p.kill()
    result |= dict(
        steps=STEPS,
        queue=ServerConfig().queue,
        seconds=a.seconds,
        machine=machine(),
        commit=commit(),
        date=str(date.today()),
    )
    write_json(FILE, result), draw(result)
    for n, r in result['levels'].items():
        print(
            f"{n:>3} clients: lock {r['lock']['per_second']:.2f} a second, p50 {r['lock']['p50']:.2f} s; batched {r['batched']['per_second']:.2f}, p50 {r['batched']['p50']:.2f} s, p99 {r['batched']['p99']:.2f} s; {r['times_as_fast']:.2f} times as fast; {r['batched']['status']}"
        )
    print('one client, against the pipeline alone:', result['overhead'], '\nmemory:', result['memory'])


if __name__ == '__main__':
    main()
