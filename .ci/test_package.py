"What a notebook can't show: the package as it is installed, and the two commands' promises."

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace as Space
from unittest.mock import patch

import pytest

root = Path(__file__).resolve().parents[1]
HEAVY = 'accelerate', 'kornia', 'matplotlib', 'ipywidgets', 'bitsandbytes', 'fastapi'
PICTURE = """
import sys, torch
sys.path.insert(0, sys.argv[1])
import minisd.inference as i
assert i.__file__.startswith(sys.argv[1])
pipe = i.Pipeline.from_pretrained('nano')
print(pipe('a red cabin', 2, generator=torch.Generator().manual_seed(0)).images[0].size)
"""


def python(code: str, *args, flags: tuple = (), **how) -> subprocess.CompletedProcess:
    "Code in a process of its own."
    command = [sys.executable, *flags, '-c', code, *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, **how)


def tracked() -> list[str]:
    "Files of the repository, as they lie here."
    git = ['git', 'ls-files', '-co', '--exclude-standard', '-z']
    names = subprocess.run(git, cwd=root, capture_output=True, text=True, check=True).stdout.split('\0')
    return [n for n in names if n and (root / n).is_file()]


def markdown(notebook: Path) -> list[str]:
    return [''.join(c['source']) for c in json.loads(notebook.read_text())['cells'] if c['cell_type'] == 'markdown']


@pytest.fixture(scope='session')
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp('wheel')
    src = out / 'src'  # a copy, so that no build folder is left in the repository
    for f in tracked():
        if not f.startswith(('nbs/', 'figures/')):
            (src / f).parent.mkdir(parents=True, exist_ok=True)
            (src / f).write_bytes((root / f).read_bytes())
    pip = [sys.executable, '-m', 'pip', 'wheel', '-q', '--no-deps', '--no-build-isolation']
    subprocess.run([*pip, '-w', out, src], check=True)
    return next(out.glob('*.whl'))


def test_wheel_holds_weights_and_page(wheel):
    files = {i.filename: i.file_size for i in zipfile.ZipFile(wheel).infolist()}
    nano = [f'weights/nano/{f}' for f in ('tokenizer.json', 'model_index.json', 'words.json')]
    nano += [f'weights/nano/{part}/model.safetensors' for part in ('vae', 'clip', 'unet')]
    page = [f'page/{f}' for f in ('index.html', 'page.css', 'page.js', 'icon.svg')]
    wanted = {f'minisd/{f}' for f in (*nano, *page, 'weights/probe/model.safetensors')}
    assert wanted <= files.keys(), wanted - files.keys()
    weights = sum(size for f, size in files.items() if f.startswith('minisd/weights/nano/'))
    assert weights <= 24e6, f'{weights / 1e6:.1f} MB of weights, 24 are allowed'


def test_wheel_samples_without_the_repository(wheel, tmp_path):
    "Unpacked on its own, away from the checkout, it makes a picture offline."
    zipfile.ZipFile(wheel).extractall(tmp_path / 'site')
    r = python(PICTURE, tmp_path / 'site', flags=('-I',), cwd=tmp_path)
    assert r.stdout.strip() == '(128, 128)', r.stderr


def test_laboratory_stays_at_home(wheel, tmp_path):
    "The wheel has no laboratory, and every other module can be imported without it."
    names = [n for n in zipfile.ZipFile(wheel).namelist() if n.endswith('.py')]
    assert not [n for n in names if n.startswith('minisd/lab')] and 'minisd/measuring/metrics.py' in names
    zipfile.ZipFile(wheel).extractall(tmp_path / 'site')
    modules = [n.removesuffix('.py').replace('/', '.') for n in names if not n.rpartition('/')[2].startswith('_')]
    code = 'import importlib, sys; sys.path.insert(0, sys.argv[1]); [importlib.import_module(m) for m in sys.argv[2:]]'
    r = python(code, tmp_path / 'site', *modules, flags=('-I',), cwd=tmp_path)
    assert r.returncode == 0, r.stderr


def test_generating_imports_nothing_heavy():
    "What sampling doesn't need stays out of its start-up."
    r = python(f'import sys, minisd.apps.cli, minisd.inference; print([m for m in {HEAVY} if m in sys.modules])')
    assert r.stdout.strip() == '[]', r.stdout + r.stderr


def test_demo_leaves_the_repository_clean():
    "make demo writes into the current folder, under a name that git ignores, not over the figure that README shows."
    import inspect
    from minisd.apps.cli import demo

    out = inspect.signature(demo).parameters['out'].default
    assert out.parent == Path('.') and not (root / out.name).is_dir()
    for name in (out.name, f'{out.stem}-2{out.suffix}'):
        assert subprocess.run(['git', 'check-ignore', '-q', name], cwd=root).returncode == 0, name


def test_ten_lines_can_be_replayed(tmp_path):
    "README's first Python lines, as they stand there, and then its replay of the picture that they save."
    readme = (root / 'README.md').read_text(encoding='utf-8')
    ten = re.search(r'## Ten lines\n.*?```python\n(.*?)```', readme, re.S)[1]
    code = f'{ten}\nfrom minisd.apps.cli import main\nmain(["replay", "cabin.png"])'
    r = python(code, cwd=tmp_path, env=os.environ | dict(PYTHONPATH=str(root)))
    assert r.returncode == 0 and r.stdout.splitlines()[-1] == 'identical', r.stdout + r.stderr
    assert len(ten.strip().splitlines()) <= 10


def test_pictures_that_are_shown_are_there():
    "Every picture that a notebook or README links exists and says what it shows."
    texts = {f: markdown(f) for f in (root / 'nbs').rglob('*.ipynb')}
    texts[root / 'README.md'] = [(root / 'README.md').read_text()]
    find = re.compile(r'!\[(.*?)\]\((.*?)\)')
    shown = [(f, alt, src) for f, cells in texts.items() for t in cells for alt, src in find.findall(t)]
    assert len(shown) >= 3
    for f, alt, src in shown:
        assert alt and (f.parent / src).is_file(), (f, alt, src)


def test_checks_hold_under_optimisation():
    "python -O drops assertions: what a user can get wrong is raised, not asserted."
    import ast

    for f in (root / 'minisd').rglob('*.py'):
        found = [n.lineno for n in ast.walk(ast.parse(f.read_text(encoding='utf-8'))) if isinstance(n, ast.Assert)]
        assert not found, (f.name, found)
    r = python('from minisd.unet import UNetConfig; UNetConfig(sample_size=60)', flags=('-O',))
    assert 'ValueError: UNetConfig: sample_size 60 must be a multiple of 8' in r.stderr, r.stderr


def test_nothing_unpickles():
    "Weights are read from safetensors only; the importer of v1's pickles runs nothing in them."
    for f in (root / 'minisd').rglob('*.py'):
        text = f.read_text()
        assert 'allow_pickle=True' not in text and 'weights_only=False' not in text, f
        assert f.name == 'v1.py' or not any(w in text for w in ('torch.load(', 'import pickle')), f
        assert text.count('torch.load(') == text.count('weights_only=True') or f.name != 'v1.py'
        assert not any(w in text for w in ('pickle.load(', 'pickle.loads('))


THEIRS = dict(torch='2.13.0', numpy='2.1.3')  # what Colab has


def training_install() -> list[list[str]]:
    "Commands of the install cell of the notebook that trains."
    cells = json.loads((root / 'nbs' / 'training' / 'colab.ipynb').read_text())['cells']
    install = next(''.join(c['source']) for c in cells if re.search(r'#\s?@title Install', ''.join(c['source'])))
    body, commands = '\n'.join(l for l in install.split('\n') if not l.startswith(('import ', 'from '))), []
    bare = Space(util=Space(find_spec=lambda name: None))
    run = Space(run=lambda command, **_: commands.append(command))
    exec(body, dict(importlib=bare, sys=sys, version=THEIRS.get, subprocess=run))
    return commands


def chapter_install() -> list[list[str]]:
    "Commands of the first cell of a chapter."
    from minisd.base import colab

    with (
        patch.object(colab, 'version', THEIRS.get),
        patch.object(colab.subprocess, 'run') as run,
        patch.object(colab.os, 'chdir'),
    ):
        colab.set_up()
    return [c.args[0] for c in run.call_args_list if '--no-deps' not in c.args[0]]


@pytest.mark.parametrize(
    'install, extra, needs',
    [
        (training_install, 'cuda', {'bitsandbytes'}),
        (chapter_install, 'colab', {'bitsandbytes', 'nbdev', 'torchdiffeq'}),
    ],
)
def test_colab_keeps_its_torch_and_numpy(tmp_path, install, extra, needs):
    "Resolved as on a machine that has nothing else: torch and numpy are those that were there, not the newest."
    [command] = [c for c in install() if 'pip' in c]
    here = [f'minisd[{extra}] @ {root.as_uri()}' if f'minisd[{extra}]' in a else a for a in command]
    assert here != command
    report = tmp_path / 'report.json'
    dry = ['--dry-run', '--ignore-installed', '--disable-pip-version-check', '--report', report]
    subprocess.run([*here, *dry], check=True, capture_output=True)
    found = [i['metadata'] for i in json.loads(report.read_text())['install']]
    got = {m['name'].lower(): m['version'].split('+')[0] for m in found}
    assert {p: got[p] for p in THEIRS} == THEIRS
    assert {'minisd', 'accelerate'} | needs <= got.keys()


def test_extras_that_are_named_exist():
    "Every extra that a notebook, a message or README tells people to install."
    from importlib.metadata import metadata

    files = (root / 'README.md', *(root / 'nbs').rglob('*.ipynb'), *(root / 'minisd').rglob('*.py'))
    find = re.compile(r"(?:minisd|\{home\}|pip install '\.)\[(\w+)\]")
    named = {e for f in files for e in find.findall(f.read_text(encoding='utf-8'))}
    there = set(metadata('minisd').get_all('Provides-Extra'))
    assert {'cuda', 'colab', 'data', 'serve'} <= named <= there, named - there


def test_pins_install_on_the_oldest_python():
    "What a pinned package says of Python, of those that are installed in the version that is pinned."
    from configparser import ConfigParser
    from importlib.metadata import distributions

    from packaging.specifiers import SpecifierSet
    from packaging.utils import canonicalize_name

    ini = ConfigParser(delimiters=['='])
    ini.read(root / 'settings.ini', encoding='utf-8')
    oldest = ini['DEFAULT']['min_python'] + '.0'
    lines = (root / '.ci' / 'constraints.txt').read_text(encoding='utf-8').split()
    pins = {canonicalize_name(name): version for name, version in (l.split('==') for l in lines)}
    wanted = {
        d.name: d.metadata['Requires-Python']
        for d in distributions()
        if pins.get(canonicalize_name(d.name)) == d.version
    }
    too_new = {n: w for n, w in wanted.items() if w and not SpecifierSet(w).contains(oldest)}
    assert len(wanted) > 100 and not too_new, too_new


def test_what_is_stored_is_explained():
    "data/README.md names every result and every figure."
    from fnmatch import fnmatch

    named = re.findall(r'`([\w./*]+)`', (root / 'data' / 'README.md').read_text(encoding='utf-8'))
    patterns = [os.path.normpath(os.path.join('data', n)) + ('/*' if n.endswith('/') else '') for n in named]
    stored = [f for f in tracked() if f.startswith(('data/', 'figures/')) and f != 'data/README.md']
    left = [f for f in stored if not any(fnmatch(f, p) for p in patterns)]
    assert not left and stored, left


@pytest.mark.parametrize(
    'importing, imported, allowed',
    [
        ('apps.cli', 'inference', True),
        ('pictures.stream', 'pictures.sources', True),
        ('unet', 'clip', True),
        ('apps.cli', 'lab.captions', False),
        ('lab.captions', 'apps.cli', False),
        ('base.core', 'world.scenes', False),
        ('training.cache', 'train', False),
    ],
)
def test_arrows_between_rooms(monkeypatch, importing, imported, allowed):
    monkeypatch.syspath_prepend(root / '.ci')
    import layers

    graph = {importing: {imported}, imported: set()}
    assert (not layers.faults(graph)) == allowed, layers.faults(graph)


def test_a_circle_and_a_room_without_a_floor(monkeypatch):
    monkeypatch.syspath_prepend(root / '.ci')
    import layers

    circle = {'base.core': {'base.png'}, 'base.png': {'base.core'}}
    assert 'in a circle: base.' in ''.join(layers.faults(circle))
    assert layers.faults({'attic.box': set()}) == ['attic has no floor in layers.py']
