"""Make the pictures of README.md, light and dark: ``make pictures``.

The demo's is its output, as text in an SVG. The inspector's is a photograph of the page
of ``port-webhook listen`` in Chromium, after a few deliveries. Look at them before you
commit them.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
from playwright.sync_api import expect, sync_playwright
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from port_webhook import sign
from port_webhook.testing import action_invocation, sign_as_agent, sign_request

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Literal

    Scheme = Literal["light", "dark"]

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "_static"
SECRET = "a made-up secret, long enough for a picture"
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
WIDTH = 110  # columns of the terminal
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
# A terminal's colours: black, red, green, yellow, blue, magenta, cyan, white.
THEMES = {
    "light": TerminalTheme(
        (255, 255, 255),
        (31, 35, 40),
        [
            *((31, 35, 40), (179, 38, 30), (17, 107, 52), (122, 77, 0)),
            *((31, 95, 208), (130, 60, 150), (10, 105, 120), (140, 149, 159)),
        ],
    ),
    "dark": TerminalTheme(
        (16, 19, 23),
        (228, 232, 237),
        [
            *((16, 19, 23), (255, 155, 147), (127, 217, 154), (242, 196, 109)),
            *((120, 170, 255), (214, 156, 232), (110, 205, 220), (110, 118, 129)),
        ],
    ),
}
# Without a window around it, and without the font that rich would fetch.
SVG = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">
<style>
.{unique_id}-matrix {{
  font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: {char_height}px;
  line-height: {line_height}px;
}}
.frame {{ fill: BACK; stroke: EDGE; }}
.prompt {{ fill: EDGE; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
<rect class="frame" x="0.5" y="0.5" width="99.9%" height="99.8%" rx="8"/>
<text class="{unique_id}-matrix prompt" x="9" y="27">$ make demo</text>
<g transform="translate({terminal_x}, {terminal_y})"
   clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def draw_demo() -> None:
    """Run the demo and draw its first table, as a terminal shows it."""
    environ = {**os.environ, "FORCE_COLOR": "1", "COLUMNS": str(WIDTH)}
    done = subprocess.run(  # noqa: S603  # our own script, this interpreter
        [sys.executable, str(ROOT / "examples" / "demo.py")],
        check=True,
        capture_output=True,
        text=True,
        env={**environ, "TERM": "xterm-256color"},
    )
    shown, mark, _ = done.stdout.partition("answers as expected.")
    text = Text.from_ansi(shown + mark)
    for scheme in SCHEMES:
        theme = THEMES[scheme]
        back = theme.background_color.hex
        edge = theme.ansi_colors[7].hex
        console = Console(record=True, width=WIDTH, file=io.StringIO())
        console.print(text)
        console.save_svg(
            str(FOLDER / f"demo-{scheme}.svg"),
            title="",
            theme=theme,
            code_format=SVG.replace("BACK", back).replace("EDGE", edge),
            unique_id=f"demo-{scheme}",
        )


class Application(BaseHTTPRequestHandler):
    """What the deliveries are forwarded to."""

    def do_POST(self) -> None:
        """Answer as a service would."""
        length = int(self.headers["content-length"])
        document = json.loads(self.rfile.read(length))
        body = json.dumps({"created": document["payload"]["properties"]["name"]})
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def listening() -> Iterator[tuple[str, str]]:
    """Run ``port-webhook listen``; give its address and that of its page."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Application)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    command = [sys.executable, "-m", "port_webhook", "listen", "--json", "--port", "0"]
    forward = f"http://127.0.0.1:{server.server_port}/port"
    environ = {**os.environ, "PORT_CLIENT_SECRET": SECRET, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(  # noqa: S603  # our own command, this interpreter
        [*command, "--forward", forward],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        env=environ,
    ) as process:
        try:
            if process.stdout is None:  # not with PIPE
                raise RuntimeError
            hello = json.loads(process.stdout.readline())
            yield hello["url"], hello["inspector"]
        finally:
            process.terminate()
            server.shutdown()
            server.server_close()


def deliver(url: str) -> None:
    """Send what the picture shows, the newest last."""

    def vm(number: int) -> dict[str, Any]:
        properties = {"name": f"web-{number}", "cpu": 2, "region": "eu-west-1"}
        return action_invocation(
            action="create_vm", run_id=f"r_{number}", properties=properties
        )

    body, headers = sign_request(vm(3), SECRET)
    requests = [
        sign_request(vm(1), SECRET),
        (body, sign(body, SECRET, timestamp=int(headers["x-port-timestamp"]) - 900)),
        sign_as_agent(vm(2), SECRET),
        (body, {}),
        sign_request(vm(3), SECRET),
        (body.replace(b'"cpu":2', b'"cpu":64'), headers),
        sign_request(vm(4), SECRET),
    ]
    with httpx2.Client(trust_env=False) as client:
        for sent, names in requests:
            client.post(f"{url}/port", content=sent, headers=names)


def photograph_inspector(chromium: str) -> None:
    """Show the delivery of the agent, which is refused, and why it is."""
    with listening() as (url, page_url), sync_playwright() as playwright:
        deliver(url)
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        for scheme in SCHEMES:
            context = browser.new_context(
                color_scheme=scheme,
                device_scale_factor=1.5,
                viewport={"width": 1120, "height": 552},
            )
            page = context.new_page()
            page.goto(page_url)
            expect(page.locator(".row")).to_have_count(7)
            page.locator(".row", has_text="#3").click()
            expect(page.locator(".cause").first).to_be_visible()
            page.screenshot(path=FOLDER / f"inspector-{scheme}.png")
            context.close()
        browser.close()


def main() -> None:
    """Make all of them."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("Chromium is needed (as root: apt-get install chromium).")
    FOLDER.mkdir(exist_ok=True)
    draw_demo()
    photograph_inspector(chromium)
    for picture in sorted(FOLDER.glob("*-*.*")):
        print(f"{picture.relative_to(ROOT)}: {picture.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
