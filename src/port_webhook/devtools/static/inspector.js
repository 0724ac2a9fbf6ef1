// The page of `port-webhook listen`. All that comes from a delivery is put into the
// page as text (textContent), never as markup; the content security policy would
// refuse to run it as well.
"use strict";

const ROW = 56;
const SPARE = 6; // rows beyond each end of what is seen
const RETRY = 1500; // milliseconds
const KEY = "port-webhook-inspector-token";

const $ = (id) => document.getElementById(id);
const list = $("list");
const detail = $("detail");
const filter = $("filter");

const records = new Map(); // id -> summary
let shown = []; // ids that pass the filter, the newest first
let selected = null;
let base = null; // the id of the delivery that the next one is compared with
let forward = null;
let skew = 0; // seconds by which this clock is behind the receiver's
let view = "pretty";
let asked = 0; // the number of the last request for a detail
const token = readToken();

function readToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    sessionStorage.setItem(KEY, given);
    // Neither a bookmark nor somebody who looks on needs it.
    history.replaceState(null, "", location.pathname);
  }
  return given || sessionStorage.getItem(KEY) || "";
}

// --- helpers ---------------------------------------------------------------------

// Characters that would reorder the text around them, or that nobody sees.
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

function visible(text) {
  return text.replace(UNSEEN, (each) => `\\u${each.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

function make(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  if (properties.textContent) element.textContent = visible(properties.textContent);
  if (properties.title) element.title = visible(properties.title);
  element.append(...children
    .filter((child) => child !== null && child !== undefined)
    .map((child) => (typeof child === "string" ? visible(child) : child)));
  return element;
}

const span = (className, text) => make("span", { className, textContent: text });

async function api(path, body) {
  const options = { headers: { "X-Inspector-Token": token }, cache: "no-store" };
  if (body !== undefined) {
    options.method = "POST";
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  const response = await fetch(`api/${path}`, options);
  if (!response.ok) {
    const error = new Error(await response.text());
    error.status = response.status;
    throw error;
  }
  return response.json();
}

function notify(text) {
  $("notice").textContent = visible(text);
  $("notice").hidden = !text;
}

function age(at) {
  const seconds = Math.max(0, Date.now() / 1000 + skew - at);
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} d`;
}

// --- the list: only the rows that can be seen are in the document -----------------

function passes(record, words) {
  return words.every((word) => {
    const [, name, value] = /^(path|verdict|action):(.*)$/.exec(word) || [];
    if (name === "path") return record.target.toLowerCase().startsWith(value);
    if (name === "verdict") return record.verdict.startsWith(value);
    if (name === "action") return (record.action || "").toLowerCase().startsWith(value);
    return record.text.includes(word);
  });
}

function index(record) {
  record.text = [
    record.method, record.target, record.verdict, record.code, record.shape,
    record.action, record.run_id, record.source, `#${record.id}`,
  ].join(" ").toLowerCase();
  records.set(record.id, record);
}

function refilter() {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  const before = shown.length;
  const first = shown[0];
  shown = [];
  for (const record of records.values()) {
    if (passes(record, words)) shown.push(record.id);
  }
  shown.sort((a, b) => b - a);
  const added = first === undefined ? 0 : shown.indexOf(first);
  // What somebody reads stays where it is when something comes in above it.
  if (before && added > 0 && list.scrollTop > 0) list.scrollTop += added * ROW;
  $("spacer").style.height = `${shown.length * ROW}px`;
  $("empty").hidden = shown.length > 0;
  $("empty").textContent = records.size ? "No delivery passes the filter." : "No delivery yet.";
  const all = records.size;
  $("count").textContent = shown.length === all ? `${all} kept` : `${shown.length} of ${all}`;
  draw();
}

function draw() {
  const from = Math.max(0, Math.floor(list.scrollTop / ROW) - SPARE);
  const to = Math.min(shown.length, Math.ceil((list.scrollTop + list.clientHeight) / ROW) + SPARE);
  const old = new Map();
  for (const row of list.querySelectorAll(".row")) old.set(Number(row.dataset.id), row);
  for (let at = from; at < to; at += 1) {
    const record = records.get(shown[at]);
    const row = old.get(record.id) || list.appendChild(newRow(record.id));
    old.delete(record.id);
    fill(row, record);
    row.style.transform = `translateY(${at * ROW}px)`;
    row.setAttribute("aria-selected", String(record.id === selected));
    row.setAttribute("aria-posinset", String(at + 1));
    row.setAttribute("aria-setsize", String(shown.length));
  }
  for (const row of old.values()) row.remove();
  const current = selected !== null && $(`row-${selected}`) ? `row-${selected}` : null;
  if (current) list.setAttribute("aria-activedescendant", current);
  else list.removeAttribute("aria-activedescendant");
}

function newRow(id) {
  const row = make("div", { className: "row", id: `row-${id}` });
  row.dataset.id = id;
  row.setAttribute("role", "option");
  row.addEventListener("click", () => select(id, true));
  return row;
}

function fill(row, record) {
  const now = age(record.received_at);
  if (row.version === record.version_seen && row.age === now) return;
  row.version = record.version_seen;
  row.age = now;
  const passed = record.forwarded
    ? `forwarded ${record.forwarded.status || "failed"}`
    : record.status ? String(record.status) : "";
  row.replaceChildren(
    make("div", { className: "top" },
      span("mono", record.method),
      make("span", { className: "grow mono", textContent: record.target, title: record.target }),
      span(`badge ${record.verdict}`, record.verdict)),
    make("div", { className: "low" },
      span("", `#${record.id}`),
      span("grow", [record.code, record.shape, record.action].filter(Boolean).join(" · ")),
      span("", [record.source === "http" ? "" : record.source, passed].filter(Boolean).join(" · ")),
      span("", now)));
}

// --- selection --------------------------------------------------------------------

function select(id, opens) {
  selected = id;
  if (opens) document.body.classList.add("open");
  const at = shown.indexOf(id);
  if (at >= 0) {
    const top = at * ROW;
    if (top < list.scrollTop) list.scrollTop = top;
    else if (top + ROW > list.scrollTop + list.clientHeight) list.scrollTop = top + ROW - list.clientHeight;
  }
  draw();
  if (base !== null && base !== id) compare(base, id);
  else show(id);
}

function move(step) {
  if (!shown.length) return;
  const at = shown.indexOf(selected);
  const next = at < 0 ? 0 : Math.min(shown.length - 1, Math.max(0, at + step));
  select(shown[next], false);
}

function close() {
  base = null;
  notify("");
  document.body.classList.remove("open");
  list.focus();
}

// --- the detail -------------------------------------------------------------------

async function show(id, edits) {
  const ticket = ++asked;
  let found;
  try {
    found = await api(`deliveries/${id}`);
  } catch (error) {
    if (ticket === asked) notify(error.message);
    return;
  }
  if (ticket !== asked) return;
  drawDetail(found);
  detail.scrollTop = 0;
  if (edits) edit(found);
}

function section(title, ...children) {
  return [make("h3", { textContent: title }), ...children];
}

function table(pairs) {
  const rows = make("dl", {});
  for (const [name, value] of pairs) {
    if (value === null || value === undefined || value === "") continue;
    const text = typeof value === "string" ? value : JSON.stringify(value, null, 2);
    rows.append(make("dt", { textContent: name }), make("dd", { className: "mono", textContent: text }));
  }
  return rows;
}

function bytesOf(shownBytes) {
  return make("pre", { textContent: shownBytes.text === undefined ? shownBytes.hex : shownBytes.text });
}

function button(text, action, className) {
  const element = make("button", { type: "button", textContent: text, className: className || "" });
  element.addEventListener("click", action);
  return element;
}

function drawDetail(found) {
  detail.replaceChildren(
    make("h2", {}, span(`badge ${found.verdict}`, found.verdict), ` ${found.method} `,
      span("mono", found.target)),
    make("div", { className: "tools" },
      button("Back", close, "back"),
      button("Send again", () => sendAgain(found.id), "main"),
      button("Edit and send", () => edit(found)),
      button("Compare with…", () => startDiff(found.id)),
      button("Copy as curl", (event) => copy(found.curl, event.currentTarget)),
      button("Copy as test fixture", (event) => copy(found.fixture, event.currentTarget))),
    make("div", { id: "editor" }),
    ...causes(found),
    ...section("Overview", table(overview(found))),
    ...forwardedOf(found),
    ...body(found),
    ...invocation(found),
    ...section("Headers", table(found.headers)));
}

function overview(found) {
  const signed = found.headers.filter(([name]) => name.toLowerCase() === "x-port-timestamp");
  const stamp = signed.length === 1 ? Number(signed[0][1]) / (signed[0][1].length > 10 ? 1000 : 1) : NaN;
  const old = found.received_at - stamp;
  return [
    ["number", `#${found.id}`],
    ["received", `${new Date(found.received_at * 1000).toLocaleString()} (${age(found.received_at)} ago)`],
    ["signed", Number.isFinite(old) ? `${old.toFixed(1)} s before it arrived` : ""],
    ["came by", found.source],
    ["signed form", found.via],
    ["secret", found.secret_index === null ? "" : found.secret_index ? `previous ${found.secret_index}` : "current"],
    ["run", found.run_id],
    ["answered", found.status === null ? "" : String(found.status)],
  ];
}

function causes(found) {
  if (found.verdict === "verified") return [];
  const boxes = found.causes.map((cause) => make("div", { className: "cause" },
    span("kind mono", cause.code), span("hint", cause.proven ? " proven" : " not proven"),
    make("p", { textContent: cause.text }),
    make("p", { className: "todo", textContent: cause.remedy })));
  return section("Why it was refused", make("p", { textContent: found.reason, className: "mono" }), ...boxes);
}

function forwardedOf(found) {
  const passed = found.forwarded;
  if (!passed) return [];
  const took = `${Math.round(passed.seconds * 1000)} ms`;
  const outcome = passed.status ? `${passed.status} in ${took}` : `${passed.error} (${took})`;
  return section("Response of the forward URL",
    table([["url", passed.url], ["response", outcome], ...passed.headers]),
    passed.body && passed.body.bytes ? bytesOf(passed.body) : null).filter(Boolean);
}

function body(found) {
  const holder = make("div", { className: "payload" });
  const tabs = make("div", { className: "tabs" });
  const choices = [["pretty", "Pretty JSON"], ["signed", `${found.verdict === "verified" ? "Signed bytes" : "Bytes that came"} (${found.signed.bytes})`]];
  const paint = () => {
    const name = found.pretty === null ? "signed" : view;
    const [, other] = tabs.children;
    tabs.children[0].setAttribute("aria-pressed", String(name === "pretty"));
    other.setAttribute("aria-pressed", String(name === "signed"));
    holder.replaceChildren(
      name === "pretty" ? make("pre", { textContent: found.pretty }) : bytesOf(found.signed));
  };
  for (const [name, text] of choices) tabs.append(button(text, () => { view = name; paint(); }));
  tabs.children[0].disabled = found.pretty === null;
  paint();
  const note = found.changed_on_the_way
    ? make("p", { className: "hint", textContent: "The agent sent other white space than it signed; these are the signed bytes." })
    : null;
  return [tabs, note, holder].filter(Boolean);
}

function invocation(found) {
  const { model, fields, error } = found.invocation;
  const warning = found.verdict === "verified" ? "" : "Not authentic: anyone may have written this.";
  return section(`Typed invocation: ${model || "none"}`,
    make("p", { className: "hint", textContent: error || warning }), table(fields));
}

// --- actions ----------------------------------------------------------------------

async function sendAgain(id, wish) {
  try {
    const sent = await api(`deliveries/${id}/send`, wish || { fresh: true });
    const response = sent.forwarded
      ? sent.forwarded.status ? `the forward URL answered ${sent.forwarded.status}` : sent.forwarded.error
      : "there is no forward URL, so it was only verified here";
    notify(`Sent as #${sent.id} (${sent.verdict}): ${response}.`);
    if (!records.has(sent.id)) { index(sent); refilter(); }
    base = null;
    $("editor")?.replaceChildren();
    select(sent.id, false);
  } catch (error) {
    notify(error.message);
  }
}

function edit(found) {
  const holder = $("editor");
  const text = make("textarea", { value: found.text === null ? "" : found.text, spellcheck: false, disabled: found.text === null });
  text.setAttribute("aria-label", "Body");
  const fresh = make("input", { type: "checkbox", checked: true, id: "fresh" });
  const send = button("Send", () => {
    const changed = found.text !== null && text.value !== found.text;
    sendAgain(found.id, { fresh: fresh.checked, body: changed ? text.value : null });
  }, "main");
  const where = forward ? `It goes to ${forward}.` : "Without --forward it is only verified here.";
  const why = "The body cannot be edited here: it is no text, too long, or holds a secret.";
  holder.replaceChildren(make("div", { className: "editor" },
    text,
    make("p", { className: "hint", textContent: found.text === null ? why : where }),
    make("div", { className: "tools" }, send, button("Cancel", () => holder.replaceChildren()),
      make("label", {}, fresh, " sign now (otherwise the old signature goes along, byte for byte)"))));
  if (found.text === null) return;
  text.focus();
  text.setSelectionRange(0, 0);
  text.scrollTop = 0;
}

function startDiff(id) {
  base = id;
  notify(`Choose the delivery to compare with #${id} (Esc to cancel).`);
  document.body.classList.remove("open");
  list.focus();
}

async function compare(a, b) {
  const ticket = ++asked;
  let found;
  try {
    found = await api(`diff?a=${a}&b=${b}`);
  } catch (error) {
    notify(error.message);
    return;
  }
  if (ticket !== asked) return;
  base = null;
  notify("");
  document.body.classList.add("open");
  const lines = (pairs) => make("pre", { className: "diff" }, ...pairs.map(([tag, text]) =>
    span({ "+": "added", "-": "removed", "@": "equal" }[tag] || "", tag === "@" ? text : `${tag} ${text}`)));
  detail.replaceChildren(
    make("h2", { textContent: `#${found.a} compared with #${found.b}` }),
    make("div", { className: "tools" }, button("Back", close, "back"), button(`Show #${b}`, () => show(b))),
    ...section("Signed bytes", lines(found.body)),
    ...section("Headers", lines(found.headers)));
  detail.scrollTop = 0;
}

async function copy(text, from) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without a secure context, or without the permission.
    const buffer = make("textarea", { value: text, className: "copy-buffer" });
    document.body.append(buffer);
    buffer.select();
    document.execCommand("copy");
    buffer.remove();
  }
  const before = from.textContent;
  from.textContent = "Copied";
  setTimeout(() => { from.textContent = before; }, 1200);
}

// --- keys -------------------------------------------------------------------------

const KEYS = {
  j: () => move(1),
  k: () => move(-1),
  ArrowDown: () => move(1),
  ArrowUp: () => move(-1),
  Home: () => move(-Infinity),
  End: () => move(Infinity),
  Enter: () => selected !== null && select(selected, true),
  r: () => selected !== null && sendAgain(selected),
  e: () => selected !== null && show(selected, true),
  d: () => selected !== null && startDiff(selected),
  "/": () => { document.body.classList.remove("open"); filter.focus(); filter.select(); },
  Escape: close,
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const types = event.target.matches("input, textarea");
  if (types && event.key === "Escape") {
    event.target.blur();
    list.focus();
    return;
  }
  if (types || (event.key === "Enter" && event.target.matches("button"))) return;
  if (!["j", "k"].includes(event.key) && event.key.length > 1 && event.target.closest("#detail") &&
      event.key !== "Escape") return; // arrows scroll there
  const action = KEYS[event.key];
  if (action && !(event.repeat && event.key === "r")) {
    event.preventDefault();
    action();
  }
});

// --- what the receiver says -------------------------------------------------------

function state(text, live) {
  $("state").textContent = text;
  $("state").classList.toggle("live", live);
}

async function follow() {
  let version = 0;
  let waits = false;
  for (;;) {
    try {
      const news = await api(`deliveries?after=${version}${waits ? "&wait=1" : ""}`);
      if (news.version < version) { // another process, which counts anew
        version = 0;
        records.clear();
        continue;
      }
      state("live", true);
      version = news.version;
      waits = !news.more;
      forward = news.forward;
      skew = news.now - Date.now() / 1000;
      for (const record of news.deliveries) {
        record.version_seen = version;
        index(record);
      }
      let gone = false;
      for (const id of records.keys()) {
        if (id < news.first) { records.delete(id); gone = true; }
      }
      if (news.deliveries.length || gone || !news.more) refilter();
    } catch (error) {
      if (error.status) {
        state("refused", false);
        notify(error.message);
        if (error.status === 401) return;
      } else {
        state("disconnected", false);
      }
      waits = false;
      await new Promise((done) => { setTimeout(done, RETRY); });
    }
  }
}

detail.append(make("p", { className: "start", textContent: "Choose a delivery, or press j." }));
list.addEventListener("scroll", draw, { passive: true });
filter.addEventListener("input", () => { list.scrollTop = 0; refilter(); });
addEventListener("resize", draw);
setInterval(draw, 1000);
list.focus();
follow();
