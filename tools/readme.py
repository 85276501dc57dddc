"Write the tables of README.md from the result files: everything between <!-- NAME --> and <!-- /NAME --> is made here. --check only compares."
import re, sys
from pathlib import Path

from minisd.core import read_json

root = Path(__file__).resolve().parents[1]
nano, bench = (read_json(root/'data'/'results'/f'{n}.json') for n in ('nano', 'bench'))


def results():
    "Score and ceiling of each attribute."
    from minisd.metrics import table
    return table(nano)


def facts():
    "Sizes, times and machine in one paragraph."
    t, p, m = nano['training'], nano['parameters'], nano['training']['machine']
    start, steps = (v['median'] for v in list(bench['seconds'].values())[:2])
    total = sum(t[s]['minutes'] for s in ('vae', 'clip', 'unet'))
    return (f'The shipped `nano` model has {sum(p.values())/1e6:.1f} M parameters (VAE {p["vae"]/1e6:.2f}, CLIP {p["clip"]/1e6:.2f}, UNet {p["unet"]/1e6:.2f}), '
            f'{nano["megabytes"]:.1f} MB in half precision. It was trained on {t["unet"]["pictures"]:,} pictures of the embedded world in {total:.0f} minutes '
            f'on {m["cores"]} cores ({m["cpu"]}). `minisd generate` saves a picture {start:.1f} s after it is started; the 20 guided steps in it take {steps:.2f} s '
            f'({bench["machine"]["cpu"]}, {bench["machine"]["cores"]} cores).')


def main():
    file = root/'README.md'
    text = new = file.read_text(encoding='utf-8')
    for name, make in dict(facts=facts, results=results).items():
        new = re.sub(rf'(<!-- {name} -->\n).*?(\n<!-- /{name} -->)', lambda m: m[1] + make() + m[2], new, flags=re.S)
    if '--check' in sys.argv and new != text: sys.exit('README.md does not say what data/results says: run make readme')
    if new != text: file.write_text(new, encoding='utf-8')
    print('README.md says what the result files say')


main()
