"The site as a reader meets it: links, alternative texts, sizes; every page in a browser at two widths; accessibility."

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
from browser import FLAGS, browser_path

root = Path(__file__).resolve().parents[1]
site = root / '_docs'
notebooks = [p for p in (root / 'nbs').rglob('*.ipynb') if '.ipynb_checkpoints' not in p.parts]
pages = sorted(str(p.relative_to(site)) for p in site.rglob('*.html') if '_static' not in p.parts)


class Page(HTMLParser):
    "Names, links, pictures and text of a page."

    def __init__(self, text: str):
        super().__init__()
        self.ids, self.links, self.images, self.text, self.maths = set(), [], [], [], 'class="math' in text
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        a = dict(attrs)
        self.ids |= {a[k] for k in ('id', 'name') if a.get(k)}
        if target := a.get('href') or (a.get('src') if tag in ('script', 'img') else None):
            self.links.append(target)
        if tag == 'img':
            self.images.append(a)

    def handle_data(self, data):
        self.text.append(data)


read = functools.cache(lambda page: Page((site / page).read_text(encoding='utf-8')))
pytestmark = pytest.mark.skipif(not pages, reason='no site here: make docs')


def test_every_notebook_and_page_is_there():
    places = [p.relative_to(root / 'nbs').with_suffix('.html') for p in notebooks]
    names = {p.name if p.parts[0] == 'site' else p.as_posix() for p in places}  # pages stand at the top
    names |= {'contributing.html', 'search.html', 'genindex.html'}
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
        if not (i.get('alt') or '').strip() or re.fullmatch(r'[\w./-]+\.\w+', i['alt'])
    ]
    assert not silent, silent[:20]


def test_sizes():
    "A page with its own pictures is at most 3 MB."

    def size(page):
        sources = {i['src'] for i in read(page).images if not i['src'].startswith('data:')}
        files = [site / page, *((site / page).parent.joinpath(s).resolve() for s in sources)]
        return sum(f.stat().st_size for f in files)

    large = {p: size(p) for p in pages if size(p) > 3e6}
    assert not large, large


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


MATHS, TABLES, FIGURES = (
    ('03_flow.html', 'glossary.html'),
    ('index.html', 'presets.html', 'results.html', 'verdicts.html', '05_inference.html'),
    ('00_vae.html', '05_inference.html', 'gallery.html', 'index.html'),
)
FITS = "document.scrollingElement.scrollWidth <= innerWidth + 1"


@pytest.fixture(scope='module')
def browser():
    if not browser_path():
        pytest.skip('no Chromium here')
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play, served() as url:
        b = play.chromium.launch(executable_path=browser_path(), args=FLAGS)
        yield b, url
        b.close()


def look(pg, page: str):
    "What must be seen of some pages."
    if read(page).maths:
        pg.wait_for_selector('mjx-container', state='attached', timeout=30_000)
    if page in MATHS:
        assert pg.locator('mjx-container').count() > 5 and not pg.locator('mjx-merror').count(), page
    if page in TABLES:
        assert pg.locator('article table').first.is_visible(), page
    for img in pg.locator('article img').all()[:3] if page in FIGURES else ():
        img.scroll_into_view_if_needed()
        pg.wait_for_function('e => e.complete && e.naturalWidth > 0', arg=img.element_handle())


def test_pages_in_a_browser(browser, tmp_path_factory):
    "Each page on a desktop in light colours and on a phone in dark ones."
    (b, url), shots = browser, tmp_path_factory.mktemp('shots')
    pg, outside, errors, wide = b.new_page(), set(), [], []
    pg.on('request', lambda r: None if r.url.startswith((url, 'data:', 'blob:')) else outside.add(r.url))
    pg.on('console', lambda m: errors.append(f'{pg.url}: {m.text[:200]}') if m.type == 'error' else None)
    pg.on('pageerror', lambda e: errors.append(f'{pg.url}: {str(e)[:200]}'))
    for page in pages:
        pg.goto(url + page, wait_until='load')
        for width, height, scheme in (1280, 900, 'light'), (390, 844, 'dark'):
            pg.set_viewport_size(dict(width=width, height=height))
            pg.emulate_media(color_scheme=scheme)
            look(pg, page)
            wide += [] if pg.evaluate(FITS) else [f'{page} at {width} pixels']
            pg.screenshot(path=shots / f'{page.replace("/", "_")}_{width}.png')
    assert not outside and not errors and not wide, (outside, errors[:5], wide)


def test_search_finds(browser):
    b, url = browser
    pg = b.new_page()
    pg.goto(url + 'search.html?q=guidance')
    pg.wait_for_function("document.querySelectorAll('#search-results li').length > 3", timeout=30_000)
    assert '03_flow.html' in ' '.join(a.get_attribute('href') for a in pg.locator('#search-results li a').all())


@pytest.mark.parametrize('page', ('05_inference.html', 'lab/guidance.html'))
def test_dials_turn(browser, page):
    "The sliders of a page move its pictures, without any server."
    b, url = browser
    pg = b.new_page(viewport=dict(width=1000, height=800))
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


AXE = [(p, 'light') for p in 'index gallery presets results using glossary 01_clip base/viz'.split()]
AXE += [(p, 'dark') for p in 'index 01_clip verdicts'.split()]


@pytest.mark.parametrize('name, scheme', AXE)
def test_accessibility(browser, name, scheme):
    "No serious finding of axe-core."
    from axe_playwright_python.sync_playwright import Axe

    b, url = browser
    pg = b.new_context(viewport=dict(width=1280, height=900), color_scheme=scheme).new_page()
    pg.goto(f'{url}{name}.html', wait_until='load')
    if read(f'{name}.html').maths:
        pg.wait_for_selector('mjx-container', state='attached')
    serious = [v for v in Axe().run(pg).response['violations'] if v['impact'] in ('serious', 'critical')]
    pg.close()
    assert not serious, [(v['id'], v['impact'], v['nodes'][0]['html'][:160], len(v['nodes'])) for v in serious]
