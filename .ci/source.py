"A notebook as text, for git diff: the cells' sources, and of each output its kind and a short hash."

import json
import sys
from hashlib import sha1
from pathlib import Path

for cell in json.loads(Path(sys.argv[1]).read_text(encoding='utf-8') or '{"cells": []}')['cells']:
    print(f'# {"%" * 2} {cell["cell_type"]} {cell.get("id", "")}\n{"".join(cell["source"])}\n')
    for o in cell.get('outputs', []):
        kinds = ', '.join(sorted(o.get('data', {}))) or o.get('name') or o['output_type']
        print(f'# → {kinds} {sha1(json.dumps(o, sort_keys=True).encode()).hexdigest()[:8]}\n')
