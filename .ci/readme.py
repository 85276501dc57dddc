"""Write the result blocks of the front page and the site's pages, and README.md, which is the front page.

In a Markdown cell of nbs/index.ipynb and nbs/site/*.ipynb, what stands between <!-- NAME --> and <!-- /NAME --> is
what the function NAME of this file or of tables.py returns. README.md holds index's cells: prose, and code that isn't
flagged `#| hide` or `#| readme: false`. --check: only say what differs.
"""

import json
import os
import re
import sys
from pathlib import Path

import layers
import tables

from minisd.base.core import read_json
from minisd.world import scenes

ROOT = Path(__file__).resolve().parents[1]
INDEX, README = ROOT / 'nbs' / 'index.ipynb', ROOT / 'README.md'
BLOCK = re.compile(r'(<!-- (\w+) -->\n)(?:.*?\n)?(<!-- /\2 -->)', re.S)
LINK = re.compile(r'(?<=\]\()[^)\s#:]+(?=[)#])|(?<=src=")[^":]+(?=")')
MARK = re.compile(r'^<!-- /?\w+ -->\n?', re.M)
FLAG = re.compile(r'^#\|.*\n?', re.M)
PAGE = 1000  # words of README
NUMBERS = (
    'no one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen '
    'eighteen nineteen twenty'
).split()


def result(name: str) -> dict:
    return read_json(ROOT / 'data' / 'results' / f'{name}.json')


def limits() -> str:
    "What the pictures above it are, and what the model that drew them can't do."
    nano, (seconds, machine) = result('nano'), (result('bench')[k] for k in ('seconds', 'machine'))
    names, side = ('TERRAINS', 'TIMES', 'WEATHERS', 'KINDS', 'COLORS', 'SIZES'), tables.side('nano')
    terrains, times, weathers, kinds, colours, sizes = (NUMBERS[len(getattr(scenes, n))] for n in names)
    return (
        '**Limits.** These are pictures of `nano`, the small preset: '
        f'{side} × {side} pixels, {millions(nano["parameters"])} M '
        f'parameters, {seconds["sampling: as by default, one picture"]["median"]:.1f} s a picture on '
        f'{machine["cores"]} cores ({machine["cpu"]}). It knows one drawn world: {terrains} terrains, {times} times of '
        f'day, {weathers} kinds of weather, up to {NUMBERS[scenes.MOST]} subjects of {kinds} kinds in {colours} '
        f'colours and {sizes} sizes, and the [words](nbs/world/phrases.ipynb) that people have for these. It says '
        'which other words it never saw; what a prompt leaves open it makes up.'
    )


def millions(parts: dict) -> str:
    return f'{sum(parts.values()) / 1e6:.1f}'


def scores() -> str:
    "How often pictures show all that was asked, the hand-written prompts first; beside it the world's own painter."
    suite = result('suite')
    names = {
        'hand-written': 'as people wrote them',
        'training grammar': 'as training says it, of new scenes',
        'phrases held out': 'in words that training never says',
        'combinations held out': 'of colours, weathers, crowds that training never shows',
    }
    rows = []
    for k, name in names.items():
        r = suite['distances'][k]
        w = r['whole_prompt']
        rows.append(f'| {name} | {w["score"]:.1%} | {r["atoms"]["score"]:.1%} | {r["ceiling"]:.1%} |')
    table = '\n'.join(rows)
    n = suite['distances']['hand-written']['whole_prompt']['n']
    return (
        f'| prompts | whole | each demand | of the world\'s own pictures |\n|---|---|---|---|\n{table}\n\n'
        f'*Whole*: the picture shows everything that its prompt asks for, and nothing more. {n} prompts were written '
        'by hand; a small network, the probe, reads the pictures, and the world\'s own in the last column.'
    )


def training() -> str:
    "What training takes, from the smallest to what nobody has done yet."
    t, base = result('nano')['training'], dict(zip(('vae', 'clip', 'unet'), tables.sizes('base')))
    hours = sum(r['hours'] for r in result('plan')['rows'] if r['preset'] == 'base')
    return (
        f'Training the weights in the package took {t["minutes"]:.0f} minutes on {tables.on(t["machine"])}. The large '
        f'preset, `base`, has the architecture of our first version, **v1**: 512 × 512 pixels, {millions(base)} M '
        f'parameters, by computation {hours:.0f} hours on a free Colab T4. It is tested, not yet trained.'
    )


def rooms() -> str:
    "The house, drawn from the tree."
    return f'```text\n{layers.drawing()}\n```'


def moved(text: str, old: Path, new: Path) -> str:
    "Markdown with its relative links rewritten from one folder to another; a link that leads nowhere is an error."

    def one(m):
        if not (old / m[0]).exists():
            raise SystemExit(f'the link to {m[0]} leads nowhere from {old.relative_to(ROOT) or "the top"}')
        return os.path.relpath(old / m[0], new)

    return LINK.sub(one, text)


def filled(text: str, folder: Path) -> str:
    "Markdown of a file in a folder with its result blocks written anew."

    def one(m):
        made = globals().get(m[2]) or getattr(tables, m[2])
        return f'{m[1]}{moved(made(), ROOT, folder)}\n{m[3]}'

    return BLOCK.sub(one, text)


def notebook(file: Path) -> str:
    "A notebook's text with its result blocks written anew."
    nb = json.loads(file.read_text(encoding='utf-8'))
    for c in nb['cells']:
        if c['cell_type'] == 'markdown':
            c['source'] = filled(''.join(c['source']), file.parent).splitlines(True)
    return json.dumps(nb, indent=1, ensure_ascii=False) + '\n'


def readme(index: str) -> str:
    "README.md, from the text of the front page's notebook."
    parts = ['<!-- made from nbs/index.ipynb by make export -->']
    for c in json.loads(index)['cells']:
        source = ''.join(c['source'])
        if c['cell_type'] == 'markdown':
            parts.append(moved(MARK.sub('', source), INDEX.parent, ROOT).strip())
        elif not re.search(r'^#\|\s*(hide\b|readme:\s*false)', source, re.M):
            parts.append(f'```python\n{FLAG.sub("", source).strip()}\n```')
    return '\n\n'.join(parts) + '\n'


def main() -> int:
    texts = {f: notebook(f) for f in (INDEX, *sorted((ROOT / 'nbs' / 'site').glob('*.ipynb')))}
    texts[README] = readme(texts[INDEX])
    stale = [f for f, text in texts.items() if not f.exists() or f.read_text(encoding='utf-8') != text]
    bad = []
    if '--check' in sys.argv:
        bad += [f'{f.relative_to(ROOT)} is not what its sources say: run make export' for f in stale]
    else:
        for f in stale:
            f.write_text(texts[f], encoding='utf-8')
    if (words := len(re.findall(r'\S*\w\S*', texts[README]))) > PAGE:
        bad.append(f'README.md has {words} words: {PAGE} are a page')
    print('\n'.join(bad) or f'README.md, {words} words, and {len(texts) - 1} notebooks say what the result files say')
    return bool(bad)


if __name__ == '__main__':
    sys.exit(main())
