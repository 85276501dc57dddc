"The reference: what a module defines for others, as pages of their own, and where back-ticked names lead to."

import ast
import importlib
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from operator import attrgetter
from pathlib import Path

from fastcore.docments import docments

root = Path(__file__).resolve().parents[2]
FUNCTIONS = ast.FunctionDef, ast.AsyncFunctionDef
SHORT = 14  # lines of an example


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


@cache
def parsed(module: str) -> tuple[str, ast.Module]:
    text = (root / (module.replace('.', '/') + '.py')).read_text(encoding='utf-8')
    return text, ast.parse(text)


def definitions(module: str) -> list[Definition]:
    "What a module defines for others."
    loaded, found = importlib.import_module(module), []
    _, tree = parsed(module)
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


def told(d: Definition) -> str:
    "What its docstring says; a dataclass without one says nothing."
    doc = ' '.join((getattr(d.object, '__doc__', None) or '').split())
    return '' if d.kind == 'data' or d.kind == 'class' and doc.startswith(f'{d.name}(') else doc


def entry(d: Definition, link, example: str = '') -> str:
    "A definition for Sphinx's Python domain: signature, docstring, table of parameters, example."
    shown = f'```python\n{example}\n```' if example else ''
    table = link(parameters(d)) if d.kind != 'data' else ''
    body = '\n\n'.join(p for p in (link(told(d)), table, shown) if p)
    return f'~~~~{{py:{d.kind}}} {d.name}{d.signature}\n:module: {d.module}\n\n{body}\n~~~~'


def uses(node) -> set[str]:
    "Names and attributes that a piece of code reads."
    found = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    return found | {f'.{n.attr}' for n in ast.walk(node) if isinstance(n, ast.Attribute)}


def makes(node) -> set[str]:
    "Names that a statement gives a meaning to."
    found = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    named = isinstance(node, (*FUNCTIONS, ast.ClassDef))
    return found | ({node.name} if named else {a.asname or a.name for a in getattr(node, 'names', ())})


@dataclass
class Statement:
    "A statement of a cell, with what it reads and makes."

    text: str
    reads: set
    made: set


def statements(source: str) -> list[Statement]:
    "Those of a cell at its top, each with the comments on its lines; none if it is no plain Python."
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return []
    lines = source.split('\n')
    spans = [(min([n.lineno, *(d.lineno for d in getattr(n, 'decorator_list', ()))]), n.end_lineno) for n in tree.body]
    return [Statement('\n'.join(lines[a - 1 : b]), uses(n), makes(n)) for n, (a, b) in zip(tree.body, spans)]


def sliced(cell: list[Statement], name: str) -> str:
    "The first statement of a cell that uses a name, and those before it that it leans on."
    at = next((i for i, s in enumerate(cell) if name in s.reads), None)
    if at is None:
        return ''
    kept, needed = {at}, set(cell[at].reads)
    for i in range(at - 1, -1, -1):
        if cell[i].made & needed:
            kept.add(i)
            needed |= cell[i].reads
    return '\n'.join(cell[i].text for i in sorted(kept))


def heads(place) -> Iterator[tuple[int, int, set]]:
    "First and last line of each statement in a definition, or of the head of one that has a body, and what it reads."
    for n in ast.walk(place):
        if isinstance(n, ast.stmt) and not isinstance(n, (*FUNCTIONS, ast.ClassDef)):
            body = getattr(n, 'body', None)
            own = [c for c in ast.iter_child_nodes(n) if not isinstance(c, (ast.stmt, ast.ExceptHandler))]
            yield n.lineno, body[0].lineno - 1 if body else n.end_lineno, set().union(*map(uses, own))


@cache
def calls(module: str) -> dict[str, str]:
    "Name -> a statement of a module that uses it, and the function that it stands in."
    (text, tree), found = parsed(module), {}
    for place in tree.body:
        own = getattr(place, 'name', '')
        stands = f'# in {own}\n' if own else ''
        for first, last, read in heads(place):
            lines = text.split('\n')[first - 1 : last]
            for name in read - {own}:
                line = next((l.strip() for l in lines if re.search(rf'\b{re.escape(name)}\b', l)), '')
                short = 0 < len(lines) < SHORT
                found.setdefault(name, stands + (textwrap.dedent('\n'.join(lines)) if short else line))
    return found


def called(modules: list[str], name: str) -> str:
    return next((calls(m)[name] for m in modules if name in calls(m)), '')


def entered(module: str, name: str) -> str:
    "How a decorator enters a function into a registry."
    text, tree = parsed(module)
    for n in (n for n in tree.body if getattr(n, 'name', '') == name and getattr(n, 'decorator_list', None)):
        lines = text.split('\n')[n.decorator_list[0].lineno - 1 : n.body[0].lineno - 1]
        return '\n'.join(lines) + ' ...' if len(lines) < SHORT else '\n'.join(lines[: len(n.decorator_list)])
    return ''


class Examples:
    "Uses of definitions in the notebooks' own cells: demonstrations and tests."

    def __init__(self, cells: dict[str, list[str]]):  # module, or a notebook's name -> sources
        self.cells = {m: [c for c in map(statements, sources) if c] for m, sources in cells.items()}
        self.modules = [m for m in self.cells if m.startswith('minisd.')]
        self.where = {}
        for m, cs in self.cells.items():
            for name in set().union(*(s.reads for c in cs for s in c)):
                self.where.setdefault(name, []).append(m)

    def of(self, d: Definition) -> str:
        "The first short use in its own notebook, else in another's, else the shortest."
        if d.kind == 'data':
            return ''
        name = f'.{d.name.split(".")[-1]}' if '.' in d.name else d.name
        places = sorted(self.where.get(name, ()), key=lambda m: m != d.module)
        if name.startswith('.'):
            places = [m for m in places if m == d.module]  # a method of that name may be another class's
        found = [text for m in places for c in self.cells[m] if (text := sliced(c, name))]
        size = lambda text: text.count('\n')
        shown = next((t for t in found if size(t) < SHORT), min(found, key=size, default=''))
        return shown or called([d.module, *self.modules], name) or entered(d.module, d.name)


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
