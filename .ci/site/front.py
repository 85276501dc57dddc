"The front page: what stands on it beside the text of nbs/index.ipynb, and the card that a link to it shows."

import re
from html import escape
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from minisd.base.png import read_settings

root, here = Path(__file__).resolve().parents[2], Path(__file__).resolve().parent
CHAPTER = re.compile(r'^- \[(\d\d) ([^\]]+)\]\((\d\d_\w+)\.ipynb\): (.+)$', re.M)
PICTURE = re.compile(r'^!\[[^\]]*\]\([^)]*demo\.png\)$', re.M)
SHOWN = 4  # pictures of the gallery


def drawn(count: int = SHOWN) -> list[tuple[Path, str]]:
    "Pictures of the gallery that the front page shows, with their captions: the first ones, unchosen."
    files = sorted((root / 'figures' / 'gallery').glob('*.png'), key=lambda f: int(f.stem))
    return [(f, read_settings(f)['prompt']) for f in files[:count]]


def strip() -> str:
    "The picture of the front page: what the shipped model drew, captions as text."
    cells = []
    for f, prompt in drawn():
        w, h = Image.open(f).size
        alt = escape(f'{prompt}, as the model drew it')
        cells.append(
            f'<figure><img src="figures/gallery/{f.name}" width="{w}" height="{h}" alt="{alt}" loading="eager">'
            f'<figcaption>{escape(prompt)}</figcaption></figure>'
        )
    return '<div class="strip">\n' + '\n'.join(cells) + '\n</div>'


def cards(text: str) -> str:
    "The list of chapters as cards, each with a drawing of what it is about."
    rows = []
    for number, name, page, about in CHAPTER.findall(text):
        file = here / 'theme' / 'cards' / f'{page}.svg'
        drawing = file.read_text(encoding='utf-8').strip() if file.exists() else ''
        rows.append(
            f'<li><a class="card" href="{page}.html">{drawing}<span class="number">{number}</span>'
            f'<strong>{escape(name)}</strong><span>{escape(about)}</span></a></li>'
        )
    return '<ul class="cards">\n' + '\n'.join(rows) + '\n</ul>'


def front(text: str, first: bool) -> str:
    "Markdown of a cell of the front page as the site has it; the first cell has room for the playground."
    if first:
        title, _, rest = text.partition('\n\n')
        sentence, _, rest = rest.strip().partition('\n\n')
        text = f'{title}\n\n{sentence}\n\n<div id="playground"></div>\n\n{rest}'
    text = PICTURE.sub(lambda m: strip(), text)
    found = list(CHAPTER.finditer(text))
    return text[: found[0].start()] + cards(text) + text[found[-1].end() :] if found else text


def fonts(size: int) -> tuple:
    "A bold and a plain face that every machine with matplotlib has."
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / 'fonts' / 'ttf'
    return ImageFont.truetype(folder / 'DejaVuSans-Bold.ttf', size), ImageFont.truetype(folder / 'DejaVuSans.ttf', 30)


def preview(to: Path, name: str, sentence: str):
    "What is shown where somebody posts a link: the name, the sentence, and pictures; 1200 × 630 pixels."
    card, (bold, plain) = Image.new('RGB', (1200, 630), '#1b2733'), fonts(76)
    for i, (f, _) in enumerate(drawn(6)):
        card.paste(Image.open(f).convert('RGB').resize((200, 200), Image.Resampling.NEAREST), (i * 200, 430))
    draw, line, y = ImageDraw.Draw(card), '', 190
    draw.text((70, 70), name, font=bold, fill='#f4efe6')
    for word in [*sentence.split(), None]:
        if word is None or draw.textlength(f'{line} {word}', font=plain) > 1060:
            draw.text((70, y), line, font=plain, fill='#e3b58f')
            line, y = word, y + 46
        else:
            line = f'{line} {word}'.strip()
    card.save(to, optimize=True)
