"What is done to the pages after Sphinx: formulas, pictures, tables, papers, folds, and an index to search them by."

import hashlib
import html
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

from PIL import Image

here = Path(__file__).resolve().parent
katex = here / 'node_modules' / 'katex'  # from npm, if .ci/setup.sh found it
COLUMN = 736  # CSS pixels of a page's widest picture, as in theme/static/site.css; files have twice as many at most
MATHS = re.compile(r'<(span|div) class="tex( display)?">(.*?)</\1>', re.S)
IMG = re.compile(r'<img\b[^>]*>')
SRC = re.compile(r'src="([^":]+)"')
EMPTY = re.compile(r'<th[^>]*>\s*(?:<p>)?\s*(?:</p>)?\s*</th>')  # a head that says nothing is none
TABLE = re.compile(r'<table class="[^"]*docutils[^"]*".*?</table>|<table>.*?</table>', re.S)
NUMBER = re.compile(r'(<td)((?: class="[^"]*")?>\s*(?:<p>)?\s*(?:<strong>)?[−+-]?\d[^<]{0,28}(?:<[^<]*>\s*)*</td>)')
SECTION = re.compile(r'<section([^>]*) id="([^"]+)">\s*((?:<span id="[^"]+"></span>)*)<h([1-6])>')
FOLD = re.compile(
    r'<details class="admonition hide above-input">\s*<summary[^>]*>\s*<p[^>]*>(.*?)</p>.*?</summary>', re.S
)
PAPER = re.compile(r'arXiv:(\d{4}\.\d{4,5})')
TAG = re.compile(r'(<[^>]*>)')
LINKED = re.compile(r'<a\b[^>]*>([^<]*arXiv:\d{4}\.\d{4,5})</a>')  # a paper's link of the notebook's own
KEEP = {'site.css', 'site.js', 'katex', 'favicon.png', 'card.png', 'playground'}  # of _static


@cache
def papers() -> dict[str, list]:
    "arXiv number -> title, authors, year."
    return json.loads((here / 'papers.json').read_text(encoding='utf-8'))


def node_for_katex() -> str | None:
    "What runs KaTeX; None where npm didn't bring both."
    return shutil.which('node') if katex.is_dir() else None


def rendered(formulas: list[tuple[str, bool]]) -> list[str]:
    "Formulas as HTML by KaTeX, or as MathML where npm didn't bring it."
    if node := node_for_katex():
        said = subprocess.run([node, here / 'katex.mjs'], input=json.dumps(formulas), capture_output=True, text=True)
        if said.returncode:
            raise SystemExit(f'a formula of the notebooks is none for KaTeX: {said.stderr.strip()[-500:]}')
        return json.loads(said.stdout)
    from latex2mathml.converter import convert

    return [convert(tex, display='block' if display else 'inline') for tex, display in formulas]


def formulas_of(pages: dict[str, str]) -> dict[tuple[str, bool], str]:
    "All formulas of all pages, rendered once each."
    told = {(html.unescape(m[3]), bool(m[2])) for text in pages.values() for m in MATHS.finditer(text)}
    told = sorted(told)
    return dict(zip(told, rendered(told))) if told else {}


def with_maths(text: str, made: dict) -> str:
    return MATHS.sub(
        lambda m: f'<{m[1]} class="math{m[2] or ""}">{made[html.unescape(m[3]), bool(m[2])]}</{m[1]}>', text
    )


def copy_katex(out: Path):
    "Its style sheet and the fonts, in the one format that today's browsers take."
    if not node_for_katex():
        return
    to = out / '_static' / 'katex'
    (to / 'fonts').mkdir(parents=True, exist_ok=True)
    css = (katex / 'dist' / 'katex.min.css').read_text(encoding='utf-8')
    css = re.sub(r',url\([^)]*\.(?:woff|ttf)\) format\("(?:woff|truetype)"\)', '', css)
    (to / 'katex.min.css').write_text(css, encoding='utf-8')
    for f in (katex / 'dist' / 'fonts').glob('*.woff2'):
        shutil.copy(f, to / 'fonts')
    shutil.copy(katex / 'LICENSE', to)


class Pictures:
    "Files of pictures in the size that they are shown in, as WebP where that is smaller, made once for all builds."

    def __init__(self, out: Path, kept: Path):
        self.out, self.kept, self.done = out, kept, {}
        kept.mkdir(parents=True, exist_ok=True)

    def smaller(self, file: Path) -> tuple[Path, tuple[int, int]]:
        "The file to show, beside the old one, and its size in CSS pixels."
        if file not in self.done:
            with Image.open(file) as im:
                size, animated = im.size, getattr(im, 'is_animated', False)
            width = min(size[0], COLUMN)
            shown = width, round(size[1] * width / size[0])
            self.done[file] = (file if animated or file.suffix == '.webp' else self.webp(file, size)), shown
        return self.done[file]

    def webp(self, file: Path, size: tuple[int, int]) -> Path:
        "Lossless for what is drawn in few colours, else nearly so."
        kept = self.kept / f'{hashlib.sha256(file.read_bytes()).hexdigest()[:24]}.webp'
        if not kept.exists():
            im = Image.open(file)
            im = im.convert('RGBA' if 'A' in im.mode or 'transparency' in im.info else 'RGB')
            if size[0] > 2 * COLUMN:
                im = im.resize((2 * COLUMN, round(size[1] * 2 * COLUMN / size[0])), Image.Resampling.LANCZOS)
            flat = size[0] < 129 or im.reduce(2).getcolors(6000) is not None
            im.save(kept, lossless=flat, quality=60 if flat else 88, method=3 if flat else 4)
        if kept.stat().st_size >= file.stat().st_size:
            return file
        return Path(shutil.copy(kept, file.with_suffix('.webp')))

    def on(self, text: str, page: Path) -> str:
        "A page whose pictures have a size, so that nothing moves when they come, and come when they are near."
        count = 0

        def one(m):
            nonlocal count
            tag, src = m[0], SRC.search(m[0])
            file = (page.parent / src[1]).resolve() if src else None
            if not file or not file.is_file() or file.suffix == '.svg':
                return tag
            show, (width, height) = self.smaller(file)
            tag = tag.replace(src[1], src[1].removesuffix(file.name) + show.name)
            if 'width=' not in tag:
                tag = tag.replace('<img', f'<img width="{width}" height="{height}"', 1)
            count += 1
            if count > 1 and 'loading=' not in tag:  # the first may be what is seen first
                tag = tag.replace('<img', '<img loading="lazy"', 1)
            return tag.replace('<img', '<img decoding="async"', 1)

        return IMG.sub(one, text)


def tables(text: str) -> str:
    "Tables that can be moved sideways on a phone, with numbers that don't break over lines."
    count = 0

    def one(m):
        nonlocal count
        count += 1
        table = NUMBER.sub(lambda n: f'{n[1]} data-n{n[2]}', EMPTY.sub('<td></td>', m[0]))
        wide = ' wide' if len(re.findall('<th[ >]', table)) > 5 else ''
        return f'<div class="table{wide}" role="group" aria-label="Table {count}">{table}</div>'

    return TABLE.sub(one, text)


def signatures(text: str) -> str:
    "Signatures of several lines without lists of definitions in them, which would be none."

    def one(m):
        inside = re.sub('<dl>', '<span class="params">', m[0])
        inside = re.sub('<dd>', '<span class="param">', inside)
        return re.sub('</d[ld]>', '</span>', inside)

    return re.sub(r'<dt class="sig.*?</dt>', one, text, flags=re.S)


def named(text: str) -> tuple[str, list[str]]:
    "A page's article with its papers named, on hover and in a list; and those that papers.json lacks."
    known, cited, missing = papers(), {}, []

    def link(m):
        number = m[1]
        if number not in known:
            missing.append(number)
            return m[0]
        title, authors, year = known[number]
        cited.setdefault(number, known[number])
        said = html.escape(f'{authors}: {title}, {year}')
        return f'<a class="paper" href="https://arxiv.org/abs/{number}" data-paper="{said}">arXiv:{number}</a>'

    inside, parts = 0, TAG.split(LINKED.sub(r'\1', text))
    for i, part in enumerate(parts):
        if i % 2:  # a tag
            inside += bool(re.match(r'<(a|pre|h[1-6]|code|summary)\b', part))
            inside -= bool(re.match(r'</(a|pre|h[1-6]|code|summary)\b', part))
        elif not inside:
            parts[i] = PAPER.sub(link, part)
    for number in PAPER.findall(text):  # those in code, too
        if number in known:
            cited.setdefault(number, known[number])
    rows = [
        f'<li>{html.escape(authors)}: <a href="https://arxiv.org/abs/{number}">{html.escape(title)}</a>, {year}.'
        f' <span>arXiv:{number}</span></li>'
        for number, (title, authors, year) in sorted(cited.items())
    ]
    end = f'<section class="papers" id="papers"><h2>Papers</h2><ul>{"".join(rows)}</ul></section>' if rows else ''
    return ''.join(parts) + end, missing


def article(text: str, change: Callable[[str], str]) -> str:
    "A page with its article changed."
    head, start, rest = text.partition('<article')
    body, end, tail = rest.rpartition('</article>')
    return head + start + change(body) + end + tail if start and end else text


def finished(text: str, page: Path, made: dict, pictures: Pictures) -> tuple[str, list[str]]:
    "One page, and what is wrong with it."
    missing = []

    def change(body):
        body, lacking = named(body)
        missing.extend(lacking)
        body = signatures(tables(pictures.on(FOLD.sub(r'<details class="fold"><summary>\1</summary>', body), page)))
        return SECTION.sub(r'<section\1>\3<h\4 id="\2">', body)

    text = article(with_maths(text, made), change)
    return text, [f'{page.name} names arXiv:{n}, which .ci/site/papers.json does not have' for n in missing]


def index(out: Path):
    "What the search reads, by section."
    said = subprocess.run(
        [sys.executable, '-m', 'pagefind', '--site', str(out), '--output-path', str(out / 'pagefind')],
        capture_output=True,
        text=True,
    )
    if said.returncode:
        raise SystemExit(f'pagefind: {(said.stderr or said.stdout).strip()[-500:]}')
    for f in (out / 'pagefind').glob('pagefind-*'):
        if f.suffix in ('.js', '.css') and 'worker' not in f.name:
            f.unlink()  # interfaces of its own, which the site has no use for


def finish(out: Path, kept: Path) -> list[str]:
    "All pages of a site, in place; what is wrong with them."
    files = [f for f in sorted(out.rglob('*.html')) if '_static' not in f.parts]
    pages = {f: f.read_text(encoding='utf-8') for f in files}
    made, pictures, problems = formulas_of(pages), Pictures(out, kept), []
    for f, text in pages.items():
        text, wrong = finished(text, f, made, pictures)
        f.write_text(text, encoding='utf-8')
        problems += wrong
    used = set(re.findall(r'[\w.-]+\.(?:png|webp|gif|jpg|jpeg|svg)', ' '.join(f.read_text() for f in files)))
    for f in (out / '_images').glob('*'):
        if f.name not in used:
            f.unlink()
    for f in (out / '_static').iterdir():
        if f.name not in KEEP:
            shutil.rmtree(f) if f.is_dir() else f.unlink()
    copy_katex(out)
    index(out)
    return problems
