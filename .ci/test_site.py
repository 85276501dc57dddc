"The site as a reader meets it: links, anchors, alternative texts, sizes; every page in a real browser at two widths, and its accessibility."

import contextlib, functools, http.server, json, re, threading
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from drive_widget import FLAGS, browser_path

root = Path(__file__).resolve().parents[1]
site = root / '_docs'
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
    names = {
        p.relative_to(root / 'nbs').with_suffix('.html').as_posix()
        for p in (root / 'nbs').rglob('*.ipynb')
        if '.ipynb_checkpoints' not in p.parts
    }
    names |= {f'{p.stem}.html' for p in (root / '.ci' / 'site' / 'pages').glob('*.md')} | {
        'contributing.html',
        'search.html',
        'genindex.html',
    }
    assert names <= set(pages), names - set(pages)


def test_every_exported_name_has_an_entry():
    from sphinx.util.inventory import InventoryFile
    from minisd._modidx import d

    with open(site / 'objects.inv', 'rb') as f:
        found = {
            n
            for kind, names in InventoryFile.load(f, '', lambda *a: '').items()
            if kind.startswith('py:')
            for n in names
        }
    exported = {s.removeprefix('minisd.') for names in d['syms'].values() for s in names if '._' not in s}
    missing = {n for n in exported if f'minisd.{n}' not in found and n.count('.') == 1}
    assert not missing and len(exported) > 500, missing


def test_links_and_anchors():
    broken = []
    for page in pages:
        for link in read(page).links:
            target = urlsplit(link)
            if target.scheme or target.netloc or (not target.path and not target.fragment):
                continue
            path = ((site / page).parent / unquote(target.path)).resolve() if target.path else site / page
            if path.is_dir():
                path = path / 'index.html'
            if not path.is_file() or not path.is_relative_to(site):
                broken.append(f'{page}: {target.path}')
            elif (
                target.fragment
                and path.suffix == '.html'
                and unquote(target.fragment) not in read(str(path.relative_to(site))).ids
            ):
                broken.append(f'{page}: {link}')
    assert not broken, broken[:20]


def test_links_to_the_repository():
    "Links to files on GitHub name files that are here, and lines that they have."
    from nbdev.config import get_config

    url, broken, n = get_config(path=root).git_url, [], 0
    lines = functools.cache(lambda p: len(p.read_text(encoding='utf-8').splitlines()))
    for page in pages:
        for link in read(page).links:
            m = re.match(
                rf'(?:{re.escape(url)}|https://colab\.research\.google\.com/github/[\w.-]+/[\w.-]+)/(?:blob|tree)/main/([^#]*)(?:#L(\d+)-L(\d+))?$',
                link,
            )
            if not m:
                continue
            path, n = root / m[1], n + 1
            if not path.exists() or (m[3] and lines(path) < int(m[3])):
                broken.append(f'{page}: {link}')
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
        return (site / page).stat().st_size + sum(
            (site / page).parent.joinpath(src).resolve().stat().st_size
            for src in {i['src'] for i in read(page).images if not i['src'].startswith('data:')}
        )

    large = {p: size(p) for p in pages if size(p) > 3e6}
    assert not large, large


def test_numbers_come_from_the_files():
    "A number that the pages show is what the result file says."
    nano = json.loads((root / 'data' / 'results' / 'nano.json').read_text())
    text = ' '.join(read('results.html').text)
    assert f'{nano["score"]["mean"]:.3f}' in text and nano['commit'] in text and '<!--' not in text


def test_the_builder_finds_faults(monkeypatch):
    monkeypatch.syspath_prepend(root / '.ci' / 'site')
    import build
    from nbformat.v4 import new_code_cell, new_output

    chapter, page = root / 'nbs' / '00_vae.ipynb', Path('00_vae.ipynb')
    assert (
        build.relink('[a](01_clip.ipynb#x) ![b](../figures/sweep.png) [c](../data/README.md)', chapter, page)
        == f'[a](01_clip.ipynb#x) ![b](figures/sweep.png) [c]({build.github}/data/README.md)'
    )
    assert (
        build.relink(f'[a]({build.base}gallery.html)', root / 'nbs' / 'base' / 'viz.ipynb', Path('base/viz.ipynb'))
        == '[a](../gallery.md)'
    )
    picture = lambda source: build.code_cell(
        new_code_cell(source, outputs=[new_output('display_data', {'image/png': ''})]), chapter
    )
    assert (
        picture('#| fig-alt: two bars\nshow()').metadata['mystnb']['image'] == dict(alt='two bars')
        and not build.problems
    )
    build.relink('[a](nothing.ipynb)', chapter, page), picture('show()')
    assert ['leads nowhere' in build.problems[0], 'has no #| fig-alt' in build.problems[1]] == [True, True]


def test_names_lead_to_their_entries(monkeypatch):
    monkeypatch.syspath_prepend(root / '.ci' / 'site')
    import build

    names = build.Names({m: build.definitions(m) for m in ('minisd.base.viz', 'minisd.flow')})
    link = names.linker('minisd.base.viz', {'heun'})
    assert (
        link('`grid` and `Dials.sheet`, `heun` not `euler`')
        == '{py:obj}`grid <minisd.base.viz.grid>` and {py:obj}`Dials.sheet <minisd.base.viz.Dials.sheet>`, {py:obj}`heun <minisd.flow.heun>` not `euler`'
    )
    assert link('```\n`grid`\n```') == '```\n`grid`\n```' and link('[`grid`](x)') == '[`grid`](x)'
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
    ('presets.html', 'results.html', 'verdicts.html', '05_inference.html'),
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


def test_pages_in_a_browser(browser, tmp_path_factory):
    "Each page on a desktop in light colours and on a phone in dark ones."
    (b, url), shots = browser, tmp_path_factory.mktemp('shots')
    pg, outside, errors, wide = b.new_page(), set(), [], []
    pg.on('request', lambda r: None if r.url.startswith((url, 'data:', 'blob:')) else outside.add(r.url))
    pg.on('console', lambda m: errors.append(f'{pg.url}: {m.text[:200]}') if m.type == 'error' else None)
    pg.on('pageerror', lambda e: errors.append(f'{pg.url}: {str(e)[:200]}'))
    for page in pages:
        for k, (width, height, scheme) in enumerate(((1280, 900, 'light'), (390, 844, 'dark'))):
            pg.set_viewport_size(dict(width=width, height=height)), pg.emulate_media(color_scheme=scheme)
            if not k:
                pg.goto(url + page, wait_until='load')
            if read(page).maths:
                pg.wait_for_selector('mjx-container', state='attached', timeout=30_000)
            if not pg.evaluate(FITS):
                wide.append(f'{page} at {width} pixels')
            if page in MATHS:
                assert pg.locator('mjx-container').count() > 5 and not pg.locator('mjx-merror').count(), page
            if page in TABLES:
                assert pg.locator('article table').first.is_visible(), page
            if page in FIGURES:
                for img in pg.locator('article img').all()[:3]:
                    img.scroll_into_view_if_needed()
                    pg.wait_for_function('e => e.complete && e.naturalWidth > 0', arg=img.element_handle())
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
        for slider in d.locator('input').all():
            where = lambda: d.locator('img').evaluate('e => e.style.transform')
            says = lambda: slider.locator('xpath=following-sibling::output').inner_text()
            before = where(), says()
            slider.focus()
            pg.keyboard.press('End' if slider.input_value() == '0' else 'Home')
            assert where() != before[0] and says() != before[1]
        assert d.locator('img').get_attribute('alt')


def test_accessibility(browser):
    "No serious finding of axe-core, in both themes."
    from axe_playwright_python.sync_playwright import Axe

    (b, url), found = browser, []
    for scheme, some in (
        (
            'light',
            (
                'index.html',
                'gallery.html',
                'presets.html',
                'results.html',
                'glossary.html',
                '01_clip.html',
                'base/viz.html',
            ),
        ),
        ('dark', ('index.html', '01_clip.html', 'verdicts.html')),
    ):
        pg = b.new_context(viewport=dict(width=1280, height=900), color_scheme=scheme).new_page()
        for page in some:
            pg.goto(url + page, wait_until='load')
            if read(page).maths:
                pg.wait_for_selector('mjx-container', state='attached')
            found += [
                (scheme, page, v['id'], v['impact'], v['nodes'][0]['html'][:160], len(v['nodes']))
                for v in Axe().run(pg).response['violations']
                if v['impact'] in ('serious', 'critical')
            ]
    assert not found, '\n'.join(map(str, found))
