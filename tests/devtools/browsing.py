"""Debian's Chromium, driven by playwright: what the tests of both pages share.

Importing this skips a module where the browser or its driver is missing.
"""

import shutil
import threading
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from importlib.util import find_spec

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
MISSING = [
    name
    for name, found in (
        ("the package playwright (group `browser`)", find_spec("playwright")),
        ("Chromium (as root: apt-get install chromium)", CHROMIUM),
    )
    if not found
]
if MISSING:
    pytest.skip(f"missing: {' and '.join(MISSING)}", allow_module_level=True)

from playwright.sync_api import expect, sync_playwright  # noqa: E402  # see above

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class Site(ThreadingHTTPServer):
    """A server on loopback, in a thread of its own until it is stopped."""

    daemon_threads = True

    def __init__(self, handler):
        super().__init__(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.thread = threading.Thread(target=self.serve_forever, args=(0.01,))
        self.thread.start()

    def stop(self):
        self.shutdown()
        self.server_close()
        self.thread.join()


@contextmanager
def running_browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def opener(browser, patience, is_problem=lambda _: True):
    """Give a function that opens pages; at the end none has complained.

    *is_problem* tells whether a line of the console counts.
    """
    contexts = []
    problems = []

    def note(line):
        if is_problem(line):
            problems.append(line.text)

    def open_(address, **options):
        options.setdefault("viewport", {"width": 1200, "height": 760})
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(patience)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", note)
        page.goto(address)
        return page

    expect.set_options(timeout=patience)
    yield open_
    for each in contexts:
        each.close()
    assert problems == []


# A function for the page: which texts have less contrast than WCAG 2 asks for.
CONTRASTS = """() => {
  const light = (text) => {
    const [r, g, b] = text.match(/[\\d.]+/g).slice(0, 3).map((part) => {
      const value = part / 255;
      return value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor;
      if (!color.endsWith(", 0)")) return color;
    }
    return "rgb(255, 255, 255)";
  };
  const low = [];
  for (const element of document.querySelectorAll("body *")) {
    const texts = [...element.childNodes].filter((node) => node.nodeType === 3);
    const own = texts.some((node) => node.data.trim());
    if (!own || !element.checkVisibility() || element.disabled) continue;
    const [a, b] = [light(getComputedStyle(element).color), light(behind(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) low.push(`${element.className}: ${ratio.toFixed(1)}`);
  }
  return low;
}"""
