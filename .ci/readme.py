"Write the tables of README.md from the result files: everything between <!-- NAME --> and <!-- /NAME --> is made here. --check only compares."

import re, sys
from pathlib import Path

import tables

root = Path(__file__).resolve().parents[1]


def main():
    file = root / 'README.md'
    text = new = file.read_text(encoding='utf-8')
    for name in re.findall(r'<!-- (\w+) -->', text):
        new = re.sub(
            rf'(<!-- {name} -->\n).*?(<!-- /{name} -->)',
            lambda m: f'{m[1]}{getattr(tables, name)()}\n{m[2]}',
            new,
            count=1,
            flags=re.S,
        )
    if '--check' in sys.argv and new != text:
        sys.exit('README.md does not say what data/results says: run make readme')
    if new != text:
        file.write_text(new, encoding='utf-8')
    print('README.md says what the result files say')


main()
