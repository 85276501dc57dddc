"""The tables that README.md and the site show, made from data/results alone.

Each function without parameters is a block of Markdown; links in it are relative to the repository.
"""

import json
from functools import partial
from html import escape
from pathlib import Path

from minisd.base.core import read_json

root = Path(__file__).resolve().parents[1]


def read(name: str) -> dict:
    return read_json(root / 'data' / 'results' / f'{name}.json')


nano, asked = read('nano'), read('suite')  # the shipped model, and what it made of the suite
bench, speed, train = read('bench'), read('sample_bench'), read('train_bench')
sweep, captioned, v1 = read('sweep'), read('captions'), read('v1')
load, beside, spun = read('serve_bench'), read('serve_apart'), read('threads_bench')
whole, prepared, planned, jumped = read('evaluation'), read('prepare_bench'), read('plan'), read('flow_map')


def md(head: str, rows: list) -> str:
    "A Markdown table; columns of the head are separated by |."
    names = [h.strip() for h in head.split('|')]
    return '\n'.join('| ' + ' | '.join(map(str, r)) + ' |' for r in (names, ['---'] * len(names), *rows))


def on(machine: dict) -> str:
    return f'{machine["cores"]} cores ({machine["cpu"]})'


def stamped(result: dict) -> str:
    return f'commit {result["commit"]}, {result["date"]}'


def again(name: str) -> str:
    "The command that runs an experiment whole."
    return f'`make lab NB={name}`' if ' ' not in name else f'`make lab NB="{name}"`'


def seconds() -> dict[str, float]:
    "What people wait for."
    start, guided, default, _ = (v['median'] for v in bench['seconds'].values())
    return dict(start=start, guided=guided, default=default)


def sizes(preset: str) -> tuple[int, ...]:
    "Parameters of VAE, CLIP and UNet."
    import torch
    from minisd.base.core import count_params
    from minisd.clip import CLIP
    from minisd.train import PRESETS
    from minisd.unet import UNet
    from minisd.vae import VAE

    mc = PRESETS[preset].model
    with torch.device('meta'):
        return tuple(map(count_params, (VAE(mc.vae), CLIP(mc.clip), UNet(mc.unet))))


def side(preset: str) -> int:
    "Side of a preset's pictures, in pixels."
    from minisd.train import PRESETS

    return PRESETS[preset].model.vae.image_size


# ---- the model


def whole_prompts() -> str:
    "The share of hand-written prompts that are drawn right."
    return f'{asked["distances"]["hand-written"]["whole_prompt"]["score"]:.0%}'


def suite() -> str:
    "What the model makes of the suite."
    from minisd.measuring.suite import suite_table

    return suite_table(asked, 'nano')


def results() -> str:
    "Score and ceiling of each attribute."
    from minisd.measuring.evaluation import footnote, table

    return f'{table([nano], ["attributes"])}\n\n{footnote(nano)}'


def facts() -> str:
    "Sizes, times and machine in one paragraph."
    t, p, s = nano['training'], nano['parameters'], seconds()
    parts = ', '.join(f'{name} {p[k] / 1e6:.2f}' for k, name in dict(vae='VAE', clip='CLIP', unet='UNet').items())
    return (
        f'The shipped `nano` model has {sum(p.values()) / 1e6:.1f} M parameters ({parts}), {nano["megabytes"]:.1f} MB '
        f'in half precision. It was trained on {t["unet"]["config"]["pictures"]:,} pictures of the embedded world in '
        f'{t["minutes"]:.0f} minutes on {on(t["machine"])}. `minisd generate` saves a picture {s["start"]:.1f} s after '
        f'it is started; 20 guided steps take {s["guided"]:.2f} s, its default {bench["default_steps"]} '
        f'{s["default"]:.2f} s ({bench["machine"]["cpu"]}, {bench["machine"]["cores"]} cores).'
    )


def recipe() -> str:
    "The commands that made the shipped weights."
    from minisd.training.config import GONE
    from minisd.training.parts import sittings

    runs, gone = [], set()
    for stage in ('vae', 'clip', 'unet'):
        all_of_it, taught = sittings(nano['training'][stage]), None  # where the last flow map is
        folder = lambda told: f'runs/long{all_of_it.index(told) or ""}'
        for k, ran in enumerate(all_of_it):
            gone |= {f'`{name}={ran["config"][name]}`' for name in GONE if ran['config'].get(name)}
            out, before = f'runs/long{k or ""}', ran.get('before')
            if 'form' in ran['config']:
                what = f'distill {folder(before)} --out {out}'
                what += f' --set begin={taught}' * bool(taught and ran['config'].get('begin'))
                taught = out
            else:
                what = f'train {stage} --out {out}' + (f' --begin {folder(before)}' if before else '')
            line = f'minisd {what} --steps {ran["updates"]} --set pictures={ran["config"]["pictures"]}'
            runs.append((k, f'{line} {changes(stage, ran["config"])}'.rstrip()))
    commands = '\n'.join(line for _, line in sorted(runs, key=lambda r: r[0]))  # a model whole, then the next
    lost = f'\n\nOne of them had an option that no longer exists: {", ".join(sorted(gone))}.' if gone else ''
    return (
        f'The shipped weights are the preset\'s, stage by stage, longer and on more pictures; this takes '
        f'{nano["training"]["minutes"]:.0f} minutes on {on(nano["training"]["machine"])}:\n\n'
        f'```sh\n{commands}\n```{lost}'
    )


def changes(stage: str, now: dict) -> str:
    "Options for what a configuration of the long run has otherwise than the preset's."
    from minisd.base.core import to_dict
    from minisd.sampling.distill import distill_recipe
    from minisd.train import PRESETS, check_told
    from minisd.train import recipe as preset
    from minisd.training.config import stored

    told = {'steps', 'pictures', 'val_every', 'save_every', 'save_minutes', 'compile', 'watch', 'begin'}
    distilled = 'form' in now
    of = partial(distill_recipe, PRESETS['nano'].model.unet) if distilled else partial(preset, stage, 'nano')
    was, now = to_dict(of()), now if distilled else to_dict(stored(now))
    other = {k: v for k, v in now.items() if was.get(k) != v and k not in told}
    again = of(steps=now['steps'], begin=now.get('begin'), **other)  # a `ValueError` where the command would be refused
    if stage == 'unet':
        check_told(again)
    other = {k: str(v).lower() if isinstance(v, bool) else v for k, v in other.items()}
    return ' '.join(f'--{k} {v}' if k in ('batch', 'seed') else f'--set {k}={v}' for k, v in other.items())


def evaluation() -> str:
    "What is measured beside the attributes, which have a table of their own."
    from minisd.measuring.evaluation import METRICS, footnote, table
    from minisd.measuring.metrics import SD_VAE_BAR as bar

    others = table([whole], [m for m in METRICS if m != 'attributes'])
    times = ' | '.join(f'{(i + 1) / 10:g}' for i in range(10))
    losses = ' | '.join(f'{l:.2f}' for l in whole['flow']['loss'])
    return (
        f'{others}\n\n| flow loss for t up to … | {times} |\n{"|---" * 11}|\n| nano | {losses} |\n\n± is one standard '
        f'error, brackets a 95 % interval. {footnote(whole)} Distances and CLIP score are in the features of nano\'s '
        'own towers, which need no download: they compare models measured here, and nothing else. A bar for the VAE, '
        f'on other pictures: {bar["psnr"]} dB and SSIM {bar["ssim"]} by Stable Diffusion\'s first '
        f'({bar["parameters"] / 1e6:.1f} M parameters, {bar["on"]}). LPIPS is measured where torchvision and its '
        'weights are at hand, which here they are not.'
    )


def presets() -> str:
    "Sizes of the presets."
    from minisd.train import PRESETS

    head, rows = 'preset | picture, pixels | latent | VAE | CLIP | UNet | words and pieces | tokens of a caption', []
    for name, mc in ((k, p.model) for k, p in PRESETS.items()):
        pixels, latent = mc.vae.image_size, mc.unet.sample_size
        shape = f'{pixels} × {pixels}', f'{latent} × {latent} × {mc.vae.latent_channels}'
        parts = (f'{n / 1e6:.2f} M' for n in sizes(name))
        rows.append([f'`{name}`', *shape, *parts, f'{mc.clip.vocab_size:,}', mc.clip.length])
    shipped, room = nano['parameters']['clip'], sizes('nano')[1]
    fewer = (
        '\n\nCLIP grows with its vocabulary: the shipped `nano` found fewer words in its captions than there is room '
        f'for, and has {shipped / 1e6:.2f} M.'
    )
    return md(head, rows) + fewer * (shipped < room)


# ---- sampling and times


def first_near(solver: str) -> dict:
    "The run of a solver with the fewest calls that ends as near as 20 uniform steps of Euler."
    rows = sweep['solvers']['rows']
    euler = next(r['distance'] for r in rows if (r['solver'], r['grid'], r['steps']) == ('euler', '1', 20))
    return min((r for r in rows if r['solver'] == solver and r['distance'] <= euler), key=lambda r: r['evaluations'])


def sampling() -> str:
    "Distances of a few solvers by number of guided calls, and times against naive sampling."
    calls, rows, near = (4, 6, 8, 12, 20), sweep['solvers']['rows'], first_near('fitted')
    best = lambda s, n: min(r['distance'] for r in rows if r['solver'] == s and r['evaluations'] == n)
    names = {
        'euler': 'Euler',
        'heun': 'Heun',
        'ab2': 'Adams–Bashforth, two steps',
        'dpmpp_2m': 'DPM-Solver++(2M)',
        'fitted': 'fitted to the network',
    }
    head = ' | '.join(['distance to the exact solution after … guided calls', *map(str, calls)])
    table = md(head, [[name, *(f'{best(s, n):.3f}' for n in calls)] for s, name in names.items()])
    had = 'with' if speed['nano']['bf16'] else 'without'
    return (
        f'Each solver on its best time grid, in standard deviations of the latents ({sweep["solvers"]["captions"]} '
        f'validation captions of nano, {stamped(sweep["solvers"])}):\n\n{table}\n\n{near["evaluations"]} calls of the '
        'fitted solver end as near as 20 uniform steps of Euler; with guidance in a part of the time only they are '
        f'{near["passes"]:.0f} evaluations of the network in place of 40. Measured on '
        f'{speed["nano"]["machine"]["cores"]} cores ({speed["nano"]["machine"]["cpu"]}, {had} bfloat16 instructions): '
        f'{"; ".join(times_as_fast(k) for k in speed)}.'
    )


def jumps() -> str:
    "The flow map's jumps beside solvers: what is drawn right, how far they end, what they take."
    from minisd.flow import solver_label

    def row(r: dict) -> list[str]:
        own = ' of the teacher' if r['whose'] == 'teacher' else ''
        name = 'jumps' if r['solver'] == 'flow_map' else f'steps, {solver_label(r["solver"])}{own}'
        error = lambda v: f' ± {v["error"]:.3f}' if v.get('error') else ''
        right = [f'{r[k]["mean"]:.3f}{error(r[k])}' for k in ('whole', 'share')]
        rest = f'{r["distance"]["mean"]:.3f}', f'{r["sharpness"]["mean"]:.2f}', f'{r["variety"]:.2f}'
        rest += (f'{1000 * r["kid"]["mean"]:.1f}',)
        return [f'{r["steps"]} {name}', f'{r["rows"]:.0f}', *right, *rest, f'{r["seconds"]:.2f}']

    head = 'way | rows | whole prompts | of the teacher\'s | distance | sharpness | variety | KID × 1000 | seconds'
    t, how, seeds = jumped['teacher'], jumped['taught'], f'{len(jumped["seeds"])} seeds, ± one standard error over them'
    says = [
        '*Rows*: what the network sees for a picture',
        '*Of the teacher\'s*: whole prompts, relative to a fine solution of the teacher from the same noise '
        f'({jumped["fine"]} steps of Heun, {t["whole"]["mean"]:.3f} of the prompts)',
        '*Distance* to it, in standard deviations of the latents',
        '*Sharpness*: relative to pictures by the world\'s painter, of the same prompts and after the same VAE',
        '*Variety*: how far pictures of one caption are apart, relative to the teacher\'s',
        '*KID*: to the painter\'s pictures, in the features of nano\'s tower '
        f'(the teacher: {1000 * t["kid"]["mean"]:.1f})',
        '*Seconds*: a picture alone, with text and decoder',
        f'{jumped["prompts"]} prompts by hand, {seeds}; {on(jumped["machine"])}, {stamped(jumped)}',
        f'The map was taught from {how["solutions"]:,} solutions of {how["solved_in"]} steps, in '
        f'{how["updates"]:,} updates, which took {how["minutes"]:.0f} minutes',
    ]
    return f'{md(head, [row(r) for r in jumped["rows"]])}\n\n{". ".join(says)}.'


def times_as_fast(preset: str) -> str:
    "Ratios to naive sampling in words."
    gains = {r['way']: r['times_as_fast'] for r in speed[preset]['rows']}
    most = max(v for way, v in gains.items() if 'fitted' not in way)
    says = f'{preset} {most:.2f} times as fast as the same network driven naively with as many steps'
    fitted = [v for way, v in gains.items() if 'fitted' in way]
    return says + (f', {fitted[0]:.2f} times with {first_near("fitted")["evaluations"]} fitted steps' if fitted else '')


def updates() -> dict[str, dict]:
    "An update of the base UNet, as v1 did it and with each remedy."
    return train['base_update']['512 px, 2 × 4 pictures an update']


RECIPE = 'the recipe: 75% of the updates in the first phase'


def times() -> str:
    "How long things take where they were measured."
    t, base, waited = nano['training'], speed['base'], seconds()
    update = lambda name: f'{updates()[name]["seconds"]:.0f} s'
    here = on(bench['machine'])
    steps, fastest = f'{base["steps"]} guided steps of the UNet', min(r['seconds'] for r in base['rows'])
    rows = [
        ('`minisd generate`, from the command to the saved picture', '`nano`', f'{waited["start"]:.1f} s', here)
        + (f'one picture of {side("nano")} × {side("nano")}',),
        ('a picture more', '`nano`', f'{waited["default"]:.2f} s', here, f'{bench["default_steps"]} steps'),
        ('training of the shipped weights', '`nano`', f'{t["minutes"]:.0f} minutes', on(t['machine']))
        + (f'{whole_prompts()} of prompts by hand are drawn right',),
        (steps, '`base`', f'{fastest:.1f} s', on(base['machine']), 'random weights: only the time means something'),
        ('an update of the UNet, 8 pictures of 512 × 512', '`base`', update('+ channels_last'), on(train['machine']))
        + ('a CPU is no place to train it',),
        ('an update of its recipe, three quarters of them at half the side', '`base`', update(RECIPE))
        + (on(train['machine']), ''),
    ]
    return md('what | preset | time | machine | ', rows)


def t4() -> str:
    "Memory and hours on a T4, computed."
    head, rows = (
        'preset | stage | pictures | peak memory | micro-batch | largest that fits | updates × pictures | time',
        [],
    )
    for r in planned['rows']:
        peak = f'{r["peak_gib"]:.1f} GiB' + (', too much' if r['peak_gib'] >= planned['memory_gib'] else '')
        minutes = f'{60 * r["hours"]:.0f} minutes' if r['hours'] > 1 / 60 else 'under a minute'
        time = f'{r["hours"]:.1f} hours' if r['hours'] >= 1 else minutes
        work = f'{r["updates"]:,} × {r["batch"] * r["accumulate"]}'
        fits = r['batch'], r['largest_batch']
        rows.append([f'`{r["preset"]}`', r['stage'], f'{r["size"]} px', peak, *fits, work, time])
    return (
        f'{md(head, rows)}\n\nComputed without a T4: memory by fake steps that allocate nothing, time from the '
        f'arithmetic, if {planned["utilisation"]:.0%} of the peak is reached. The UNet\'s recipe takes three quarters '
        'of its updates at half the side, which `minisd plan` alone doesn\'t know. An update\'s pictures may be cut '
        f'into smaller micro-batches without changing its result. {planned["gpu"]}, {planned["memory_gib"]:g} GiB '
        f'usable; {stamped(planned)}; {again("memory")}.'
    )


def neighbours() -> str:
    "What a busy neighbour costs."
    by = {(r['work'], r['way']): r for r in spun['rows']}
    rows = []
    for work in dict.fromkeys(r['work'] for r in spun['rows']):
        ours, usual = by[work, 'as minisd chooses'], by[work, 'torch as it is']
        rows.append([work, f'{ours["idle"]:.2f}', f'{ours["busy"]:.2f}', f'{usual["busy"]:.2f}'])
    return (
        f'{md(" | idle | beside a busy process | torch by itself beside it", rows)}\n\nTimes as multiples of what '
        f'torch takes by itself on the idle machine; {on(spun["machine"])}, {spun["dtype"]}, {stamped(spun)}; '
        f'{again("threads")} measures it again.'
    )


# ---- the server


def serving() -> str:
    "The server against a lock."
    o, g, rows = load['overhead'], load['memory'], []
    for n, r in load['levels'].items():
        lock, ours = r['lock'], r['batched']
        rates = f'{lock["per_second"]:.1f}', f'{ours["per_second"]:.1f}'
        waits = (f'{v:.2f}' for v in (lock['p50'], ours['p50'], ours['p95'], ours['p99']))
        rows.append([n, *rates, *waits, ours['rejected']])
    head = 'clients at a time | pictures a second, lock | batched | p50, lock | p50, batched | p95 | p99 | refused'
    return (
        f'{md(head, rows)}\n\nPictures of {min(load["steps"])} to {max(load["steps"])} steps, seconds from request to '
        'picture; the lock is v1\'s way, one request after the other. Refused are those whom the queue of '
        f'{load["queue"]} has no room for, with a time to come again. With 16 clients '
        f'{load["levels"]["16"]["times_as_fast"]:.2f} times as many pictures as with the lock. One client waits '
        f'{o["ratio"]:.2f} times as long as the pipeline\'s own call takes. Over {g["requests"]:,} requests the '
        f'process took {g["early"]:.0f} MB in the first third and {g["late"]:.0f} MB in the last. '
        f'{on(load["machine"])}, {stamped(load)}; {again("serving")} measures it again.'
    )


def apart() -> str:
    "How near a picture beside others is to the same made alone: what is promised in each precision, and measured."
    from minisd.sampling.batcher import APART

    told = dict(
        most='no value is off by more than {0:g} of 255 levels',
        mean='the mean difference of a picture is at most {0:g} of 255 levels',
    )
    rows = []
    for dtype, k, limit in [(dtype, k, v) for dtype, limits in APART.items() for k, v in limits.items()]:
        got = beside[dtype]
        rows.append(f'in {dtype} {told[k].format(limit)} (measured over {got["pictures"]} pictures: {got[k]:.2g})')
    return (
        f'Made beside others, a picture is the same as made alone up to rounding: {"; ".join(rows)}. '
        'Who needs it to the level serves with `--dtype float32`.'
    )


# ---- data


def prepare() -> str:
    "Speed against Pillow alone, and memory."
    few, many = prepared['memory']
    rows = [
        [
            name,
            f'{r["pictures_per_s_a_core"]:.0f}',
            f'{100 * r["ratio"]:.0f} %',
            f'{100 * r["ratio_by_the_clock"]:.0f} %',
        ]
        for name, r in prepared['speed'].items()
    ]
    head = '`minisd prepare` | pictures a second and core | of Pillow alone, processor time | by the clock'
    return (
        f'{md(head, rows)}\n\n"Pillow alone" decodes, resizes and encodes the same files and does nothing else. Peak '
        f'memory of a process is {few["peak_mb"]} MB for {few["rows"]:,} pictures and {many["peak_mb"]} MB for '
        f'{many["rows"]:,}. Median of {prepared["rounds"]} rounds on {prepared["machine"]["cpu"]}, '
        f'{stamped(prepared)}; {again("preparing")}.'
    )


def captions() -> str:
    "Attribute accuracy by kind of caption."
    from minisd.lab.captions import EXPERIMENTS, captions_table

    e, done, every = captioned['effort'], len(captioned['rows']), sum(EXPERIMENTS.values())
    unfinished = f' {done} of {every} runs are done so far.' if done < every else ''
    return (
        f'{captions_table(captioned)}\n\nSmall models trained alike ({e["clip_updates"]} updates of CLIP, '
        f'{e["unet_updates"]} of the UNet) on 6,000 pictures, asked {captioned["captions"]} captions; where there is '
        f'more than one seed, mean ± standard deviation from seed to seed. {on(captioned["machine"])}, '
        f'{stamped(captioned)}.{unfinished}'
    )


def verdicts() -> str:
    "v1's faults, and what each does."
    from minisd.lab.postmortem import verdict_table

    return verdict_table(v1, 'nbs/')


# ---- every result file: what it says, commit, hardware, time, seed


def record(what: str, says: str, result: dict, time: str, seed, file: str, command: str) -> list:
    "A row: what was measured, in a line, how long it took, with which seed, on what, when, and how."
    m, day = result['machine'], result['date'].replace('-', '‑')
    older = ' †' * (result['date'] < nano['date'])
    hardware, made = f'{m["cores"]} cores, {m["gpu"] or m["cpu"]}', f'{result["commit"]}<br>{day}{older}'
    return [what, says, time, seed, hardware, made, f'[{file}](data/results/{file})<br>{command}']


def several(parts: list[dict]) -> dict:
    "Parts of a file that were measured one by one, as one."
    commits = ', '.join(sorted({p['commit'] for p in parts}))
    return dict(machine=parts[0]['machine'], commit=commits, date=max(p['date'] for p in parts))


def minutes(parts: list[dict]) -> str:
    return f'{sum(p["minutes"] for p in parts):.0f} minutes'


def models() -> list[list]:
    "What the model reaches."
    t, f, c = nano['training'], whole['flow'], whole['clip']['text_to_image']
    reached = f'{whole_prompts()} of prompts by hand are drawn right as a whole'
    trained, seed = f'training {t["minutes"]:.0f} minutes', t['unet']['config']['seed']
    quality = f'VAE {whole["vae"]["psnr"]:.1f} dB, CLIP R@1 {c["1"]:.3f}, flow loss {f["mean"]:.3f}'
    took, drawn = f'{whole["seconds_per_picture"]:.2f} s a picture', f'{asked["minutes"]:.0f} minutes'
    parts = f'mean of GenEval\'s six abilities {asked["geneval"]:.3f}'
    command = '`minisd evaluate nano --suite`'
    return [
        record('`nano`, shipped', reached, nano, trained, seed, 'nano.json', again('release RUN')),
        record('the suite', parts, asked, drawn, asked['settings']['seed'], 'suite.json', command),
        record('evaluation', quality, whole, took, whole['settings']['seed'], 'evaluation.json', '`minisd evaluate`'),
    ]


def speeds() -> list[list]:
    "How fast things are."
    runs, ways = several(list(sweep.values())), len(sweep['guidance']['rows'])
    pairs = f'{len(sweep["solvers"]["rows"])} pairs of solver and grid, {ways} kinds of guidance'
    gain = {k: max(r['times_as_fast'] for r in b['rows']) for k, b in speed.items()}
    naive = f'nano {gain["nano"]:.1f} times, base {gain["base"]:.1f} times as fast as naively'
    rounds, steps = f'{speed["nano"]["rounds"]} rounds', minutes(list(sweep.values()))
    update = f'base {updates()[RECIPE]["times_v1"]:.1f} times as fast as v1\'s update'
    first, lab = f'{seconds()["start"]:.1f} s to the first picture', again('sampling_speed')
    most = max((r for r in jumped['rows'] if r['solver'] == 'flow_map' and r['steps'] <= 4), key=lambda r: r['steps'])
    few = f'{most["steps"]} jumps draw {most["share"]["mean"]:.0%} of what the teacher does'
    with_seeds, command = ', '.join(map(str, jumped['seeds'])), again('flow_map runs/map runs/nano')
    return [
        record('few jumps', few, jumped, '–', with_seeds, 'flow_map.json', command),
        record('solvers and guidance', pairs, runs, steps, 0, 'sweep.json', again('sweep')),
        record('sampling speed', naive, speed['nano'], rounds, 0, 'sample_bench.json', lab),
        record('training speed', update, train, 'medians', 0, 'train_bench.json', again('training_speed')),
        record('start and sampling', first, bench, 'medians', 42, 'bench.json', again('waiting')),
    ]


def loads() -> list[list]:
    "The server and the preparation of data."
    gain = f'{load["levels"]["16"]["times_as_fast"]:.1f} times as many pictures as behind a lock, 16 clients'
    ratios = [r['ratio'] for r in prepared['speed'].values()]
    care, rounds = f'{min(ratios):.0%} to {max(ratios):.0%} of Pillow alone', f'{prepared["rounds"]} rounds'
    level, each = f'{load["seconds"]} s a level', 'one a request'
    return [
        record('server under load', gain, load, level, each, 'serve_bench.json', again('serving')),
        record('data preparation', care, prepared, rounds, '–', 'prepare_bench.json', again('preparing')),
    ]


def studies() -> list[list]:
    "What was asked of small models, and what was computed."
    labs, runs = list(v1.values()), captioned['rows']
    seeds = lambda rows: ', '.join(map(str, sorted({r['seed'] for r in rows})))
    count, all_seeds = f'{len(labs)} experiments, {sum(len(p["rows"]) for p in labs)} runs and comparisons', seeds(runs)
    many, clean = f'{len(runs)} small models', seeds(v1['singles']['rows'])
    lab, computed = again('captions'), ('memory and hours on a T4', 'computed', planned, '–', '–')
    return [
        record('what captions are worth', many, captioned, minutes(runs), all_seeds, 'captions.json', lab),
        record('v1\'s faults', count, several(labs), minutes(labs), clean, 'v1.json', again('postmortem')),
        record(*computed, 'plan.json', again('memory')),
    ]


def records() -> str:
    "Every result file in a row."
    head = 'result | in a line | time | seed | hardware | commit, date | file, made by'
    rows = [*models(), *speeds(), *loads(), *studies()]
    older = '† Older than the shipped weights: where it is about `nano`, about the one before, of pictures of 64 × 64.'
    return md(head, rows) + f'\n\n{older}' * any('†' in r[5] for r in rows)


# ---- the site's pages


def pictures() -> list[tuple[Path, dict]]:
    "The gallery's files and their settings."
    from PIL import Image

    files = sorted((root / 'figures' / 'gallery').glob('*.png'), key=lambda f: int(f.stem))
    return [(f, json.loads(Image.open(f).info['minisd'])) for f in files]


SHARED = (
    'model model_hash num_inference_steps solver guidance_scale guidance_interval guidance_rescale negative_prompt '
    'dtype height width version'
).split()


def gallery_settings() -> str:
    "What all pictures of the gallery have in common."
    first, *rest = [s for _, s in pictures()]
    same = {k: first[k] for k in SHARED if all(s[k] == first[k] for s in rest)}
    return 'All have in common: ' + ', '.join(f'{k} {v!r}' if v == '' else f'{k} {v}' for k, v in same.items()) + '.'


def gallery() -> str:
    "Pictures with the settings that their files hold."
    cells = []
    for f, s in pictures():
        prompt, size = escape(s['prompt']), f'width="{s["width"]}" height="{s["height"]}" loading="lazy"'
        cells.append(
            f'<figure><img src="figures/gallery/{f.name}" {size} alt="{prompt}, as nano draws it">'
            f'<figcaption>{prompt}<small>{f.name}: seed {s["seed"]}, {s["num_inference_steps"]} steps '
            f'({s["solver"]}), guidance {s["guidance_scale"]:g}</small></figcaption></figure>'
        )
    return '<div class="gallery">\n' + '\n'.join(cells) + '\n</div>'


def bibtex() -> str:
    "How to cite, from settings.ini."
    from nbdev.config import get_config

    c = get_config(path=root)
    fields = dict(
        title=f'{c.title}: {c.description[0].lower() + c.description[1:]}',
        author=f'{{{c.author}}}',
        year=c.copyright.split()[0],
    )
    lines = [f'  {k:6} = {{{v}}},' for k, v in fields.items()]
    lines += [f'  version = {{{c.version}}},', f'  url    = {{{c.git_url}}}']
    return '\n'.join(['```bibtex', '@software{minisd,', *lines, '}', '```'])
