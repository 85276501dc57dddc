"Write the tables of README.md from the result files: everything between <!-- NAME --> and <!-- /NAME --> is made here. --check only compares."
import re, sys
from pathlib import Path

from minisd.core import read_json

root = Path(__file__).resolve().parents[1]
nano, short, bench = (read_json(root/'data'/'results'/f'{n}.json') for n in ('nano', 'nano_15min', 'bench'))


def results():
    "Score and ceiling of each attribute."
    from minisd.metrics import table
    return table(nano)


def facts():
    "Sizes, times and machine in one paragraph."
    t, p, m = nano['training'], nano['parameters'], nano['training']['machine']
    start, steps = (v['median'] for v in list(bench['seconds'].values())[:2])
    return (f'The shipped `nano` model has {sum(p.values())/1e6:.1f} M parameters (VAE {p["vae"]/1e6:.2f}, CLIP {p["clip"]/1e6:.2f}, UNet {p["unet"]/1e6:.2f}), '
            f'{nano["megabytes"]:.1f} MB in half precision. It was trained on {t["unet"]["config"]["pictures"]:,} pictures of the embedded world in {t["minutes"]:.0f} minutes '
            f'on {m["cores"]} cores ({m["cpu"]}). `minisd generate` saves a picture {start:.1f} s after it is started; the 20 guided steps in it take {steps:.2f} s '
            f'({bench["machine"]["cpu"]}, {bench["machine"]["cores"]} cores).')


def quick():
    "What the preset as it is reaches, and the shipped weights' longer run."
    t, r, changed = short['training'], short['score'], nano['training']
    runs = '\n'.join(f'minisd train {s} --out runs/long --steps {changed[s]["updates"]} --set pictures={changed[s]["config"]["pictures"]} {changes(s)}'.rstrip() for s in ('vae', 'clip', 'unet'))
    return (f'`minisd train --preset nano` as it is takes {t["minutes"]:.1f} minutes on {t["machine"]["cores"]} cores ({t["machine"]["cpu"]}) and reaches a mean of {r["mean"]:.3f}, '
            f'scene {r["scene"]:.3f}, subject {r["subject"]:.3f}, VAE {short["vae"]["psnr"]:.1f} dB ([nano_15min.json](data/results/nano_15min.json)). '
            f'The shipped weights are the same command run longer:\n\n```sh\n{runs}\n```')


def changes(stage):
    "Options for what the long run's recipe has otherwise than the preset's."
    from minisd.core import to_dict
    from minisd.train import recipe
    was, now = to_dict(recipe(stage, 'nano')), nano['training'][stage]['config']
    return ' '.join(f'--{k} {v}' if k in ('batch', 'seed') else f'--set {k}={v}' for k, v in now.items() if was[k] != v and k not in ('steps', 'pictures', 'val_every', 'save_every', 'compile'))


def verdicts():
    "v1's faults, and what each does."
    from minisd.postmortem import verdict_table
    return verdict_table(read_json(root/'data'/'results'/'v1.json'), 'nbs/')


def main():
    file = root/'README.md'
    text = new = file.read_text(encoding='utf-8')
    for name, make in dict(facts=facts, results=results, quick=quick, verdicts=verdicts).items():
        new = re.sub(rf'(<!-- {name} -->\n).*?(\n<!-- /{name} -->)', lambda m: m[1] + make() + m[2], new, flags=re.S)
    if '--check' in sys.argv and new != text: sys.exit('README.md does not say what data/results says: run make readme')
    if new != text: file.write_text(new, encoding='utf-8')
    print('README.md says what the result files say')


main()
