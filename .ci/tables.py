"The tables that README.md and the site show, made from data/results alone. Links in them are relative to the repository."

from pathlib import Path

from minisd.base.core import read_json

root = Path(__file__).resolve().parents[1]
FILES = (
    'nano',
    'nano_15min',
    'bench',
    'sweep',
    'sample_bench',
    'serve_bench',
    'evaluation',
    'prepare_bench',
    'captions',
    'train_bench',
    'plan',
    'v1',
    'serve_apart',
    'threads_bench',
)
nano, short, bench, sweep, speed, load, whole, prepared, captioned, train, planned, v1, beside, spun = (
    read_json(root / 'data' / 'results' / f'{n}.json') for n in FILES
)


def results():
    "Score and ceiling of each attribute."
    from minisd.measuring.evaluation import footnote, table

    return f'{table([nano], ["attributes"])}\n\n{footnote(nano)}'


def facts():
    "Sizes, times and machine in one paragraph."
    t, p, m = nano['training'], nano['parameters'], nano['training']['machine']
    start, steps, default = (v['median'] for v in list(bench['seconds'].values())[:3])
    return (
        f'The shipped `nano` model has {sum(p.values()) / 1e6:.1f} M parameters (VAE {p["vae"] / 1e6:.2f}, CLIP {p["clip"] / 1e6:.2f}, UNet {p["unet"] / 1e6:.2f}), '
        f'{nano["megabytes"]:.1f} MB in half precision. It was trained on {t["unet"]["config"]["pictures"]:,} pictures of the embedded world in {t["minutes"]:.0f} minutes '
        f'on {m["cores"]} cores ({m["cpu"]}). `minisd generate` saves a picture {start:.1f} s after it is started; 20 guided steps take {steps:.2f} s, its default {bench["default_steps"]} {default:.2f} s '
        f'({bench["machine"]["cpu"]}, {bench["machine"]["cores"]} cores).'
    )


def quick():
    "What the preset as it is reaches, and the shipped weights' longer run."
    t, r, changed = short['training'], short['score'], nano['training']
    runs = '\n'.join(
        f'minisd train {s} --out runs/long --steps {changed[s]["updates"]} --set pictures={changed[s]["config"]["pictures"]} {changes(s)}'.rstrip()
        for s in ('vae', 'clip', 'unet')
    )
    return (
        f'`minisd train --preset nano` as it is takes {t["minutes"]:.1f} minutes on {t["machine"]["cores"]} cores ({t["machine"]["cpu"]}) and reaches a mean of {r["mean"]:.3f}, '
        f'scene {r["scene"]:.3f}, subject {r["subject"]:.3f}, VAE {short["vae"]["psnr"]:.1f} dB ([nano_15min.json](data/results/nano_15min.json)). '
        f'The shipped weights are the same preset, stage by stage, longer and on more pictures:\n\n```sh\n{runs}\n```'
    )


def changes(stage):
    "Options for what the long run's recipe has otherwise than the preset's."
    from minisd.base.core import to_dict
    from minisd.train import recipe

    was, now = to_dict(recipe(stage, 'nano')), nano['training'][stage]['config']
    return ' '.join(
        f'--{k} {v}' if k in ('batch', 'seed') else f'--set {k}={v}'
        for k, v in now.items()
        if was[k] != v and k not in ('steps', 'pictures', 'val_every', 'save_every', 'compile')
    )


def sampling():
    "Distances of a few solvers by number of guided calls, and times against naive sampling."
    calls, rows = (4, 6, 8, 12, 20), sweep['solvers']['rows']
    best = lambda s, n: min((r['distance'] for r in rows if r['solver'] == s and r['evaluations'] == n), default=None)
    names = {
        'euler': 'Euler',
        'heun': 'Heun',
        'ab2': 'Adams–Bashforth, two steps',
        'dpmpp_2m': 'DPM-Solver++(2M)',
        'fitted': 'fitted to the network',
    }
    table = '\n'.join(
        [
            '| distance to the exact solution after … guided calls | ' + ' | '.join(map(str, calls)) + ' |',
            '|---' + '|---' * len(calls) + '|',
            *(f'| {name} | ' + ' | '.join(f'{best(s, n):.3f}' for n in calls) + ' |' for s, name in names.items()),
        ]
    )
    first = lambda s: min(r['evaluations'] for r in rows if r['solver'] == s and r['distance'] <= euler)
    euler = next(r['distance'] for r in rows if (r['solver'], r['grid'], r['steps']) == ('euler', '1', 20))
    passes = next(r['passes'] for r in rows if r['solver'] == 'fitted' and r['evaluations'] == first('fitted'))
    fast = {k: [(r['way'], r['times_as_fast']) for r in b['rows']] for k, b in speed.items()}
    times = '; '.join(
        f"{k} {max(v for w, v in f if 'fitted' not in w):.2f} times as fast as the same network driven naively with as many steps"
        + (
            f", {next(v for w, v in f if 'fitted' in w):.2f} times with {first('fitted')} fitted steps"
            if any('fitted' in w for w, _ in f)
            else ''
        )
        for k, f in fast.items()
    )
    return (
        f"Each solver on its best time grid, in standard deviations of the latents ({sweep['solvers']['captions']} validation captions of nano, commit {sweep['solvers']['commit']}, {sweep['solvers']['date']}):\n\n{table}\n\n"
        f"{first('fitted')} calls of the fitted solver end as near as 20 uniform steps of Euler; with guidance in a part of the time only they are {passes:.0f} evaluations of the network in place of 40. "
        f"Measured on {speed['nano']['machine']['cores']} cores ({speed['nano']['machine']['cpu']}, {'with' if speed['nano']['bf16'] else 'without'} bfloat16 instructions): {times}."
    )


def serving():
    "The server against a lock."
    m, o, g = load['machine'], load['overhead'], load['memory']
    rows = '\n'.join(
        f"| {n} | {r['lock']['per_second']:.1f} | {r['batched']['per_second']:.1f} | {r['lock']['p50']:.2f} | {r['batched']['p50']:.2f} | {r['batched']['p95']:.2f} | {r['batched']['p99']:.2f} | {r['batched']['rejected']} |"
        for n, r in load['levels'].items()
    )
    return (
        "| clients at a time | pictures a second, lock | batched | p50, lock | p50, batched | p95 | p99 | refused |\n|---|---|---|---|---|---|---|---|\n"
        + rows
        + f"\n\nPictures of {min(load['steps'])} to {max(load['steps'])} steps, seconds from request to picture; the lock is v1's way, one request after the other. Refused are those whom the queue of {load['queue']} has no room for, with a time to come again. With 16 clients {load['levels']['16']['times_as_fast']:.2f} times as many pictures as with the lock. "
        f"One client waits {o['ratio']:.2f} times as long as the pipeline's own call takes. Over {g['requests']:,} requests the process took {g['early']:.0f} MB in the first third and {g['late']:.0f} MB in the last. {m['cores']} cores ({m['cpu']}), commit {load['commit']}, {load['date']}; `make bench-serve` measures it again."
    )


def apart():
    "How near a picture beside others is to the same made alone: what is promised in each precision, and what was measured."
    from minisd.sampling.batcher import APART

    told = dict(
        most='no value is off by more than {0:g} of 255 levels',
        mean='the mean difference of a picture is at most {0:g} levels of 255',
    )
    rows = [
        f'in {dtype} {told[k].format(limit)} (measured over {beside[dtype]["pictures"]} pictures: {beside[dtype][k]:.2g})'
        for dtype, limits in APART.items()
        for k, limit in limits.items()
    ]
    return f'Made beside others, a picture is the same as made alone up to rounding: {"; ".join(rows)}. Who needs it to the level serves with `--dtype float32`.'


def neighbours():
    "What a busy neighbour costs."
    by = {(r['work'], r['way']): r for r in spun['rows']}
    works = list(dict.fromkeys(r['work'] for r in spun['rows']))
    rows = [
        f'| {w} | {by[w, "as minisd chooses"]["idle"]:.2f} | {by[w, "as minisd chooses"]["busy"]:.2f} | {by[w, "torch as it is"]["busy"]:.2f} |'
        for w in works
    ]
    m = spun['machine']
    return (
        '| | idle | beside a busy process | torch by itself beside it |\n|---|---|---|---|\n'
        + '\n'.join(rows)
        + f'\n\nTimes as multiples of what torch takes by itself on the idle machine; {m["cores"]} cores ({m["cpu"]}), {spun["dtype"]}, commit {spun["commit"]}, {spun["date"]}; `make bench-threads` measures it again.'
    )


def evaluation():
    "What is measured beside the attributes, which have a table of their own."
    from minisd.measuring.evaluation import METRICS, footnote, table
    from minisd.measuring.metrics import SD_VAE_BAR as bar

    f = whole['flow']
    bins = f'| flow loss for t up to … | {" | ".join(f"{(i + 1) / 10:g}" for i in range(10))} |\n{"|---" * 11}|\n| nano | {" | ".join(f"{l:.2f}" for l in f["loss"])} |'
    return (
        f'{table([whole], [m for m in METRICS if m != "attributes"])}\n\n{bins}\n\n± is one standard error, brackets a 95 % interval. {footnote(whole)} '
        f"Distances and CLIP score are in the features of nano's own towers, which need no download: they compare models measured here, and nothing else. "
        f'A bar for the VAE, on other pictures: {bar["psnr"]} dB and SSIM {bar["ssim"]} by Stable Diffusion\'s first ({bar["parameters"] / 1e6:.1f} M parameters, {bar["on"]}). LPIPS is measured where torchvision and its weights are at hand, which here they are not.'
    )


def prepare():
    "Speed against Pillow alone, and memory."
    m, a, b = prepared['machine'], *prepared['memory']
    rows = '\n'.join(
        f'| {name} | {r["pictures_per_s_a_core"]:.0f} | {100 * r["ratio"]:.0f} % | {100 * r["ratio_by_the_clock"]:.0f} % |'
        for name, r in prepared['speed'].items()
    )
    return (
        f'| `minisd prepare` | pictures a second and core | of Pillow alone, processor time | by the clock |\n|---|---|---|---|\n{rows}\n\n"Pillow alone" decodes, resizes and encodes the same files and does nothing else. '
        f'Peak memory of a process is {a["peak_mb"]} MB for {a["rows"]:,} pictures and {b["peak_mb"]} MB for {b["rows"]:,}. Median of {prepared["rounds"]} rounds on {m["cpu"]}, commit {prepared["commit"]}, {prepared["date"]}; `make bench-prepare`.'
    )


def captions():
    "Attribute accuracy by kind of caption."
    from minisd.lab.captions import EXPERIMENTS, captions_table

    e, m = captioned['effort'], captioned['machine']
    done, all_runs = len(captioned['rows']), sum(EXPERIMENTS.values())
    unfinished = f' {done} of {all_runs} runs are done so far.' if done < all_runs else ''
    return (
        captions_table(captioned)
        + f'\n\nSmall models trained alike ({e["clip_updates"]} updates of CLIP, {e["unet_updates"]} of the UNet) on 6,000 pictures, asked {captioned["captions"]} captions; where there is more than one seed, mean ± standard deviation from seed to seed. '
        f'{m["cores"]} cores ({m["cpu"]}), commit {captioned["commit"]}, {captioned["date"]}.{unfinished}'
    )


def verdicts():
    "v1's faults, and what each does."
    from minisd.lab.postmortem import verdict_table

    return verdict_table(v1, 'nbs/')


def md(head: str, rows: list) -> str:
    "A Markdown table; columns of the head are separated by |."
    names = [h.strip() for h in head.split('|')]
    return '\n'.join('| ' + ' | '.join(map(str, r)) + ' |' for r in (names, ['---'] * len(names), *rows))


def sizes(preset: str) -> tuple:
    "Parameters of VAE, CLIP and UNet."
    import torch
    from minisd.clip import CLIP
    from minisd.base.core import count_params
    from minisd.unet import PRESETS, UNet
    from minisd.vae import VAE

    mc = PRESETS[preset]
    with torch.device('meta'):
        return tuple(map(count_params, (VAE(mc.vae), CLIP(mc.clip), UNet(mc.unet))))


def presets():
    "Sizes of both presets."
    from minisd.unet import PRESETS

    rows = [
        [
            f'`{name}`',
            f'{mc.vae.image_size} × {mc.vae.image_size}',
            f'{mc.unet.sample_size} × {mc.unet.sample_size} × {mc.vae.latent_channels}',
            *(f'{n / 1e6:.2f} M' for n in sizes(name)),
            f'{mc.clip.vocab_size:,}',
            mc.clip.length,
        ]
        for name, mc in PRESETS.items()
    ]
    return (
        md('preset | picture, pixels | latent | VAE | CLIP | UNet | words and pieces | tokens of a caption', rows)
        + f'\n\nCLIP grows with its vocabulary: the shipped `nano` found fewer words in its captions than there is room for, and has {nano["parameters"]["clip"] / 1e6:.2f} M.'
    )


def times():
    "How long things take where they were measured."
    t, s = nano['training'], short['training']
    cores = lambda m: f'{m["cores"]} cores ({m["cpu"]})'
    start, _, default = (v['median'] for v in list(bench['seconds'].values())[:3])
    base = speed['base']
    rows = [
        [
            '`minisd generate`, from the command to the saved picture',
            '`nano`',
            f'{start:.1f} s',
            cores(bench['machine']),
            'one picture of 64 × 64',
        ],
        ['a picture more', '`nano`', f'{default:.2f} s', cores(bench['machine']), f'{bench["default_steps"]} steps'],
        [
            '`minisd train --preset nano`',
            '`nano`',
            f'{s["minutes"]:.1f} minutes',
            cores(s['machine']),
            f'{short["score"]["mean"]:.3f} of attributes right',
        ],
        [
            'the shipped weights, the same run longer',
            '`nano`',
            f'{t["minutes"]:.0f} minutes',
            cores(t['machine']),
            f'{nano["score"]["mean"]:.3f} of attributes right',
        ],
        [
            f'{base["steps"]} guided steps of the UNet',
            '`base`',
            f'{min(r["seconds"] for r in base["rows"]):.1f} s',
            cores(base['machine']),
            'random weights: only the time means something',
        ],
        [
            'an update of the UNet, 8 pictures of 512 × 512',
            '`base`',
            f'{updates()["+ channels_last"]["seconds"]:.0f} s',
            cores(train['machine']),
            'a CPU is no place to train it',
        ],
        [
            'an update of its recipe, three quarters of them at half the side',
            '`base`',
            f'{updates()["the recipe: 75% of the updates in the first phase"]["seconds"]:.0f} s',
            cores(train['machine']),
            '',
        ],
    ]
    return md('what | preset | time | machine | ', rows)


def updates():
    return train['base_update']['512 px, 2 × 4 pictures an update']


def t4():
    "Memory and hours on a T4, computed."
    rows = [
        [
            f'`{r["preset"]}`',
            r['stage'],
            f'{r["size"]} px',
            f'{r["peak_gib"]:.1f} GiB'
            if r['peak_gib'] < planned['memory_gib']
            else f'{r["peak_gib"]:.1f} GiB, too much',
            r['batch'],
            r['largest_batch'],
            f'{r["updates"]:,} × {r["batch"] * r["accumulate"]}',
            f'{r["hours"]:.1f} hours'
            if r['hours'] >= 1
            else f'{60 * r["hours"]:.0f} minutes'
            if r['hours'] > 1 / 60
            else 'under a minute',
        ]
        for r in planned['rows']
    ]
    return (
        md(
            'preset | stage | pictures | peak memory | micro-batch | largest that fits | updates × pictures | time',
            rows,
        )
        + f'\n\nComputed without a T4: memory by fake steps that allocate nothing, time from the arithmetic, if {planned["utilisation"]:.0%} of the peak is reached. The UNet\'s recipe takes three quarters of its updates at half the side, which `minisd plan` alone doesn\'t know. An update\'s pictures may be cut into smaller micro-batches without changing its result. {planned["gpu"]}, {planned["memory_gib"]:g} GiB usable; commit {planned["commit"]}, {planned["date"]}; `make plan`.'
    )


def records():
    "Every result file: what it says, commit, hardware, time, seed."
    t, s, u = nano['training'], short['training'], updates()
    file = lambda name: f'[{name}](data/results/{name})'
    minutes = lambda parts: f'{sum(p["minutes"] for p in parts):.0f} minutes'
    spread = lambda parts: (', '.join(sorted({p['commit'] for p in parts})), max(p['date'] for p in parts))
    row = lambda what, says, r, time, seed, name, command: [
        what,
        says,
        time,
        seed,
        f'{r["machine"]["cores"]} cores, {r["machine"]["gpu"] or r["machine"]["cpu"]}',
        f'{r["commit"]}<br>{r["date"].replace("-", "‑")}',
        f'{file(name)}<br>{command}',
    ]
    several = lambda parts: dict(machine=parts[0]['machine'], commit=spread(parts)[0], date=spread(parts)[1])
    sweeps, labs, seeds = list(sweep.values()), list(v1.values()), sorted({r['seed'] for r in captioned['rows']})
    return md(
        'result | in a line | time | seed | hardware | commit, date | file, made by',
        [
            row(
                '`nano`, shipped',
                f'{nano["score"]["mean"]:.3f} of attributes right, of real pictures {nano["ceiling"]["mean"]:.3f}',
                nano,
                f'training {t["minutes"]:.0f} minutes',
                t['unet']['config']['seed'],
                'nano.json',
                '`make release`',
            ),
            row(
                '`nano`, the preset as it is',
                f'{short["score"]["mean"]:.3f} of attributes right',
                short,
                f'training {s["minutes"]:.1f} minutes',
                s['unet']['config']['seed'],
                'nano_15min.json',
                '`.ci/release.py RUN nano_15min`',
            ),
            row(
                'evaluation',
                f'VAE {whole["vae"]["psnr"]:.1f} dB, CLIP R@1 {whole["clip"]["text_to_image"]["1"]:.3f}, flow loss {whole["flow"]["mean"]:.3f}',
                whole,
                f'{whole["seconds_per_picture"]:.2f} s a picture',
                whole['settings']['seed'],
                'evaluation.json',
                '`make evaluate`',
            ),
            row(
                'solvers and guidance',
                f'{len(sweep["solvers"]["rows"])} pairs of solver and grid, {len(sweep["guidance"]["rows"])} kinds of guidance',
                several(sweeps),
                minutes(sweeps),
                0,
                'sweep.json',
                '`make sweep`',
            ),
            row(
                'sampling speed',
                f'nano {max(r["times_as_fast"] for r in speed["nano"]["rows"]):.1f} times, base {max(r["times_as_fast"] for r in speed["base"]["rows"]):.1f} times as fast as naively',
                speed['nano'],
                f'{speed["nano"]["rounds"]} rounds',
                0,
                'sample_bench.json',
                '`make bench-sample`',
            ),
            row(
                'training speed',
                f'base {u["the recipe: 75% of the updates in the first phase"]["times_v1"]:.1f} times as fast as v1\'s update',
                train,
                'medians',
                0,
                'train_bench.json',
                '`make bench-train`',
            ),
            row(
                'start and sampling',
                f'{list(bench["seconds"].values())[0]["median"]:.1f} s to the first picture',
                bench,
                'medians',
                42,
                'bench.json',
                '`make bench`',
            ),
            row(
                'server under load',
                f'{load["levels"]["16"]["times_as_fast"]:.1f} times as many pictures as behind a lock, 16 clients',
                load,
                f'{load["seconds"]} s a level',
                'one a request',
                'serve_bench.json',
                '`make bench-serve`',
            ),
            row(
                'data preparation',
                f'{min(r["ratio"] for r in prepared["speed"].values()):.0%} to {max(r["ratio"] for r in prepared["speed"].values()):.0%} of Pillow alone',
                prepared,
                f'{prepared["rounds"]} rounds',
                '–',
                'prepare_bench.json',
                '`make bench-prepare`',
            ),
            row(
                'what captions are worth',
                f'{len(captioned["rows"])} small models',
                captioned,
                minutes(captioned['rows']),
                ', '.join(map(str, seeds)),
                'captions.json',
                '`make captions`',
            ),
            row(
                'v1\'s faults',
                f'{len(labs)} experiments, {sum(len(p["rows"]) for p in labs)} runs and comparisons',
                several(labs),
                minutes(labs),
                ', '.join(map(str, sorted({r['seed'] for r in v1['singles']['rows']}))),
                'v1.json',
                '`make postmortem`',
            ),
            row('memory and hours on a T4', 'computed', planned, '–', '–', 'plan.json', '`make plan`'),
        ],
    )


def pictures():
    "The gallery's files and their settings."
    import json
    from PIL import Image

    return [
        (f, json.loads(Image.open(f).info['minisd']))
        for f in sorted((root / 'figures' / 'gallery').glob('*.png'), key=lambda f: int(f.stem))
    ]


def gallery_settings():
    "What all pictures of the gallery have in common."
    every = [s for _, s in pictures()]
    same = {
        k: every[0][k]
        for k in (
            'model',
            'model_hash',
            'num_inference_steps',
            'solver',
            'guidance_scale',
            'guidance_interval',
            'guidance_rescale',
            'negative_prompt',
            'dtype',
            'height',
            'width',
            'version',
        )
        if all(s[k] == every[0][k] for s in every)
    }
    return 'All have in common: ' + ', '.join(f"{k} {v!r}" if v == '' else f"{k} {v}" for k, v in same.items()) + '.'


def gallery():
    "Pictures with the settings that their files hold."
    from html import escape

    cells = []
    for f, s in pictures():
        cells.append(
            f'<figure><img src="figures/gallery/{f.name}" width="64" height="64" loading="lazy" alt="{escape(s["prompt"])}, as nano draws it"><figcaption>{escape(s["prompt"])}'
            f'<small>{f.name}: seed {s["seed"]}, {s["num_inference_steps"]} steps ({s["solver"]}), guidance {s["guidance_scale"]:g}</small></figcaption></figure>'
        )
    return '<div class="gallery">\n' + '\n'.join(cells) + '\n</div>'


def bibtex():
    "How to cite, from settings.ini."
    from nbdev.config import get_config

    c = get_config(path=root)
    return f'```bibtex\n@software{{minisd,\n  title  = {{{c.title}: {c.description[0].lower() + c.description[1:]}}},\n  author = {{{{{c.author}}}}},\n  year   = {{{c.copyright.split()[0]}}},\n  version = {{{c.version}}},\n  url    = {{{c.git_url}}}\n}}\n```'


def opening():
    "Two sentences: sizes, times, machine."
    t, s, m = nano['training'], short['training'], short['training']['machine']
    v, c, u = sizes('base')
    hours = sum(r['hours'] for r in planned['rows'] if r['preset'] == 'base')
    return (
        f'A text-to-image latent diffusion model **built from scratch and told in notebooks**: VAE ({v / 1e6:.2f} M parameters) → CLIP ({c / 1e6:.1f} M) → UNet ({u / 1e6:.2f} M) with flow matching, sized for one free Colab T4 (about {hours:.0f} hours there by computation; this repository has not trained it). '
        f'At the small preset `nano` ({sum(nano["parameters"].values()) / 1e6:.1f} M) the same code learns an embedded world of captioned pictures on {m["cores"]} CPU cores ({m["cpu"]}), offline: {s["minutes"]:.1f} minutes get {short["score"]["subject"]:.0%} of its subjects right, the {t["minutes"]:.0f} minutes of the weights in the package {nano["score"]["subject"]:.0%}; they draw a picture in {bench["seconds"]["sampling: as by default, one picture"]["median"]:.1f} s.'
    )
