"The server as its users meet it: a process of its own, a socket, other people's clients."
import json, os, signal, socket, subprocess, sys, tempfile, threading, time
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

PICTURE = dict(prompt='a red cabin left of a lake at sunset', steps=8, seed=3)
LONG = PICTURE | dict(steps=50, n=4)


class Process:
    "`minisd serve` on a free port."
    def __init__(self, *options, **env):
        with socket.socket() as s: s.bind(('127.0.0.1', 0)); self.port = s.getsockname()[1]
        self.p = subprocess.Popen([sys.executable, '-m', 'minisd', 'serve', '--port', str(self.port), *options], env=os.environ | dict(OMP_NUM_THREADS='2') | env, stdout=subprocess.DEVNULL, stderr=(log := tempfile.NamedTemporaryFile()))      # a pipe that nobody reads would fill up
        self.log = log
        self.url = f'http://127.0.0.1:{self.port}'
        self.http = httpx.Client(base_url=self.url, timeout=120)

    def ready(self):
        for _ in range(600):
            assert self.p.poll() is None, self.lines()
            try:
                if self.http.get('/health').json()['model_ready']: return self
            except httpx.TransportError: pass
            time.sleep(0.1)
        raise AssertionError('the server did not become ready')

    def stop(self, sig=signal.SIGTERM):
        "Exit status, and the lines of the log."
        if self.p.poll() is None: self.p.send_signal(sig)
        self.p.wait(90)
        self.http.close()
        return self.p.returncode, self.lines()

    def lines(self):
        lines = Path(self.log.name).read_text().splitlines()
        assert all(l.startswith('{') for l in lines), [l for l in lines if not l.startswith('{')][:5]
        return [json.loads(l) for l in lines]

    def pictures(self):
        "Lines of requests that were taken."
        return [l for l in self.lines() if 'outcome' in l]


@pytest.fixture(scope='module')
def server():
    s = Process().ready()
    yield s
    s.stop()


def wait_for(what, seconds=30):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, 'nothing came'
        time.sleep(0.02)


def test_openai_client(server, tmp_path):
    "OpenAI's own package makes pictures, lists the model and understands the errors."
    import base64, io
    import openai
    from PIL import Image
    client = openai.OpenAI(base_url=server.url + '/v1', api_key='none is needed', max_retries=0)
    assert [m.id for m in client.models.list()] == ['nano'] and client.models.retrieve('nano').owned_by == 'minisd'
    got = client.images.generate(model='nano', prompt=PICTURE['prompt'], n=2, size='96x64', response_format='b64_json', extra_body=dict(steps=6, seed=5))
    assert [Image.open(io.BytesIO(base64.b64decode(d.b64_json))).size for d in got.data] == [(96, 64)]*2 and got.size == '96x64'
    again = client.images.generate(prompt=PICTURE['prompt'], size='96x64', extra_body=dict(steps=6, seed=6))
    assert again.data[0].b64_json and [d.seed for d in got.data] == [5, 6] and again.data[0].seed == 6
    assert client.images.generate(prompt='a boat').data[0].seed != client.images.generate(prompt='a boat').data[0].seed
    for call, kind, says in ((dict(prompt='a boat', model='dall-e-3'), openai.NotFoundError, 'this server has nano'), (dict(prompt='a boat', size='1024x1024'), openai.UnprocessableEntityError, 'from 8 to 128'),
                             (dict(prompt='a boat', response_format='url'), openai.UnprocessableEntityError, 'b64_json'), (dict(prompt='a boat', n=9), openai.UnprocessableEntityError, 'from 1 to 4')):
        with pytest.raises(kind, match=says): client.images.generate(**call)


def test_fuzzed(server):
    "Schemathesis makes requests from the description of the API, right ones and wrong ones: no status 500, and every answer is one that is described."
    import schemathesis
    from hypothesis import HealthCheck, Phase, settings
    from hypothesis.errors import Unsatisfiable
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance
    schema, seen = schemathesis.openapi.from_url(server.url + '/openapi.json'), {}
    def fuzz(operation, mode, examples):
        from hypothesis import given
        @settings(max_examples=examples, deadline=None, derandomize=True, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy(generation_mode=mode))
        def run(case):
            if isinstance(case.body, dict) and mode.is_positive: case.body.update(steps=min(case.body.get('steps') or 4, 5), n=min(case.body.get('n') or 1, 2), **{k: 64 for k in ('width', 'height') if case.body.get(k)})          # what is right takes time: keep it short
            r = case.call(timeout=60)
            seen[operation.label, r.status_code] = seen.get((operation.label, r.status_code), 0) + 1
            case.validate_response(r, checks=[not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance])
        with suppress(Unsatisfiable): run()           # nothing can be wrong with a GET that takes nothing
    for o in (o.ok() for o in schema.get_all_operations()):
        for mode in schemathesis.GenerationMode: fuzz(o, mode, 40)
    print(seen)
    assert seen['POST /generate', 200] and seen['POST /generate', 422] and seen['POST /v1/images/generations', 200] and server.http.get('/health').json()['status'] == 'ok'


def test_a_client_that_is_killed_frees_its_place(server):
    code = f'import httpx; httpx.post({server.url!r} + "/generate", json={LONG!r}, timeout=60)'
    p = subprocess.Popen([sys.executable, '-c', code], stderr=subprocess.DEVNULL)
    running = lambda: server.http.get('/health').json()['running']
    wait_for(running)
    p.kill(); p.wait()
    wait_for(lambda: not running())
    wait_for(lambda: server.pictures()[-1]['status'] == 499)
    line = server.pictures()[-1]
    assert line['outcome'] != 'done' and line['steps'] < line['of'] == 50, line


def test_the_same_beside_others(server):
    "A picture that was made beside seven others is the one that is made alone."
    import base64, io
    import numpy as np
    from concurrent.futures import ThreadPoolExecutor
    from PIL import Image
    pixels = lambda r: np.asarray(Image.open(io.BytesIO(base64.b64decode(r.json()['image'].partition(',')[2])))).astype(int)
    ask = lambda i: server.http.post('/generate', json=PICTURE | dict(seed=i, steps=6 + i, cfg_scale=1 + i/2))
    before = len(server.pictures())
    with ThreadPoolExecutor(8) as pool: beside = list(pool.map(ask, range(8)))
    wait_for(lambda: len(server.pictures()) == before + 8)           # a line is written after the answer
    rows = [l['rows'] for l in server.pictures()[-8:]]
    assert max(rows) > 4, rows
    for i, r in enumerate(beside): assert np.abs(pixels(r) - pixels(ask(i))).max() <= 2, i


def test_sigterm_finishes_what_runs_and_refuses_the_rest():
    s = Process('--rows', '8').ready()
    got = []
    def ask(): got.append(httpx.post(s.url + '/generate', json=LONG, timeout=120))
    threads = [threading.Thread(target=ask) for _ in range(2)]
    for t in threads: t.start()
    wait_for(lambda: (h := s.http.get('/health').json())['running'] == 1 and h['queue'] == 1)
    code, lines = s.stop()
    for t in threads: t.join()
    assert code == 0 and sorted(r.status_code for r in got) == [200, 503], (code, got)
    assert next(r for r in got if r.status_code == 503).json()['detail'].startswith('the server is stopping')
    done, = [l for l in lines if l.get('outcome') == 'done']
    assert done['steps'] == 50 and done['n'] == 4 and 'prompt' not in done


def test_sigterm_with_a_stream_and_while_loading():
    s = Process().ready()
    with s.http.stream('POST', '/generate/stream', json=LONG | dict(steps=30)) as r:
        lines = r.iter_lines()
        next(l for l in lines if l == 'event: step')
        s.p.send_signal(signal.SIGTERM)
        rest = [l for l in lines if l.startswith('event: ')]
    assert rest[-1] == 'event: done' and rest.count('event: step') == 29 and s.stop()[0] == 0
    s = Process()
    time.sleep(2.5)                # it imports, or listens and loads
    assert s.stop()[0] in (0, -signal.SIGTERM)


def test_settings_from_the_environment():
    s = Process(MINISD_API_KEY='secret', MINISD_LOG_PROMPTS='true', MINISD_QUEUE='3').ready()
    assert s.http.post('/generate', json=PICTURE).status_code == 401 and s.http.get('/config').json()['queue'] == 3
    assert s.http.post('/generate', json=PICTURE, headers={'Authorization': 'Bearer secret'}).status_code == 200
    code, lines = s.stop(signal.SIGINT)
    assert code == 0 and [l['prompt'] for l in lines if l.get('outcome') == 'done'] == [PICTURE['prompt']] and 'secret' not in str(lines)


def test_v1_files_through_the_importer(tmp_path):
    "Four files of v1's layout, as large as its own, named by its own variables."
    from minisd.unet import ModelConfig
    from minisd.v1 import blank, v1_layout
    import pickle, torch
    cfg, paths = ModelConfig.preset('base'), {}
    for kind in ('vae', 'clip', 'unet'):
        state = {name: torch.zeros(shape, dtype=torch.int64 if name.endswith('num_batches_tracked') else torch.float32) for name, shape in v1_layout(kind, blank(kind, cfg, 'meta')).values()}
        for name, v in state.items():
            if 'running_var' in name: v += 1
        torch.save(dict(model_state_dict=state), paths.setdefault(f'{kind.upper()}_PATH', tmp_path/f'{kind}.pt'))
    (tmp_path/'tokenizer.pt').write_bytes(pickle.dumps(dict(word2idx={'<pad>': 0, '<unk>': 1, '<start>': 2, '<end>': 3, 'lake': 4}, idx2word={4: 'lake'})))
    s = Process(TOKENIZER_PATH=str(tmp_path/'tokenizer.pt'), **{k: str(v) for k, v in paths.items()}).ready()
    c = s.http.get('/config').json()
    assert (c['defaults']['steps'], c['defaults']['cfg_scale'], c['sizes'][0]) == (20, 7.5, '512x512')
    assert s.stop()[0] == 0


def test_without_the_extra_is_one_line():
    code = "import sys; sys.modules['fastapi'] = None; sys.argv = ['minisd', 'serve']; from minisd.cli import main; main()"
    r = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert r.returncode == 2 and "pip install 'minisd[serve]'" in r.stderr and len(r.stderr.splitlines()) == 1, r.stderr
