"The site as a reader meets it: links, texts, weight; every page in a browser at two widths; search; accessibility."

import contextlib
import functools
import http.server
import json
import re
import threading
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from browser import FLAGS, PATIENCE, Watched, browser_path, patient
from PIL import Image

root = Path(__file__).resolve().parents[1]
site = root / '_docs'
notebooks = [p for p in (root / 'nbs').rglob('*.ipynb') if '.ipynb_checkpoints' not in p.parts]
pages = sorted(str(p.relative_to(site)) for p in site.rglob('*.html') if '_static' not in p.parts)
chapters = sorted(p.stem for p in (root / 'nbs').glob('[0-9]*.ipynb'))


class Page(HTMLParser):
    "Names, links, pictures and text of a page."

    def __init__(self, text: str):
        super().__init__()
        self.ids, self.links, self.images, self.text, self.meta = set(), [], [], [], {}
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        a = dict(attrs)
        self.ids |= {a[k] for k in ('id', 'name') if a.get(k)}
        if target := a.get('href') or (a.get('src') if tag in ('script', 'img') else None):
            self.links.append(target)
        if tag == 'img':
            self.images.append(a)
        if tag == 'meta':
            self.meta[a.get('name') or a.get('property')] = a.get('content')

    def handle_data(self, data):
        self.text.append(data)


read = functools.cache(lambda page: Page((site / page).read_text(encoding='utf-8')))
pytestmark = pytest.mark.skipif(not pages, reason='no site here: make docs')


def test_every_notebook_and_page_is_there():
    places = [p.relative_to(root / 'nbs').with_suffix('.html') for p in notebooks]
    names = {p.name if p.parts[0] == 'site' else p.as_posix() for p in places}  # pages stand at the top
    names |= {'contributing.html', 'search.html', 'genindex.html', 'reference/index.html', '404.html'}
    assert names <= set(pages), names - set(pages)


def test_every_exported_name_has_an_entry():
    from sphinx.util.inventory import InventoryFile
    from minisd._modidx import d

    with open(site / 'objects.inv', 'rb') as f:
        kinds = InventoryFile.load(f, '', lambda *a: '').items()
    found = {n for kind, names in kinds if kind.startswith('py:') for n in names}
    exported = {s.removeprefix('minisd.') for names in d['syms'].values() for s in names if '._' not in s}
    missing = {n for n in exported if f'minisd.{n}' not in found and n.count('.') == 1}
    assert not missing and len(exported) > 500, missing


def leads_nowhere(page: str, link: str) -> bool:
    "Whether a link of a page names no file of the site, or no place in it."
    target = urlsplit(link)
    if target.scheme or target.netloc or not (target.path or target.fragment):
        return False
    path = ((site / page).parent / unquote(target.path)).resolve() if target.path else site / page
    path = path / 'index.html' if path.is_dir() else path
    if not path.is_file() or not path.is_relative_to(site):
        return True
    anchored = target.fragment and path.suffix == '.html'
    return bool(anchored) and unquote(target.fragment) not in read(str(path.relative_to(site))).ids


def test_links_and_anchors():
    broken = [f'{p}: {link}' for p in pages for link in read(p).links if leads_nowhere(p, link)]
    assert not broken, broken[:20]


def test_links_to_the_repository():
    "Links to files on GitHub name files that are here, and lines that they have."
    from nbdev.config import get_config

    url, broken, n = re.escape(get_config(path=root).git_url), [], 0
    colab = r'https://colab\.research\.google\.com/github/[\w.-]+/[\w.-]+'
    file = re.compile(rf'(?:{url}|{colab})/(?:blob|tree)/main/([^#]*)(?:#L(\d+)-L(\d+))?$')
    lines = functools.cache(lambda p: len(p.read_text(encoding='utf-8').splitlines()))
    for page, m in ((p, m) for p in pages for link in read(p).links if (m := file.match(link))):
        path, n = root / m[1], n + 1
        if not path.exists() or (m[3] and lines(path) < int(m[3])):
            broken.append(f'{page}: {m[0]}')
    assert n > 500 and not broken, broken[:20]


def test_pictures_say_what_they_show():
    silent = [
        f'{p}: {i.get("src", "")[:80]}'
        for p in pages
        for i in read(p).images
        if not i.get('src', '').endswith('favicon.png')  # beside the name that it stands for
        and not (i.get('alt') or '').strip()
        or re.fullmatch(r'[\w./-]+\.\w+', i['alt'])
    ]
    assert not silent, silent[:20]


def test_pictures_have_a_size():
    "So that nothing moves when they come; and all but the first of a page come when they are near."
    files = [(p, [i for i in read(p).images if not i.get('src', '').startswith('data:')]) for p in pages]
    bad = [f'{p}: {i["src"]}' for p, images in files for i in images if not (i.get('width') and i.get('height'))]
    eager = {p: len([i for i in images if i.get('loading') != 'lazy']) for p, images in files}
    assert not bad and {p: n for p, n in eager.items() if n > 2} in ({}, {'index.html': eager['index.html']}), (
        bad,
        eager,
    )


def test_a_link_shows_what_it_leads_to():
    "Each page has a title, a description and a card; chapters differ in theirs."
    told = {p: read(p).meta for p in pages}
    bare = [
        p for p, m in told.items() if not all(m.get(k) for k in ('description', 'og:title', 'og:image', 'viewport'))
    ]
    assert not bare and len({told[f'{c}.html']['description'] for c in chapters}) == len(chapters), bare
    card = site / '_static' / 'card.png'
    assert Image.open(card).size == (1200, 630) and card.stat().st_size < 300_000


def test_the_front_page_in_ten_seconds():
    "In this order: a sentence, room for the playground, a picture, two commands, and a card for each chapter."
    text = (site / 'index.html').read_text()
    marks = '<blockquote>', '<div id="playground"', 'class="strip"', 'id="two-commands"', 'class="cards"'
    places = [text.find(m) for m in marks]
    assert -1 not in places and places == sorted(places), dict(zip(marks, places))
    shown = re.findall(r'<a class="card" href="(\w+)\.html"><svg', text)
    assert shown == chapters


def test_papers_are_named(build):
    "A paper that a notebook cites stands in papers.json with its title, authors and year."
    import finish

    cited = {n for p in notebooks for n in finish.PAPER.findall(p.read_text(encoding='utf-8'))}
    assert cited and not cited - set(finish.papers()), cited - set(finish.papers())
    body, missing = finish.named('<p>As in arXiv:1706.03762 and arXiv:0000.00000.</p><pre>arXiv:2210.02747</pre>')
    assert 'data-paper="Vaswani and others: Attention Is All You Need, 2017"' in body and missing == ['0000.00000']
    assert body.count('<li>') == 2 and '<pre>arXiv:2210.02747</pre>' in body


def test_formulas_are_rendered_when_built(build, monkeypatch):
    "None is left for a browser to render; without npm's KaTeX they are MathML."
    import finish

    left = [p for p in pages if re.search('class="tex( display)?"', (site / p).read_text())]
    assert not left and '<math' in (site / '03_flow.html').read_text()
    styled = 'katex.min.css' in (site / '03_flow.html').read_text()
    assert styled == bool(finish.node_for_katex()) == (site / '_static' / 'katex').exists()
    monkeypatch.setattr(finish, 'katex', Path('nowhere'))
    assert finish.node_for_katex() is None
    made = finish.formulas_of({'a': '<span class="tex">x_1 &lt; 2</span><div class="tex display">\\frac{1}{d}</div>'})
    assert set(made) == {('x_1 < 2', False), (r'\frac{1}{d}', True)} and all('<math' in m for m in made.values())


def test_the_reference_is_apart():
    "No chapter lists names; each module has a page that does, nearly all of them with an example."
    assert not [c for c in chapters if 'class="py ' in (site / f'{c}.html').read_text()]
    assert 'id="minisd.flow.heun"' in (site / 'reference' / 'flow.html').read_text()
    bare = json.loads((root / '_proc' / 'site' / 'bare.json').read_text())
    assert len(bare) <= 20, bare


def test_numbers_come_from_the_files():
    "A number that the pages show is what the result file says."
    nano = json.loads((root / 'data' / 'results' / 'nano.json').read_text())
    text = ' '.join(read('results.html').text)
    assert f'{nano["score"]["mean"]:.3f}' in text and nano['commit'] in text
    own = [f'{p.stem}.html' for p in notebooks if p.parent.name == 'site'] + ['index.html']
    assert not [p for p in own if '<!--' in (site / p).read_text().partition('<article')[2].partition('</article')[0]]


@pytest.fixture
def build(monkeypatch):
    "The builder, and no problems so far."
    monkeypatch.syspath_prepend(root / '.ci' / 'site')
    import build

    monkeypatch.setattr(build, 'problems', [])
    return build


LINKS = [  # in which notebook, as written there, as on its page
    ('00_vae', '[a](01_clip.ipynb#x)', '[a](01_clip.ipynb#x)'),
    ('00_vae', '![b](../figures/sweep.png)', '![b](figures/sweep.png)'),
    ('00_vae', '[c](../data/README.md)', '[c]({github}/data/README.md)'),
    ('00_vae', '[d](site/gallery.ipynb)', '[d](gallery.ipynb)'),
    ('base/viz', '[e]({base}gallery.html)', '[e](../gallery.ipynb)'),
    ('base/viz', '[f]({base}contributing.html#x)', '[f](../contributing.md#x)'),
    ('site/gallery', '[g](../base/viz.ipynb)', '[g](base/viz.ipynb)'),
    ('site/gallery', '<img src="../../figures/gallery/1.png">', '<img src="figures/gallery/1.png">'),
]


@pytest.mark.parametrize('name, text, wanted', LINKS)
def test_links_are_those_of_the_page(build, name, text, wanted):
    file = root / 'nbs' / f'{name}.ipynb'
    at = dict(github=build.github, base=build.base)
    assert build.relink(text.format(**at), file, build.page_of(file)) == wanted.format(**at) and not build.problems


def test_the_builder_finds_faults(build):
    from nbformat.v4 import new_code_cell, new_output

    chapter = root / 'nbs' / '00_vae.ipynb'
    shown = lambda source: build.code_cell(
        new_code_cell(source, outputs=[new_output('display_data', {'image/png': ''})]), chapter
    )
    told = shown('#| fig-alt: two bars,\n#|   one of them red\nshow()')
    assert told.metadata['mystnb']['image'] == dict(alt='two bars, one of them red') and told.source == 'show()'
    assert told.metadata['mystnb']['code_prompt_show'] == 'How it is drawn'
    assert not build.problems
    build.relink('[a](nothing.ipynb)', chapter, Path('00_vae.ipynb'))
    shown('show()')
    assert ['leads nowhere' in build.problems[0], 'has no #| fig-alt' in build.problems[1]] == [True, True]


def test_a_glossary_is_one_for_sphinx(build):
    got = build.terms('## Terms\n\n**lock**\n: One at a time.\n\n**shard, manifest**\n: A file, and a list.')
    assert got == '## Terms\n\n:::{glossary}\nlock\n  One at a time.\n\nshard\nmanifest\n  A file, and a list.\n:::'


def test_names_lead_to_their_entries(build):
    names = build.Names({m: build.definitions(m) for m in ('minisd.base.viz', 'minisd.flow')})
    link = names.linker('minisd.base.viz', {'heun'})
    for text, wanted in (
        ('`grid` and', '{py:obj}`grid <minisd.base.viz.grid>` and'),
        ('`Dials.sheet`', '{py:obj}`Dials.sheet <minisd.base.viz.Dials.sheet>`'),
        ('`heun` not `euler`', '{py:obj}`heun <minisd.flow.heun>` not `euler`'),
        ('```\n`grid`\n```', '```\n`grid`\n```'),
        ('[`grid`](x)', '[`grid`](x)'),
    ):
        assert link(text) == wanted
    table = build.parameters(names.find('grid', 'minisd.base.viz', set()))
    assert '| `cell` | width of a cell, pixels' in table


@contextlib.contextmanager
def served():
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), functools.partial(Quiet, directory=site))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f'http://127.0.0.1:{server.server_address[1]}/'
    finally:
        server.shutdown()


FITS = 'document.scrollingElement.scrollWidth <= innerWidth + 1'
AHEAD = """
window.shifts = []
new PerformanceObserver(l => l.getEntries().forEach(e => { if (!e.hadRecentInput) shifts.push(e.value) }))
    .observe({type: 'layout-shift', buffered: true})
"""
PAINTED = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
CUT = """() => [...document.querySelectorAll('article :not(.highlight-text) > .highlight > pre')]
    .filter(p => p.checkVisibility() && p.scrollWidth > p.clientWidth + 1).map(p => p.textContent.slice(0, 60))"""
TALL = """() => [...document.querySelectorAll('td[data-n]')].filter(d => d.checkVisibility()
    && d.getBoundingClientRect().height > 3 * parseFloat(getComputedStyle(d).lineHeight)
    && d.innerText.trim().includes('\\n')).map(d => d.innerText)"""


@pytest.fixture(scope='module')
def browser():
    if not browser_path():
        pytest.skip('no Chromium here')
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play, served() as url:
        b = play.chromium.launch(executable_path=browser_path(), args=FLAGS)
        yield b, url
        b.close()


SCREENS = (1280, 900, 'light'), (390, 844, 'dark')


def test_pages_in_a_browser(browser, tmp_path_factory):
    "Each page on a desktop in light colours and on a phone in dark ones: nothing cut, no error, no request elsewhere."
    (b, url), shots = browser, tmp_path_factory.mktemp('shots')
    watched, cut = Watched(b, (url, 'data:', 'blob:')), []
    pg = watched.page()
    for page in (p for p in pages if not p.startswith('reference/') or p.endswith(('index.html', 'flow.html'))):
        pg.goto(url + page, wait_until='load')
        for width, height, scheme in SCREENS:
            pg.set_viewport_size(dict(width=width, height=height))
            pg.emulate_media(color_scheme=scheme)
            cut += [] if pg.evaluate(FITS) else [f'{page} at {width} pixels']
            cut += [f'{page}: {what}' for what in pg.evaluate(CUT) + pg.evaluate(TALL)]
            if page.removesuffix('.html') in (*chapters, 'index', 'gallery', 'results'):
                pg.screenshot(path=shots / f'{page.replace("/", "_")}_{width}.png')
    assert not watched.outside and not watched.errors and not cut, (watched.outside, watched.errors[:5], cut)


def weighed(b, url: str, page: str, width: int, height: int) -> dict:
    "A visit that reads to the end: bytes and requests, first paint in ms, how much moved."
    pg, sizes = patient(b.new_page(viewport=dict(width=width, height=height))), []
    pg.add_init_script(AHEAD)
    pg.on('requestfinished', lambda r: sizes.append(r))
    pg.goto(url + page, wait_until='load')
    pg.wait_for_function(PAINTED)
    painted = pg.evaluate(PAINTED)
    pg.evaluate("document.querySelectorAll('img').forEach(i => i.loading = 'eager')")  # those further down, too
    pg.wait_for_function("[...document.images].every(i => i.complete)", timeout=1000 * PATIENCE)
    for _ in range(4):
        pg.mouse.wheel(0, 3 * height)
        pg.wait_for_timeout(60)
    found = dict(bytes=sum(r.sizes()['responseBodySize'] for r in sizes), requests=len(sizes), painted=painted)
    found['moved'] = sum(pg.evaluate('shifts'))
    pg.close()
    return found


BOUNDS = {'index': 1_000_000} | dict.fromkeys(chapters, 2_500_000) | {'lab/guidance': 2_500_000, 'results': 1_500_000}


@pytest.mark.parametrize('name', BOUNDS)
def test_weight(browser, name):
    "What a page costs, all requests counted, uncompressed; that nothing jumps. How soon it is painted is only told."
    for width, height, _ in SCREENS:
        cost = weighed(*browser, f'{name}.html', width, height)
        print(f'{name} at {width} px: {cost}')
        assert cost['bytes'] <= BOUNDS[name] and cost['moved'] <= 0.02, cost


QUESTIONS = {  # what people type, and the page that ought to be first
    'train on my own pictures': ('using.html',),
    'install': ('', 'using.html'),  # the front page, then
    'CFG': ('03_flow.html',),
    'guidance': ('03_flow.html', 'lab/guidance.html'),
    'gallery': ('gallery.html',),
    'how long does training take': ('presets.html',),
    'heun': ('03_flow.html', 'reference/flow.html'),
    'tokenizer': ('01_clip.html', 'glossary.html'),
}


def test_search_finds(browser):
    "Questions find their page first, with a section and readable words."
    b, url = browser
    pg, wrong = patient(b.new_page()), []
    for words, wanted in QUESTIONS.items():
        pg.goto(f'{url}search.html?q={words}')
        pg.wait_for_selector('div.search .hits li', timeout=1000 * PATIENCE)
        found = [
            a.get_attribute('href').removeprefix(url).partition('#')[0]
            for a in pg.locator('div.search .hits > li > a').all()
        ]
        found = [f.lstrip('/') for f in found]
        wrong += [] if found[0] in wanted else [f'{words}: {found[:4]}']
    assert not wrong, wrong
    assert pg.locator('div.search .hits mark').count() and pg.locator('div.search .hits ul a[href*="#"]').count()


def test_search_by_keyboard(browser):
    b, url = browser
    pg = patient(b.new_page())
    pg.goto(url + '00_vae.html')
    pg.keyboard.press('/')
    pg.keyboard.type('latent')
    pg.wait_for_selector('dialog[open] .hits li', timeout=1000 * PATIENCE)
    pg.keyboard.press('Escape')
    assert not pg.locator('dialog[open]').count()


def test_light_and_dark(browser):
    "A click changes the colours, and the next page keeps them."
    b, url = browser
    pg = patient(b.new_context(color_scheme='light').new_page())
    paper = lambda: pg.evaluate('getComputedStyle(document.body).backgroundColor')
    pg.goto(url + 'index.html')
    light = paper()
    pg.locator('.bar .theme').click()
    dark = paper()
    pg.goto(url + '00_vae.html')
    assert light != dark == paper()


def test_contents_on_a_phone(browser):
    b, url = browser
    pg = patient(b.new_page(viewport=dict(width=390, height=844)))
    pg.goto(url + '03_flow.html')
    assert not pg.locator('#contents').is_visible()
    pg.locator('.menu').click()
    assert pg.locator('#contents [aria-current]').is_visible()
    pg.keyboard.press('Escape')
    assert not pg.locator('#contents').is_visible()


@pytest.mark.parametrize('page', ('05_inference.html', 'lab/guidance.html'))
def test_dials_turn(browser, page):
    "The sliders of a page move its pictures, without any server."
    b, url = browser
    pg = patient(b.new_page(viewport=dict(width=1000, height=800)))
    pg.goto(url + page)
    dials = pg.locator('.minisd-dials').all()
    assert dials
    for d in dials:
        assert d.locator('img').get_attribute('alt')
        for slider in d.locator('input').all():
            place = lambda: d.locator('img').evaluate('e => e.style.transform')
            says = slider.locator('xpath=following-sibling::output').inner_text
            before = place(), says()
            slider.focus()
            pg.keyboard.press('End' if slider.input_value() == '0' else 'Home')
            assert place() != before[0] and says() != before[1]


KINDS = 'index', '03_flow', 'gallery', 'results', 'reference/flow', 'glossary', 'search', '05_inference'


@pytest.mark.parametrize('name', KINDS)
def test_accessibility(browser, name):
    "No finding of axe-core in light and dark colours, on a desktop and on a phone."
    from axe_playwright_python.sync_playwright import Axe

    (b, url), found = browser, []
    pg = patient(b.new_page())
    pg.goto(f'{url}{name}.html', wait_until='load')
    for width, height, scheme in ((w, h, c) for w, h, _ in SCREENS for c in ('light', 'dark')):
        pg.set_viewport_size(dict(width=width, height=height))
        pg.emulate_media(color_scheme=scheme, reduced_motion='reduce')
        for v in Axe().run(pg).response['violations']:
            found.append((width, scheme, v['id'], v['impact'], v['nodes'][0]['html'][:160], len(v['nodes'])))
    pg.close()
    assert not found, found
