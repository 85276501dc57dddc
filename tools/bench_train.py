"Training steps compared: tools/bench_train.py. Ratios from one run on one machine, into data/results/train_bench.json: what the caches gain, and a base step against v1's. On a GPU also peak memory under a T4's cap against minisd.measuring.plan."

import statistics, sys, tempfile, time
from datetime import date
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from tqdm import tqdm

import minisd.unet
from minisd.training.cache import cache_latents
from minisd.clip import CLIP, Tokenizer
from minisd.base.core import attention_kernel, autocast, generator, machine, pick_device, pick_dtype, write_json
from minisd.flow import flow_loss
from minisd.base.core import commit
from minisd.train import EMA, TrainConfig, keep_layout, load_pairs, make_optimizer, recipe, to_device, unet_batches
from minisd.unet import ModelConfig, UNet
from minisd.vae import VAE
from minisd.base.core import to_unit

root, device = Path(__file__).resolve().parents[1], pick_device()
dtype = torch.float16 if device.type == 'cuda' else pick_dtype(device)[0]  # on any GPU as on a T4
T4 = 14.7 * 2**30
CUDA = device.type == 'cuda'
BASE = (
    'adamw8bit' if CUDA else 'adamw'
)  # on a CPU bitsandbytes has no kernels worth timing: 3 s an update of the base UNet


def clock(f):
    "Seconds of one call."
    if device.type == 'cuda':
        torch.cuda.synchronize()
    start = time.perf_counter()
    f()
    if device.type == 'cuda':
        torch.cuda.synchronize()
    return time.perf_counter() - start


def race(cases, rounds):
    "Median seconds of each case, a function, or one to call beforehand and one to time; they take turns, so that a slow minute of the machine meets them all."
    cases = {k: f if isinstance(f, tuple) else (lambda: None, f) for k, f in cases.items()}
    times = {k: [] for k in cases}
    for _ in tqdm(range(rounds + 1), desc='rounds'):
        for k, (before, f) in cases.items():
            before()
            times[k].append(clock(f))
    return {k: statistics.median(v[1:]) for k, v in times.items()}  # the first round warms up


class Trainer:
    "A UNet with everything an update needs; `update` does one from several micro-batches, with gradients scaled in half precision."

    def __init__(self, cfg, optimizer='adamw'):
        torch.manual_seed(0)
        self.net = UNet(cfg).to(device).train()
        self.opt, self.ema = make_optimizer(self.net, TrainConfig(optimizer=optimizer)), EMA(self.net)
        self.scaler = torch.amp.GradScaler(device.type, enabled=dtype == torch.float16)
        self.opt._optimizer_step_post_hooks.clear()
        self.arrange(True, False)

    def arrange(self, channels_last, checkpointing, tuner=True):
        "Put weights and moments into a layout, and say whether to recompute activations and to try kernels."
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self.net.to(memory_format=self.layout)
        for moments in self.opt.state.values():
            for k, v in moments.items():
                if isinstance(v, torch.Tensor) and v.ndim == 4:
                    moments[k] = v.contiguous(memory_format=self.layout)
        self.ema.state = {
            k: v.contiguous(memory_format=self.layout) if v.ndim == 4 else v for k, v in self.ema.state.items()
        }
        self.net.checkpointing, torch.backends.cudnn.benchmark = checkpointing, tuner

    def update(self, micro):
        "`micro`: tuples x1, x0, t, ctx, mask."
        for x1, x0, t, ctx, mask in micro:
            x1, x0 = (v.contiguous(memory_format=self.layout) for v in (x1, x0))
            with attention_kernel(device):
                with autocast(device, dtype):
                    loss = flow_loss(self.net, x1, x0, t, ctx, mask).mean()
                self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.opt)
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 0.5)
        self.scaler.step(self.opt)
        self.scaler.update()
        self.opt.zero_grad()
        if self.layout == torch.channels_last:
            keep_layout(self.opt)
        self.ema.update(self.net)


def naive_attention(q, k, v, attn_mask=None, **_):
    "Attention as v1 wrote it: the whole matrix of weights, kept for the backward pass."
    w = q @ k.mT / q.shape[-1] ** 0.5
    if attn_mask is not None:
        w = w.masked_fill(~attn_mask, -torch.inf)
    return w.float().softmax(-1).to(v.dtype) @ v


def caches(preset, size, batch, accumulate, rounds, n):
    "What is kept, item by item, instead of computed in each update of the UNet."
    mc, total = ModelConfig.preset(preset), batch * accumulate
    pairs, _ = load_pairs('world', size, n, n_val=1)
    tok = Tokenizer.train((t for ts in pairs.texts for t in ts), mc.clip.vocab_size, mc.clip.length)
    vae, clip = (m.to(device, memory_format=torch.channels_last).eval() for m in (VAE(mc.vae), CLIP(mc.clip)))
    trainer, gen = Trainer(mc.unet, optimizer='muon' if preset == 'nano' else BASE), generator(0, 'bench')
    with tempfile.TemporaryDirectory() as d:
        latents = {mc.vae.image_size: cache_latents(Path(d) / 'z', vae, pairs.images, size)}
        kept, ids = (
            unet_batches(vae, clip, tok, pairs, TrainConfig(batch=total, accumulate=1, flip=0.0, cache_text=c), latents)
            for c in (True, False)
        )

        def states(b):
            with torch.no_grad(), autocast(device, dtype):
                return clip.encode_text(b['words'].long(), b['mask'])[0]

        def encoded(x):
            with torch.no_grad(), autocast(device, dtype):
                return vae.encode(to_unit(x).to(device).contiguous(memory_format=torch.channels_last)).sample()

        def update(batches, text, picture):
            rows = batches(0, gen)
            micro = [to_device({k: v[i : i + batch] for k, v in rows.items()}, device) for i in range(0, total, batch)]
            trainer.update(
                (
                    encoded(pairs.images[:batch]) if picture else b['x1'],
                    b['x0'],
                    b['t'],
                    states(b) if text else b['words'].float(),
                    b['mask'],
                )
                for b in micro
            )

        s = race(
            {
                'nothing kept': lambda: update(ids, True, True),
                'latents kept': lambda: update(ids, True, False),
                'latents and caption states kept': lambda: update(kept, False, False),
            },
            rounds,
        )
    return {k: dict(images_per_s=round(total / v, 2), gain=round(s['nothing kept'] / v, 3)) for k, v in s.items()}


def against_v1(batch, accumulate, rounds):
    "An update of the base UNet as here against v1's: recomputed activations, naive attention, contiguous layout, encoding in the step; each remedy on top of those before."
    mc, words = ModelConfig.preset('base'), torch.ones(batch, 77, dtype=torch.bool, device=device)
    size, ctx = mc.vae.image_size, torch.randn(batch, 77, 512, device=device)
    vae = VAE(mc.vae).to(device).eval()
    x, one = torch.randn(batch, 3, size, size, device=device), torch.ones(batch, 1, dtype=torch.bool, device=device)

    def encoded():
        with torch.no_grad(), autocast(device, dtype):
            return vae.encode(x).sample()

    def micro(side, in_step, pooled):  # v1's context: one pooled vector
        for _ in range(accumulate):
            x0, z = torch.randn(batch, 4, side, side, device=device), torch.randn(batch, 4, side, side, device=device)
            yield (
                encoded() if in_step else z,
                x0,
                torch.rand(batch, device=device),
                *((ctx[:, :1], one) if pooled else (ctx, words)),
            )

    side, trainer = mc.unet.sample_size, Trainer(mc.unet, BASE)

    def as_v1(in_step=False):
        real, minisd.unet.F.scaled_dot_product_attention = F.scaled_dot_product_attention, naive_attention
        try:
            trainer.update(micro(side, in_step, True))
        finally:
            minisd.unet.F.scaled_dot_product_attention = real

    turn = lambda *args: lambda: trainer.arrange(*args)
    s = race(
        {
            "v1's": (turn(False, True, False), lambda: as_v1(True)),
            '+ latents kept': (turn(False, True), as_v1),
            '+ activations kept': (turn(False, False), as_v1),
            '+ channels_last': (turn(True, False), as_v1),
            "+ torch's attention, all 77 tokens: an update at full size": (
                turn(True, False),
                lambda: trainer.update(micro(side, False, False)),
            ),
            'an update of the first phase, at half the side': (
                turn(True, False),
                lambda: trainer.update(micro(side // 2, False, False)),
            ),
        },
        rounds,
    )
    (_, full), (_, small) = list(s.items())[-2:]
    share = recipe('unet', 'base').small_share
    s[f'the recipe: {share:.0%} of the updates in the first phase'] = share * small + (1 - share) * full
    return {k: dict(seconds=round(v, 3), times_v1=round(s["v1's"] / v, 2)) for k, v in s.items()}


def peaks():
    "Peak memory of base steps on this GPU, flash attention off, against the plan's."
    from minisd.measuring.plan import step_memory

    torch.cuda.set_per_process_memory_fraction(min(1.0, T4 / torch.cuda.get_device_properties(0).total_memory))
    mc, rows = ModelConfig.preset('base'), []
    for batch, checkpointing in ((8, False), (32, False), (32, True)):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        text = CLIP(mc.clip).text.to(device)  # where captions are kept as ids
        trainer, s = Trainer(mc.unet, 'adamw8bit'), mc.unet.sample_size
        trainer.arrange(True, checkpointing)
        z, ctx, mask = (
            torch.randn(batch, 4, s, s, device=device),
            torch.randn(batch, 77, 512, device=device),
            torch.ones(batch, 77, dtype=torch.bool, device=device),
        )
        with sdpa_kernel([SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]):
            for _ in range(3):
                trainer.update([(z, torch.randn_like(z), torch.rand(batch, device=device), ctx, mask)])
        said, real = step_memory('unet', mc, batch, checkpointing=checkpointing), torch.cuda.max_memory_allocated()
        rows.append(
            dict(
                batch=batch,
                checkpointing=checkpointing,
                computed_gib=round(said / 2**30, 2),
                measured_gib=round(real / 2**30, 2),
            )
        )
        del trainer, text
    return rows


def main():
    batch, rounds = (16, 9) if CUDA else (2, 3)
    what = f'512 px, {batch} × 4 pictures an update'
    result = dict(
        precision=str(dtype),
        caches={
            'nano at 64 px, 32 pictures an update': caches('nano', 64, 32, 1, 15, n=96),
            f'base at {what}': caches('base', 512, batch, 4, rounds, n=4 * batch),
        },
        base_update={what: against_v1(batch, 4, rounds)},
    )
    if CUDA:
        result['peaks under 14.7 GiB'] = peaks()
    result |= dict(base_optimizer=BASE, machine=machine(), commit=commit(), date=str(date.today()))
    print(write_json(root / 'data' / 'results' / 'train_bench.json', result))


if __name__ == '__main__':
    sys.exit(main())
