"What a saved notebook holds: a re-run that shows nothing new changes nothing; what shows nobody anything is dropped."

import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

sys.path.insert(0, str(Path(__file__).parent))
import notebooks
import tidy

CELLS = (  # in each run another time, folder and address, but the same picture
    'import tempfile, time\ntime.sleep(0.01)\nprint(f"{time.perf_counter():.3f} s", tempfile.mkdtemp(), object())',
    'from PIL import Image\nImage.new("RGB", (8, 8), "red")',
    'print("the same")',
)
SAID = [  # two texts, and whether a reader sees the same
    ('12.3 s a run', '9.81 s a run', True),
    ('120.5 it/s', '98 it/s', True),
    ('<A at 0x7fd0>', '<A at 0x7fe8>', True),
    ('loss 0.123', 'loss 0.124', False),
    ('3 subjects', '4 subjects', False),
    ('in 3 steps', 'in 4 steps', False),
]


@pytest.mark.parametrize('a, b, same', SAID)
def test_texts_alike(a, b, same):
    one, two = (new_output('stream', name='stdout', text=t) for t in (a, b))
    assert notebooks.alike(one, two) == same


def test_warnings_of_other_packages_are_noise():
    warning = '/home/me/.venv/lib/python3.11/site-packages/a/b.py:43: UserWarning: large.\n  warnings.warn(large)\n'
    assert notebooks.NOISE.sub('', f'{warning}kept\n') == 'kept\n'


def test_notes_are_kept_without_their_place():
    note = '/tmp/ipykernel_12/34.py:5: Note: nano never saw: cat.\n  note(text)\n'
    out = new_output('stream', name='stderr', text=f'before\n{note}after\n')
    assert notebooks.clean([out])[0].text == 'before\nNote: nano never saw: cat.\nafter\n'


def test_a_second_run_changes_nothing(tmp_path):
    file = tmp_path / 'x.ipynb'
    kernel = dict(kernelspec=dict(display_name='Python 3', language='python', name='python3'))
    nbformat.write(new_notebook(cells=[new_code_cell(c) for c in CELLS], metadata=kernel), file)
    notebooks.run(file)
    first = [c.outputs for c in nbformat.read(file, 4).cells]
    assert 'temporary' in first[0][0].text and 'image/png' in first[1][0].data and first[2][0].text == 'the same\n'
    notebooks.run(file)
    assert [c.outputs for c in nbformat.read(file, 4).cells] == first
    nb = nbformat.read(file, 4)
    nb.cells[1].source = nb.cells[1].source.replace('red', 'blue')
    nb.cells[2].source = 'print("another")'
    nbformat.write(nb, file)
    notebooks.run(file)
    third = [c.outputs for c in nbformat.read(file, 4).cells]
    assert [a == b for a, b in zip(first, third)] == [True, False, False] and third[2][0].text == 'another\n'


LONG = '#| fig-alt: ' + 'a word ' * 40 + 'slow words'


def test_what_shows_nothing_is_dropped():
    bar = new_output('stream', name='stderr', text=' 50%|#####     | 1/2')
    cell = new_code_cell(f'{LONG}\nshow()', outputs=[bar, new_output('stream', name='stdout', text='kept')])
    state = {'a': {'model': 'IPY_MODEL_b'}, 'b': {}, 'idle': {}}
    view = new_output('display_data', {tidy.VIEW: dict(model_id='a')})
    nb = new_notebook(cells=[cell, new_code_cell('box', outputs=[view])])
    nb.metadata['widgets'] = {tidy.STATE: dict(state=state)}
    state = nb.metadata['widgets'][tidy.STATE]['state']
    assert [f.split()[1] for f in tidy.tidy(nb)] == ['dead', 'long', 'state']
    assert [o.text for o in nb.cells[0].outputs] == ['kept'] and set(state) == {'a', 'b'}
    lines = nb.cells[0].source.splitlines()
    assert max(map(len, lines)) <= tidy.WIDTH and lines[-1] == 'show()' and len(lines) > 3
    assert all(l.startswith('#|   ') for l in lines[1:-1]) and tidy.tidy(nb) == []
