"""Build the playground: its page, a model as ONNX, and what runs it in a browser.

`python .ci/site/play.py FOLDER` builds it alone; `make docs` builds it into the site, where there is npm.
"""

import base64
import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

root, here = Path(__file__).resolve().parents[2], Path(__file__).resolve().parent
cache = root / '.cache' / 'playground'
pinned = json.loads((here / 'runtime.json').read_text(encoding='utf-8'))
LARGE = '.onnx', '.gz'  # files that the page itself keeps, and its service worker does not
NEEDED = 'onnx', 'onnxscript', 'onnxruntime'
MOUNTS = {'<div id="playground"': 'playground.js', 'class="playground-lesson"': 'lesson.js'}  # by what a page has
PLACE = re.compile(r'<div id="playground">')
LINK = re.compile(r'<!-- playground (\S*) ?-->')  # where a page's bar has room for it, and the way to the top


class Missing(Exception):
    "Why there will be no playground, in a line."


def tarball() -> Path:
    "The runtime's package as npm's registry has it, compared with the pinned hash."
    file = cache / f'{pinned["name"]}-{pinned["version"]}.tgz'
    if not file.is_file():
        npm = shutil.which('npm')
        if not npm:
            raise Missing('there is no npm')
        cache.mkdir(parents=True, exist_ok=True)
        command = [npm, 'pack', f'{pinned["name"]}@{pinned["version"]}', '--silent', '--pack-destination', str(cache)]
        got = subprocess.run(command, capture_output=True, text=True)
        if got.returncode or not file.is_file():
            said = (got.stderr or got.stdout).strip().splitlines() or ['no word from it']
            raise Missing(f'npm could not fetch {pinned["name"]} ({said[-1][:100]})')
    digest = base64.b64encode(hashlib.sha512(file.read_bytes()).digest()).decode()
    if f'sha512-{digest}' != pinned['integrity']:
        file.unlink()
        raise SystemExit(f'{file.name} is not the file whose hash is in {here / "runtime.json"}')
    return file


def runtime(folder: Path):
    "The files of the runtime that are used, machine code packed, with their licence, and a list of them."
    package, listed = tarball(), {}
    kept = cache / f'runtime-{pinned["version"]}'
    folder.mkdir()
    for engine, names in pinned['engines'].items():
        listed[engine] = {}
        for name in names:
            packed = name.endswith('.wasm')
            file = kept / (f'{name}.gz' if packed else name)
            if not file.is_file():
                kept.mkdir(exist_ok=True)
                with tarfile.open(package) as tar:
                    data = tar.extractfile(f'package/dist/{name}').read()
                file.write_bytes(gzip.compress(data, 9, mtime=0) if packed else data)
            shutil.copy(file, folder)
            if packed:  # the other is a module, which the browser fetches by itself
                data = file.read_bytes()
                listed[engine][file.name] = dict(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    for name in ('LICENSE', 'ThirdPartyNotices.txt'):
        shutil.copy(Path(find_spec('onnxruntime').origin).parent / name, folder)
    (folder.parent / 'runtime.json').write_text(json.dumps(listed))


def model(folder: Path, name: str = 'nano'):
    "A model's files, made anew only when it, or what makes them, has changed."
    import torch

    from minisd.inference import Pipeline
    from minisd.sampling import export

    pipe = Pipeline.from_pretrained(name, torch.float32)
    made_by = [pipe.model_hash, Path(export.__file__).read_text(encoding='utf-8'), *map(version, ('torch', *NEEDED))]
    words = (pipe.folder / 'words.json', pipe.folder / 'model_index.json')
    made_by += [f.read_text(encoding='utf-8') for f in words if f.is_file()]
    kept = cache / f'model-{hashlib.sha256(repr(made_by).encode()).hexdigest()[:12]}'
    if not (kept / export.MANIFEST).is_file():
        export.export(pipe, kept)
    shutil.copytree(kept, folder)


def ahead() -> subprocess.Popen | None:
    "A process that makes what is kept for the next build, while something else is done; None without npm."
    if not shutil.which('npm') or not all(map(find_spec, NEEDED)):
        return None
    quiet = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with_threads = os.environ | dict(OMP_NUM_THREADS='1')
    return subprocess.Popen([sys.executable, __file__, '--ahead'], env=with_threads, **quiet)


def build(folder: Path):
    "Make the playground in a folder; `Missing` where something for it is not there."
    if absent := [n for n in NEEDED if not find_spec(n)]:
        raise Missing(f'{", ".join(absent)} is not installed')
    shutil.rmtree(folder, ignore_errors=True)
    tarball()
    shutil.copytree(here / 'playground', folder)
    (folder / 'form.html').unlink()  # a part of the pages that have a place for it
    page = folder / 'index.html'
    page.write_text(filled(page.read_text(encoding='utf-8')), encoding='utf-8')
    runtime(folder / 'runtime')
    model(folder / 'model')
    files = [f.relative_to(folder).as_posix() for f in sorted(folder.rglob('*')) if f.is_file()]
    page = [f for f in files if not f.endswith((*LARGE, '.txt', 'LICENSE')) and f != 'sw.js']
    (folder / 'page.json').write_text(json.dumps(page))


def into(site: Path) -> bool:
    "Build the playground into a site and into the pages that have a place for it; or say why not."
    try:
        build(site / 'playground')
    except Missing as e:
        shutil.rmtree(site / 'playground', ignore_errors=True)
        print(f'the site is built without the playground: {e}', file=sys.stderr)
        if os.environ.get('GITHUB_ACTIONS'):
            raise SystemExit('the site that is published has the playground') from None
        return False
    for page in site.rglob('*.html'):
        if page.parent.name != 'playground':
            mount(page, '../' * (len(page.relative_to(site).parts) - 1))
    return True


def filled(text: str) -> str:
    "A page with the form in its place: there from the first moment on, so that nothing jumps when it comes to life."
    form = (here / 'playground' / 'form.html').read_text(encoding='utf-8')
    return PLACE.sub(lambda m: f'<div id="playground" class="pg">\n{form}', text)


def mount(
    page: Path,
    top: str = '',  # the way from the page to the top of the site
):
    "Have a page lead to the playground, and load what draws in it."
    text = LINK.sub(r'<a href="\1playground/">Playground</a>', page.read_text(encoding='utf-8'))
    style = f'<link rel="stylesheet" href="{top}playground/playground.css">'
    for place, script in MOUNTS.items():
        load = f'<script type="module" src="{top}playground/{script}"></script>\n</body>'
        if place in text and load not in text:
            text = text.replace('</body>', load)
            text = text if style in text else text.replace('</head>', f'{style}</head>')
    page.write_text(filled(text), encoding='utf-8')


if __name__ == '__main__':
    if sys.argv[1] == '--ahead':
        with tempfile.TemporaryDirectory() as d:
            build(Path(d) / 'playground')
    else:
        build(Path(sys.argv[1]))
