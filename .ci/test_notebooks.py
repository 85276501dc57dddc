"What a saved notebook holds: a re-run that shows nothing new changes nothing; what shows nobody anything is dropped."

import subprocess
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
    view = new_output('display_data', {tidy.VIEW: dict(model_id='a'), 'text/plain': 'Box()'})
    still = new_output('display_data', {'text/html': '<img src="still.png">'})
    nb = new_notebook(cells=[cell, new_code_cell('box', outputs=[view, still])])
    nb.metadata['widgets'] = {'application/vnd.jupyter.widget-state+json': dict(state={'a': {}})}
    assert [f.split()[1] for f in tidy.tidy(nb)] == ['dead', 'long', 'widget', 'state']
    assert nb.cells[1].outputs == [still] and 'widgets' not in nb.metadata
    assert [o.text for o in nb.cells[0].outputs] == ['kept']
    lines = nb.cells[0].source.splitlines()
    assert max(map(len, lines)) <= tidy.WIDTH and lines[-1] == 'show()' and len(lines) > 3
    assert all(l.startswith('#|   ') for l in lines[1:-1]) and tidy.tidy(nb) == []


DONE = (
    'nothing was left to do: data/results/x.json holds all of it. To do it anew, remove that file, or name a part: a, b'
)


@pytest.mark.parametrize('last, says', [("_ = e.parts(['a', 'b'], [])", DONE), ('_ = e.keep(rows=[2])', '')])
def test_an_experiment_that_is_done_says_so(tmp_path, last, says):
    (tmp_path / 'data' / 'results').mkdir(parents=True)
    (tmp_path / 'data' / 'results' / 'x.json').write_text('{}')
    cell = f'import minisd.lab.experiment as m; m.PACKAGE = m.Path({str(tmp_path / "minisd")!r})\ne = m.Experiment("x")'
    nbformat.write(new_notebook(cells=[new_code_cell(f'{cell}\n{last}')]), tmp_path / 'x.ipynb')
    run = 'import pathlib, sys; sys.path.insert(0, sys.argv.pop(1)); import lab'
    run += '; lab.LAB = pathlib.Path(sys.argv.pop(1)); sys.exit(lab.main())'
    command = [sys.executable, '-c', run, str(Path(__file__).parent), str(tmp_path), 'x']
    r = subprocess.run(command, capture_output=True, text=True)
    assert (r.returncode, r.stdout.strip()) == (0, says), r
