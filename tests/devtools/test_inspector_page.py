"""The inspector in a real browser: Debian's Chromium, driven by playwright."""

import json
import socket
from http.server import BaseHTTPRequestHandler

import pytest

from port_webhook import sign
from port_webhook.testing import action_invocation, sign_request

from .browsing import CONTRASTS, Site, opener, running_browser
from .listening import SECRET, Command

from playwright.sync_api import expect  # isort: skip  # after the skip

HTML = '</pre><img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'
PATIENCE = 10_000  # milliseconds


class Application(Site):
    """What deliveries are forwarded to, and a page of a foreign origin."""

    def __init__(self):
        self.bodies = []
        self.response = b"hello from the application"
        super().__init__(_Handler)


class _Handler(BaseHTTPRequestHandler):
    server: Application

    def do_GET(self):
        self._answer(b"<!doctype html><title>foreign</title>")

    def do_POST(self):
        length = int(self.headers["content-length"])
        self.server.bodies.append(self.rfile.read(length))
        self._answer(self.server.response)

    def _answer(self, body):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def browser():
    with running_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def application():
    server = Application()
    yield server
    server.stop()


@pytest.fixture
def command(application):
    application.bodies.clear()
    application.response = b"hello from the application"
    with Command("--forward", application.url).start() as command:
        yield command


@pytest.fixture
def open_page(browser):
    def is_problem(line):
        # A receiver that has ended is no problem of the page.
        return line.type == "error" and "ERR_CONNECTION_" not in line.text

    with opener(browser, PATIENCE, is_problem) as open_:
        yield open_


def genuine(command, document=None, path="/port"):
    body, headers = sign_request(document or action_invocation(), SECRET)
    return command.send(body, headers, path)


def test_deliveries_appear_live_with_their_verdicts_and_are_moved_through(
    command, open_page
):
    page = open_page(command.page)
    expect(page.locator("#state")).to_have_text("live")
    expect(page.locator("#empty")).to_be_visible()
    genuine(command, path="/first")
    expect(page.locator(".row")).to_have_count(1)
    command.send(b"{}", {}, "/second")
    rows = page.locator(".row")
    expect(rows).to_have_count(2)
    newest = page.locator(".row", has_text="/second")
    expect(newest).to_contain_text("refused")
    expect(newest).to_contain_text("missing_header · CustomPayload")
    expect(newest).to_contain_text("401")
    oldest = page.locator(".row", has_text="/first")
    expect(oldest).to_contain_text("verified")
    expect(oldest).to_contain_text("forwarded 200")

    page.keyboard.press("j")
    expect(newest).to_have_attribute("aria-selected", "true")
    page.keyboard.press("j")
    expect(oldest).to_have_attribute("aria-selected", "true")
    expect(page.locator("#detail h2")).to_contain_text("/first")
    expect(page.locator("#detail")).to_contain_text("hello from the application")
    expect(page.locator("#detail")).to_contain_text("grace@example.com")
    page.keyboard.press("k")
    expect(newest).to_have_attribute("aria-selected", "true")
    expect(page.locator(".cause").first).to_contain_text("missing_header")
    # The token is not left in the address, and a reload still knows it.
    assert "#" not in page.url
    page.reload()
    expect(rows).to_have_count(2)


def test_the_slash_filters(command, open_page):
    genuine(command, path="/first")
    command.send(b"{}", {}, "/second")
    page = open_page(command.page)
    expect(page.locator(".row")).to_have_count(2)
    page.keyboard.press("/")
    page.keyboard.type("verdict:refused path:/sec")
    expect(page.locator(".row")).to_have_count(1)
    expect(page.locator("#count")).to_have_text("1 of 2")
    page.locator("#filter").fill("action:create_s")
    expect(page.locator(".row")).to_contain_text("/first")
    page.locator("#filter").fill("nothing like it")
    expect(page.locator("#empty")).to_have_text("No delivery passes the filter.")


def test_a_delivery_is_sent_again_also_after_an_edit(command, application, open_page):
    body, headers = sign_request({"n": 1}, SECRET)
    command.send(body, headers)
    page = open_page(command.page)
    expect(page.locator(".row")).to_have_count(1)
    page.keyboard.press("j")
    page.keyboard.press("r")
    expect(page.locator("#notice")).to_contain_text("Sent as #2 (verified)")
    expect(page.locator("#detail")).to_contain_text("#2")
    page.keyboard.press("e")
    page.locator("#editor textarea").fill('{"n":"é"}')
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.locator("#notice")).to_contain_text("Sent as #3 (verified)")
    expect(page.locator("#detail")).to_contain_text("#3")
    # As it was signed: the old signature does not belong to a changed body.
    page.keyboard.press("e")
    page.locator("#editor textarea").fill('{"n":4}')
    page.locator("#fresh").uncheck()
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.locator("#notice")).to_contain_text("Sent as #4 (refused)")
    assert application.bodies == [body, body, '{"n":"é"}'.encode(), b'{"n":4}']


def test_two_deliveries_are_compared(command, open_page):
    genuine(command, {"n": 1, "same": [1, 2]})
    genuine(command, {"n": 2, "same": [1, 2]})
    page = open_page(command.page)
    expect(page.locator(".row")).to_have_count(2)
    page.keyboard.press("j")
    page.keyboard.press("d")
    expect(page.locator("#notice")).to_contain_text("Choose the delivery")
    page.keyboard.press("j")
    expect(page.locator(".removed").first).to_have_text('-   "n": 2,')
    expect(page.locator(".added").first).to_have_text('+   "n": 1,')


def test_html_and_script_of_a_delivery_stay_text(command, open_page):
    document = action_invocation(action=HTML, properties={HTML: HTML})
    body, headers = sign_request(document, SECRET)
    command.send(body, {**headers, "X-Html": HTML}, "/" + HTML.replace(" ", "%20"))
    command.send(HTML.encode(), {})
    page = open_page(command.page)
    expect(page.locator(".row")).to_have_count(2)
    for _ in range(2):
        page.keyboard.press("j")
        expect(page.locator(".payload pre")).to_contain_text("window.hacked=1")
        page.locator(".tabs button").nth(1).click()
        expect(page.locator(".payload pre")).to_contain_text("<script>")
        assert page.locator("main img, main script").count() == 0
    assert page.evaluate("window.hacked") is None


MARK = "window.hacked=1"
PAYLOADS = [
    f"<script>{MARK}</script>",
    f"</script><script>{MARK}</script>",
    f"</title></textarea></style></pre><script>{MARK}</script>",
    f"]]></script><svg/onload={MARK}>",
    f"--><svg><script>{MARK}</script></svg>",
    f"<img src=x onerror={MARK}>",
    f"<iframe srcdoc='<script>parent.{MARK}</script>'>",
    f"<a href=javascript:{MARK} autofocus onfocus={MARK}>x</a>",
    f"<form action=javascript:{MARK}><button autofocus>x",
    f"<base href=//a.invalid/><link rel=stylesheet href=javascript:{MARK}>",
    f"<meta http-equiv=refresh content='0;url=javascript:{MARK}'>",
    f"<style>@import 'javascript:{MARK}'</style>",
    f"javascript:{MARK}",
    f"data:text/html,<script>{MARK}</script>",
    f"'-{MARK}-'",
    f'"-{MARK}-"',
    f"${{{MARK}}}",
    f"{{{{{MARK}}}}}",
    f"\\u003cscript\\u003e{MARK}\\u003c/script\\u003e",
    f"&lt;img src=x onerror={MARK}&gt;",
    f"<!--<img src=--><img src=x onerror={MARK}//>",
    f"<math><mtext></form><form><mglyph><style></math><img src onerror={MARK}>",
    "__proto__",
    "constructor",
    "row-1",
    "\u202emoc.live\u2066\u2069 \x00\x07\x1b[31m\x7f\u2028\u2029\u200f",
    "\ufeff\u200b\ud800 lone",
]


def hostile(payload, number):
    """Return a document whose names, values and identifiers are *payload*."""
    document = action_invocation(run_id=f"r_{number}{payload}")
    document["action"] = document["payload"]["action"]["identifier"] = payload
    document["payload"]["properties"] = {payload: [payload, {payload: payload}]}
    document["trigger"]["by"]["user"]["email"] = payload
    document["context"]["blueprint"] = document["context"]["entity"] = payload
    return document


def send_raw(command, target, payload, body, headers):
    """Send what no HTTP client would."""
    host, port = command.url.removeprefix("http://").split(":")
    value = "".join(each for each in payload if each.isprintable())
    lines = [
        f"POST {target} HTTP/1.1",
        "Host: a",
        "Connection: close",
        f"Content-Length: {len(body)}",
        f"X-Payload: {value}",
        *(f"{name}: {text}" for name, text in headers.items()),
    ]
    with socket.create_connection((host, int(port))) as client:
        head = "\r\n".join(lines).encode("utf-8", "replace")
        client.sendall(head + b"\r\n\r\n" + body)
        while client.recv(65_536):
            pass


def test_nothing_that_a_delivery_holds_runs(command, application, open_page):
    for number, payload in enumerate(PAYLOADS):
        body, headers = sign_request(hostile(payload, number), SECRET)
        target = "/" + "".join(each for each in payload if "!" <= each <= "~")
        # Verified ones are forwarded, and the response quotes them.
        application.response = payload.encode("utf-8", "replace")
        send_raw(command, target + "?q=" + target, payload, body, headers)
        body = payload.encode("utf-8", "surrogatepass")
        send_raw(
            command, f"x{target}", payload, body, {"x-port-signature": payload[:5]}
        )
    page = open_page(command.page)
    page.on("dialog", lambda _: pytest.fail("a dialog"))
    page.context.on("page", lambda _: pytest.fail("a window"))
    expect(page.locator("#count")).to_have_text(f"{2 * len(PAYLOADS)} kept")
    for _ in range(2 * len(PAYLOADS)):
        before = page.locator("#detail").text_content()
        page.keyboard.press("j")
        page.wait_for_function(
            "before => document.getElementById('detail').textContent !== before",
            arg=before,
        )
        page.keyboard.press("e")
        expect(page.locator("#editor .tools")).to_be_visible()
        page.keyboard.press("Escape")
        page.keyboard.press("Escape")
        assert page.evaluate("window.hacked") is None
        foreign = "script, iframe, a, form, img, svg, math, style, meta, base, link"
        assert page.locator(foreign).and_(page.locator("main *")).count() == 0
    page.keyboard.press("d")
    page.keyboard.press("k")
    expect(page.locator("#detail h2")).to_contain_text("compared with")
    page.locator("#filter").fill(PAYLOADS[0].lower())
    expect(page.locator(".row").first).to_be_visible()
    assert page.evaluate("window.hacked") is None
    assert page.evaluate("({}).polluted") is None
    assert page.url == f"{command.url}/_inspector/"
    assert page.locator("script").count() == 1
    # What would reorder the text around it is shown as an escape.
    page.locator("#filter").fill("moc.live")
    verified = page.locator(".row", has_text="verified")
    expect(verified).to_contain_text(r"\u202emoc.live\u2066")


def test_copies_go_to_the_clipboard(command, open_page):
    genuine(command)
    page = open_page(command.page, permissions=["clipboard-read", "clipboard-write"])
    expect(page.locator(".row")).to_have_count(1)
    page.keyboard.press("j")
    for name, start in (("curl", "curl --globoff"), ("test fixture", "import pytest")):
        page.get_by_role("button", name=f"Copy as {name}").click()
        expect(page.get_by_role("button", name="Copied").first).to_be_visible()
        copied = page.evaluate("navigator.clipboard.readText()")
        assert copied.startswith(start)


def test_the_page_explains_a_refusal_and_shows_no_secret(command, open_page):
    body, headers = sign_request({"leak": SECRET}, SECRET)
    command.send(body + b"\n", {**headers, "Authorization": "Bearer of-somebody"})
    page = open_page(command.page)
    expect(page.locator(".row")).to_have_count(1)
    page.keyboard.press("j")
    expect(page.locator(".cause")).to_contain_text("newline_added proven")
    expect(page.locator("#detail")).to_contain_text("(hidden)")
    shown = page.content()
    assert SECRET not in shown
    assert "of-somebody" not in shown


def test_a_foreign_page_can_neither_read_nor_act(command, application, open_page):
    genuine(command)
    application.bodies.clear()
    application.response = b"hello from the application"
    page = open_page(application.url)
    token = command.page.partition("=")[2]
    reach = """async ([base, token]) => {
      const tries = [
        [`${base}/_inspector/api/deliveries`, {}],
        [`${base}/_inspector/api/deliveries`, {headers: {"X-Inspector-Token": token}}],
        [`${base}/_inspector/api/deliveries/1/send`,
         {method: "POST", headers: {"X-Inspector-Token": token}, body: "{}"}],
        [`${base}/_inspector/api/deliveries/1/send`,
         {method: "POST", mode: "no-cors", body: "{}"}],
      ];
      const found = [];
      for (const [url, options] of tries) {
        try {
          found.push((await fetch(url, options)).type);
        } catch { found.push("no"); }
      }
      const frame = document.createElement("iframe");
      frame.src = `${base}/_inspector/`;
      const loaded = new Promise((done) => { frame.onload = frame.onerror = done; });
      document.body.append(frame);
      await loaded;
      found.push(frame.contentDocument ? "read" : "no");
      return found;
    }"""
    # The browser says on this page's console what it refuses.
    quiet = page.context.new_page()
    quiet.goto(application.url)
    assert quiet.evaluate(reach, [command.url, token]) == [
        "no",
        "no",
        "no",
        "no",  # Cross-Origin-Resource-Policy; it was refused before
        "no",
    ]
    assert application.bodies == []


def test_without_the_token_the_page_shows_nothing(command, browser):
    genuine(command)
    context = browser.new_context()
    page = context.new_page()
    page.goto(command.page.partition("#")[0])
    expect(page.locator("#notice")).to_contain_text("the terminal shows")
    expect(page.locator(".row")).to_have_count(0)
    context.close()


@pytest.mark.parametrize(
    ("scheme", "size"),
    [
        ("light", (1200, 760)),
        ("dark", (1200, 760)),
        ("light", (360, 640)),
        ("dark", (360, 640)),
    ],
)
def test_it_is_readable_in_light_and_dark_on_a_desk_and_a_phone(
    command, open_page, scheme, size
):
    genuine(
        command, path="/a/long/path/that/does/not/fit/into/one/line/of/a/phone/at/all"
    )
    command.send(b"{}", {}, "/second")
    viewport = {"width": size[0], "height": size[1]}
    page = open_page(command.page, color_scheme=scheme, viewport=viewport)
    expect(page.locator(".row")).to_have_count(2)
    for at in range(2):
        page.locator(".row").nth(at).click()
        expect(page.locator("#detail h2")).to_be_visible()
        # Nothing is wider than the page.
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        assert page.evaluate("detail.scrollWidth <= detail.clientWidth")
        low = page.evaluate(CONTRASTS)
        assert low == [], "less contrast than WCAG 2 asks for (4.5)"
        back = page.get_by_role("button", name="Back")
        if size[0] < 700:
            expect(page.locator("#list")).to_be_hidden()
            back.click()
            expect(page.locator("#list")).to_be_visible()
        else:
            expect(back).to_be_hidden()


def test_ten_thousand_deliveries_leave_the_page_small(tmp_path, open_page):
    file = tmp_path / "history"
    body = b'{"n":1}'
    headers = [*sign(body, SECRET, timestamp=1_713_277_889).items()]
    with file.open("w", encoding="ascii") as lines:
        for number in range(1, 10_001):
            line = {
                "id": number,
                "received_at": 1_713_277_889.0 + number,
                "source": "http",
                "method": "POST",
                "target": f"/port/{number}",
                "headers": headers,
                "body": "eyJuIjoxfQ==",
                "verified": number % 3 > 0,
            }
            lines.write(json.dumps(line) + "\n")
    with Command("--history", str(file), "--keep", "10000").start() as command:
        page = open_page(command.page)
        expect(page.locator("#count")).to_have_text("10000 kept")
        assert page.locator(".row").count() < 60
        page.keyboard.press("j")
        page.keyboard.press("End")
        expect(page.locator("#row-1")).to_have_attribute("aria-selected", "true")
        expect(page.locator("#detail h2")).to_contain_text("/port/1")
        assert page.locator(".row").count() < 60
        genuine(command, path="/new")
        expect(page.locator("#count")).to_have_text("10000 kept")
        expect(page.locator("#row-1")).to_have_count(0)  # made room
        page.keyboard.press("Home")
        expect(page.locator("#row-10001")).to_be_visible()
        page.keyboard.press("/")
        page.keyboard.type("path:/port/777")
        expect(page.locator("#count")).to_have_text("11 of 10000")
