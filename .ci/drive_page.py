"Use the page of `minisd serve` as a person would, in a real browser. Exit status 3: no browser here."

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import browser
from browser import PATIENCE

root = Path(__file__).resolve().parents[1]
CABIN, DEER, BALLOON = (
    'a red cabin by a lake at sunset',
    'a deer in a foggy forest at night',
    'a yellow balloon over the mountains at dawn',
)
SIDE = 128  # of the shipped model's pictures
# what the page shows on the way
WATCH = '''window.seen = { steps: [], previews: 0 };
addEventListener('securitypolicyviolation', e => console.error('policy violated:', e.violatedDirective, e.blockedURI));
addEventListener('DOMContentLoaded', () => new MutationObserver(() => {
  const k = /^step (\\d+) of/.exec(document.querySelector('#step').textContent)?.[1];
  if (k && !document.querySelector('#running').hidden && k !== seen.steps.at(-1)) seen.steps.push(k);
  seen.previews = Math.max(seen.previews, document.querySelectorAll('#tiles .preview').length);
}).observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true }));'''
STEP = "Number(/step (\\d+) of/.exec(document.querySelector('#step').innerText)?.[1])"
SAME = '''async all => {
  const pixels = bitmap => {
    const c = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
    c.drawImage(bitmap, 0, 0);
    return c.getImageData(0, 0, bitmap.width, bitmap.height).data.join();
  };
  const [a, b] = (await Promise.all(all.map(i => createImageBitmap(i)))).map(pixels);
  return a == b;
}'''  # whether two pictures have the same pixels
SMALL = '''[...document.querySelectorAll('button, .button, a, input, select, summary')]
  .filter(e => e.checkVisibility() && !e.closest('.check')).map(e => [e, e.getBoundingClientRect()])
  .filter(([e, r]) => r.height < 44 || r.width < 44)
  .map(([e, r]) => `${e.id || e.className || e.textContent} ${r.width}x${r.height}`)'''  # too small for a finger
STREAM = '**/generate/stream'
READY = "document.querySelector('#health').dataset.state == 'ok'"


class Server:
    "`minisd serve` as a process of its own."

    def __init__(self, folder: Path, port: int):
        self.folder, self.port, self.url = folder, port, f'http://127.0.0.1:{port}'

    def start(self):
        env = os.environ | dict(OMP_NUM_THREADS='1', PYTHONPATH=str(root))
        self.log = open(self.folder / 'server.log', 'a')
        self.process = subprocess.Popen(
            [sys.executable, '-m', 'minisd', 'serve', '--port', str(self.port)],
            env=env,
            cwd=self.folder,
            stdout=self.log,
            stderr=self.log,
        )
        end = time.monotonic() + PATIENCE
        while self.process.poll() is None and time.monotonic() < end:
            try:
                if self.health()['status'] == 'ok':
                    return self
            except OSError:
                pass
            time.sleep(0.1)
        self.kill()
        raise SystemExit(f'minisd serve did not start:\n{(self.folder / "server.log").read_text()[-2000:]}')

    def health(self) -> dict:
        return json.load(urllib.request.urlopen(f'{self.url}/health', timeout=PATIENCE))

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.log.close()


class Page:
    "The page in the browser, and how to take hold of its parts."

    def __init__(self, pg, shots: Path, errors: list):
        self.pg, self.shots, self.errors, self.t0 = pg, shots, errors, time.time()

    def note(self, text):
        print(f'{time.time() - self.t0:6.1f} s  {text}', flush=True)

    def text(self, id):
        return self.pg.locator(f'#{id}').inner_text().replace('\xa0', ' ').strip()

    def value(self, id):
        return self.pg.locator(f'#{id}').input_value()

    def tab_to(self, id: str, key: str):
        "Press Tab until something has the focus."
        for _ in range(40):
            if self.focus() == id:
                return
            self.pg.keyboard.press(key)
        raise AssertionError(f'{key} does not lead to {id}')

    def focus(self):
        return self.pg.evaluate('document.activeElement.id || document.activeElement.className')

    def button(self, name):
        return self.pg.get_by_role('button', name=name, exact=True)

    def cards(self):
        return self.pg.locator('#cards li').count()

    def type(self, id, text):
        self.pg.fill(f'#{id}', str(text))
        self.pg.press(f'#{id}', 'Tab')

    def until(self, what: str, js: str, seconds: float = PATIENCE):
        "Wait for an expression to hold; the page's policy forbids what Playwright does for this."
        end = time.time() + seconds
        while not self.pg.evaluate(js):
            if time.time() > end:
                raise AssertionError(
                    f'{what}: waited for {js}; caption {self.text("caption")!r}, trouble {self.text("trouble_text")!r}'
                )
            self.pg.wait_for_timeout(20)
        self.note(what)

    def says(self, what: str, id: str, text: str, seconds: float = PATIENCE):
        self.until(
            what,
            f"document.querySelector('#{id}').innerText.replaceAll('\\u00a0', ' ').includes({json.dumps(text)})",
            seconds,
        )

    def made(self, what: str, n: int, seconds: float = PATIENCE):
        "Wait for n finished pictures on the stage."
        done = (
            f"document.querySelectorAll('#tiles img.sharp').length == {n} && document.querySelector('#running').hidden"
        )
        drawn = f"[...document.querySelectorAll('#tiles img')].every(i => i.naturalWidth >= {SIDE})"
        self.until(what, f'{done} && {drawn}', seconds)

    def expected(self, *texts: str):
        "Console errors with these texts were provoked."
        self.errors[:] = [e for e in self.errors if not any(t in e for t in texts)]

    def shot(self, name: str):
        "A screenshot of what is seen, from the top of the page."
        self.pg.evaluate("scrollTo({ top: 0, behavior: 'instant' })")
        self.pg.mouse.move(2, 2)
        self.pg.wait_for_timeout(300)
        self.pg.screenshot(path=self.shots / f'page_{name}.png')
        assert (size := (self.shots / f'page_{name}.png').stat().st_size) < 600_000, f'{name}: {size} bytes'


def drive(p: Page, server: Server):
    p.pg.goto(server.url)
    ideas(p)
    keyboard(p)
    four(p)
    stop(p, server)
    for part in gallery, other_settings, full_view, save, prompts, unknown, refused, key, failed, large_seed:
        part(p)
    killed(p, server)
    offline(p)
    looks(p)
    clear(p)


def ideas(p: Page):
    "The model's own prompts, to click or by dice: they fill the prompt and no more."
    pg = p.pg
    p.until('ready', READY)
    assert 'ready' in p.text('health')
    known = pg.evaluate("fetch('config').then(r => r.json()).then(c => c.examples)")
    offered = pg.locator('#examples button').all_inner_texts()
    assert offered == known[: len(offered)] and len(offered) == 4, offered
    p.shot('empty')
    p.button(offered[1]).click()
    assert p.value('prompt') == offered[1] and p.focus() == 'prompt' and p.cards() == 0
    rolled = [offered[1]]
    for name in ('Another idea', 'Dice: a prompt that the model knows') * 2:
        p.button(name).click()
        rolled.append(p.value('prompt'))
        p.says('rolled', 'announce', f'Prompt: {rolled[-1]}')
    assert {*rolled} <= {*known} and all(a != b for a, b in zip(rolled, rolled[1:])), rolled
    assert pg.locator('#tiles img').count() == p.cards() == 0
    p.note(f'{len(known)} prompts, among them {rolled[-1]!r}')


def keyboard(p: Page):
    "With Tab, keys and Enter alone."
    pg = p.pg
    pg.reload()
    p.until('ready again', READY)
    for order in ('idea', 'prompt', 'negative_prompt'):
        pg.keyboard.press('Tab')
        assert p.focus() == order, (p.focus(), order)
    pg.keyboard.press('Shift+Tab')
    pg.keyboard.type('a red cabin')
    pg.keyboard.press('Shift+Enter')
    assert p.value('prompt') == 'a red cabin\n' and p.cards() == 0
    pg.keyboard.press('ControlOrMeta+a')
    pg.keyboard.type(CABIN)
    p.tab_to('seed', 'Tab')
    pg.keyboard.press('ControlOrMeta+a')
    pg.keyboard.type('42')
    assert pg.is_checked('#lock')  # a seed that is typed is kept
    p.tab_to('prompt', 'Shift+Tab')
    pg.keyboard.press('Enter')
    p.made('one picture, by keyboard', 1)
    seen = pg.evaluate('seen')
    assert len(set(seen['steps'])) >= 3 and seen['previews'] >= 1, seen
    assert (
        CABIN in p.text('caption') and 'seed 42' in p.text('caption') and p.cards() == 1 and pg.title() == 'minisd'
    ), p.text('caption')
    p.note(f'steps shown: {" ".join(seen["steps"])}; caption: {p.text("caption")!r}')


def four(p: Page):
    p.type('prompt', DEER)
    p.type('n', 4)
    p.button('Generate').click()
    p.made('four pictures', 4)
    assert 'seeds 42 to 45' in p.text('caption') and p.cards() == 5 and p.value('n_slider') == '4', p.text('caption')
    shown = set(p.pg.eval_on_selector_all('#tiles img', 'all => all.map(i => i.src)'))
    assert len(shown) == 4
    p.pg.uncheck('#lock')
    p.type('prompt', BALLOON)
    p.type('n', 1)
    p.button('Generate').click()
    p.says('another seed', 'caption', BALLOON)
    assert p.value('seed') != '42' and f'seed {p.value("seed")}' in p.text('caption')


def stop(p: Page, server: Server):
    "A long one, stopped with the button and with Esc."
    p.type('steps', 999)
    p.type('n', 4)
    assert p.value('steps') == p.pg.get_attribute('#steps', 'max')  # brought within its limit
    steps = int(p.value('steps'))
    for how in ('button', 'Escape'):
        before = p.cards()
        p.button('Generate').click()
        p.until('running', f"{STEP} > 2 && document.querySelector('.preview')")
        assert p.pg.get_attribute('#generate', 'aria-disabled') == 'true' and f'/{steps}' in p.pg.title(), p.pg.title()
        if how == 'button':
            p.shot('running')
            p.button('Stop').click()
        else:
            p.pg.keyboard.press(how)
        p.says(f'stopped by {how}', 'caption', 'Stopped at step')
        p.note(p.text('caption'))
        assert int(p.text('caption').split()[3]) < steps and p.cards() == before and p.text('trouble_text') == ''
        end = time.time() + PATIENCE
        while (h := server.health())['running'] + h['queue']:
            assert time.time() < end, f'the server goes on: {h}'
            time.sleep(0.1)
    p.type('steps', 11)
    p.type('n', 1)


def gallery(p: Page):
    "It is there after a reload; settings come back."
    pg, n = p.pg, p.cards()
    pg.reload()
    p.until('ready after reload', READY)
    assert p.cards() == n == 6 and pg.locator('#tiles img').count() == 1 and BALLOON in p.text('caption')
    seeds = pg.eval_on_selector_all('#cards .view img', 'all => all.map(i => i.alt)')
    assert 'seed 42' in seeds[1] and 'seed 45' in seeds[4] and CABIN in seeds[5], seeds


def other_settings(p: Page):
    "What was set for a picture comes back with it, and the picture, too."
    pg = p.pg
    own = pg.evaluate("fetch('config').then(r => r.json()).then(c => c.defaults)")
    p.type('steps', 20)
    p.type('cfg_scale', 7.5)
    pg.select_option('#solver', index=1)
    pg.click('#more > summary')
    p.type('guidance_interval', '0.2, 0.9')
    pg.check('#zero_star')
    p.shot('more')
    p.type('negative_prompt', 'rain')
    p.type('prompt', DEER)
    p.button('Generate').click()
    p.says('other settings', 'caption', '20 steps · guidance 7.5')
    p.made('made', 1)
    pg.locator('#cards .use').last.click()
    got = [p.value(i) for i in ('prompt', 'negative_prompt', 'steps', 'cfg_scale', 'seed', 'n')]
    assert (
        got == [CABIN, '', str(own['steps']), f'{own["cfg_scale"]:g}', '42', '1']
        and pg.is_checked('#lock')
        and p.focus() == 'prompt'
    ), got
    assert p.value('guidance_interval') == '' and not pg.is_checked('#zero_star')
    p.says('restored', 'announce', 'seed 42')
    p.button('Generate').click()
    p.says('made again', 'caption', CABIN)
    p.made('made', 1)
    both = '[document.querySelector("#tiles img"), document.querySelector("#cards li:last-child img")]'
    assert pg.evaluate(f'({SAME})({both})')
    p.note('the same picture, to the last pixel')
    pg.locator('#cards .use').nth(1).click()
    got = [p.value(i) for i in ('negative_prompt', 'steps', 'cfg_scale', 'guidance_interval')]
    assert got == ['rain', '20', '7.5', '0.2, 0.9'] and p.value('solver') and pg.is_checked('#zero_star'), got
    pg.click('#more > summary')
    pg.locator('#cards .delete').nth(1).click()
    p.says('deleted', 'announce', 'Deleted')
    assert p.cards() == 7 and 'delete' in p.focus()
    pg.locator('#cards .use').last.click()


def full_view(p: Page):
    pg = p.pg
    pg.locator('#tiles button').focus()
    pg.keyboard.press('Enter')
    assert pg.locator('#viewer').is_visible()
    place, first = p.text('view_place'), pg.get_attribute('#view_image', 'src')
    assert place == '1 of 7' and CABIN == p.text('view_prompt') and 'seed 42' in p.text('view_settings'), place
    pg.keyboard.press('ArrowRight')
    assert (
        p.text('view_place') == '2 of 7'
        and BALLOON == p.text('view_prompt')
        and pg.get_attribute('#view_image', 'src') != first
    )
    p.shot('view')
    pg.keyboard.press('ArrowLeft')
    pg.keyboard.press('ArrowLeft')
    assert p.text('view_place') == '1 of 7'
    pg.keyboard.press('Escape')
    assert not pg.locator('#viewer').is_visible() and pg.evaluate("document.activeElement.matches('#tiles button')")
    p.note('full view by keyboard; the focus is back')


def in_file(file: Path) -> dict:
    "The settings in a picture, read without the package, whose import takes seconds."
    from PIL import Image

    return json.loads(Image.open(file).text['minisd'])


def save(p: Page):
    from PIL import Image

    with p.pg.expect_download() as got:
        p.pg.locator('#cards .save').last.click()
    name, file = got.value.suggested_filename, p.shots / 'saved.png'
    got.value.save_as(file)
    s, size = in_file(file), Image.open(file).size
    assert name == 'a-red-cabin-by-a-lake-at-sunset-42.png' and (s['prompt'], s['seed'], size) == (
        CABIN,
        42,
        (SIDE, SIDE),
    ), (name, s)
    file.unlink()
    p.note(f'saved {name}: {s["prompt"]!r}, seed {s["seed"]}')


def prompts(p: Page):
    "Nothing to draw, too much to send, more than the model reads."
    pg = p.pg
    pg.fill('#prompt', '  ')
    pg.press('#prompt', 'Enter')
    p.says('blank prompt', 'trouble_text', 'prompt is empty')
    assert p.focus() == 'prompt' and pg.get_attribute('#prompt', 'aria-invalid') == 'true'
    p.shot('error')
    limit = int(pg.evaluate("fetch('config').then(r => r.json()).then(c => c.limits.prompt.max_length)"))
    pg.fill('#prompt', 'x' * (limit - 5))
    assert p.text('prompt_left') == '5 left' and p.text('trouble_text') == ''
    pg.fill('#prompt', 'x' * (limit + 5))
    assert p.text('prompt_left') == '5 too many'
    pg.press('#prompt', 'Enter')
    p.says('long prompt', 'trouble_text', f'at most {limit} fit')
    pg.fill('#prompt', 'a red cabin and ' + 'quiet water and ' * 25 + 'dawn')
    pg.press('#prompt', 'Enter')
    p.made('more than the model reads', 1)
    assert pg.locator('#notes').is_visible()
    p.note(p.text('notes')[:150])


def unknown(p: Page):
    "Words that the model never saw, and a size that it wasn't trained at, are named below the picture."
    pg = p.pg
    assert pg.locator('#size optgroup[label=untrained] option').count() == pg.locator('#size option').count() - 1 > 0
    for prompt, says in (
        ('a red zebra by a lake', 'nano never saw: zebra. It knows, for example: '),
        ('🐱 asdfgh', 'nano knows none of these words: 🐱, asdfgh; the picture will not show them. Try: '),
    ):
        p.type('prompt', prompt)
        p.button('Generate').click()
        p.says('unknown words', 'notes', says)
        p.shot('unknown')
    pg.select_option('#size', index=1)
    p.type('prompt', CABIN)
    p.button('Generate').click()
    p.says('untrained', 'notes', 'is a size that nano was not trained at')
    pg.select_option('#size', index=0)
    p.button('Generate').click()
    p.made('all is known', 1)
    assert not pg.locator('#notes').is_visible()


def refuse(p: Page, status: int, **headers):
    "Have the next request refused."
    body = json.dumps(dict(detail='the queue is full', id='x'))
    headers |= {'Content-Type': 'application/json'}
    p.pg.route(STREAM, lambda r: r.fulfill(status=status, headers=headers, body=body), times=1)


def refused(p: Page):
    "What the server refuses, and a full queue."
    pg = p.pg
    more = lambda r: r.continue_(post_data=json.dumps(json.loads(r.request.post_data) | dict(n=99)))
    pg.fill('#prompt', CABIN)
    pg.route(STREAM, more, times=1)
    p.button('Generate').click()
    p.until('refused by the server', "document.querySelector('#trouble_text').innerText")
    said = p.text('trouble_text')
    assert '\n' not in said and 'n' in said and '{' not in said, said
    p.note(said)
    refuse(p, 429, **{'Retry-After': '2'})
    p.button('Generate').click()
    p.says('queue full', 'trouble_text', 'queue is full')
    assert pg.is_disabled('#again') and 'Try again in' in p.text('again')
    p.until('counted down', "!document.querySelector('#again').disabled")
    p.button('Try again').click()
    p.made('tried again', 1)
    assert p.text('trouble_text') == ''


def key(p: Page):
    "A key that is wanted."
    pg = p.pg
    refuse(p, 401)
    p.button('Generate').click()
    p.says('a key is wanted', 'trouble_text', 'key')
    assert p.focus() == 'key'
    pg.keyboard.type('“open”')
    pg.keyboard.press('Enter')
    p.says('no key at all', 'trouble_text', 'this one has others')
    pg.fill('#key', '')
    pg.focus('#key')
    pg.keyboard.type('open-sesame')
    with pg.expect_request(STREAM) as sent:
        pg.keyboard.press('Enter')
    assert sent.value.headers['authorization'] == 'Bearer open-sesame'
    p.made('with the key', 1)
    pg.evaluate('sessionStorage.clear()')


def failed(p: Page):
    "A fault of the server's own."
    refuse(p, 500)
    p.button('Generate').click()
    p.says('failed', 'trouble_text', '(request x)')
    p.button('Try again').click()
    p.made('tried again', 1)
    p.expected('the server responded with a status of 4', 'the server responded with a status of 500')


def large_seed(p: Page):
    "A seed that no number of JavaScript's can hold, to its last digit: shown, sent, in the file, restored."
    seed, file = str(2**64 - 1), p.shots / 'seed.png'
    p.type('seed', 2**64 + 5)
    p.says('the largest', 'announce', f'now {seed}')
    assert p.value('seed') == seed
    p.type('prompt', CABIN)
    p.type('n', 2)
    p.type('steps', 4)
    p.button('Generate').click()
    p.made('a large seed', 2)
    assert f'seeds {seed} to 0' in p.text('caption'), p.text('caption')
    with p.pg.expect_download() as got:
        p.pg.locator('#cards .save').first.click()
    got.value.save_as(file)
    assert (got.value.suggested_filename.endswith(f'-{seed}.png'), in_file(file)['seed']) == (True, int(seed))
    file.unlink()
    p.type('seed', 'many')
    assert p.value('seed') == '42'
    p.pg.locator('#cards .use').first.click()
    assert p.value('seed') == seed and p.pg.is_checked('#lock')
    p.type('steps', 11)


def killed(p: Page, server: Server):
    "The server dies in the middle of a picture and comes back."
    p.type('steps', 50)
    p.type('n', 2)
    p.type('prompt', DEER)
    before = p.cards()
    p.button('Generate').click()
    p.until('running', f'{STEP} > 2')
    server.kill()
    p.says('killed', 'trouble_text', 'connection was lost at step')
    p.says('the light', 'health', 'server down')
    p.note(p.text('trouble_text'))
    assert p.cards() == before and p.pg.title() == 'minisd'
    p.shot('down')
    server.start()
    p.says('back by itself', 'health', 'ready')
    p.says('and says so', 'trouble_text', 'The server answers')
    assert p.value('steps') == '50' and p.value('prompt') == DEER
    p.button('Try again').click()
    p.made('what was lost', 2)
    assert DEER in p.text('caption') and p.text('trouble_text') == ''


def offline(p: Page):
    "The network goes while nothing runs, and comes back."
    look = "document.dispatchEvent(new Event('visibilitychange'))"  # looks at once, as on coming back to the tab
    p.type('n', 1)
    p.type('steps', 11)
    p.pg.context.set_offline(True)
    p.pg.evaluate(look)
    p.says('down, with nothing running', 'trouble_text', 'The server does not answer')
    p.button('Generate').click()
    p.says('asked all the same', 'trouble_text', 'The server is not ready')
    p.pg.context.set_offline(False)
    p.says('back by itself', 'health', 'ready')
    assert p.text('trouble_text') == ''
    p.button('Generate').click()
    p.made('drawing again', 1)
    p.expected('net::ERR_')


def looks(p: Page):
    pg = p.pg
    p.type('n', 4)
    pg.fill('#prompt', CABIN)
    p.button('Generate').click()
    p.made('four', 4)
    p.shot('desktop')
    pg.emulate_media(color_scheme='dark', reduced_motion='reduce')
    p.shot('dark')
    pg.emulate_media(color_scheme='light')


def phone(p: Page, server: Server):
    "The same with a finger: no horizontal scroll at any width, and what is touched is large enough."
    pg = p.pg
    pg.goto(server.url)
    p.until('ready', READY)
    p.shot('phone_empty')
    pg.locator('#settings > summary').tap()
    p.type('seed', 42)
    p.type('n', 4)
    pg.locator('#settings > summary').tap()
    assert '4 pictures' in p.text('gist')
    pg.fill('#prompt', CABIN)
    p.button('Generate').tap()
    p.made('four on a phone', 4)
    assert pg.evaluate("document.querySelector('#tiles').getBoundingClientRect().bottom <= innerHeight"), (
        'the pictures are out of sight'
    )
    p.shot('phone')
    pg.locator('#settings > summary').tap()
    for width in (390, 360, 768, 1024):
        pg.set_viewport_size(dict(width=width, height=844))
        over = pg.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth')
        assert over <= 0, f'{width} px wide: {over} px too wide'
        assert not (s := pg.evaluate(SMALL)), f'{width} px wide, too small for a finger: {s}'
    p.note('no horizontal scroll at 360, 390, 768 and 1024; everything is large enough')


def clear(p: Page):
    pg = p.pg
    p.button('Clear all').click()
    assert pg.locator('#confirm').is_visible() and p.focus() == 'confirm_no'
    pg.keyboard.press('Escape')
    assert p.cards() and not pg.locator('#confirm').is_visible()
    p.button('Clear all').click()
    p.button('Delete all').click()
    p.until('cleared', "!document.querySelector('#cards li') && !document.querySelector('#empty').hidden")
    pg.reload()
    p.until('nothing after a reload', READY)
    assert p.cards() == 0


def docs(p: Page, server: Server):
    "The description of the API, drawn without a network, with an example to send."
    pg = p.pg
    pg.goto(server.url + '/docs')
    pg.wait_for_selector('.opblock', timeout=1000 * PATIENCE)
    assert pg.locator('.opblock').count() >= 8
    pg.locator('#operations-pictures-generate_generate_post .opblock-summary').click()
    pg.get_by_role('button', name='Try it out').click()
    assert CABIN in pg.locator('.body-param__text').input_value()
    pg.get_by_role('button', name='Execute').click()
    pg.wait_for_selector('.live-responses-table', timeout=1000 * PATIENCE)
    pg.locator('.live-responses-table .response-col_status', has_text='200').last.wait_for(timeout=1000 * PATIENCE)
    p.shot('docs')
    p.note('the API, tried from its description')


def use(chromium, folder: Path, shots: Path, dark: bool):
    server = Server(folder, browser.free_port()).start()
    watched = browser.Watched(chromium, (server.url, 'data:', f'blob:{server.url}'))

    def page(watch=True, **how):
        pg = watched.page(color_scheme='light', **how)
        pg.set_default_timeout(1000 * PATIENCE)
        if watch:
            pg.add_init_script(WATCH)
        return Page(pg, shots, watched.errors)

    desktop = dict(width=1280, height=800)
    finger = dict(viewport=dict(width=390, height=844), device_scale_factor=2, is_mobile=True, has_touch=True)
    try:
        with watched.driven(shots):
            drive(page(viewport=desktop), server)
            phone(page(**finger), server)
            docs(page(watch=False, viewport=desktop), server)
    except BaseException:
        print((folder / 'server.log').read_text()[-1500:])
        raise
    finally:
        server.kill()


if __name__ == '__main__':
    sys.exit(browser.main(__doc__, 'page desktop dark phone', use))
