"The widget in a real notebook and a real browser; skipped where there is no Chromium."

import subprocess
import sys
from pathlib import Path

import pytest
from browser import NO_BROWSER, browser_path

root = Path(__file__).resolve().parents[1]


@pytest.mark.skipif(not browser_path(), reason='no Chromium here')
def test_widget_in_a_browser(tmp_path):
    command = [sys.executable, root / '.ci' / 'drive_widget.py', '--shots', tmp_path]
    r = subprocess.run(command, capture_output=True, text=True, timeout=1200)
    if r.returncode == NO_BROWSER:
        pytest.skip(r.stdout.strip() or r.stderr.strip())
    assert r.returncode == 0, r.stdout[-3000:] + r.stderr[-3000:]
    assert len(list(tmp_path.glob('*.png'))) >= 4
