"Put a trained run into the package, measured: .ci/release.py RUN. Writes minisd/weights/nano, its card, data/results/nano.json and figures. .ci/release.py RUN NAME only measures, into data/results/NAME.json; .ci/release.py --again measures the shipped weights anew."

import json, shutil, sys
from pathlib import Path

import torch

from minisd.base.core import read_json, write_json
from minisd.world.dataset import World

from minisd.measuring.evaluation import EvaluateConfig, evaluate
from minisd.inference import Pipeline
from minisd.sampling.fitting import fit_sampling
from minisd.train import STAGES
from minisd.base.core import to_unit
from minisd.base.viz import curves, read_log

root = Path(__file__).resolve().parents[1]
run, dest = Path(sys.argv[1] if len(sys.argv) > 1 else 'runs/nano'), root / 'minisd' / 'weights' / 'nano'
name = sys.argv[2] if len(sys.argv) > 2 else None


def stage(name):
    "What was trained, as the run's own files say."
    info, log = (
        read_json(run / 'checkpoints' / name / 'final' / 'trainer.json'),
        read_log(run / 'checkpoints' / f'{name}.jsonl'),
    )
    c = info['config']
    last = {k: v for r in log for k, v in r.items() if k.startswith('val_')}
    return dict(
        updates=info['step'],
        batch=c['batch'] * c['accumulate'],
        minutes=round(info['seconds'] / 60, 1),
        **last,
        config=c,
    )


def measured(model):
    "Scores of the model, and how the run made it."
    result = evaluate(model, EvaluateConfig(n=1000)) | dict(model=name or 'nano')
    m = read_json(run / 'machine.json')
    result['training'] = {s: stage(s) for s in STAGES} | dict(minutes=m.pop('minutes'), machine=m)
    return result


def again():
    "The shipped weights measured anew, as after a change of how they are sampled; what is known of their training stays."
    was = read_json(root / 'data' / 'results' / 'nano.json')
    result = evaluate('nano', EvaluateConfig(n=1000)) | {k: was[k] for k in ('training', 'parameters')}
    result['megabytes'] = round(sum(f.stat().st_size for f in dest.rglob('*') if f.is_file()) / 2**20, 2)
    for f in (root / 'data' / 'results' / 'nano.json', dest / 'card.json'):
        write_json(f, result)


def main():
    if '--again' in sys.argv:
        return again()
    if name:
        return print(write_json(root / 'data' / 'results' / f'{name}.json', measured(run)))
    pipe = Pipeline.from_pretrained(run)
    if dest.exists():
        shutil.rmtree(dest)
    world = World('train', n=64)
    fit_sampling(pipe, world.texts(), to_unit(world.images()))
    pipe.defaults['steps'] = read_json(root / 'data' / 'results' / 'nano.json')['settings'][
        'steps'
    ]  # as the sweep of chapter 05 chose
    pipe.save_pretrained(dest, torch.float16)
    result = measured(dest)
    result['parameters'] = {s: sum(p.numel() for p in getattr(pipe, s).parameters()) for s in STAGES}
    result['megabytes'] = round(sum(f.stat().st_size for f in dest.rglob('*') if f.is_file()) / 2**20, 2)
    write_json(root / 'data' / 'results' / 'nano.json', result)
    write_json(dest / 'card.json', result)
    for s in STAGES:
        (root / 'data' / 'results' / 'nano_log').mkdir(parents=True, exist_ok=True)
        shutil.copy(run / 'checkpoints' / f'{s}.jsonl', root / 'data' / 'results' / 'nano_log' / f'{s}.jsonl')
    fig = curves({s: run / 'checkpoints' / f'{s}.jsonl' for s in STAGES})
    fig.savefig(root / 'figures' / 'nano_curves.png', dpi=110)
    print(json.dumps({k: result[k] for k in ('training', 'megabytes')}, indent=1))


main()
