"A real browser for the tests that want one: where it is, what its pages ask for and complain of, where pictures go."

import argparse
import os
import shutil
import socket
import tempfile
from collections.abc import Callable
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FLAGS = (
    '--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking '
    '--disable-component-update --disable-sync'
).split()
NO_BROWSER = 3  # exit status
PATIENCE = 180  # seconds: a busy machine is no fault


def browser_path() -> str | None:
    "A Chromium on this machine. On GitHub there is one, and a test without it is no test."
    known = filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome')))
    path = os.environ.get('CHROMIUM') or next(known, None)
    if not path and os.environ.get('GITHUB_ACTIONS'):
        raise SystemExit('no Chromium and no Chrome on the path')
    return path


def free_port() -> int:
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def patient(pg):
    "A page that waits long before it gives up."
    pg.set_default_timeout(1000 * PATIENCE)
    return pg


class Watched:
    "Pages of a browser; what they ask other hosts for, and the errors on their consoles."

    def __init__(self, browser, own: tuple[str, ...]):
        self.browser, self.own, self.outside, self.errors, self.pages = browser, own, set(), [], []

    def page(self, **how):
        pg = patient(self.browser.new_page(**how))
        pg.on('request', lambda r: None if r.url.startswith(self.own) else self.outside.add(r.url))
        pg.on('console', lambda m: self.errors.append(m.text[:300]) if m.type == 'error' else None)
        pg.on('pageerror', lambda e: self.errors.append(str(e)[:300]))
        self.pages.append(pg)
        return pg

    @contextmanager
    def driven(self, shots: Path):
        "Within the block, a failure leaves a picture; at its end, nothing may have been asked for or complained of."
        try:
            yield self
        except BaseException:
            if self.pages:
                self.pages[-1].screenshot(path=shots / 'failure.png')
            print('console:', self.errors[:5])
            raise
        print('requests to other hosts:', sorted(self.outside) or 'none', '| console errors:', self.errors or 'none')
        assert not self.outside and not self.errors


def main(doc: str, figures: str, drive: Callable) -> int:
    "Drive in a folder of its own; `figures` are the screenshots, as PREFIX name name …, that --figures keeps."
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument('--shots', type=Path, help='folder for screenshots')
    parser.add_argument('--figures', action='store_true', help='keep screenshots in figures/')
    parser.add_argument('--dark', action='store_true', help="the widget's in the dark theme")
    args, chromium = parser.parse_args(), browser_path()
    if not chromium or not find_spec('playwright'):
        print('skipped: there is no Chromium here (set CHROMIUM to its path), or playwright is not installed')
        return NO_BROWSER
    from playwright.sync_api import sync_playwright

    prefix, *names = figures.split()
    with tempfile.TemporaryDirectory() as tmp, sync_playwright() as play:
        shots = (args.shots or Path(tmp) / 'shots').resolve()
        shots.mkdir(parents=True, exist_ok=True)
        browser = play.chromium.launch(executable_path=chromium, args=FLAGS)
        drive(browser, Path(tmp), shots, args.dark)
        browser.close()
        for name in names if args.figures else ():
            shutil.copy(shots / f'{prefix}_{name}.png', ROOT / 'figures')
    print(f'{prefix}: all well')
    return 0
