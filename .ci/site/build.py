"""Build the site from the notebooks: `make docs`. Nothing is executed and nothing is downloaded; Sphinx renders.

A notebook's page has its saved outputs, no directives, its tests and its plotting code folded away; what its module
exports stands on a page of its own, under reference/.
"""

import io
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import time
import tokenize
from html import unescape
from pathlib import Path

import finish
import front
import nbformat
import play
from nbdev.config import get_config
from nbformat.v4 import new_markdown_cell
from reference import Examples, Names, definitions, entry, parameters  # noqa: F401, the last for the tests

root, here = Path(__file__).resolve().parents[2], Path(__file__).resolve().parent
work, out, cfg = root / '_proc', root / '_docs', get_config(path=root)
src = work / 'site'
github, base = f'{cfg.git_url}/blob/{cfg.branch}', f'{cfg.doc_host}{cfg.doc_baseurl}/'
DIRECTIVE = re.compile(r'^#\|\s*([\w-]+)\s*:?\s*(.*?)\s*$')
IMPORTS = re.compile(r'(?:\s*(?:from [\w.]+ )?import [^\n]+\n?)+')
MARK = re.compile(r'^<!-- /?\w+ -->\n?', re.M)  # of blocks that .ci/readme.py writes
LINK = re.compile(r'(!?\[(?:[^\[\]]|\[[^\]]*\])*\])\(([^()\s]+)\)')
TERM = re.compile(r'^\*\*(.+)\*\*\n: (.+)$', re.M)  # a glossary's, as a definition list
TITLE = re.compile(r'# .*(\n+>.*)?')  # of a notebook, with the line that says what it is
BAR = re.compile(r'\d+%\|')
CHECK = re.compile(r'^\s*(?:assert\b|test_\w+\()', re.M)  # a statement of a test
LONG, SHORT = 30, 12  # lines of a definition, and of a demonstration, that are shown without a click
COLUMNS = 88  # characters of a line of code on a page
PRAGMA = '# noqa: ZZZ '  # what a formatter doesn't count
WORDS, LINES = 220, 30  # that are read in a minute, of prose and of code
problems = []  # each a line; any of them fails the build


def joined(source: str) -> list[str]:
    "Lines of a cell; a directive that goes on, on lines with more than one space after `#|`, as one."
    return re.sub(r'\n#\|\s{2,}(?=\S)', ' ', source).splitlines()


def directives(source: str) -> dict:
    return dict(m.groups() for m in map(DIRECTIVE.match, joined(source)) if m)


def without_directives(source: str) -> str:
    return '\n'.join(l for l in joined(source) if not DIRECTIVE.match(l)).strip()


def page_of(path: Path) -> Path | None:
    "A notebook's place among the pages, those of nbs/site at the top; None for another file."
    if path.suffix != '.ipynb' or not path.is_relative_to(root / 'nbs'):
        return None
    page = path.relative_to(root / 'nbs')
    return Path(page.name) if page.parts[0] == 'site' else page


def copy_figures():
    "Figures for the pages, the gallery's beside them: its page is HTML."
    from PIL import Image

    (src / 'figures').mkdir(parents=True)
    for f in (root / 'figures').glob('*.*'):
        shutil.copy(f, src / 'figures')
    shutil.copytree(root / 'figures' / 'gallery', work / 'extra' / 'figures' / 'gallery')
    static = work / 'static'
    static.mkdir()
    small = Image.open(root / 'figures' / 'gallery' / '3.png')
    w, h = small.size
    small.crop((w // 4, 0, w * 3 // 4, h // 2)).resize((32, 32)).save(static / 'favicon.png')  # a balloon
    title, about = headline(nbformat.read(root / 'nbs' / 'index.ipynb', 4).cells[0].source)
    front.preview(static / 'card.png', title, about)


def goal(target: str, file: Path, page: Path) -> str:
    "Where a link of a file leads, from its page: notebooks are pages, figures are copied, the rest is on GitHub."
    if target.startswith(base):  # the published site's pages
        name = target.removeprefix(base).removesuffix('.html')
        return os.path.relpath(name, page.parent) + ('.ipynb' if (root / f'nbs/site/{name}.ipynb').exists() else '.md')
    path = (file.parent / target).resolve()
    if not path.exists():
        problems.append(f'{file.relative_to(root)}: the link to {target} leads nowhere')
        return target
    if page_of(path) or path.is_relative_to(root / 'figures'):
        return os.path.relpath(page_of(path) or path.relative_to(root), page.parent)
    return f'{github.replace("/blob/", "/tree/") if path.is_dir() else github}/{path.relative_to(root)}'


def relink(text: str, file: Path, page: Path) -> str:
    "A file's Markdown with links that are its page's."

    def one(m):
        target, _, anchor = m[2].partition('#')
        if not target or re.match(r'[a-z]+:', target) and not target.startswith(base):
            return m[0]
        return f'{m[1]}({goal(target, file, page)}{"#" + anchor if anchor else ""})'

    text = re.sub(r'(?<=src=")[^":]+(?=")', lambda m: goal(m[0], file, page), text)
    return LINK.sub(one, text)


def terms(text: str) -> str:
    "A list of definitions as Sphinx's glossary, which its index and its search know."
    entries = [f'{m[1].replace(", ", chr(10))}\n  {m[2]}' for m in TERM.finditer(text)]
    head = text[: TERM.search(text).start()]
    return f'{head}:::{{glossary}}\n' + '\n\n'.join(entries) + '\n:::'


def markdown(text: str, file: Path, link=lambda t: t) -> str:
    "A Markdown cell as Sphinx is to read it."
    text = link(relink(MARK.sub('', text), file, page_of(file)))
    return terms(text) if file.stem == 'glossary' and TERM.search(text) else text


def imports(nb) -> set:
    "Names that a notebook imports from the package."
    code = '\n'.join(
        without_directives(c.source)
        for c in nb.cells
        if c.cell_type == 'code' and re.search(r'^(from|import) ', c.source, re.M)
    )
    return {n for line in re.findall(r'^from minisd\S* import (.+)$', code, re.M) for n in re.split(r'[\s,]+', line)}


def module_of(nb) -> str | None:
    return next(
        (
            f"minisd.{directives(c.source)['default_exp']}"
            for c in nb.cells
            if c.cell_type == 'code' and 'default_exp' in directives(c.source)
        ),
        None,
    )


def head(file: Path, module: str | None) -> str:
    "A line of links under the title."
    path, page = file.relative_to(root), page_of(file)
    colab = f'https://colab.research.google.com/github/{cfg.user}/{cfg.repo}/blob/{cfg.branch}/{path}'
    links = [f'[Open in Colab]({colab})'] if re.match(r'\d\d_|colab', file.name) else []
    links.append(f'[Notebook]({github}/{path})')
    if module:
        links.append(f'[{module}]({os.path.relpath(f"{reference_page(module)}.md", page.parent)})')
    return '\n\n{.places}\n' + ' · '.join(links)


def reference_page(module: str) -> str:
    return 'reference/' + module.removeprefix('minisd.').replace('.', '/')


def folded(source: str, exported: bool, outputs: list) -> str:
    "What a cell of code holds, if it is to be folded away."
    if IMPORTS.fullmatch(source):
        return 'Imports'
    lines, checks = len(source.splitlines()), len(CHECK.findall(source))
    if exported:
        return f'Code, {lines} lines' if lines > LONG else ''
    if any(k.startswith('image/') or k == 'text/html' for o in outputs for k in o.get('data', {})):
        return 'How it is drawn'
    if checks and (not outputs or lines > SHORT):
        return f'Test, {checks} {"checks" if checks > 1 else "check"}'
    return f'Code, {lines} lines' if lines > LONG else ''


def shown(outputs: list, name: str) -> list:
    "Outputs without dead progress bars; of a picture in two formats, the exact one."
    told = lambda o: str(o.get('text', '') or o.get('data', {}).get('text/plain', ''))
    kept = [o for o in outputs if not (o.output_type == 'display_data' and BAR.search(told(o)))]
    if any(BAR.search(told(o)) for o in kept if o.get('name') != 'stderr'):
        problems.append(f'{name} has a progress bar among its results')
    for o in kept:
        data = o.get('data', {})
        if 'image/png' in data:
            data.pop('image/jpeg', None)
    return kept


def code_cell(c, file: Path):
    "A code cell without directives, folded if long; what its output shows is said for those who can't see it."
    d, name = directives(c.source), f'{file.relative_to(root)}: cell {c.id}'
    c.source, look = without_directives(c.source), c.metadata.setdefault('mystnb', {})
    c.outputs = shown(c.outputs, name)
    what = folded(c.source, 'export' in d, c.outputs)
    if what and not file.name.startswith('index'):
        c.metadata.setdefault('tags', []).append('hide-input')
        look |= dict(code_prompt_show=what, code_prompt_hide=what)
    if any(k.startswith('image/') for o in c.outputs for k in o.get('data', {})):
        look['image'] = dict(alt=d.get('fig-alt', ''))
        if not d.get('fig-alt'):
            problems.append(f'{name} shows a picture and has no #| fig-alt')
    return c


def merged(cells: list) -> list:
    "Neighbouring cells of imports as one."
    out = []
    for c in cells:
        if out and all(x.cell_type == 'code' and IMPORTS.fullmatch(x.source) for x in (out[-1], c)):
            out[-1].source += f'\n\n{c.source}'
        else:
            out.append(c)
    return out


def split(c, file: Path) -> list:
    "A code cell, and what it told in Markdown as cells of their own, so that their links are links of the site."
    c, told = code_cell(c, file), [o for o in c.outputs if 'text/markdown' in o.get('data', {})]
    c.outputs = [o for o in c.outputs if o not in told]
    return [c, *(new_markdown_cell(markdown(o.data['text/markdown'], file)) for o in told)]


def hidden(source: str) -> bool:
    return not without_directives(source) or bool({'hide', 'default_exp'} & set(directives(source)))


def convert(file: Path, names: Names, documented: set):
    "A notebook as Sphinx is to read it."
    nb, page, cells = nbformat.read(file, 4), page_of(file), []
    module, index = module_of(nb), file == root / 'nbs' / 'index.ipynb'
    link = names.linker(module, imports(nb))
    for c in nb.cells:
        if c.cell_type == 'markdown':
            c.source = markdown(c.source, file, link)
            if index:
                c.source = front.front(c.source, first=not cells)
            cells.append(c)
        elif c.cell_type == 'code' and not hidden(c.source) and 'readme' not in directives(c.source):
            cells += split(c, file)
    if not index:
        title = TITLE.match(cells[0].source)[0].rstrip()
        links = head(file, module if module in documented else None)
        rest = cells[0].source[len(title) :].strip()
        cells[0].source = f'{title}{links}\n\n{rest}'
    nb.cells = merged(cells)
    nb.metadata = dict(
        kernelspec=dict(display_name='Python 3', language='python', name='python3'),
        language_info=dict(name='python', pygments_lexer='ipython3'),
    )
    (src / page).parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nb, src / page)


def headline(text: str) -> tuple[str, str]:
    "Title and description of a page's Markdown, as plain text: the line under the title, or the first paragraph."
    title, _, rest = text.strip().partition('\n')
    paragraphs = (p.strip() for p in re.split(r'\n\s*\n', MARK.sub('', rest)) if p.strip())
    said = next((p for p in paragraphs if not re.match(r'[{<!#`|]|\[Notebook', p)), '')
    said = re.sub(r'\[([^\]]*)\]\([^)]*\)|\{py:\w+\}`([^`<]*?)\s*(?:<[^>]*>)?`', lambda m: m[1] or m[2], said)
    said = ' '.join(re.sub(r'[*`>]|^\s*', '', said).split())
    short = said if len(said) < 200 else said[:200].rsplit(' ', 1)[0] + ' …'
    return title.removeprefix('# ').replace('`', '').strip(), unescape(short)


def minutes(cells: list) -> int:
    "How long a page takes to read: its prose, and the code that isn't folded."
    words = sum(len(c.source.split()) for c in cells if c.cell_type == 'markdown')
    code = [c for c in cells if c.cell_type == 'code' and 'hide-input' not in c.metadata.get('tags', ())]
    return max(1, round(words / WORDS + sum(len(c.source.splitlines()) for c in code) / LINES))


def demonstrations() -> Examples:
    "The cells of all notebooks that export nothing: what shows how definitions are used."
    told = {}
    for f in (root / 'nbs').rglob('*.ipynb'):
        nb = nbformat.read(f, 4)
        code = [c.source for c in nb.cells if c.cell_type == 'code' and not hidden(c.source)]
        told[module_of(nb) or f.stem] = [without_directives(c) for c in code if 'export' not in directives(c)]
    return Examples(told)


def reference(by_module: dict, names: Names, notebooks: dict):
    "A page for each module, and one that lists them; `notebooks` has each module's file."
    examples, rows, bare = demonstrations(), [], []
    for module, found in by_module.items():
        file, page = notebooks[module], Path(f'{reference_page(module)}.md')
        title, about = headline(nbformat.read(file, 4).cells[0].source)
        link, shown = names.linker(module, set()), {d.full: examples.of(d) for d in found}
        bare += [d.full for d in found if d.kind in ('function', 'class') and not shown[d.full]]
        told_in = f'[{title}]({os.path.relpath(page_of(file), page.parent)}) explains it.'
        code = f'[Source]({github}/{module.replace(".", "/")}.py)'
        parts = [f'# {module}', about, f'{{.places}}\n{told_in} · {code}', f'```{{py:module}} {module}\n```']
        (src / page).parent.mkdir(parents=True, exist_ok=True)
        (src / page).write_text('\n\n'.join(parts + [entry(d, link, shown[d.full]) for d in found]), encoding='utf-8')
        rows.append(f'| [{module}]({page.relative_to("reference")}) | {about} |')
    table = '\n'.join(['| module | what it is for |', '|---|---|', *rows])
    text = 'What each module defines for others, with an example out of a notebook. {ref}`All names <genindex>`.'
    (src / 'reference' / 'index.md').write_text(f'# Reference\n\n{text}\n\n{table}\n', encoding='utf-8')
    (src / 'bare.json').write_text(json.dumps(bare))


def contents(toc: dict) -> list[dict]:
    "What the theme knows of the pages, in order: rooms are their pages that aren't named anywhere."
    named, sections = {p for pages in toc.values() for p in pages}, []
    for caption, pages in toc.items():
        listed = []
        for p in pages:
            room = sorted(f.relative_to(src).with_suffix('').as_posix() for f in (src / p).rglob('*.*'))
            listed += [q for q in room if q not in named] if room else [p]
        sections.append(dict(caption=caption, pages=[about(p) for p in listed]))
    return sections


def about(page: str) -> dict:
    "A page's entry in the contents."
    if page == 'genindex':
        return dict(name=page, title='All names', label='All names', minutes=0, description='All names of the package')
    file = src / f'{page}.ipynb'
    cells = nbformat.read(file, 4).cells if file.exists() else [new_markdown_cell((src / f'{page}.md').read_text())]
    title, description = headline(cells[0].source)
    label = f'{page[:2]} {title}' if page[:2].isdigit() else title.removeprefix('minisd.')
    time = 0 if page.startswith('reference/') else minutes(cells)
    return dict(name=page, title=title, label=label, minutes=time, description=description)


def marked(source: str) -> str:
    "Code with a mark at comments behind it, so that a formatter doesn't count them."
    try:
        found = [t for t in tokenize.generate_tokens(io.StringIO(source).readline) if t.type == tokenize.COMMENT]
    except (tokenize.TokenError, SyntaxError):
        return source
    lines = source.split('\n')
    for (row, at), text in ((t.start, t.string) for t in found):
        if lines[row - 1][:at].strip():
            lines[row - 1] = lines[row - 1][:at] + PRAGMA + text.removeprefix('#').lstrip()
    return '\n'.join(lines)


def unmarked(source: str) -> str:
    "Code with its comments back in place, above their line where they are too long to stand behind it."
    lines = []
    for line in source.split('\n'):
        code, mark, comment = line.partition(PRAGMA)
        whole = f'{code}# {comment}' if mark else line
        indent = ' ' * (len(line) - len(line.lstrip()))
        if mark and len(whole) > COLUMNS:
            lines += [*textwrap.wrap(f'# {comment}', COLUMNS, initial_indent=indent, subsequent_indent=f'{indent}# ')]
            lines.append(code.rstrip())
        elif line.lstrip().startswith('# ') and len(line) > COLUMNS:
            lines += textwrap.wrap(line.strip(), COLUMNS, initial_indent=indent, subsequent_indent=f'{indent}# ')
        else:
            lines.append(whole)
    return '\n'.join(lines)


def narrow():
    "Code of the pages as a formatter writes it for their column."
    files = {f: nbformat.read(f, 4) for f in src.rglob('*.ipynb')}
    rewrite = lambda change: [
        [setattr(c, 'source', change(c.source)) for c in nb.cells if c.cell_type == 'code'] for nb in files.values()
    ]
    rewrite(marked)
    for f, nb in files.items():
        nbformat.write(nb, f)
    ruff = [sys.executable, '-m', 'ruff', 'format', '--quiet', '--isolated', '--no-cache']
    options = f'line-length = {COLUMNS}', "format.quote-style = 'preserve'"
    subprocess.run([*ruff, *(a for o in options for a in ('--config', o)), *map(str, files)], capture_output=True)
    files = {f: nbformat.read(f, 4) for f in files}
    rewrite(unmarked)
    for f, nb in files.items():
        nbformat.write(nb, f)


def prepare():
    "What Sphinx reads: a page for each notebook and each module, figures, contents, and where definitions stand."
    for part in ('site', 'extra', 'static', 'doctrees', 'html'):
        shutil.rmtree(work / part, ignore_errors=True)
    src.mkdir(parents=True)
    files = [f for f in sorted((root / 'nbs').rglob('*.ipynb')) if '.ipynb_checkpoints' not in f.parts]
    notebooks = {m: f for f in files if (m := module_of(nbformat.read(f, 4)))}
    by_module = {m: definitions(m) for m in sorted(notebooks)}
    names = Names(by_module)
    for f in files:
        convert(f, names, {m for m, ds in by_module.items() if ds})
    file, page = root / '.github' / 'CONTRIBUTING.md', Path('contributing.md')
    (src / page).write_text(relink(file.read_text(encoding='utf-8'), file, page), encoding='utf-8')
    reference({m: ds for m, ds in by_module.items() if ds}, names, notebooks)
    narrow()
    copy_figures()
    toc = contents(json.loads((here / 'contents.json').read_text(encoding='utf-8')))
    front_page = dict(
        zip(('title', 'description'), headline(nbformat.read(root / 'nbs/index.ipynb', 4).cells[0].source))
    )
    told = dict(sections=toc, front=front_page, katex=bool(finish.node_for_katex()))
    (src / 'pages.json').write_text(json.dumps(told, ensure_ascii=False))
    places = {d.full: [f'{d.module.replace(".", "/")}.py', *d.lines] for d in names.full.values()}
    (src / 'sources.json').write_text(json.dumps(places))
    print(f'{len(files)} notebooks, {len(places)} names in the reference')


def main() -> int:
    from sphinx.cmd.build import main as sphinx

    t, ahead = time.time(), play.ahead()
    prepare()
    options = f'-q -W --keep-going -b html -c {here} -d {work / "doctrees"}'.split()
    status = sphinx([*options, str(src), str(work / 'html')])
    if not status:
        problems.extend(finish.finish(work / 'html', work / 'pictures'))
    shutil.rmtree(out, ignore_errors=True)
    (work / 'html').rename(out)
    (out / '.nojekyll').touch()
    if ahead:
        ahead.wait()  # whatever it couldn't do is done, or said, by what follows
    play.into(out)
    if problems:
        print('\n'.join(problems), file=sys.stderr)
    print(f'_docs/index.html: {time.time() - t:.0f} s' + (', with the faults above' if status or problems else ''))
    return status or bool(problems)


if __name__ == '__main__':
    sys.exit(main())
