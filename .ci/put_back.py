"Put v1's faults back, one at a time, and see that a test notices: python .ci/put_back.py [NAME …]. Nothing in the repository is changed."

import json, os, subprocess, sys
from pathlib import Path

from minisd.lab.postmortem import FINDINGS

root = Path(__file__).resolve().parents[1]
# what to change in the guarding notebook (minisd.lab.postmortem.FINDINGS): as it stands, and as v1 had it
FAULTS = dict(
    own=('return min(self.decay, (1 + self.updates)/(10 + self.updates))', 'return self.decay'),
    other=(
        "self.ema.state, self.ema.updates = {k: v.to(self.acc.device) for k, v in parts['ema'].items()}, info['ema_updates']",
        'pass',
    ),
    anew=(
        "    self.ema = EMA(self.model, self.cfg.ema)\n    self.ema.state, self.ema.updates = {k: v.to(self.acc.device) for k, v in parts['ema'].items()}, info['ema_updates']\n",
        '',
    ),
    session=(
        "rows = batches(self.step, generator(self.cfg.seed, 'step', self.step))",
        "rows = batches(self.step, generator(self.cfg.seed, 'step', self.step - self.first))",
    ),
    latent_std=('return Gaussian((mean - m)/s, logvar - 2*s.log())', 'return Gaussian(mean, logvar)'),
    range=('fixed = to_unit(val.images[:256])', 'fixed = val.images[:256]/255'),
    norm=('nn.GroupNorm(cfg.groups, ch) if cfg.norm', 'nn.BatchNorm2d(ch) if cfg.norm'),
    v1_init=(
        'self.conv_out = zero(nn.Conv2d(cfg.channels, cfg.in_channels, 3, padding=1))',
        'self.conv_out = nn.Conv2d(cfg.channels, cfg.in_channels, 3, padding=1)',
    ),
    fast_clock=('return x + (u - t)*velocity(x, t)', 'return x + (u - t)*velocity(x, t/max(1e-9, 1 - (u - t)))'),
    stranger=('null = null.int()', 'null = torch.zeros_like(null).int()'),
    one_token=(
        'return self.encode_text(ids[:, :n], mask[:, :n])[0], mask[:, :n]',
        'return self.encode_text(ids, mask)[1][:, None], mask[:, :1]',
    ),
    drop_per_batch=(
        'drop = (torch.rand(len(ctx), generator=generator) < p)',
        'drop = (torch.rand(1, generator=generator) < p).expand(len(ctx))',
    ),
    padding=(
        'out = F.scaled_dot_product_attention(q, k, v, attn_mask=key_mask(mask))',
        'out = F.scaled_dot_product_attention(q, k, v)',
    ),
    negatives=(
        'def prepare(run, micro): cache_gradients(run, micro, lambda net, b: embed(net, b)[:3], cfg.agree)',
        'def prepare(run, micro): pass',
    ),
    floors=('per_channel.clamp(min=free_bits)', 'per_channel.clamp(min=free_bits/d.mean[0].numel())'),
    generic=("                 style: str = 'rich'", "                 style: str = 'generic'"),
    crops=(
        'ImageOps.fit(to_rgb(ImageOps.exif_transpose(im)), (size, size), Image.BICUBIC)',
        'to_rgb(ImageOps.exif_transpose(im)).resize((size, size), Image.BICUBIC)',
    ),
)


def tried(name):
    "Run a notebook's cells with a fault in it until one fails; the heading above that cell, and what it says."
    from execnb.nbio import read_nb
    from execnb.shell import CaptureShell

    file = root / 'nbs' / f'{FINDINGS[name].guard[0]}.ipynb'
    nb, (good, bad) = read_nb(file), FAULTS[name]
    hits = [c for c in nb.cells if c.cell_type == 'code' and good in c.source]
    if len(hits) != 1:
        return 'nowhere', f'{len(hits)} cells of {file.name} hold what is to be changed'
    hits[0].source = hits[0].source.replace(good, bad)
    os.chdir(file.parent)
    shell, heading = CaptureShell(path='.'), ''
    for c in nb.cells:
        heading = (
            next((l.lstrip('# ') for l in reversed(c.source.splitlines()) if l.startswith(('## ', '### '))), heading)
            if c.cell_type == 'markdown'
            else heading
        )
        if (
            c.cell_type != 'code'
            or 'nbdev_export' in c.source
            or '#| eval: false' in c.source
            or c.source.startswith('#| slow')
        ):
            continue
        shell.run(c.source)
        if shell.exc:
            return (
                heading,
                f'{type(shell.exc).__name__}: {str(shell.exc).strip().splitlines()[0] if str(shell.exc).strip() else c.source.strip().splitlines()[-1][:100]}',
            )
    return '', 'no test noticed'


def main():
    names, missed = sys.argv[1:] or list(FAULTS), []
    for name in names:
        r = subprocess.run([sys.executable, __file__, '--one', name], capture_output=True, text=True)
        heading, says = (
            json.loads(r.stdout.splitlines()[-1])
            if r.returncode == 0
            else ('nowhere', r.stderr.strip().splitlines()[-1])
        )
        noticed, (book, guard) = heading not in ('', 'nowhere'), FINDINGS[name].guard
        if not noticed or heading != guard:
            missed.append(name)
        print(
            f'{name:>15}: {f"noticed in {book}, {heading}" if noticed else "NOT noticed"} ({says[:160]}){"" if heading == guard else f"; FINDINGS says {guard}"}',
            flush=True,
        )
    sys.exit(f'{len(missed)} of {len(names)} not as FINDINGS says: {", ".join(missed)}' if missed else 0)


if sys.argv[1:2] == ['--one']:
    print(json.dumps(tried(sys.argv[2])))
else:
    main()
