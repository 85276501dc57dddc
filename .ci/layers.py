"""Draw the imports of the package, those inside functions included, room by room.

Fails on an arrow that climbs, on a circle, and on a room that the drawing in README.md doesn't show.
"""

import ast
import re
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

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
            above = room[: len(room) - node.level + 1]
            inner = '.'.join([*above, node.module or '']).strip('.')
        elif parts[0] == 'minisd':
            inner = '.'.join(parts[1:])
        else:
            continue
        found |= {inner, *(f'{inner}.{a.name}'.strip('.') for a in node.names)}
    return found


def climbs(a: str, b: str) -> bool:
    "Whether module `a` stands too low to import module `b`."
    floor = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}
    x, y = a.split('.')[0], b.split('.')[0]
    return floor[x] < floor[y] or floor[x] == floor[y] and x != y and not {x, y} <= {*SPINE}


def main() -> int:
    files, bad = modules(), []
    graph = {m: (imports(m, f) & files.keys()) - {m} for m, f in files.items()}
    known = {room for rooms in FLOORS for room in rooms}
    rooms = {m.split('.')[0] for m in files}
    bad += [f'{r} has no floor in {Path(__file__).name}' for r in sorted(rooms - known)]
    if not bad:
        bad += [
            f'{a} imports {b}, which stands higher' for a in sorted(graph) for b in sorted(graph[a]) if climbs(a, b)
        ]
    drawn = re.findall(r'^(?:nbs/)?\s*(\w+)/', (ROOT / 'README.md').read_text(encoding='utf-8'), re.M)
    bad += [
        f'the drawing in README.md has no room {r}'
        for r in sorted({r for r in rooms if (PACKAGE / r).is_dir()} - {*drawn})
    ]
    sorter = TopologicalSorter(graph)
    try:
        sorter.prepare()
    except CycleError as e:
        bad.append(f'modules import each other in a circle: {" → ".join(reversed(e.args[1]))}')
    for level, floor in enumerate(FLOORS):
        print(f'{level}  {"  ".join(f"{r}: {names}" if (names := inside(r, files)) else r for r in floor)}')
    print(f'{len(files)} modules, {sum(map(len, graph.values()))} arrows, {len(FLOORS)} floors')
    print('\n'.join(bad))
    return bool(bad)


def inside(room: str, files: dict) -> str:
    return ' '.join(sorted(m.split('.')[1] for m in files if m.startswith(f'{room}.')))


if __name__ == '__main__':
    sys.exit(main())
