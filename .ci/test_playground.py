"The playground in a browser: it draws what Python draws, alone, and says what it can't."

import contextlib
import functools
import http.server
import json
import random
import threading
import time
from pathlib import Path

import pytest
from browser import FLAGS, Watched, browser_path

root = Path(__file__).resolve().parents[1]
PATIENCE = 180_000  # milliseconds: a busy machine is no fault
SEEDS = 0, 1, 42, 2**32 - 1, 2**32, 2**63 + 5, 2**64 - 1
SAYS = "document.querySelector('#pg-says').textContent"
LESSON = (
    '<div class="playground-lesson" data-prompt="a boat on a lake" data-solvers="euler,fitted,flow_map" '
    'data-steps="2,4" data-guidance="3"><em>Drawn on the site.</em></div>'
)


@pytest.fixture(scope='module')
def play():
    "The builder."
    with pytest.MonkeyPatch.context() as m:
        m.syspath_prepend(root / '.ci' / 'site')
        import play

        yield play


@pytest.fixture(scope='module')
def site(play, tmp_path_factory):
    "A site of a front page, with the playground built into it."
    folder = tmp_path_factory.mktemp('site')
    head = '<!doctype html><html lang="en"><head><title>Front</title><link rel="icon" href="data:,"></head>'
    (folder / 'index.html').write_text(f'{head}<body><h1>Front</h1><div id="playground"></div></body></html>')
    (folder / 'chapter.html').write_text(f'{head}<body><h1>Chapter</h1>{LESSON}</body></html>')
    (folder / 'deep').mkdir()
    (folder / 'deep' / 'chapter.html').write_text(f'{head}<body><h1>Chapter</h1>{LESSON}</body></html>')
    (folder / 'plain.html').write_text(f'{head}<body><!-- playground  --><h1>Plain</h1></body></html>')
    if not play.into(folder):
        pytest.skip('nothing to build the playground with')
    return folder


@pytest.fixture(scope='module')
def pipe():
    import torch
    from minisd.inference import Pipeline

    return Pipeline.from_pretrained('nano', torch.float32)


@contextlib.contextmanager
def served(folder: Path):
    "A static server on loopback, and the bytes that it sent, by path."
    sent = {}

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def copyfile(self, source, outputfile):
            path = self.path.partition('?')[0]
            data = source.read()
            sent[path] = sent.get(path, 0) + len(data)
            outputfile.write(data)

    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), functools.partial(Quiet, directory=folder))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.url, server.sent = f'http://127.0.0.1:{server.server_address[1]}/', sent
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope='module')
def chromium():
    if not browser_path():
        pytest.skip('no Chromium here')
    from playwright.sync_api import sync_playwright

    with sync_playwright() as p:
        b = p.chromium.launch(executable_path=browser_path(), args=FLAGS)
        yield b
        b.close()


@pytest.fixture(scope='module')
def code(chromium, site):
    "A page that runs a function of a module: code(module, body, given)."
    with served(site) as server:
        pg = chromium.new_page()
        pg.goto(f'{server.url}playground/runtime.json')
        call = '([file, body, given]) => import(file).then(m => new Function("m", "given", body)(m, given))'
        yield lambda name, body, given: pg.evaluate(call, [f'/playground/{name}.js', body, given])
        pg.close()


def test_noise_is_torchs(code, pipe):
    "To the bit where torch computes as most processors let it; elsewhere its own cosines are others by an ulp."
    import torch

    cfg, off = pipe.unet.cfg, 0.0
    for seed in SEEDS:
        body = 'const t = new m.Twister(given); return Array.from({length: 700}, () => t.uniform())'
        raw = code('diffusion', body, str(seed))
        assert raw == torch.rand(700, generator=torch.Generator().manual_seed(seed)).tolist(), seed
        for n in (16, 100, 1003, cfg.in_channels * cfg.sample_size**2):
            got = code('diffusion', 'return [...m.randn(given[0], given[1])]', [n, str(seed)])
            want = torch.randn(n, generator=torch.Generator().manual_seed(seed))
            off = max(off, (torch.tensor(got) - want).abs().max().item())
    exact = torch.backends.cpu.get_cpu_capability() in ('AVX2', 'AVX512')
    assert off <= (0 if exact else 1e-6), off


def prompts(tok, words, n: int = 400) -> list[str]:
    "Texts of known words, of the tokenizer's own pieces, and of what people type."
    rng, pieces = random.Random(0), [tok.decode([i]) for i in range(4, tok.vocab_size)]
    odd = [
        '',
        ' ',
        '\n',
        'Ａ ｆｕｌｌ ｗｉｄｔｈ',
        "it's the dog's, isn't it?",
        'ΣΑΣ İstanbul ß ﬁ',
        '一只鸟 🦌🏔️ été',
        '<end> a <pad>',
    ]
    odd += [
        'a\u00a0b\u2003c\u0085d\ufeffe',
        'x' * 300,
        '  two  blanks ',
        "'s 'sam 12a3 ½ ²",
        'tab\tand\r\nline',
        '<start',
        'é e\u0301',
    ]
    glue = ['', ' ', '  ', ', ', "'", '-', '\n', '!', ' 7']
    mixed = lambda source: ''.join(rng.choice(source) + rng.choice(glue) for _ in range(rng.randint(1, 40)))
    return odd + [mixed(words) for _ in range(n)] + [mixed(pieces) for _ in range(n)]


def test_tokens_are_pythons(code, site, pipe):
    "On hundreds of texts, made from the tokenizer itself."
    tok = pipe.tokenizer
    texts = prompts(tok, [w for w in pipe.vocabulary.words if len(w) > 1])
    file = json.loads((site / 'playground' / 'model' / 'tokenizer.json').read_text(encoding='utf-8'))
    body = 'const t = new m.Tokenizer(given[0]); return given[1].map(x => t.encode(x))'
    got = code('tokenizer', body, [file, texts])
    for text, found, want in zip(texts, got, tok.tok.encode_batch(texts)):
        assert (found['ids'], found['mask'], found['cut']) == (want.ids, want.attention_mask, bool(want.overflowing)), (
            text
        )


def test_words_are_named_as_python_names_them(code, site, pipe):
    known, rng = [w for w in pipe.vocabulary.words if w.isalpha() and len(w) > 3], random.Random(1)
    slip = lambda w: ''.join(rng.choice([c, c, c, c, c + c, '', rng.choice('aeimnst')]) for c in w)
    texts = [f'a {slip(rng.choice(known))} {rng.choice(known)} near the {slip(rng.choice(known))}' for _ in range(300)]
    texts += [
        '',
        ' ',
        'a the of',
        'xylophone',
        'a dragon and a unicorn',
        "the cabin's door",
        '🦌 und ein Haus',
        '3 blue boats',
    ]
    texts += ['one two three four five six seven eight nine zebras', 'q' * 60, 'trees treees tere', 'CABINS AND Boats']
    file = json.loads((site / 'playground' / 'model' / 'words.json').read_text(encoding='utf-8'))
    got = code(
        'words', "const v = new m.Vocabulary(given[0]); return given[1].map(t => v.note(t, 'nano'))", [file, texts]
    )
    for text, found in zip(texts, got):
        assert found == pipe.vocabulary.note(text, 'nano'), text


def test_times_and_steps_are_pythons(code, pipe):
    "The grids to the bit; the solvers on a field that two lines give."
    import torch
    from minisd.flow import SOLVERS, density_grid, fitted, time_grid

    density = pipe.sampling['density']
    for n in (1, 4, 11, 30):
        assert (
            code('diffusion', 'return [...m.densityGrid(given[0], given[1])]', [n, density])
            == density_grid(n, density).tolist()
        )
        assert code('diffusion', 'return [...m.timeGrid(given, 1.5)]', n) == pytest.approx(
            time_grid(n, 1.5).tolist(), abs=1e-7
        )
    x, velocity = torch.linspace(-1, 2, 7), lambda x, t: torch.cos(3 * x) + t
    steps = min(map(int, pipe.sampling['weights']))
    rows = pipe.sampling['weights'][str(steps)]
    body = '''let x = Float32Array.from(given.x), step = m[given.name](given.rows);
      for (let i = 0; i + 1 < given.ts.length; i++) {
        const v = x.map(a => Math.cos(3 * a) + given.ts[i]);
        x = step(x, v, given.ts[i], given.ts[i + 1]);
      }
      return [...x]'''
    for name, solve in dict(fitted=fitted(rows), ab2=SOLVERS['ab2']).items():
        ts = density_grid(steps, density)
        got = code('diffusion', body, dict(x=x.tolist(), name=name, rows=rows, ts=ts.tolist()))
        assert got == pytest.approx(solve(velocity, x, ts).tolist(), abs=1e-5), name


class Page:
    "The playground in the browser."

    def __init__(self, pg):
        self.pg = pg

    def says(self, text: str):
        self.pg.wait_for_function(f'text => {SAYS}.includes(text)', arg=text, timeout=PATIENCE)

    def set(self, **values):
        self.pg.locator('details').evaluate('e => e.open = true')
        for name, value in values.items():
            field = self.pg.locator(f'#pg-{name}')
            field.select_option(str(value)) if name in ('steps', 'engine') else field.fill(str(value))

    def drawn(self, prompt: str, **values) -> float:
        "Type, press Enter, wait for the picture; seconds."
        self.set(**values)
        self.pg.fill('#pg-prompt', prompt)
        began = time.monotonic()
        self.pg.press('#pg-prompt', 'Enter')
        self.says('s by the ')
        self.pg.wait_for_selector('#pg-after:not([hidden])', timeout=PATIENCE)
        return time.monotonic() - began

    def saved(self, folder: Path) -> Path:
        with self.pg.expect_download(timeout=PATIENCE) as d:
            self.pg.click('#pg-save')
        d.value.save_as(folder / d.value.suggested_filename)
        return folder / d.value.suggested_filename


def opened(watched: Watched, url: str, **how) -> Page:
    pg = watched.page(**how)
    pg.set_default_timeout(PATIENCE)
    pg.goto(url)
    page = Page(pg)
    page.says('The first picture fetches')
    return page


def test_it_draws_what_python_draws(chromium, site, tmp_path, pipe):
    "In jumps, with fitted weights, and with steps for which there are none."
    from minisd.base.png import read_settings
    from minisd.sampling.metadata import replay

    with served(site) as server:
        watched = Watched(chromium, (server.url, 'blob:', 'data:'))
        with watched.driven(tmp_path):
            before = dict(server.sent)
            p = opened(watched, f'{server.url}playground/')
            assert not any(k.endswith(('.onnx', '.gz', '.mjs')) for k in server.sent), (
                'nothing large before it is asked for'
            )
            first = p.drawn(pipe.vocabulary.examples[0], seed=7)
            fetched = sum(server.sent.values()) - sum(before.values())
            following = [p.drawn(pipe.vocabulary.examples[i], seed=2**64 - 1 - i) for i in (1, 2)]
            print(f'first picture {first:.1f} s, next {min(following):.1f} s, {fetched / 1e6:.1f} MB in all')
            assert fetched < 26e6
            for prompt, how, solver in (
                (pipe.vocabulary.examples[0], dict(seed=7), 'flow_map'),
                ('a blue boat, “naïve”, 🦌', dict(seed=2**64 - 1, scale=2.5), 'flow_map'),
                (pipe.vocabulary.examples[0], dict(seed=5, scale=3, steps=11), 'fitted'),
                (pipe.vocabulary.examples[1], dict(seed=3, steps=30, scale=6), 'ab2'),
            ):
                p.drawn(prompt, **how)
                file = p.saved(tmp_path)
                s = read_settings(file)
                assert (s['prompt'], s['seed'], s['solver'], s['model']) == (prompt, how['seed'], solver, 'nano')
                report = replay(file)[1]
                print(f'{solver}: {report}')
                assert report['levels'] <= 2 and not report['changed'], report
            p.pg.evaluate('Object.assign(navigator.clipboard, { writeText: async t => { window.copied = t; } }) && 0')
            p.pg.click('#pg-link')
            p.pg.goto(p.pg.evaluate('copied'))
            p.pg.wait_for_selector('#pg-after:not([hidden])', timeout=PATIENCE)
            (tmp_path / 'again').mkdir()
            assert p.saved(tmp_path / 'again').read_bytes() == file.read_bytes()
            p.pg.screenshot(path=tmp_path / 'desktop.png', full_page=True)


WATCH = '''window.steps = [];
new MutationObserver(() => steps.push(document.querySelector('#pg-says').textContent))
  .observe(document.querySelector('#pg-says'), { childList: true });'''


def test_it_forms_and_it_cancels(chromium, site, tmp_path):
    "On the front page, of a phone, in the dark, by keyboard."
    with served(site) as server:
        watched = Watched(chromium, (server.url, 'blob:', 'data:'))
        with watched.driven(tmp_path):
            p = opened(watched, server.url, viewport=dict(width=390, height=844), color_scheme='dark')
            p.pg.evaluate(WATCH)
            p.set(steps=50)
            p.pg.fill('#pg-prompt', 'a dragon')
            assert 'dragon' in p.pg.inner_text('#pg-note')
            p.pg.press('#pg-prompt', 'Enter')
            p.says('Step 2 of 50')
            assert p.pg.evaluate("document.querySelector('#pg-canvas').width") > 16
            p.pg.screenshot(path=tmp_path / 'forming.png')
            p.pg.press('#pg-prompt', 'Escape')
            p.says('Cancelled.')
            said = p.pg.evaluate('steps')
            assert any(s.startswith('Fetching the model') for s in said) and not any('Step 50' in s for s in said), said
            p.pg.locator('.pg-dice').click()
            p.says('s by the processor')
            assert p.pg.locator('#pg-cancel').is_hidden() and p.pg.locator('#pg-note').is_hidden()
            assert p.pg.evaluate('document.scrollingElement.scrollWidth <= innerWidth + 1')
            p.pg.fill('#pg-prompt', ' ')
            p.pg.press('#pg-prompt', 'Enter')
            p.says('Say in a few words')
            p.set(seed='2e9')
            p.pg.fill('#pg-prompt', 'a boat')
            p.pg.locator('#pg-prompt').evaluate('e => e.form.noValidate = true')
            p.pg.press('#pg-prompt', 'Enter')
            p.says('A seed is a whole number')
            p.pg.screenshot(path=tmp_path / 'phone.png', full_page=True)


PIXELS = '''c => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data].filter((v, i) => i % 4 < 3)'''


def test_a_lesson_in_a_chapter(chromium, site, tmp_path, pipe):
    "Solvers beside one another, from the same noise as in Python; it stops when asked to; other pages load nothing."
    import torch

    plain = (site / 'plain.html').read_text()
    assert 'script' not in plain and '<a href="playground/">Playground</a>' in plain
    with served(site) as server:
        watched = Watched(chromium, (server.url, 'blob:', 'data:'))
        with watched.driven(tmp_path):
            pg = watched.page(viewport=dict(width=390, height=844))
            pg.set_default_timeout(PATIENCE)
            pg.goto(f'{server.url}deep/chapter.html')
            pg.get_by_text('6 pictures, drawn by your own machine; it first fetches').wait_for()
            pg.goto(f'{server.url}chapter.html')
            pg.get_by_text('6 pictures, drawn by your own machine; it first fetches').wait_for()
            assert not any(k.endswith(('.onnx', '.gz', '.mjs')) for k in server.sent)
            pg.click('text=Draw')
            pg.get_by_text('6 pictures from the same noise in').wait_for()
            said = pg.locator('.pg-sheet figcaption').all_inner_texts()
            assert [s.split(', ')[:2] for s in said[:2]] == [['Euler', '2 steps'], ['Euler', '4 steps']], said
            drawn = {0: ('euler', 2), 1: ('euler', 4), 3: ('fitted', 4), 4: ('flow_map', 2), 5: ('flow_map', 4)}
            for k, (solver, steps) in drawn.items():
                got = torch.tensor(pg.locator('.pg-sheet canvas').nth(k).evaluate(PIXELS))
                seed = torch.Generator().manual_seed(0)
                want = pipe('a boat on a lake', steps, 3.0, solver=solver, generator=seed, output_type='pt').images[0]
                off = (got - (255 * want).round().permute(1, 2, 0).flatten()).abs()
                assert off.max() <= 2, (solver, steps, off.max())
            pg.fill('.playground-lesson input', 'a dragon')
            pg.click('text=Draw')
            pg.click('text=Stop')
            pg.get_by_text('Stopped.').wait_for()
            pg.fill('.playground-lesson input', ' ')
            pg.click('text=Draw')
            pg.get_by_text('Say in a few words what the pictures shall show.').wait_for()
            assert pg.evaluate('document.scrollingElement.scrollWidth <= innerWidth + 1')
            pg.screenshot(path=tmp_path / 'lesson.png', full_page=True)


def test_it_draws_without_a_network(chromium, site, tmp_path):
    "After the first visit, with the server gone; a visitor whose cache is empty is told."
    context = chromium.new_context()
    with served(site) as server:
        pg = context.new_page()
        pg.goto(f'{server.url}playground/')
        p = Page(pg)
        p.says('The first picture fetches')
        p.drawn('a red cabin', seed=1)
        pg.evaluate('navigator.serviceWorker.ready.then(() => true)')
        pg.wait_for_function("caches.open('minisd-page').then(c => c.keys()).then(k => k.length > 5)", timeout=PATIENCE)
        large = {k: v for k, v in server.sent.items() if k.endswith(('.onnx', '.gz'))}
        pg.reload()
        p.says('Ready.')
        assert large == {k: v for k, v in server.sent.items() if k.endswith(('.onnx', '.gz'))}, 'fetched once'
        fresh = chromium.new_context().new_page()
        fresh.goto(f'{server.url}playground/')
        Page(fresh).says('The first picture fetches')
    pg.reload()
    p.says('Ready.')
    assert p.drawn('a red cabin', seed=1) > 0
    fresh.fill('#pg-prompt', 'a red cabin')
    fresh.press('#pg-prompt', 'Enter')
    fresh.wait_for_function(f"/did not work|no network/.test({SAYS})", timeout=PATIENCE)
    context.close()


def test_a_browser_without_wasm_is_told(chromium, site):
    with served(site) as server:
        pg = chromium.new_page()
        pg.add_init_script('delete globalThis.WebAssembly')
        pg.goto(f'{server.url}playground/')
        Page(pg).says('has no WebAssembly')
        assert pg.locator('#pg-draw').is_disabled()
        pg.close()


@pytest.mark.parametrize('scheme', ('light', 'dark'))
def test_accessibility(chromium, site, scheme):
    from axe_playwright_python.sync_playwright import Axe

    with served(site) as server:
        pg = chromium.new_context(color_scheme=scheme).new_page()
        pg.goto(f'{server.url}playground/')
        Page(pg).says('The first picture fetches')
        pg.fill('#pg-prompt', 'a dragon')
        pg.locator('details').evaluate('e => e.open = true')
        serious = [v for v in Axe().run(pg).response['violations'] if v['impact'] in ('serious', 'critical')]
        pg.close()
    assert not serious, [(v['id'], v['nodes'][0]['html'][:160]) for v in serious]


def test_a_site_without_npm_says_so(play, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(play, 'cache', tmp_path / 'empty')
    monkeypatch.setattr(play.shutil, 'which', lambda name: None)
    monkeypatch.delenv('GITHUB_ACTIONS', raising=False)
    (tmp_path / 'index.html').write_text('<body><div id="playground"></div></body>')
    assert not play.into(tmp_path) and not (tmp_path / 'playground').exists()
    assert capsys.readouterr().err == 'the site is built without the playground: there is no npm\n'
    assert 'script' not in (tmp_path / 'index.html').read_text()
