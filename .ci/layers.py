"""Draw the rooms, and the imports of the package, those inside functions included.

Fails on an arrow that climbs, on a circle, on a room without a floor or a purpose, and on a drawing in README.md that
shows other rooms or notebooks than there are.
"""

import ast
import re
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from textwrap import wrap

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / 'minisd'
FLOORS = (  # from the ground up; what stands on one floor may import what stands below it, and rooms their own modules
    ('base',),
    ('world',),
    ('vae', 'clip', 'flow', 'unet'),
    ('pictures',),
    ('training',),
    ('train',),
    ('inference',),
    ('sampling',),
    ('measuring',),
    ('apps', 'lab'),
)
SPINE = 'vae', 'clip', 'flow', 'unet'  # chapters that lean on each other in the order in which they are told
ROOMS = dict(
    apps='where it is used',
    lab='experiments; not in the wheel',
    measuring='how good, how large, how long',
    sampling='what leans on the pipeline of 05',
    training='what the loop of 04 leans on',
    pictures='your own: found, judged, sharded, fed',
    world='what there is to see, to say, to draw',
    base='what all share',
    site='pages of the site',
)


def drawing() -> str:
    "The rooms from the roof down: purpose, and the notebooks in each."
    lines = ['nbs/          the story, and'] if (ROOT / 'nbs').is_dir() else []
    for room in [r for r in ROOMS if (ROOT / 'nbs' / r).is_dir()]:
        names = '  '.join(sorted(p.stem for p in (ROOT / 'nbs' / room).glob('*.ipynb')))
        head, *rest = wrap(names, 48)
        lines += [f'  {room + "/":<12}{ROOMS[room]:<39}{head}', *(' ' * 53 + r for r in rest)]
    return '\n'.join(lines)


def modules() -> dict[str, Path]:
    "Names without the package's -> files; `__init__` and what nbdev makes are left out."
    found = (p for p in PACKAGE.rglob('*.py') if not p.stem.startswith('_'))
    return {'.'.join(p.relative_to(PACKAGE).with_suffix('').parts): p for p in found}


def imports(name: str, file: Path) -> set[str]:
    "What a module imports of the package, as dotted names without the package's."
    found, room = set(), name.split('.')[:-1]
    for node in ast.walk(ast.parse(file.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            found |= {a.name.removeprefix('minisd.') for a in node.names if a.name.startswith('minisd.')}
        if not isinstance(node, ast.ImportFrom):
            continue
        parts = (node.module or '').split('.')
        if node.level:
            inner = '.'.join([*room[: len(room) - node.level + 1], node.module or '']).strip('.')
        elif parts[0] == 'minisd':
            inner = '.'.join(parts[1:])
        else:
            continue
        found |= {inner, *(f'{inner}.{a.name}'.strip('.') for a in node.names)}
    return found


def climbs(a: str, b: str) -> bool:
    "Whether module `a` stands too low to import module `b`; neighbours on a floor don't import each other."
    floor = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}
    x, y = a.split('.')[0], b.split('.')[0]
    return floor[x] < floor[y] or floor[x] == floor[y] and x != y and not {x, y} <= {*SPINE}


def faults(graph: dict[str, set[str]]) -> list[str]:
    "What is wrong with the arrows."
    known = {room for rooms in FLOORS for room in rooms}
    if homeless := {m.split('.')[0] for m in graph} - known:
        return [f'{r} has no floor in {Path(__file__).name}' for r in sorted(homeless)]
    bad = [f'{a} imports {b}, which may not be seen from there' for a in graph for b in graph[a] if climbs(a, b)]
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as e:
        bad.append(f'modules import each other in a circle: {" → ".join(reversed(e.args[1]))}')
    return sorted(bad)


def undrawn() -> list[str]:
    "Rooms that have no purpose, and a README that draws another house."
    there = {p.name for p in (ROOT / 'nbs').iterdir() if any(p.glob('*.ipynb'))}
    bad = [f'room {r} has no purpose in {Path(__file__).name}' for r in sorted(there - ROOMS.keys())]
    found = re.search(r'^```text\n(nbs/ .*?)\n```$', (ROOT / 'README.md').read_text(encoding='utf-8'), re.M | re.S)
    if not found or found[1] != drawing():
        bad.append('README.md draws another house than the tree: run make export')
    return bad


def main() -> int:
    files = modules()
    graph = {m: (imports(m, f) & files.keys()) - {m} for m, f in files.items()}
    print(drawing(), '\n')
    for level, floor in reversed([*enumerate(FLOORS)]):
        print(f'floor {level}  {"  ".join(floor)}')
    print(f'{len(files)} modules, {sum(map(len, graph.values()))} arrows')
    bad = faults(graph) + undrawn()
    print('\n'.join(bad))
    return bool(bad)


if __name__ == '__main__':
    sys.exit(main())
