"Two processes do what one does; who is killed leaves nothing behind; a folder has one owner."

import json
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file

from minisd.base.core import owned
from minisd.base.viz import read_log

STAGES = 'vae', 'clip', 'unet'
# 8 pictures an update: one process takes them as 4 + 4 in two micro-batches, each of two processes takes 4
SET = dict(
    pictures=48,
    log_every=1,
    val_every=3,
    save_every=1,
    warmup=1,
    optimizer='adamw',
    lr=1e-3,
    accumulate=2,
    validation=16,
)
RUN = dict(batch=4, **SET)


# nano with less in it, and shorter previews: what processes do with it is the same
SMALL = """
from dataclasses import replace
import minisd.train as t
nano = t.PRESETS['nano']
m = nano.model
vae, clip, unet = replace(m.vae, channels=(16, 16, 32)), replace(m.clip, layers=1), replace(m.unet, channels=16)
small = replace(m, vae=vae, clip=clip, unet=unet)
t.PRESETS['nano'] = replace(nano, model=small, sampling=t.Sampling(steps=2, solver='euler'))
"""
MAIN = 'from minisd.apps.cli import main\nmain()\n'


def fields(**values) -> list[str]:
    "Options that set fields of the recipe."
    return [x for k, v in values.items() for x in ('--set', f'{k}={v}')]


LAUNCH = (  # accelerate's, with two gloo processes on a CPU
    '-m accelerate.commands.launch --cpu --num_processes 2 --num_machines 1 --mixed_precision no --dynamo_backend no '
    '--main_process_port 0'
).split()


def launched(out, *more, program=('-m', 'minisd'), stage='all', steps=4):
    "Run the command line in two processes."
    options = ['train', stage, '--out', str(out), '--steps', str(steps), '--batch', '4']
    command = [sys.executable, *LAUNCH, *program, *options, *fields(**SET), *more]
    r = subprocess.run(command, capture_output=True, text=True, timeout=3000)
    assert r.returncode == 0, r.stderr[-3000:]
    return r.stdout


def train(out, stage='all', steps=4, **more):
    "The same in this process alone."
    from minisd.train import train

    return train(stage, 'nano', out, steps=steps, live=False, **RUN | more)


@contextmanager
def small():
    "Within the block, `train` trains small networks."
    import minisd.train as t

    kept = t.PRESETS['nano']
    exec(SMALL, {})
    try:
        yield
    finally:
        t.PRESETS['nano'] = kept


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
    d = tmp_path_factory.mktemp('runs')
    (d / 'small.py').write_text(SMALL + MAIN)
    with small():
        train(d / '1')
    return d, launched(d / '2', program=(str(d / 'small.py'),))


def column(out, stage, key):
    return torch.tensor([r[key] for r in read_log(out / 'checkpoints' / f'{stage}.jsonl') if key in r])


def test_two_processes_do_what_one_does(runs):
    d, _ = runs
    for s in STAGES:
        one, two = (column(d / n, s, 'loss') for n in '12')
        assert len(one) == len(two) == 4 and torch.allclose(one, two, rtol=0.02), (s, one, two)
        assert torch.allclose(*(column(d / n, s, 'grad_norm') for n in '12'), rtol=0.1), s
        a, b = (load_file(d / n / 'checkpoints' / s / 'step-000000004' / 'model.safetensors') for n in '12')
        mean = sum((a[k].float() - b[k].float()).abs().sum().item() for k in a) / sum(v.numel() for v in a.values())
        # AdamW moves each weight by up to 4 learning rates; rounding turns the sign of a tiny gradient now and then
        assert mean < 0.1 * 4 * SET['lr'], (s, mean)


def test_one_process_writes(runs):
    "The first process alone logs, previews and prints."
    d, said = runs
    for s in STAGES:
        lines = [json.loads(l) for l in (d / '2' / 'checkpoints' / f'{s}.jsonl').read_text().splitlines()]
        assert [r['step'] for r in lines if 'loss' in r] == [1, 2, 3, 4] and sum('stopped' in r for r in lines) == 1
    assert said.count('training vae') == 1 and (d / '2' / 'samples.png').is_file()


def test_going_on_with_another_number_of_processes(runs, tmp_path, capsys):
    "Begun on two, gone on with one from the checkpoint before the last: as if nothing had been."
    d, _ = runs
    shutil.copytree(d / '2', tmp_path / 'x', ignore=shutil.ignore_patterns('step-000000004', 'final', 'clip', 'unet'))
    with small():
        train(tmp_path / 'x', 'vae')
    assert 'going on after 3 updates' in capsys.readouterr().out
    assert torch.allclose(column(tmp_path / 'x', 'vae', 'loss'), column(d / '1', 'vae', 'loss'), rtol=0.02)


def test_a_stream_is_shared_and_goes_on(tmp_path, capsys):
    "Pictures of a tar: begun on two processes, gone on with one, as one process does it."
    import io, tarfile
    from minisd.world.painter import render

    with tarfile.open(tmp_path / 'pictures.tar', 'w') as tar:
        for i in range(64):
            image, scene = render(i)
            file = io.BytesIO()
            image.save(file, 'png')
            for end, data in ('png', file.getvalue()), ('txt', scene.caption().encode()):
                info = tarfile.TarInfo(f'{i:03d}.{end}')
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    options = dict(data=str(tmp_path / 'pictures.tar'), holdout=0.2, buffer=16, flip=0.5)
    train(tmp_path / '1', 'vae', **options)
    cut = ['--data', options['data'], *fields(holdout=0.2, buffer=16, flip=0.5), '--minutes', '0']
    launched(tmp_path / '2', *cut, stage='vae')
    train(tmp_path / '2', 'vae', **options)
    assert 'going on after 1 updates' in capsys.readouterr().out
    one, two = (column(tmp_path / n, 'vae', 'loss') for n in '12')
    assert len(one) == 4 and torch.allclose(one, two, rtol=0.02), (one, two)


# A run that starts another one into its own folder before its second update, and is killed before its fourth
KILLED = """
import os, signal, subprocess, sys
import minisd.train as t
command, draw = [sys.executable, '-m', 'minisd', *sys.argv[1:]], t.Run.draw
def disturbed(self, batches):
    if self.step == 1:
        r = subprocess.run(command, capture_output=True, text=True)
        print(r.returncode, r.stderr, flush=True)
    if self.step == 3: os.kill(os.getpid(), signal.SIGKILL)
    return draw(self, batches)
t.Run.draw = disturbed
from minisd.apps.cli import main
main(sys.argv[1:])
"""


def test_a_second_run_ends_at_once_and_a_killed_one_goes_on(tmp_path):
    "The second leaves the first alone; SIGKILL leaves no lock, and what is done again gets the same numbers."
    out = tmp_path / 'run'
    args = [*'train vae --steps 5 --batch 4 --out'.split(), str(out), *fields(**SET | dict(save_every=2))]
    r = subprocess.run([sys.executable, '-c', KILLED, *args], capture_output=True, text=True, timeout=3000)
    assert r.returncode == -signal.SIGKILL, r.stderr[-3000:]
    assert f'2 minisd: error: {out}: another run is at work there (process ' in r.stdout, r.stdout
    assert sorted(f.name for f in (out / 'checkpoints' / 'vae').iterdir()) == ['best', 'step-000000002']
    before = [json.loads(l) for l in (out / 'checkpoints' / 'vae.jsonl').read_text().splitlines()]
    again = subprocess.run([sys.executable, '-m', 'minisd', *args], capture_output=True, text=True, timeout=3000)
    assert again.returncode == 0 and 'going on after 2 updates' in again.stdout, again.stderr[-3000:]
    after = read_log(out / 'checkpoints' / 'vae.jsonl')
    losses = lambda rows: {r['step']: r['loss'] for r in rows if 'loss' in r}
    assert losses(before).keys() == {1, 2, 3} and losses(after).keys() == {1, 2, 3, 4, 5}
    assert losses(before)[3] == losses(after)[3]  # the update that was done twice


def ended(process):
    "Whether a process is gone, asked about by its parent or not."
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_killed_run_leaves_no_workers(tmp_path):
    "SIGKILL while the world is drawn."
    options = 'train vae --set pictures=200000 --out'.split()
    command = [sys.executable, '-m', 'minisd', *options, str(tmp_path / 'run')]
    run = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 600
    while not run.children(recursive=True):
        assert run.poll() is None and time.monotonic() < end
        time.sleep(0.1)
    time.sleep(1)  # the others begin, too
    workers = run.children(recursive=True)
    run.kill()
    run.wait()
    with owned(tmp_path / 'run'):
        pass  # the folder is free at once, whatever the workers do
    while not all(map(ended, workers)) and time.monotonic() < end:
        time.sleep(0.1)
    left = [w for w in workers if not ended(w)]
    for w in left:
        w.kill()
    assert not left, f'{len(left)} of {len(workers)} workers outlive their run'


def test_an_update_that_cannot_be_shared_is_one_line(tmp_path, monkeypatch):
    import accelerate
    from minisd.train import EMA, Run, TrainConfig

    class Two:
        num_processes, process_index, is_main_process, device = 2, 0, True, torch.device('cpu')

    monkeypatch.setattr(accelerate, 'Accelerator', lambda **_: Two())
    with pytest.raises(ValueError, match='must be a multiple of the 2 processes'):
        Run(torch.nn.Linear(2, 2), TrainConfig(batch=3, accumulate=1), Path(tmp_path) / 'x', EMA)
