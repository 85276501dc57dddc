"""Build the site from the notebooks: `make docs`. Nothing is executed and nothing is downloaded; Sphinx renders.

A notebook's page has its saved outputs, no directives, and at its end a reference of what its module exports.
"""

import ast
import importlib
import json
import os
import re
import shutil
import sys
import time
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

import nbformat
import play
from fastcore.docments import docments
from nbdev.config import get_config
from nbformat.v4 import new_markdown_cell

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
FUNCTIONS = ast.FunctionDef, ast.AsyncFunctionDef
LONG = 30  # lines of code that are shown without a click
HEAVY = 200_000  # bytes of a figure
problems = []  # each a line; any of them fails the build


def joined(source: str) -> list[str]:
    "Lines of a cell; a directive that goes on, on lines with more than one space after `#|`, as one."
    return re.sub(r'\n#\|\s{2,}(?=\S)', ' ', source).splitlines()


def directives(source: str) -> dict:
    return dict(m.groups() for m in map(DIRECTIVE.match, joined(source)) if m)


def without_directives(source: str) -> str:
    return '\n'.join(l for l in joined(source) if not DIRECTIVE.match(l)).strip()


@dataclass
class Definition:
    "Something that a module exports."

    name: str  # 'grid', 'Studio', 'Studio.wait'
    kind: str  # 'function', 'class', 'method', 'data'
    signature: str  # '(a: int = 1) -> str'
    object: object
    module: str  # 'minisd.base.viz'
    lines: tuple[int, int]  # in the module
    helps: dict  # parameter -> what the command line says of it

    @property
    def full(self):
        return f'{self.module}.{self.name}'


def plain(node):
    "`Annotated[T, ...]`, as the command line has it, is T here."

    class Bare(ast.NodeTransformer):
        def visit_Subscript(self, n):
            return self.visit(n.slice.elts[0]) if ast.unparse(n.value) == 'Annotated' else self.generic_visit(n)

    return Bare().visit(node)


def helps(node) -> dict:
    "What the command line says of parameters."
    found = {}
    for a in [*node.args.args, *node.args.kwonlyargs]:
        for k in ast.walk(a.annotation) if a.annotation else ():
            if isinstance(k, ast.keyword) and k.arg == 'help' and isinstance(k.value, ast.Constant):
                found[a.arg] = k.value.value
    return found


def signature(node) -> str:
    "A definition's parameters as they are written."
    node = plain(node)
    args = node.args
    if args.args and args.args[0].arg in ('self', 'cls'):
        args.args = args.args[1:]
    return f'({ast.unparse(args)})' + (f' -> {ast.unparse(node.returns)}' if node.returns else '')


def owner(node) -> str | None:
    "The class that a patched function becomes a method of."
    patched = any(ast.unparse(d).startswith('patch') for d in getattr(node, 'decorator_list', ()))
    return ast.unparse(node.args.args[0].annotation).strip('"\'') if patched else None


def members(node):
    "A class, with the parameters that make one, and its methods: (name, kind, node, signature) of each."
    methods = [n for n in node.body if isinstance(n, FUNCTIONS)]
    fields = [ast.unparse(n) for n in node.body if isinstance(n, ast.AnnAssign)]
    told = fields if any('dataclass' in ast.unparse(d) for d in node.decorator_list) else []
    made = next((signature(n) for n in methods if n.name == '__init__'), f'({", ".join(told)})')
    yield node.name, 'class', node, made
    for n in methods:
        if not n.name.startswith('_') and ast.get_docstring(n):
            yield f'{node.name}.{n.name}', 'method', n, signature(n)


def defined(node):
    "What a statement of a module defines for others: functions, classes and their methods, constants in capitals."
    if isinstance(node, FUNCTIONS) and not node.name.startswith('_'):
        of = owner(node)
        yield f'{of}.{node.name}' if of else node.name, 'method' if of else 'function', node, signature(node)
    elif isinstance(node, ast.ClassDef) and not node.name.startswith('_'):
        yield from members(node)
    elif isinstance(node, (ast.Assign, ast.AnnAssign)):
        names = node.targets if isinstance(node, ast.Assign) else [node.target]
        if all(isinstance(t, ast.Name) and t.id.isupper() for t in names):
            yield names[0].id, 'data', node, ''


def definitions(module: str) -> list[Definition]:
    "What a module defines for others."
    loaded, found = importlib.import_module(module), []
    tree = ast.parse((root / (module.replace('.', '/') + '.py')).read_text(encoding='utf-8'))
    for name, kind, node, made in (d for statement in tree.body for d in defined(statement)):
        told = helps(node) if isinstance(node, FUNCTIONS) else {}
        lines = node.lineno, node.end_lineno
        found.append(Definition(name, kind, made, attrgetter(name)(loaded), module, lines, told))
    return found


def cell_text(text) -> str:
    return ' '.join(str(text).split()).replace('|', '\\|')


def parameters(d: Definition) -> str:
    "Its parameters as a table: those whose meaning is told."
    try:
        found = docments(d.object, full=True, returns=True)
    except (TypeError, ValueError, OSError):
        return ''
    rows = [
        (n if n != 'return' else 'returns', p.get('docment') or d.helps.get(n))
        for n, p in found.items()
        if n not in ('self', 'cls') and (p.get('docment') or n in d.helps)
    ]
    return (
        '\n'.join(
            [
                '| parameter | meaning |',
                '|---|---|',
                *(f'| {"*returns*" if n == "returns" else f"`{n}`"} | {cell_text(t)} |' for n, t in rows),
            ]
        )
        if rows
        else ''
    )


def entry(d: Definition, link) -> str:
    "A definition for Sphinx's Python domain: signature, docstring, table of parameters."
    if d.kind == 'data':
        return f'~~~~{{py:data}} {d.name}\n:module: {d.module}\n~~~~'
    doc = (
        link(' '.join((getattr(d.object, '__doc__', None) or '').split()))
        if d.kind != 'class' or not str(d.object.__doc__).startswith(f'{d.name}(')
        else ''
    )
    return f'~~~~{{py:{d.kind}}} {d.name}{d.signature}\n:module: {d.module}\n\n{doc}\n\n{link(parameters(d))}\n~~~~'


class Names:
    "Where back-ticked names lead to."

    def __init__(self, by_module: dict):
        self.modules, self.full, self.by_name = set(by_module), {d.full: d for ds in by_module.values() for d in ds}, {}
        for d in self.full.values():
            self.by_name.setdefault(d.name, []).append(d)

    def find(self, name: str, module: str | None, imported: set):
        "A definition by the name that a reader of this page would mean, or None."
        name = name.removesuffix('()')
        if name in self.full:
            return self.full[name]
        here, all_of = [d for d in self.by_name.get(name, ()) if d.module == module], self.by_name.get(name, [])
        if here:
            return here[0]
        telling = '.' in name or '_' in name or not name.islower()  # a plain word may just be a word
        return all_of[0] if len(all_of) == 1 and (telling or name in imported) else None

    def linker(self, module: str | None, imported: set):
        "A function that links the back-ticked names of a Markdown text, outside of code blocks and of links."

        def one(m):
            if m[1] in self.modules:
                return f'{{py:mod}}`{m[1]}`'
            d = self.find(m[1], module, imported)
            return f'{{py:obj}}`{m[1]} <{d.full}>`' if d else m[0]

        def line(text):
            if m := re.match(r'\| `\w+` (?=\|)', text):
                return m[0] + line(text[m.end() :])  # a parameter's name is no name of ours
            return (
                re.sub(r'(?<![`\[{}])`([A-Za-z_][\w.]*(?:\(\))?)`(?![`\]])', one, text)
                if not text.startswith('#')
                else text
            )

        def link(text):
            fenced, lines = False, []
            for l in text.split('\n'):
                if l.lstrip().startswith('```'):
                    fenced = not fenced
                lines.append(l if fenced else line(l))
            return '\n'.join(lines)

        return link


def page_of(path: Path) -> Path | None:
    "A notebook's place among the pages, those of nbs/site at the top; None for another file."
    if path.suffix != '.ipynb' or not path.is_relative_to(root / 'nbs'):
        return None
    page = path.relative_to(root / 'nbs')
    return Path(page.name) if page.parts[0] == 'site' else page


def light(figure: Path) -> Path:
    "A figure's file on the site: large ones are WebP there."
    return figure.with_suffix('.webp') if figure.suffix == '.png' and (root / figure).stat().st_size > HEAVY else figure


def copy_figures():
    "Figures for the pages, the gallery's beside them: its page is HTML."
    from PIL import Image

    for f in (root / 'figures').glob('*.*'):
        to = src / light(f.relative_to(root))
        to.parent.mkdir(exist_ok=True)
        if to.suffix == f.suffix:
            shutil.copy(f, to)
        else:
            Image.open(f).convert('RGB').save(to, quality=92, method=6)
    shutil.copytree(root / 'figures' / 'gallery', work / 'extra' / 'figures' / 'gallery')
    Image.open(root / 'figures' / 'gallery' / '3.png').crop((18, 0, 50, 32)).save(src / 'favicon.png')  # a balloon


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
        return os.path.relpath(page_of(path) or light(path.relative_to(root)), page.parent)
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
    path = file.relative_to(root)
    colab = f'https://colab.research.google.com/github/{cfg.user}/{cfg.repo}/blob/{cfg.branch}/{path}'
    code = f' · [{module}]({github}/{module.replace(".", "/")}.py)' if module else ''
    runs = f'[Open in Colab]({colab}) · ' if re.match(r'\d\d_|colab', file.name) else ''
    return f'\n\n{runs}[Notebook on GitHub]({github}/{path}){code}'


def folded(source: str, exported: bool) -> str:
    "What a cell of code holds, if it is to be folded away."
    if IMPORTS.fullmatch(source):
        return 'imports'
    lines = len(source.splitlines())
    return f'code ({lines} lines)' if exported and lines > LONG else ''


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
    what = folded(c.source, 'export' in d)
    if what and not file.name.startswith('index'):
        c.metadata.setdefault('tags', []).append('hide-input')
        look |= dict(code_prompt_show=f'Show the {what}', code_prompt_hide=f'Hide the {what}')
    c.outputs = shown(c.outputs, name)
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


def convert(file: Path, names: Names, by_module: dict):
    "A notebook as Sphinx is to read it."
    nb, page, cells = nbformat.read(file, 4), page_of(file), []
    module = module_of(nb)
    link = names.linker(module, imports(nb))
    for c in nb.cells:
        if c.cell_type == 'markdown':
            c.source = markdown(c.source, file, link)
            cells.append(c)
        elif c.cell_type == 'code' and not hidden(c.source):
            cells += split(c, file)
    title = TITLE.match(cells[0].source)[0].rstrip()
    cells[0].source = f'{title}{head(file, module)}\n\n{cells[0].source[len(title) :].strip()}'
    if module and by_module.get(module):
        entries = '\n\n'.join(entry(d, link) for d in by_module[module])
        cells.append(new_markdown_cell(f'## Reference\n\n```{{py:module}} {module}\n```\n\n{entries}'))
    nb.cells = merged(cells)
    nb.metadata = dict(
        kernelspec=dict(display_name='Python 3', language='python', name='python3'),
        language_info=dict(name='python', pygments_lexer='ipython3'),
    )
    (src / page).parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nb, src / page)


def title(page: str) -> str:
    return nbformat.read(src / f'{page}.ipynb', 4).cells[0].source.splitlines()[0].removeprefix('# ')


def contents(toc: dict):
    "The index page's tables of contents: pages, and rooms, which are their pages that aren't named anywhere."
    nb, named = nbformat.read(src / 'index.ipynb', 4), {p for pages in toc.values() for p in pages}
    for caption, pages in toc.items():
        lines = []
        for p in pages:
            room = sorted(f'{p}/{f.stem}' for f in (src / p).glob('*.ipynb'))
            lines += [q for q in room if q not in named] if room else [entitled(p)]
        listed = '\n'.join(lines)
        nb.cells.append(new_markdown_cell(f'```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{listed}\n```'))
    nbformat.write(nb, src / 'index.ipynb')


def entitled(page: str) -> str:
    "A line of a table of contents."
    if page == 'genindex':
        return 'All names <genindex>'
    return f'{page[:2]} {title(page)} <{page}>' if page[:2].isdigit() else page


def prepare():
    "What Sphinx reads: a page for each notebook, figures, tables of contents, and where each definition stands."
    shutil.rmtree(work, ignore_errors=True)
    src.mkdir(parents=True)
    notebooks = [f for f in sorted((root / 'nbs').rglob('*.ipynb')) if '.ipynb_checkpoints' not in f.parts]
    modules = {m for f in notebooks if (m := module_of(nbformat.read(f, 4)))}
    by_module = {m: definitions(m) for m in sorted(modules)}
    names = Names(by_module)
    for f in notebooks:
        convert(f, names, by_module)
    file, page = root / '.github' / 'CONTRIBUTING.md', Path('contributing.md')
    (src / page).write_text(relink(file.read_text(encoding='utf-8'), file, page), encoding='utf-8')
    copy_figures()
    contents(json.loads((here / 'contents.json').read_text(encoding='utf-8')))
    places = {d.full: [f'{d.module.replace(".", "/")}.py', *d.lines] for d in names.full.values()}
    (src / 'sources.json').write_text(json.dumps(places))
    print(f'{len(notebooks)} notebooks, {len(places)} API entries')


def main() -> int:
    from sphinx.cmd.build import main as sphinx

    t = time.time()
    prepare()
    options = [
        "-q",
        "-W",
        "--keep-going",
        "-b",
        "html",
        "-c",
        str(here),
        "-d",
        str(work / "doctrees"),
        str(src),
        str(work / "html"),
    ]
    status = sphinx(options)
    shutil.rmtree(out, ignore_errors=True)
    (work / 'html').rename(out)
    (out / '.nojekyll').touch()
    play.into(out)
    if problems:
        print('\n'.join(problems), file=sys.stderr)
    print(f'_docs/index.html: {time.time() - t:.0f} s' + (', with the faults above' if status or problems else ''))
    return status or bool(problems)


if __name__ == '__main__':
    sys.exit(main())
