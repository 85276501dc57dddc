import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn
from minisd.base.core import WEIGHTS, Pretrained, autocast, generator, machine, pick_dtype, to_unit, write_json
from minisd.world.asks import Reading, Seen, everything, judge
from minisd.world.dataset import World
from minisd.world.layout import spots
from minisd.world.scenes import COLORS, DEPTHS, KINDS, SIDES, SIZES, TERRAINS, TIMES, WEATHERS, Scene

GRID = 16
WHOLE = dict(time=TIMES, terrain=TERRAINS, weather=WEATHERS)
PLACE = dict(kind=('nothing', *KINDS), color=COLORS, depth=DEPTHS, size=SIZES)


def targets(scenes, seeds, shift=(0.0, 0.0)):
    n = len(scenes)
    out = {a: torch.tensor([names.index(getattr(s, a)) for s in scenes]) for a, names in WHOLE.items()}
    out |= {a: torch.full((n, GRID, GRID), -100) for a in PLACE}
    out['kind'].zero_()
    out['offset'] = torch.full((n, 2, GRID, GRID), float('nan'))
    at = (torch.arange(GRID) + 0.5)
    for k, (scene, seed) in enumerate(zip(scenes, seeds)):
        middles = [(p.middle[0] + shift[0], p.middle[1] + shift[1]) for p in spots(scene, seed)]
        cells = [tuple(min(GRID - 1, max(0, int(GRID * v))) for v in m) for m in middles]
        for (c, r), (x, y) in zip(cells, middles):
            r0, c0 = max(0, r - 1), max(0, c - 1)
            out['kind'][k, r0 : r + 2, c0 : c + 2] = -100
            h, w = out['kind'][k, r0 : r + 2, c0 : c + 2].shape
            out['offset'][k, 0, r0 : r + 2, c0 : c + 2] = (GRID * x - at[c0 : c0 + w])[None]
            out['offset'][k, 1, r0 : r + 2, c0 : c + 2] = (GRID * y - at[r0 : r0 + h])[:, None]
        for (c, r), (x, y), s in zip(cells, middles, scene.subjects):
            for a, names in PLACE.items():
                out[a][k, r, c] = names.index(getattr(s, a))
            out['offset'][k, :, r, c] = torch.tensor([GRID * x - c - 0.5, GRID * y - r - 0.5])
    return out


class Added(nn.Sequential):
    def forward(self, x):
        return x + super().forward(x)


@dataclass(frozen=True)
class ProbeConfig:
    channels: tuple[int, ...] = (24, 48, 96)
    extra: int = 2
    inner: int = 0
    hidden: int = 128
    groups: int = 8


class Probe(Pretrained, nn.Module):
    config_class = ProbeConfig

    def __init__(self, cfg=ProbeConfig()):
        super().__init__()
        self.cfg = cfg
        norm = lambda b: nn.Sequential(nn.GroupNorm(cfg.groups, b), nn.ReLU())
        conv = lambda a, b: Added(nn.Conv2d(a, b, 3, padding=1, bias=False), norm(b))
        half = lambda a, b: nn.Sequential(nn.Conv2d(a, b, 4, 2, 1, bias=False), norm(b))
        a, *more = cfg.channels
        layers = [nn.Conv2d(3, a, 4, 2, 1), nn.ReLU()]
        for b in more:
            layers += [half(a, b)] + [conv(b, b) for _ in range(cfg.inner)]
            a = b
        self.body = nn.Sequential(*layers, *(conv(a, a) for _ in range(cfg.extra)))
        self.whole = nn.Sequential(nn.Linear(GRID * a, cfg.hidden), nn.ReLU())
        self.whole_heads = nn.ModuleDict({k: nn.Linear(cfg.hidden, len(v)) for k, v in WHOLE.items()})
        self.place = nn.Sequential(nn.Conv2d(a, cfg.hidden, 1), nn.ReLU())
        self.place_heads = nn.ModuleDict({k: nn.Conv2d(cfg.hidden, n, 1) for k, n in (*((k, len(v)) for k, v in PLACE.items()), ('offset', 2))})
        nn.init.constant_(self.place_heads['kind'].bias[:1], 5.0)

    def forward(self, x):
        h = self.body(x)
        g, p = self.whole(rearrange(h.mean(3), 'b c h -> b (c h)')), self.place(h)
        out = {k: head(g).float() for k, head in self.whole_heads.items()}
        return out | {k: head(p).float() for k, head in self.place_heads.items()}


def moved(x, shift):
    dx, dy = shift
    h, w = x.shape[-2:]
    rows, cols = (torch.arange(h) - dy).clamp(0, h - 1), (torch.arange(w) - dx).clamp(0, w - 1)
    return x[..., rows, :][..., cols]


def spoil(x, gen):
    r = lambda lo, hi: lo + (hi - lo) * torch.rand(len(x), 1, 1, 1, generator=gen)
    h = x.shape[-1]
    soft, side = (torch.rand(len(x), generator=gen) < 0.6).nonzero()[:, 0], int(torch.randint(h // 2, h, (), generator=gen))
    sharp = x[soft]
    again = F.interpolate(F.interpolate(sharp, (side, side), mode='bilinear', antialias=True), (h, h), mode='bilinear')
    x = x.index_copy(0, soft, torch.lerp(sharp, again, r(0, 1)[soft]))
    return torch.addcmul(r(-0.08, 0.08), x, r(0.9, 1.1)).addcmul_(r(0, 0.08), torch.randn(x.shape, generator=gen))


def probe_loss(out, y, wk=1.0):
    n = len(y['time'])
    total = sum(F.cross_entropy(out[a], y[a]) for a in WHOLE)
    total = total + wk * F.cross_entropy(out['kind'], y['kind'], reduction='sum') / n
    for a in ('color', 'depth', 'size'):
        total = total + F.cross_entropy(out[a], y[a])
    there = ~y['offset'].isnan()
    return total + F.l1_loss(out['offset'][there], y['offset'][there])


ATTRIBUTES = 'time', 'terrain', 'weather', 'subject', 'colour', 'depth', 'size', 'side', 'count'
THRESHOLD = 0.5


def to_batch(images):
    if not isinstance(images, Tensor):
        import numpy as np
        images = torch.stack([torch.from_numpy(np.asarray(i.convert('RGB')).copy()).permute(2, 0, 1) for i in images])
    x = to_unit(images) if images.dtype == torch.uint8 else 2 * images - 1
    return x if x.shape[-2:] == (128, 128) else F.interpolate(x, (128, 128), mode='bilinear', antialias=True)


def things_of(out, k):
    logit = out['kind'][k]
    odds = logit[1:].logsumexp(0) - logit[0]
    p = odds.sigmoid()
    top = (odds == F.max_pool2d(odds[None], 3, 1, 1)[0]) & (p > THRESHOLD)
    seen = []
    for r, c in top.nonzero().tolist():
        r0, c0 = max(0, r - 1), max(0, c - 1)
        box = slice(r0, r + 2), slice(c0, c + 2)
        w = p[box]
        gy, gx = torch.meshgrid(torch.arange(GRID)[box[0]] + 0.5, torch.arange(GRID)[box[1]] + 0.5, indexing='ij')
        off = out['offset'][k]
        if MODE == 'peak':
            x, y = off[0, r, c].item() + c + .5, off[1, r, c].item() + r + .5
        elif MODE == 'mean':
            x, y = ((w * (gx + off[0][box])).sum() / w.sum()).item(), ((w * (gy + off[1][box])).sum() / w.sum()).item()
        kind = KINDS[logit[1:, r, c].argmax()]
        rest = {a: PLACE[a][out[a][k, :, r, c].argmax()] for a in ('color', 'depth', 'size')}
        seen.append(Seen(kind, **rest, x=x / GRID, y=y / GRID))
    return tuple(seen)
MODE = 'peak'

@torch.no_grad()
def read(images, probe):
    readings = []
    for b in images.split(128):
        out = probe(to_batch(b))
        w = {a: [names[i] for i in out[a].argmax(1).tolist()] for a, names in WHOLE.items()}
        readings += [Reading(w['time'][k], w['terrain'][k], w['weather'][k], things_of(out, k)) for k in range(len(b))]
    return readings


def assign(scene, things):
    left, given = list(things), {}
    middles = [s.middle for s in spots(scene, 0)]
    far = lambda k, t: max(abs(middles[k][0] - t.x), abs(middles[k][1] - t.y))
    for good in (
        lambda s, t, k: t.side == s.side and t.depth == s.depth,
        lambda s, t, k: t.side == s.side,
        lambda s, t, k: far(k, t) < 0.15,
    ):
        for k, s in enumerate(scene.subjects):
            mine = [t for t in left if k not in given and good(s, t, k)]
            if mine:
                given[k] = min(mine, key=lambda t: (t.kind != s.kind, far(k, t)))
                left.remove(given[k])
    return [given.get(k) for k in range(len(scene.subjects))]


def score_readings(readings, scenes):
    share = lambda xs: sum(xs) / len(xs) if xs else 1.0
    out = {a: share([getattr(r, a) == getattr(s, a) for r, s in zip(readings, scenes)]) for a in WHOLE}
    pairs = [(s, t) for r, scene in zip(readings, scenes) for s, t in zip(scene.subjects, assign(scene, r.things))]
    found = [(s, t) for s, t in pairs if t and t.kind == s.kind]
    out['subject'] = share([bool(t and t.kind == s.kind) for s, t in pairs])
    for name, a in (('colour', 'color'), ('depth', 'depth'), ('size', 'size')):
        out[name] = share([getattr(s, a) == getattr(t, a) for s, t in found])
    out['side'] = share([sorted(t.side for t in r.things) == sorted(s.side for s in sc.subjects) for r, sc in zip(readings, scenes)])
    out['count'] = share([len(r.things) == len(sc.subjects) for r, sc in zip(readings, scenes)])
    out['scene'] = sum(out[a] for a in WHOLE) / 3
    out['mean'] = sum(out[a] for a in ATTRIBUTES) / 9
    out['whole'] = share([all(judge(everything(sc), r).values()) for r, sc in zip(readings, scenes)])
    return out
