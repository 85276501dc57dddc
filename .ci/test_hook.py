"What `make setup` installs, tried in a small repository: the hook before a commit, notebooks as their sources."

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

root = Path(__file__).resolve().parents[1]
COPIED = '.ci/hook.py .ci/source.py .ci/tidy.py .githooks .gitattributes .gitconfig .gitignore .ruff.toml settings.ini'
BOOK, MODULE = 'nbs/base/small.ipynb', 'minisd/base/small.py'


def code(source: str, n: int, **more) -> dict:
    empty = dict(cell_type='code', execution_count=None, metadata={}, outputs=[])
    return empty | dict(id=f'5eed{n:04d}', source=source) | more


@pytest.fixture
def repo(tmp_path):
    "A repository with one notebook, its module and the hooks; calls git in it."
    for name in COPIED.split():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (root / name).is_dir() else shutil.copy)(root / name, tmp_path / name)
    metadata = dict(kernelspec=dict(display_name='python3', language='python', name='python3'))
    cells = [code('#| default_exp base.small', 1), code('#| export\nONE = 1', 2)]
    (tmp_path / BOOK).parent.mkdir(parents=True)
    (tmp_path / BOOK).write_text(json.dumps(dict(cells=cells, metadata=metadata, nbformat=4, nbformat_minor=5)))
    env = {k: v for k, v in os.environ.items() if not k.startswith('GIT_') and k != 'PYTHONPATH'}
    who = {f'GIT_{w}_{k}': v for w in ('AUTHOR', 'COMMITTER') for k, v in (('NAME', 'a'), ('EMAIL', 'a@b.invalid'))}
    env |= who | dict(PATH=f'{Path(sys.executable).parent}{os.pathsep}{env["PATH"]}')

    def git(*args):
        return subprocess.run(['git', *args], cwd=tmp_path, env=env, capture_output=True, text=True)

    for args in (
        ('init', '-q'),
        ('config', '--local', 'include.path', '../.gitconfig'),
        ('add', '-A'),
        ('commit', '-qm', 'as it is'),
    ):
        r = git(*args)
        assert r.returncode == 0, r.stdout + r.stderr
    git.folder = tmp_path
    return git


def edit(repo, source: str, **cell):
    "Put a cell of code into the notebook."
    file = repo.folder / BOOK
    nb = json.loads(file.read_text())
    nb['cells'].append(code(source, 3, execution_count=7, **cell))
    file.write_text(json.dumps(nb, indent=1, ensure_ascii=False) + '\n')


def test_a_commit_is_cleaned_formatted_and_exported(repo):
    edit(repo, '#| export\ndef twice(x): return  2*x')
    r = repo('commit', '-qam', 'twice')
    assert r.returncode == 0, r.stdout + r.stderr
    assert 'def twice(x):\n    return 2 * x' in (repo.folder / MODULE).read_text()
    assert repo('status', '--short').stdout == ''
    cells = json.loads(repo('show', f'HEAD:{BOOK}').stdout)['cells']
    [cell] = [c for c in cells if c['id'] == '5eed0003']
    assert cell['execution_count'] is None


@pytest.mark.parametrize('source', ['nowhere_defined()', 'import os', f'x = "{"long " * 30}"'])
def test_what_ruff_refuses_is_not_committed(repo, source):
    edit(repo, source)
    assert repo('commit', '-qam', 'wrong').returncode and 'as it is' in repo('log', '-1', '--format=%s').stdout


def test_what_is_staged_in_part_is_not_committed(repo):
    edit(repo, '1 + 1')
    repo('add', '-A')
    edit(repo, '2 + 2')
    r = repo('commit', '-qm', 'half')
    assert r.returncode and BOOK in r.stdout + r.stderr


def test_notebooks_differ_as_their_sources(repo):
    edit(repo, '1 + 1', outputs=[dict(output_type='stream', name='stdout', text='2')])
    lines = [l for l in repo('diff').stdout.splitlines() if l.startswith(('+', '-')) and l.strip('+-').strip()]
    changed = [l for l in lines if BOOK not in l]
    assert changed[:2] == ['+# %% code 5eed0003', '+1 + 1'] and changed[2].startswith('+# → stdout '), changed
    assert len(changed) == 3


def test_setup_installs_it():
    said = subprocess.run(['make', '-n', 'setup'], cwd=root, capture_output=True, text=True)
    assert 'git config --local include.path ../.gitconfig' in said.stdout, said.stdout + said.stderr
