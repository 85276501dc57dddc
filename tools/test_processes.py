"Several processes: accelerate launch with two gloo processes on a CPU does what one process does."
import json, subprocess, sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from minisd.viz import read_log

STAGES = 'vae', 'clip', 'unet'
# 8 pictures an update: one process takes them as 4 + 4 in two micro-batches, each of two processes takes 4
SET = dict(pictures=48, log_every=1, val_every=3, warmup=1, optimizer='adamw', lr=1e-3, flip=0.5, accumulate=2, validation=32)


def train(out, processes, *more, stage='all', steps=4):
    "Run the command line, in so many processes."
    launch = ['-m', 'accelerate.commands.launch', '--cpu', '--num_processes', '2', '--num_machines', '1', '--mixed_precision', 'no', '--dynamo_backend', 'no', '--main_process_port', '0'] if processes == 2 else []
    command = [sys.executable, *launch, '-m', 'minisd', 'train', stage, '--out', str(out), '--steps', str(steps), '--batch', '4', *(x for k, v in SET.items() for x in ('--set', f'{k}={v}')), *more]
    r = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert r.returncode == 0, r.stderr[-3000:]
    return r.stdout


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
    d = tmp_path_factory.mktemp('runs')
    said = {n: train(d/f'{n}', n) for n in (1, 2)}
    return d, said


def column(out, stage, key): return torch.tensor([r[key] for r in read_log(out/'checkpoints'/f'{stage}.jsonl') if key in r])


def test_two_processes_do_what_one_does(runs):
    d, _ = runs
    for s in STAGES:
        one, two = (column(d/n, s, 'loss') for n in '12')
        assert len(one) == len(two) == 4 and torch.allclose(one, two, rtol=0.02), (s, one, two)
        assert torch.allclose(*(column(d/n, s, 'grad_norm') for n in '12'), rtol=0.1), s
        a, b = (load_file(d/n/'checkpoints'/s/'step-000000004'/'model.safetensors') for n in '12')
        mean = sum((a[k].float() - b[k].float()).abs().sum().item() for k in a)/sum(v.numel() for v in a.values())
        assert mean < 0.1*4*SET['lr'], (s, mean)      # AdamW has moved each weight by up to 4 learning rates; rounding turns the sign of a tiny gradient now and then


def test_one_process_writes(runs):
    "The first process alone logs, previews and prints."
    d, said = runs
    for s in STAGES:
        lines = [json.loads(l) for l in (d/'2'/'checkpoints'/f'{s}.jsonl').read_text().splitlines()]
        assert [r['step'] for r in lines if 'loss' in r] == [1, 2, 3, 4] and sum('stopped' in r for r in lines) == 1
    assert said[2].count('training vae') == 1 and (d/'2'/'samples.png').is_file()


def test_going_on_with_another_number_of_processes(runs, tmp_path):
    "Stopped on two, gone on with one: as if nothing had been."
    d, _ = runs
    train(tmp_path/'x', 2, '--minutes', '0', stage='vae')
    assert (tmp_path/'x'/'checkpoints'/'vae'/'step-000000001').is_dir()
    said = train(tmp_path/'x', 1, stage='vae')
    assert 'going on after 1 updates' in said and torch.allclose(column(tmp_path/'x', 'vae', 'loss'), column(d/'1', 'vae', 'loss'), rtol=0.02)


def test_a_stream_is_shared_and_goes_on(tmp_path):
    "Pictures of a tar: begun on two processes, gone on with one, as one process does it."
    import io, tarfile
    from minisd.data import render
    with tarfile.open(tmp_path/'pictures.tar', 'w') as tar:
        for i in range(64):
            image, scene = render(i)
            file = io.BytesIO(); image.save(file, 'png')
            for end, data in ('png', file.getvalue()), ('txt', scene.caption().encode()):
                info = tarfile.TarInfo(f'{i:03d}.{end}'); info.size = len(data); tar.addfile(info, io.BytesIO(data))
    options = '--data', str(tmp_path/'pictures.tar'), '--set', 'holdout=0.2', '--set', 'buffer=16'
    train(tmp_path/'1', 1, *options, stage='vae')
    train(tmp_path/'2', 2, *options, '--minutes', '0', stage='vae')
    assert 'going on after 1 updates' in train(tmp_path/'2', 1, *options, stage='vae')
    one, two = (column(tmp_path/n, 'vae', 'loss') for n in '12')
    assert len(one) == 4 and torch.allclose(one, two, rtol=0.02), (one, two)


def test_an_update_that_cannot_be_shared_is_one_line(tmp_path):
    from minisd.train import TrainConfig
    with pytest.raises(ValueError, match='must be a multiple of the 2 processes'):
        import minisd.train as t
        class Two: num_processes, process_index, is_main_process, device = 2, 0, True, torch.device('cpu')
        import accelerate
        real, accelerate.Accelerator = accelerate.Accelerator, lambda **_: Two()
        try: t.Run(torch.nn.Linear(2, 2), TrainConfig(batch=3, accumulate=1), Path(tmp_path)/'x')
        finally: accelerate.Accelerator = real
