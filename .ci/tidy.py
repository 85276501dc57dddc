"""Drop what a saved notebook shows nobody, and fold long alternative texts; --check: only say where.

Shown to nobody are dead progress bars, and widgets, which live as long as their kernel: beside them stands a still
picture. `#| fig-alt: …` goes on in lines that begin with `#|` and more than one space.
"""

import json
import re
import sys
from pathlib import Path
from textwrap import wrap

ROOT = Path(__file__).resolve().parents[1]
VIEW = 'application/vnd.jupyter.widget-view+json'
BAR = re.compile(r'\d+%\|')
WIDTH = 120
NBDEV = {
    'slow',
    'hide',
    'export',
    'exporti',
    'exports',
    'eval:',
    'code',
    'output',
}  # would be directives at a line's start


def is_bar(output: dict) -> bool:
    "Whether an output is a progress bar, as a widget or as text."
    text = output.get('text') or output.get('data', {}).get('text/plain', '')
    return bool(BAR.search(''.join(text))) and (is_widget(output) or output.get('output_type') == 'stream')


def is_widget(output: dict) -> bool:
    return VIEW in output.get('data', {})


def folded(line: str) -> str:
    "A line of a cell; of a long alternative text as many as it needs."
    if not line.startswith('#| fig-alt:') or len(line.rstrip('\n')) <= WIDTH:
        return line
    for width in range(WIDTH - 5, 60, -1):
        lines = wrap(line.removeprefix('#|'), width, break_on_hyphens=False)
        if not NBDEV & {l.split()[0] for l in lines}:
            break
    return '#| ' + '\n#|   '.join(l.strip() for l in lines) + line[len(line.rstrip('\n')) :]


def tidy(nb: dict) -> list[str]:
    "Tidy a notebook in place; what was found, in words."
    found = []
    for c in nb['cells']:
        if any(map(is_bar, c.get('outputs', []))):
            found.append(f'a dead progress bar in cell {c["id"]}')
            c['outputs'] = [o for o in c['outputs'] if not is_bar(o)]
        if any(map(is_widget, c.get('outputs', []))):
            found.append(f'a widget in cell {c["id"]}')
            c['outputs'] = [o for o in c['outputs'] if not is_widget(o)]
        source = ''.join(c['source'])
        if (new := ''.join(map(folded, source.splitlines(True)))) != source:
            found.append(f'a long line of alternative text in cell {c["id"]}')
            c['source'] = new if isinstance(c['source'], str) else new.splitlines(True)
    if nb['metadata'].pop('widgets', None):
        found.append('the state of widgets')
    return found


def main() -> int:
    bad, check = [], '--check' in sys.argv
    files = [Path(f).resolve() for f in sys.argv[1:] if not f.startswith('-')]
    for file in files or sorted((ROOT / 'nbs').rglob('*.ipynb')):
        if '.ipynb_checkpoints' in file.parts:
            continue
        nb = json.loads(file.read_text(encoding='utf-8'))
        if not (found := tidy(nb)):
            continue
        bad += [f'{file.relative_to(ROOT)}: {f}' for f in found]
        if not check:
            file.write_text(json.dumps(nb, indent=1, ensure_ascii=False, sort_keys=True) + '\n', encoding='utf-8')
    print('\n'.join(bad) or 'saved notebooks hold nothing dead')
    return 1 if bad and check else 0


if __name__ == '__main__':
    sys.exit(main())
