"The server as its users meet it: a process of its own where that is the point, a socket, other people's clients."

import base64
import io
import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import httpx
import pytest
from browser import free_port

PICTURE = dict(prompt='a red cabin by a lake at sunset', steps=8, seed=3)
LONG = PICTURE | dict(steps=50, n=4)
PATIENCE = 180  # seconds: a busy machine is no fault
PAGE = 'https://app.example.org'  # an origin that may call the API


class Process:
    "`minisd serve` on a free port."

    def __init__(self, *options, **env):
        port = free_port()
        command = [sys.executable, '-m', 'minisd', 'serve', '--port', str(port), *options]
        self.log = tempfile.NamedTemporaryFile()  # a pipe that nobody reads would fill up
        self.p = subprocess.Popen(command, env=os.environ | env, stdout=subprocess.DEVNULL, stderr=self.log)
        self.url = f'http://127.0.0.1:{port}'
        self.http = httpx.Client(base_url=self.url, timeout=PATIENCE)

    def ready(self):
        wait_for(lambda: self.answers() and self.http.get('/health').json()['model_ready'])
        return self

    def answers(self):
        "Whether it listens yet."
        assert self.p.poll() is None, self.lines()
        with suppress(httpx.TransportError):
            return self.http.get('/health')

    def stop(self, sig=signal.SIGTERM):
        "Exit status, and the lines of the log."
        if self.p.poll() is None:
            self.p.send_signal(sig)
        self.p.wait(PATIENCE)
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
    s = Process('--cors', PAGE).ready()
    yield s
    s.stop()


def opened(data: bytes):
    "A picture's bytes as a picture."
    from PIL import Image

    return Image.open(io.BytesIO(data))


def wait_for(what, seconds=PATIENCE):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, 'nothing came'
        time.sleep(0.02)


def test_openai_client(server, tmp_path):
    "OpenAI's own package makes pictures, lists the model and understands the errors."
    import openai

    client = openai.OpenAI(base_url=server.url + '/v1', api_key='none is needed', max_retries=0)
    assert [m.id for m in client.models.list()] == ['nano'] and client.models.retrieve('nano').owned_by == 'minisd'
    two = dict(n=2, size='192x128', response_format='b64_json', extra_body=dict(steps=6, seed=5))
    got = client.images.generate(model='nano', prompt=PICTURE['prompt'], **two)
    assert [opened(base64.b64decode(d.b64_json)).size for d in got.data] == [(192, 128)] * 2 and got.size == '192x128'
    again = client.images.generate(prompt=PICTURE['prompt'], size='192x128', extra_body=dict(steps=6, seed=6))
    assert again.data[0].b64_json and [d.seed for d in got.data] == [5, 6] and again.data[0].seed == 6
    assert client.images.generate(prompt='a boat').data[0].seed != client.images.generate(prompt='a boat').data[0].seed


@pytest.mark.parametrize(
    'call, kind, says',
    [
        (dict(model='dall-e-3'), 'NotFoundError', 'this server has nano'),
        (dict(size='1024x1024'), 'UnprocessableEntityError', 'from 16 to 256'),
        (dict(response_format='url'), 'UnprocessableEntityError', 'b64_json'),
        (dict(n=9), 'UnprocessableEntityError', 'from 1 to 4'),
    ],
)
def test_openai_client_understands(server, call, kind, says):
    import openai

    client = openai.OpenAI(base_url=server.url + '/v1', api_key='none is needed', max_retries=0)
    with pytest.raises(getattr(openai, kind), match=says):
        client.images.generate(prompt='a boat', **call)


def test_a_page_of_another_origin_may_call_it(server):
    "What a browser asks before OpenAI's JavaScript client may post, with headers that change with its version."
    names = 'authorization,content-type,x-stainless-os,x-stainless-retry-count,x-stainless-timeout,openai-organization'

    asked = {'Access-Control-Request-Method': 'POST', 'Access-Control-Request-Headers': names}
    ask = lambda origin: server.http.options('/v1/images/generations', headers={'Origin': origin, **asked})
    may = ask(PAGE)
    assert (may.status_code, may.headers['access-control-allow-origin']) == (200, PAGE)
    assert set(names.split(',')) <= {h.strip() for h in may.headers['access-control-allow-headers'].lower().split(',')}
    not_ = ask('https://evil.example')
    assert not_.status_code == 400 and 'access-control-allow-origin' not in not_.headers
    headers = {'Origin': PAGE, 'X-Stainless-OS': 'Linux'}
    got = server.http.post('/v1/images/generations', json=dict(prompt='a boat', steps=1), headers=headers)
    assert (got.status_code, got.headers['access-control-allow-origin']) == (200, PAGE)
    assert 'x-request-id' in got.headers['access-control-expose-headers'].lower()


def test_it_is_one_process(server):
    "There is no worker that could be left behind."
    import psutil

    assert psutil.Process(server.p.pid).children(recursive=True) == []


def fuzz(operation, mode, examples: int, seen: dict):
    "Send an operation what Schemathesis makes up for it: no status 500, and every answer is one that is described."
    from hypothesis import HealthCheck, Phase, given, settings
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks

    described = 'content_type_conformance', 'response_schema_conformance', 'status_code_conformance'
    all_checks = [not_a_server_error, *(getattr(checks, c) for c in described)]
    how = dict(deadline=None, derandomize=True, database=None, phases=[Phase.generate])

    @settings(max_examples=examples, suppress_health_check=list(HealthCheck), **how)
    @given(case=operation.as_strategy(generation_mode=mode))
    def run(case):
        if isinstance(case.body, dict) and mode.is_positive:  # what is right takes time: keep it short
            sides = {k: 64 for k in ('width', 'height') if case.body.get(k)}
            case.body.update(steps=1, n=min(case.body.get('n') or 1, 2), **sides)
        r = case.call(timeout=PATIENCE)
        seen[operation.label, r.status_code] = seen.get((operation.label, r.status_code), 0) + 1
        case.validate_response(r, checks=all_checks)

    run()


@pytest.mark.parametrize('examples', [6, pytest.param(60, marks=pytest.mark.slow)])
def test_fuzzed(server, examples):
    "Schemathesis makes requests from the description of the API, right ones and wrong ones."
    import schemathesis
    from hypothesis.errors import Unsatisfiable

    schema, seen = schemathesis.openapi.from_url(server.url + '/openapi.json'), {}
    for operation in (o.ok() for o in schema.get_all_operations()):
        for mode in schemathesis.GenerationMode:
            with suppress(Unsatisfiable):  # nothing can be wrong with a GET that takes nothing
                fuzz(operation, mode, examples, seen)
    wanted = {('POST /generate', 200), ('POST /generate', 422), ('POST /v1/images/generations', 200)}
    assert wanted <= seen.keys(), seen
    assert server.http.get('/health').json()['status'] == 'ok'


def test_a_client_that_is_killed_frees_its_place(server):
    code = f'import httpx; httpx.post({server.url!r} + "/generate", json={LONG!r}, timeout=60)'
    p = subprocess.Popen([sys.executable, '-c', code], stderr=subprocess.DEVNULL)
    running = lambda: server.http.get('/health').json()['running']
    wait_for(running)
    p.kill()
    p.wait()
    wait_for(lambda: not running())
    wait_for(lambda: server.pictures()[-1]['status'] == 499)
    line = server.pictures()[-1]
    assert line['outcome'] != 'done' and line['steps'] < 50, line


def in_file(data: bytes) -> dict:
    "The settings in a picture's bytes."
    return json.loads(opened(data).text['minisd'])


PROMPTS = (  # of different lengths: the shorter ones are padded
    PICTURE['prompt'],
    'a boat',
    PICTURE['prompt'] + ', with two white cats in front of a tower, in fog',
    'a yellow balloon over the mountains at dawn',
)


@pytest.mark.parametrize('dtype', ['float32', 'bfloat16'])
def test_the_same_beside_others(dtype, monkeypatch):
    "In each precision: of four requests at once each gives the picture that it gives alone, as near as is promised."
    from starlette.testclient import TestClient
    from minisd.sampling.batcher import as_promised
    from minisd.apps.serve import ServerConfig, create_app

    monkeypatch.setenv('MINISD_DTYPE', dtype)
    with TestClient(create_app(ServerConfig()), base_url='http://127.0.0.1') as client, ThreadPoolExecutor(4) as pool:
        engine, shared = client.app.state.engine, []
        wait_for(lambda: engine.status == 'ok')
        engine.batcher.watch = lambda group, rows, seconds: shared.append(len(group))

        def ask(i):
            wanted = dict(prompt=PROMPTS[i], steps=3 + i, seed=2**64 - 1 - i)
            r = client.post('/generate', json=wanted, headers={'Accept': 'image/png'})
            assert (r.status_code, r.headers['content-type']) == (200, 'image/png'), r.text
            told = in_file(r.content)
            assert (told['dtype'], told['seed']) == (dtype, wanted['seed'])
            return opened(r.content)

        beside = list(pool.map(ask, range(4)))
        assert max(shared) > 1, shared
        assert all(as_promised(ask(i), p, dtype) for i, p in enumerate(beside))


def test_settings_from_the_environment_and_sigterm():
    "What runs is finished, what waits is refused; options beat variables that can't be read."
    wrong = dict(MINISD_PORT='tcp://10.0.0.7:8000', MINISD_ROWS='x')
    s = Process('--rows', '8', **wrong, MINISD_API_KEY='secret', MINISD_LOG_PROMPTS='true', MINISD_QUEUE='3').ready()
    s.http.headers['Authorization'] = 'Bearer secret'
    assert httpx.post(s.url + '/generate', json=PICTURE).status_code == 401
    assert [s.http.get('/config').json()[k] for k in ('queue', 'rows')] == [3, 8]
    with s.http.stream('POST', '/generate/stream', json=LONG) as r, ThreadPoolExecutor(1) as pool:
        lines = r.iter_lines()
        next(l for l in lines if l == 'event: step')
        waits = pool.submit(s.http.post, '/generate', json=LONG)
        wait_for(lambda: s.http.get('/health').json()['queue'] == 1)
        s.p.send_signal(signal.SIGTERM)
        rest = [l for l in lines if l.startswith('event: ')]
        refused = waits.result()
    assert rest[-1] == 'event: done' and rest.count('event: step') == 49
    assert refused.status_code == 503 and refused.json()['detail'].startswith('the server is stopping')
    code, lines = s.stop()
    (done,) = [l for l in lines if l.get('outcome') == 'done']
    assert (code, done['steps'], done['n'], done['prompt']) == (0, 50, 4, PICTURE['prompt'])
    assert 'secret' not in str(lines)


def test_told_to_stop_as_soon_as_it_listens():
    s = Process()
    wait_for(s.answers)
    code, lines = s.stop(signal.SIGINT)
    assert code == 0 and not [l for l in lines if 'prompt' in l]


def said(monkeypatch, capsys, *args, **env):
    "Exit status and line of the command line with these arguments, in this process."
    import warnings
    from minisd.apps.cli import main

    monkeypatch.setattr(warnings, 'showwarning', warnings.showwarning)
    for k, v in env.items():
        monkeypatch.setenv(k, v)
    with pytest.raises(SystemExit) as e:
        main(list(args))
    (line,) = capsys.readouterr().err.splitlines()
    return e.value.code, line


V1 = 'VAE_PATH', 'CLIP_PATH', 'UNET_PATH', 'TOKENIZER_PATH'


@pytest.mark.parametrize(
    'env, parts',
    [
        (
            dict(MINISD_PORT='tcp://10.0.0.7:8000'),
            ("MINISD_PORT is 'tcp://10.0.0.7:8000'", '0 to 65535', 'Kubernetes', '--port', 'enableServiceLinks: false'),
        ),
        (dict(MINISD_ROWS='x'), ("MINISD_ROWS is 'x'", 'a whole number from 1 to 4096')),
        (dict(MINISD_DTYPE='half'), ("MINISD_DTYPE is 'half'", 'float32, bfloat16, float16')),
        (dict(MINISD_MODEL='~/gone'), ('MINISD_MODEL: ', 'gone', 'nano')),
        (dict(MINISD_HOST='no such host'), ('MINISD_HOST: ', 'cannot listen at no such host')),
        ({k: f'~/{k}.pt' for k in V1}, ('VAE_PATH: ', 'VAE_PATH.pt does not exist')),
        (dict(VAE_PATH='vae.pt'), ('VAE_PATH, CLIP_PATH, UNET_PATH and TOKENIZER_PATH must all be set',)),
    ],
)
def test_a_variable_that_is_wrong_is_one_line(monkeypatch, capsys, env, parts):
    code, line = said(monkeypatch, capsys, 'serve', **env)
    assert code == 2 and all(p in line for p in parts) and '~' not in line.replace("'~/gone'", ''), line


def v1_file(kind: str, cfg) -> dict:
    "A checkpoint of v1's layout, as its trainer wrote it, with nothing learned."
    import torch
    from minisd.sampling.v1 import blank, v1_layout

    state = {}
    for name, shape in v1_layout(kind, blank(kind, cfg, 'meta')).values():
        dtype = torch.int64 if name.endswith('num_batches_tracked') else torch.float32
        state[name] = (torch.ones if 'running_var' in name else torch.zeros)(shape, dtype=dtype)
    return dict(model_state_dict=state)


def small_v1():
    "v1's architecture with less in it."
    from minisd.unet import ModelConfig
    from minisd.vae import VAEConfig

    nano = ModelConfig.preset('nano')
    clip = replace(nano.clip, vocab_size=40, length=12, near=0, layers=1, image_size=64, patch=8)
    unet = replace(nano.unet, in_channels=4, channels=64, ctx_layers=0, positions=False, pooled=False)
    return ModelConfig(VAEConfig(image_size=64, channels=(32, 64), groups=8), clip, unet)


@pytest.mark.parametrize('small', [True, pytest.param(False, marks=pytest.mark.slow)])
def test_v1_files_at_home(monkeypatch, tmp_path, small):
    "Four files of v1's layout, named by its own variables: small ones, and as large as its own."
    import torch
    from minisd.sampling import v1
    from minisd.apps.serve import from_env, open_model, sizes
    from minisd.unet import ModelConfig

    for home in 'HOME', 'USERPROFILE':
        monkeypatch.setenv(home, str(tmp_path))
    cfg = small_v1() if small else ModelConfig.preset('base')
    if small:
        monkeypatch.setattr(v1, 'import_v1', partial(v1.import_v1, config=cfg))
    for kind in 'vae', 'clip', 'unet':
        torch.save(v1_file(kind, cfg), tmp_path / f'{kind}.pt')
    words = {'<pad>': 0, '<unk>': 1, '<start>': 2, '<end>': 3, 'lake': 4}
    (tmp_path / 'tokenizer.pt').write_bytes(pickle.dumps(dict(word2idx=words, idx2word={4: 'lake'})))
    pipe = open_model(from_env({k: f'~/{k.removesuffix("_PATH").lower()}.pt' for k in V1}))
    side = '64x64' if small else '512x512'
    assert (pipe.defaults['steps'], pipe.defaults['guidance_scale'], sizes(pipe)[0]) == (20, 7.5, side)


def test_without_the_extra_is_one_line(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, 'fastapi', None)
    monkeypatch.delitem(sys.modules, 'minisd.apps.serve', raising=False)
    code, line = said(monkeypatch, capsys, 'serve')
    assert code == 2 and "pip install 'minisd[serve]'" in line
