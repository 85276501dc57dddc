"Training steps compared: tools/bench_train.py. Ratios from one run on one machine, into data/results/train_bench.json: what the caches gain, and a base step against v1's. On a GPU also peak memory under a T4's cap against minisd.plan."
import statistics, sys, tempfile, time
from datetime import date
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from tqdm import tqdm

import minisd.unet
from minisd.cache import cache_latents
from minisd.clip import CLIP, Tokenizer
from minisd.core import attention_kernel, autocast, generator, machine, pick_device, pick_dtype, write_json
from minisd.flow import flow_loss
from minisd.metrics import commit
from minisd.train import EMA, TrainConfig, load_pairs, make_optimizer, to_device, unet_batches
from minisd.unet import ModelConfig, UNet
from minisd.vae import VAE, to_unit

root, device = Path(__file__).resolve().parents[1], pick_device()
dtype = torch.float16 if device.type == 'cuda' else pick_dtype(device)[0]      # on any GPU as on a T4
T4 = 14.7*2**30


def clock(f):
    "Seconds of one call."
    if device.type == 'cuda': torch.cuda.synchronize()
    start = time.perf_counter(); f()
    if device.type == 'cuda': torch.cuda.synchronize()
    return time.perf_counter() - start


def race(cases, rounds):
    "Median seconds of each case; the cases take turns, so that a slow minute of the machine meets them all."
    for f in cases.values(): f()
    times = {k: [] for k in cases}
    for _ in tqdm(range(rounds), desc='rounds'):
        for k, f in cases.items(): times[k].append(clock(f))
    return {k: statistics.median(v) for k, v in times.items()}


class Trainer:
    "A UNet with everything an update needs; `step` does one, with gradients scaled in half precision."
    def __init__(self, cfg, channels_last=True, checkpointing=False, optimizer='adamw'):
        torch.manual_seed(0)
        self.net = UNet(cfg).to(device).train()
        if channels_last: self.net.to(memory_format=torch.channels_last)
        self.net.checkpointing, self.layout = checkpointing, torch.channels_last if channels_last else torch.contiguous_format
        self.opt, self.ema = make_optimizer(self.net, TrainConfig(optimizer=optimizer)), EMA(self.net)
        if not channels_last: self.opt._optimizer_step_post_hooks.clear()
        self.scaler = torch.amp.GradScaler(device.type, enabled=dtype == torch.float16)

    def step(self, x1, x0, t, ctx, mask):
        x1, x0 = (v.contiguous(memory_format=self.layout) for v in (x1, x0))
        with attention_kernel(device):
            with autocast(device, dtype): loss = flow_loss(self.net, x1, x0, t, ctx, mask).mean()
            self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.opt)
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 0.5)
        self.scaler.step(self.opt); self.scaler.update(); self.opt.zero_grad()
        self.ema.update(self.net)


def naive_attention(q, k, v, attn_mask=None, **_):
    "Attention as v1 wrote it: the whole matrix of weights, kept for the backward pass."
    w = q @ k.mT/q.shape[-1]**0.5
    if attn_mask is not None: w = w.masked_fill(~attn_mask, -torch.inf)
    return w.float().softmax(-1).to(v.dtype) @ v


def caches(preset, size, batch, rounds, n=96):
    "Item by item what is kept instead of computed in each update of the UNet."
    mc = ModelConfig.preset(preset)
    pairs, _ = load_pairs('world', size, n, n_val=1)
    tok = Tokenizer.train((t for ts in pairs.texts for t in ts), mc.clip.vocab_size, mc.clip.length)
    vae, clip = (m.to(device, memory_format=torch.channels_last).eval() for m in (VAE(mc.vae), CLIP(mc.clip)))
    trainer, gen = Trainer(mc.unet, optimizer='muon' if preset == 'nano' else 'adamw8bit'), generator(0, 'bench')
    cfg = TrainConfig(batch=batch, accumulate=1, flip=0.)
    with tempfile.TemporaryDirectory() as d:
        latents = {mc.vae.image_size: cache_latents(Path(d)/'z', vae, pairs.images, size)}
        kept, ids = (unet_batches(vae, clip, tok, pairs, TrainConfig(batch=batch, accumulate=1, flip=0., cache_text=c), latents) for c in (True, False))
        def states(b):
            with torch.no_grad(), autocast(device, dtype): return clip.encode_text(b['words'].long(), b['mask'])[0]
        def use(b, ctx, x1=None): trainer.step(b['x1'] if x1 is None else x1, b['x0'], b['t'], ctx, b['mask'])
        def all_kept(): b = to_device(kept(0, gen), device); use(b, b['words'].float())
        def latents_kept(): b = to_device(ids(0, gen), device); use(b, states(b))
        def none_kept():
            b = to_device(ids(0, gen), device)
            x = to_unit(pairs.images[:batch]).to(device).contiguous(memory_format=torch.channels_last)
            with torch.no_grad(), autocast(device, dtype): x1 = vae.encode(x).sample()
            use(b, states(b), x1)
        s = race({'nothing kept': none_kept, 'latents kept': latents_kept, 'latents and caption states kept': all_kept}, rounds)
    return {k: dict(images_per_s=round(batch/v, 2), gain=round(s['nothing kept']/v, 3)) for k, v in s.items()}


def against_v1(batch, rounds):
    "A base step as here against v1's: recomputed activations, naive attention, contiguous layout, encoding in the step."
    mc, words = ModelConfig.preset('base'), torch.ones(batch, 77, dtype=torch.bool, device=device)
    side, size = mc.unet.sample_size, mc.vae.image_size
    vae = VAE(mc.vae).to(device).eval()
    x0, z, t, ctx, x = (torch.randn(*s, device=device) for s in ((batch, 4, side, side), (batch, 4, side, side), (batch,), (batch, 77, 512), (batch, 3, size, size)))
    t = t.sigmoid()
    one, first = torch.ones(batch, 1, dtype=torch.bool, device=device), ctx[:, :1]                # v1's context: one pooled vector
    def encoded():
        with torch.no_grad(), autocast(device, dtype): return vae.encode(x).sample()
    def plain(trainer, z, c=first, m=one):
        real, minisd.unet.F.scaled_dot_product_attention = F.scaled_dot_product_attention, naive_attention
        try: trainer.step(z, x0, t, c, m)
        finally: minisd.unet.F.scaled_dot_product_attention = real
    out = {}
    for name, kw, call in (("v1's", dict(channels_last=False, checkpointing=True), lambda tr: plain(tr, encoded())),
                           ('+ latents kept', dict(channels_last=False, checkpointing=True), lambda tr: plain(tr, z)),
                           ('+ activations kept', dict(channels_last=False), lambda tr: plain(tr, z)),
                           ('+ channels_last', dict(), lambda tr: plain(tr, z)),
                           ('+ torch attention, all 77 tokens: as here', dict(), lambda tr: tr.step(z, x0, t, ctx, words))):
        if device.type == 'cuda': torch.backends.cudnn.benchmark = not name.startswith("v1's"); torch.cuda.reset_peak_memory_stats()
        trainers = [Trainer(mc.unet, **kw, optimizer='adamw8bit')]
        for _ in range(2): call(trainers[0])
        out[name] = [clock(lambda: call(trainers[0])) for _ in tqdm(range(rounds), desc=name)]
        trainers.clear()
    seconds = {k: statistics.median(v) for k, v in out.items()}
    return {k: dict(seconds=round(v, 3), times_v1=round(seconds["v1's"]/v, 2)) for k, v in seconds.items()}


def peaks():
    "Peak memory of base steps on this GPU, flash attention off, against the plan's."
    from minisd.plan import step_memory
    torch.cuda.set_per_process_memory_fraction(min(1., T4/torch.cuda.get_device_properties(0).total_memory))
    mc, rows = ModelConfig.preset('base'), []
    for batch, checkpointing in ((8, False), (32, False), (32, True)):
        torch.cuda.empty_cache(); torch.cuda.reset_peak_memory_stats()
        text = CLIP(mc.clip).text.to(device)                       # where captions are kept as ids
        trainer, s = Trainer(mc.unet, checkpointing=checkpointing, optimizer='adamw8bit'), mc.unet.sample_size
        z, ctx, mask = torch.randn(batch, 4, s, s, device=device), torch.randn(batch, 77, 512, device=device), torch.ones(batch, 77, dtype=torch.bool, device=device)
        with sdpa_kernel([SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]):
            for _ in range(3): trainer.step(z, torch.randn_like(z), torch.rand(batch, device=device), ctx, mask)
        said, real = step_memory('unet', mc, batch, checkpointing=checkpointing), torch.cuda.max_memory_allocated()
        rows.append(dict(batch=batch, checkpointing=checkpointing, computed_gib=round(said/2**30, 2), measured_gib=round(real/2**30, 2)))
        del trainer, text
    return rows


def main():
    quick = device.type != 'cuda'
    result = dict(precision=str(dtype), caches={'nano at 64 px, batch 32': caches('nano', 64, 32, 9), f'base at 512 px, batch {2 if quick else 16}': caches('base', 512, 2 if quick else 16, 3 if quick else 9, n=4 if quick else 32)},
                  base_step={f'512 px, batch {2 if quick else 16}': against_v1(2 if quick else 16, 3 if quick else 9)})
    if device.type == 'cuda': result['peaks under 14.7 GiB'] = peaks()
    result |= dict(machine=machine(), commit=commit(), date=str(date.today()))
    print(write_json(root/'data'/'results'/'train_bench.json', result))


if __name__ == '__main__': sys.exit(main())
