"Drop what a saved notebook shows nobody: dead progress bars, and the state of widgets that no output shows. --check: only say where."

import json
import re
import sys
from pathlib import Path

root = Path(__file__).resolve().parents[1]
VIEW, STATE = 'application/vnd.jupyter.widget-view+json', 'application/vnd.jupyter.widget-state+json'
BAR = re.compile(r'\d+%\|')


def is_bar(output: dict) -> bool:
    "Whether an output is a progress bar, as a widget or as text."
    text = output.get('text') or output.get('data', {}).get('text/plain', '')
    return bool(BAR.search(''.join(text))) and (VIEW in output.get('data', {}) or output.get('output_type') == 'stream')


def shown(state: dict, cells: list[dict]) -> set[str]:
    "Widgets that an output shows, with their parts."
    todo = [o['data'][VIEW]['model_id'] for c in cells for o in c.get('outputs', []) if VIEW in o.get('data', {})]
    keep = set()
    while todo:
        keep.add(model := todo.pop())
        todo += set(re.findall(r'IPY_MODEL_(\w+)', json.dumps(state.get(model, {})))) - keep
    return keep


def tidy(nb: dict) -> list[str]:
    "Tidy a notebook in place; what was found, in words."
    found = []
    for c in nb['cells']:
        if any(map(is_bar, c.get('outputs', []))):
            found.append(f'a dead progress bar in cell {c["id"]}')
            c['outputs'] = [o for o in c['outputs'] if not is_bar(o)]
    widgets = nb['metadata'].get('widgets', {})
    state = widgets.get(STATE, {}).get('state', {})
    if idle := state.keys() - shown(state, nb['cells']):
        found.append(f'the state of {len(idle)} widgets that no output shows')
        for model in idle:
            del state[model]
    if widgets and not state:
        del nb['metadata']['widgets']
    return found


def main() -> int:
    bad = []
    for file in sorted((root / 'nbs').rglob('*.ipynb')):
        if '.ipynb_checkpoints' in file.parts:
            continue
        nb = json.loads(file.read_text(encoding='utf-8'))
        if not (found := tidy(nb)):
            continue
        bad += [f'{file.relative_to(root)}: {f}' for f in found]
        if '--check' not in sys.argv:
            file.write_text(json.dumps(nb, indent=1, ensure_ascii=False, sort_keys=True) + '\n', encoding='utf-8')
    print('\n'.join(bad) or 'saved notebooks hold nothing dead')
    return 1 if bad and '--check' in sys.argv else 0


if __name__ == '__main__':
    sys.exit(main())
