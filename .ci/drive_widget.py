"Use the widget in JupyterLab as a person would, in a real browser. Exit status 3: no browser here."

import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import browser
import nbformat
from browser import PATIENCE

root = Path(__file__).resolve().parents[1]
CELLS = [
    '''from minisd.inference import Pipeline
from minisd.apps.widget import widget''',
    "box = widget(Pipeline.from_pretrained('nano'), seed=42)\nbox",
    'print("joins", box.running); box.wait(); print("joined")',
    'print("free", box.running)',
]
NOTEBOOK = dict(kernelspec=dict(display_name='Python 3 (ipykernel)', language='python', name='python3'))


def prepare(folder: Path, dark: bool):
    "A notebook with the widget, and JupyterLab's settings: without its news, in light colours or dark ones."
    settings = folder / '.settings' / '@jupyterlab' / 'apputils-extension'
    settings.mkdir(parents=True)
    (settings / 'notification.jupyterlab-settings').write_text('{"fetchNews": "false", "checkForUpdates": false}')
    if dark:
        (settings / 'themes.jupyterlab-settings').write_text('{"theme": "JupyterLab Dark"}')
    cells = [nbformat.v4.new_code_cell(c) for c in CELLS]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=NOTEBOOK), folder / 'try.ipynb')


def serve(folder: Path) -> tuple[subprocess.Popen, str]:
    "A JupyterLab on a free port of 127.0.0.1; its process and address."
    port, log = browser.free_port(), open(folder / '.log', 'w')
    env = os.environ | dict(
        JUPYTERLAB_SETTINGS_DIR=str(folder / '.settings'),
        JUPYTERLAB_WORKSPACES_DIR=str(folder / '.spaces'),
        JUPYTER_CONFIG_DIR=str(folder / '.config'),
        JUPYTER_RUNTIME_DIR=str(folder / '.runtime'),
        IPYTHONDIR=str(folder / '.ipython'),
        OMP_NUM_THREADS='1',
        PYTHONPATH=str(root),
    )
    options = f'--no-browser --allow-root --ip=127.0.0.1 --port={port} --ServerApp.port_retries=0'.split()
    open_to_all = ['--IdentityProvider.token=', '--ServerApp.password=', f'--ServerApp.root_dir={folder}']
    command = [sys.executable, '-m', 'jupyterlab', *options, *open_to_all]
    server = subprocess.Popen(command, env=env, cwd=folder, stdout=log, stderr=log)
    for _ in range(5 * PATIENCE):
        if server.poll() is not None:
            break
        try:
            urllib.request.urlopen(f'http://127.0.0.1:{port}/api', timeout=1)
            return server, f'http://127.0.0.1:{port}'
        except OSError:
            time.sleep(0.2)
    server.kill()
    raise SystemExit(f'JupyterLab did not start:\n{(folder / ".log").read_text()[-2000:]}')


class Page:
    "The notebook in the browser, and how to take hold of the widget's parts."

    def __init__(self, pg, shots: Path):
        self.pg, self.shots, self.t0, self.box = pg, shots, time.time(), pg.locator('.minisd-studio')

    def note(self, text):
        print(f'{time.time() - self.t0:6.1f} s  {text}', flush=True)

    def named(self, label, tag):
        return self.box.locator(f'.jupyter-widgets:has(> .widget-label:text-is("{label}")) {tag}').first

    def number(self, label):
        return self.box.locator(
            f'.widget-hbox:has(> .widget-hslider > .widget-label:text-is("{label}")) > .widget-text input'
        ).first

    def button(self, text):
        return self.box.get_by_role('button', name=text, exact=True).first

    def says(self):
        return self.box.locator('.minisd-says').inner_text().strip()

    def type(self, field, text):
        field.fill(str(text))
        field.press('Tab')

    def until(self, what: str, text: str, seconds: float = PATIENCE):
        "Wait for the status line to hold a text."
        try:
            self.pg.wait_for_function(
                "t => document.querySelector('.minisd-says')?.innerText.includes(t)", arg=text, timeout=seconds * 1000
            )
        except Exception:
            raise AssertionError(f'{what}: waited for {text!r}, the widget says {self.says()!r}') from None
        self.note(f'{what}: {self.says()}')

    def natural(self, name: str) -> list[int]:
        "Widths of the pictures in a part, as the browser decoded them."
        return self.pg.eval_on_selector_all(
            f'.minisd-studio .minisd-{name} img, .minisd-studio img.minisd-{name}',
            'all => all.map(i => i.naturalWidth)',
        )

    def shot(self, name: str):
        "A screenshot of the widget alone."
        self.pg.mouse.move(5, 5)
        self.pg.wait_for_timeout(300)
        self.box.screenshot(path=self.shots / f'widget_{name}.png')
        size = (self.shots / f'widget_{name}.png').stat().st_size
        assert size < 400_000, f'{name}: {size} bytes'


def drive(p: Page, url: str, folder: Path):
    pg = p.pg
    pg.goto(f'{url}/lab/tree/try.ipynb?reset')
    pg.wait_for_selector('.jp-NotebookPanel .jp-Cell')
    # a kernel's name is shown before it is there, and cells that run then are lost
    pg.wait_for_function("document.body.innerText.includes('| Idle')")
    pg.locator('.jp-NotebookPanel .jp-Cell').first.click()
    pg.get_by_role('menuitem', name='Run', exact=True).click()
    pg.get_by_text('Run All Cells', exact=True).click()
    pg.wait_for_selector('.minisd-studio')
    p.note('widget shown')
    for part in ideas, generate, stop, history, errors, unknown, grid, trajectory:
        part(p)
    save(p, folder)
    interrupt(p)
    saved_notebook(p, folder)


def ideas(p: Page):
    "The model's own prompts, to click or by dice: they fill the prompt and no more."
    offered, prompt = p.box.locator('.minisd-offers button'), p.named('prompt', 'textarea')
    texts = offered.all_inner_texts()
    assert len(texts) == 4 and prompt.input_value() == texts[0], texts
    p.shot('empty')
    offered.nth(2).click()
    p.pg.wait_for_function('([e, t]) => e.value == t', arg=[prompt.element_handle(), texts[2]])
    p.button('idea').click()
    p.pg.wait_for_function('([e, t]) => e.value && e.value != t', arg=[prompt.element_handle(), texts[2]])
    p.note(f'idea: {prompt.input_value()!r}')
    assert not p.natural('gallery')


def unknown(p: Page):
    "Words that the model never saw are named."
    p.type(p.named('prompt', 'textarea'), 'a red zebra by a lake')
    p.button('Generate').click()
    p.until('unknown word', 'Note: nano never saw: zebra. It knows, for example: ')
    p.shot('unknown')
    p.type(p.named('prompt', 'textarea'), 'a red cabin by a lake at sunset')


def generate(p: Page):
    p.type(p.named('prompt', 'textarea'), 'a red cabin by a lake at sunset')
    before = float(p.number('guidance').input_value())
    p.named('guidance', '.noUi-handle').focus()
    p.pg.keyboard.press('ArrowRight')
    p.pg.wait_for_function(
        '([e, v]) => Number(e.value) == v', arg=[p.number('guidance').element_handle(), before + 0.5]
    )
    p.note(f'guidance by keyboard: {before} -> {p.number("guidance").input_value()}')
    p.type(p.number('steps'), 8)
    p.button('Generate').click()
    p.until('generate', f"sunset', 8 steps, guidance {before + 0.5:g}")
    p.pg.wait_for_function("document.querySelector('img.minisd-image').naturalWidth == 384")
    p.type(p.named('prompt', 'textarea'), 'a boat on a lake at night')
    p.type(p.number('pictures'), 4)
    p.button('Generate').click()
    p.until('four pictures', 'seeds 42 to 45')
    assert not p.box.locator('.minisd-offers').is_visible()
    assert len(p.natural('gallery')) == 2 and p.natural('image')[0] > 384, (p.natural('gallery'), p.natural('image'))
    p.shot('generate')


def stop(p: Page):
    p.type(p.number('steps'), 400)
    p.type(p.named('prompt', 'textarea'), 'snow on a mountain in the morning')
    p.type(p.number('pictures'), 1)
    assert p.button('Stop').is_disabled()
    p.button('Generate').click()
    p.pg.wait_for_function(
        "Number(document.querySelector('.minisd-says').innerText.match(/step (\\d+) of 400/)?.[1]) > 20",
    )
    assert p.button('Generate').is_disabled()
    p.shot('running')
    p.button('Stop').click()
    p.until('stop', 'stopped at step')
    step = int(p.says().split('step ')[1].split()[0])
    assert 20 < step < 400 and p.button('Generate').is_enabled(), step
    p.shot('stopped')


def history(p: Page):
    p.box.locator('.minisd-gallery').get_by_role('button').last.click()
    p.until('history', "'a red cabin by a lake at sunset', 8 steps")
    got = (
        p.named('prompt', 'textarea').input_value(),
        p.number('steps').input_value(),
        p.named('seed', 'input').input_value(),
        p.number('pictures').input_value(),
    )
    assert got == ('a red cabin by a lake at sunset', '8', '42', '1'), got
    p.named('seed', 'input').fill('1')
    p.button('dice').click()
    p.pg.wait_for_function('e => e.value != "1"', arg=p.named('seed', 'input').element_handle())
    p.note(f'dice: seed {p.named("seed", "input").input_value()}')
    p.type(p.named('seed', 'input'), 42)


def errors(p: Page):
    p.type(p.named('prompt', 'textarea'), '')
    p.button('Generate').click()
    p.until('empty prompt', 'prompt is empty: say in a few words')
    p.type(p.named('prompt', 'textarea'), 'a red cabin by a lake at sunset')
    p.type(p.number('steps'), 0)
    p.button('Generate').click()
    p.until('steps 0', 'steps is 0: it must be a whole number from 1 to 1000')
    p.shot('error')
    p.type(p.number('steps'), 8)
    p.type(p.named('prompt', 'textarea'), 'a red cabin and ' + 'quiet water and ' * 30 + 'dawn')
    p.button('Generate').click()
    p.until('long prompt', 'these words are not used')
    p.shot('long')
    p.type(p.named('prompt', 'textarea'), 'a red cabin by a lake at sunset')


def grid(p: Page):
    p.box.get_by_role('tab', name='X/Y grid').click()
    values = p.box.locator('.widget-tab-contents input[type=text]')
    p.type(values.nth(0), '2, nine')
    p.button('Draw grid').click()
    p.until('grid, unreadable', "steps is 'nine'")
    p.type(values.nth(0), '2, 8')
    p.type(values.nth(1), '1, 4')
    p.button('Draw grid').click()
    p.until('grid', '4 of 4 pictures')
    p.pg.wait_for_function("document.querySelector('img.minisd-grid_image').naturalWidth > 400")
    p.shot('grid')


def trajectory(p: Page):
    p.box.get_by_role('tab', name='Picture').click()
    p.button('Generate').click()
    p.until('one more', "sunset', 8 steps")
    p.box.get_by_role('tab', name='Trajectory').click()
    p.pg.wait_for_function("document.querySelector('img.minisd-frame')?.naturalWidth == 384")
    p.pg.wait_for_function("document.querySelector('.minisd-studio').innerText.includes('step 8 of 8')")
    p.box.locator('.widget-tab-contents .noUi-handle').focus()
    for _ in range(4):
        p.pg.keyboard.press('ArrowLeft')
    p.pg.wait_for_function("document.querySelector('.minisd-studio').innerText.includes('step 4 of 8')")
    p.note(f'trajectory: strip {p.natural("strip")}, frame {p.natural("frame")}')
    p.shot('trajectory')
    p.box.get_by_role('tab', name='Picture').click()


def save(p: Page, folder: Path):
    p.type(p.named('save to', 'input'), 'kept')
    p.button('Save').click()
    p.until('save', 'saved kept/')
    from PIL import Image

    files = sorted((folder / 'kept').glob('*.png'))
    assert len(files) == 1 and json.loads(Image.open(files[0]).info['minisd'])['seed'] == 42, files


def interrupt(p: Page):
    "While it samples, other cells run; a cell that waits for it can be interrupted, and that stops the sampling."
    pg, cells = p.pg, p.pg.locator('.jp-NotebookPanel .jp-CodeCell')
    p.type(p.number('steps'), 1000)
    p.button('Generate').click()
    p.pg.wait_for_function("document.querySelector('.minisd-says').innerText.includes('of 1000')")
    cells.nth(3).locator('.cm-content').click()
    pg.keyboard.press('Control+Enter')
    pg.wait_for_function("document.body.innerText.includes('free True')")
    p.note('another cell ran meanwhile')
    cells.nth(2).locator('.cm-content').click()
    pg.keyboard.press('Control+Enter')
    pg.wait_for_function(
        "document.body.innerText.includes('joins True')"
    )  # an interrupt before the cell runs would interrupt nothing
    pg.get_by_role('menuitem', name='Kernel', exact=True).click()
    pg.get_by_text('Interrupt Kernel', exact=True).click()
    p.until('kernel interrupted', 'stopped at step')
    cells.nth(2).get_by_text('KeyboardInterrupt').first.wait_for()


def saved_notebook(p: Page, folder: Path):
    "The file has a still picture below the widget: hidden beside the live widget, seen without it."
    assert p.pg.locator('img.minisd-still').count() == 1 and not p.pg.locator('img.minisd-still').is_visible()
    p.pg.locator('.jp-NotebookPanel .jp-Cell').first.click()
    p.pg.keyboard.press('Control+s')
    for _ in range(5 * PATIENCE):
        text = (folder / 'try.ipynb').read_text()
        if 'minisd-still' in text:
            break
        time.sleep(0.2)
    assert 'src=\\"data:image/png;base64,' in text and len(text) < 500_000, len(text)
    cell = json.loads(text)['cells'][1]
    page = p.pg.context.browser.new_page()
    page.set_content(
        ''.join(next(''.join(o['data']['text/html']) for o in cell['outputs'] if 'text/html' in o.get('data', {})))
    )
    assert (
        page.locator('img.minisd-still').is_visible() and page.evaluate('document.images[0].naturalWidth') > 0
    )  # elsewhere it is seen
    page.close()
    p.note(f'saved notebook: {len(text)} bytes, with its still picture')


def use(chromium, folder: Path, shots: Path, dark: bool):
    prepare(folder, dark)
    server, url = serve(folder)
    watched = browser.Watched(chromium, (url, url.replace('http', 'ws'), 'data:', 'blob:'))
    try:
        with watched.driven(shots):
            pg = watched.page(viewport=dict(width=1280, height=1500), device_scale_factor=1)
            drive(Page(pg, shots), url, folder)
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()


if __name__ == '__main__':
    sys.exit(browser.main(__doc__, 'widget generate stopped grid trajectory', use))
