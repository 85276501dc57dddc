"What the states of a caption say: tools/states.py. Trains small CLIPs with and without each helper, reads the attributes from their states by one layer of attention, and keeps each in data/results/states.json when it is done."

import sys
import tempfile
from dataclasses import replace
from datetime import date
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from minisd.training.cache import cache_latents
from minisd.clip import CLIP
from minisd.base.core import machine, read_json, write_json
from minisd.world.dataset import World
from minisd.inference import Pipeline
from minisd.world.probe import HEADS, labels
from minisd.base.core import commit
from minisd.measuring.metrics import recall
from minisd.train import cache_texts, load_pairs, recipe, train_clip
from minisd.unet import CrossAttention, ModelConfig

root = Path(__file__).resolve().parents[1]
CASES = {
    'contrastive alone': dict(near=0, agree=0.0, sketch=0.0),
    '+ agreement': dict(near=0, agree=3.0, sketch=0.0),
    '+ agreement + neighbours': dict(near=5, agree=3.0, sketch=0.0),
    '+ agreement + neighbours + sketch': dict(near=5, agree=3.0, sketch=20.0),
}


class Reader(nn.Module):
    "One query an attribute, one layer of attention over the states, one linear layer."

    def __init__(self, dim):
        super().__init__()
        self.q, self.attn = nn.Parameter(torch.randn(1, len(HEADS), dim)), CrossAttention(dim, dim, 4)
        self.out = nn.ModuleList(nn.Linear(dim, n) for n in HEADS.values())

    def forward(self, ctx, mask):
        h = self.attn(self.q.expand(len(ctx), -1, -1), ctx, mask)
        return [out(h[:, i]) for i, out in enumerate(self.out)]


def read(clip, tok, n=8000, n_val=1000, updates=400):
    "Share of attributes that a reader trained on `n` captions reads right on validation captions, and recall of their pictures."
    torch.manual_seed(0)
    sets = {s: World(s, n=k) for s, k in (('train', n), ('validation', n_val))}
    (ctx, mask), (vctx, vmask) = (cache_texts(clip, tok, w.texts(0, 'rich')) for w in sets.values())
    y, vy = (labels(w.scenes()) for w in sets.values())
    reader = Reader(clip.cfg.width)
    opt = torch.optim.AdamW(reader.parameters(), 3e-3)
    for step in range(updates):
        j = torch.randint(n, (256,))
        loss = sum(
            F.cross_entropy(o, y[j, k], ignore_index=-100) for k, o in enumerate(reader(ctx[j].float(), mask[j]))
        )
        opt.zero_grad(), loss.backward(), opt.step()
    with torch.no_grad():
        right = torch.stack([o.argmax(1) for o in reader(vctx.float(), vmask)], 1) == vy
    there, out = (
        vy[:, 3::3] > 0,
        {a: right[:, k].float().mean().item() for k, a in enumerate(('time', 'terrain', 'weather'))},
    )
    out |= {a: right[:, 3 + k :: 3][there].float().mean().item() for k, a in enumerate(('subject', 'colour', 'depth'))}
    return out | dict(
        recall=recall(clip, tok, sets['validation'].images()[:256], sets['validation'].texts(0, 'rich')[:256])[
            'text_to_image'
        ][1]
    )


def main():
    small = '--small' in sys.argv
    cfg, mc = (
        recipe('clip', 'nano', **(dict(steps=3, batch=8, warmup=1) if small else {})),
        ModelConfig.preset('nano').clip,
    )
    file = (
        Path(sys.argv[sys.argv.index('--small') + 1]) / 'states.json'
        if small
        else root / 'data' / 'results' / 'states.json'
    )
    state = dict(updates=cfg.steps, batch=cfg.batch, pictures=64 if small else cfg.pictures)
    done = read_json(file) if file.is_file() else {}
    rows = done['rows'] if {k: done.get(k) for k in state} == state else {}
    nano = Pipeline.from_pretrained('nano')
    tok = nano.tokenizer
    with tempfile.TemporaryDirectory() as d:
        pairs, val = load_pairs('world', mc.image_size, state['pictures'], cfg.variants)
        latents = cache_latents(Path(d) / 'latents', nano.vae, pairs.images)
        for name, c in CASES.items():
            if name in rows:
                continue
            torch.manual_seed(0)
            clip = train_clip(
                CLIP(replace(mc, vocab_size=tok.vocab_size, near=c['near'])),
                tok,
                pairs,
                val,
                replace(cfg, agree=c['agree'], sketch=c['sketch']),
                Path(d) / name.replace(' ', '') / 'clip',
                vae=nano.vae,
                latents=latents,
            )
            rows[name] = read(clip, tok, *((64, 64, 2) if small else ()))
            print(name, {k: round(v, 3) for k, v in rows[name].items()}, flush=True)
            write_json(file, state | dict(rows=rows, machine=machine(), commit=commit(), date=str(date.today())))


if __name__ == '__main__':
    main()
