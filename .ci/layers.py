"Draw the imports between the package's modules, those inside functions included, and fail on a circle."
import ast
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

root = Path(__file__).resolve().parents[1]/'minisd'


def imports(file: Path) -> set[str]:
    "Modules of the package that a module imports anywhere in it."
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import): found |= {a.name.removeprefix('minisd.') for a in node.names if a.name.startswith('minisd.')}
        elif isinstance(node, ast.ImportFrom) and (node.level == 1 or (node.module or '').split('.')[0] == 'minisd'):
            inner = (node.module or '').removeprefix('minisd').lstrip('.')
            found |= {inner} if inner else {a.name for a in node.names}
    return found


def main() -> int:
    modules = {f.stem for f in root.glob('*.py') if not f.stem.startswith('__')}
    graph = {m: imports(root/f'{m}.py') & modules for m in sorted(modules)}
    sorter = TopologicalSorter(graph)
    try: sorter.prepare()
    except CycleError as e:
        print('modules import each other in a circle:', ' → '.join(reversed(e.args[1])))
        return 1
    level = 0
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        print(f'{level}  {" ".join(ready)}')
        sorter.done(*ready)
        level += 1
    return 0


if __name__ == '__main__': sys.exit(main())
