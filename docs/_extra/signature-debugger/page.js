"use strict";
/*
 * The form of the signature debugger: it reads the fields, calls `check` and `explain`, and
 * shows what they return. All that comes from outside is shown as text. Nothing is kept: not
 * in the address, not in an attribute, not in a store of the browser.
 */

const byId = (id) => document.getElementById(id);
const MAX_INPUT = 64 * 1024 * 1024;
const SHOWN_BYTES = 256;
const KINDS = {
  http: "headers or raw HTTP", curl: "a curl command", har: "a HAR file", lambda: "an event of AWS Lambda", kafka: "Kafka",
};

// Each check has a number; one that is overtaken by another, or by Clear, shows nothing.
let current = 0;

const element = (name, text = "", className = "") => {
  const made = document.createElement(name);
  made.textContent = text;
  if (className !== "") made.className = className;
  return made;
};

const readFile = async (file) => {
  if (file.size > MAX_INPUT) throw new InputError("the file is larger than 64 MiB");
  try {
    return fromBytes(new Uint8Array(await file.arrayBuffer()));
  } catch {
    throw new InputError("the file cannot be read; choose it again");
  }
};

const readText = (id, what) => {
  const text = byId(id).value;
  if (text.length > MAX_INPUT) throw new InputError(`${what} is larger than 64 MiB`);
  return text;
};

/** The request as bytes: the file, or the text with the chosen line ends. */
const readRequest = async () => {
  const [file] = byId("request-file").files;
  if (file !== undefined) return readFile(file);
  const text = readText("request", "the request");
  if (hasLoneSurrogate(text)) throw new InputError("the request holds a lone surrogate, so its bytes are not known; choose a file");
  return encode(withEnds(text));
};

const withEnds = (text) => (byId("ends").value === "crlf" ? text.replace(/\r?\n/g, "\r\n") : text);

/** The body as bytes; null if none is given. */
const readBody = async () => {
  const { value: kind } = document.querySelector("[name=as]:checked");
  if (kind === "file") {
    const [file] = byId("body-file").files;
    return file === undefined ? null : readFile(file);
  }
  const text = readText("body", "the body");
  if (text === "") return null;
  if (kind === "base64") {
    const digits = text.replace(/[ \t\r\n]/g, "");
    const decoded = /^[A-Za-z0-9+/_-]*={0,2}$/.test(digits) ? fromBase64(digits) : null;
    if (decoded === null) throw new InputError("the body is not base64");
    return decoded;
  }
  if (hasLoneSurrogate(text)) {
    throw new InputError("The body is text with lone surrogates; pass the raw bytes instead.");
  }
  return encode(withEnds(text));
};

/** The secrets, with the names by which the causes call them. */
const readCandidates = () => {
  const lines = (id) => readText(id, "a secret").split("\n").map((each) => each.replace(/\r$/, ""))
    .filter((each) => strip(each) !== "");
  const secret = readText("secret", "a secret");
  if (secret === "") throw new InputError("give the client secret");
  return [
    { label: "the secret", secret, accepted: true },
    ...lines("previous").map((each, at) => ({ label: `previous secret ${at + 1}`, secret: each, accepted: true })),
    ...lines("others").map((each, at) => ({ label: `other secret ${at + 1}`, secret: each, accepted: false })),
  ];
};

/** A time in seconds since the epoch; null for an empty field. */
const readInstant = () => {
  const text = strip(byId("at").value);
  if (text === "") return null;
  if (/^-?[0-9]{1,11}(\.[0-9]{1,9})?$/.test(text) && Math.abs(Number(text)) < 1e11) return Number(text);
  if (/^[0-9]{12,13}$/.test(text)) return Number(text) / 1000;
  const seconds = parseIso(text);
  if (seconds === null) throw new InputError("the time of arrival is neither a number nor a time of ISO 8601");
  return seconds;
};

/** What the fields say, as `explain` takes it. */
const readForm = async () => {
  const raw = await readRequest();
  const body = await readBody();
  const empty = trimOf(raw, WHITE_BYTES) === "";
  if (empty && body === null) throw new InputError("give the headers of the request, or the whole request");
  const entry = byId("entry").value === "" ? null : Number(byId("entry").value);
  const capture = empty
    ? { kind: null, ...newCapture("", []) }
    : readCapture(raw, byId("kind").value, entry);
  const now = readInstant() ?? capture.receivedAt ?? Date.now() / 1000;
  return {
    kind: capture.kind,
    note: body === null ? capture.note : null,
    body: toBytes(body ?? capture.body),
    headers: capture.headers,
    candidates: readCandidates(),
    now,
    kafka: byId("kafka").checked || capture.kafka,
    agent: byId("agent").checked,
  };
};

const say = (kind, text, about = "") => {
  byId("result").className = kind;
  byId("verdict").textContent = text;
  byId("about").textContent = about;
};

const empty = () => {
  for (const id of ["causes", "steps", "signed"]) byId(id).replaceChildren();
};

const showCauses = ({ causes }) => {
  const parts = causes.map((each, at) => {
    const box = element("div", "", "cause");
    const title = element("h4", `${at + 1}. ${each.code} `);
    title.append(element("span", each.proven ? "(proven)" : "(not proven)", "proof"));
    box.append(title, element("p", each.text), element("p", `To do: ${each.remedy}`));
    return box;
  });
  byId("causes").replaceChildren(...parts);
};

const showSteps = ({ steps }) => {
  const list = element("ol");
  for (const { name, state, text } of steps) {
    const item = element("li", "", state);
    item.append(element("span", name), element("span", state === "skipped" ? "–" : state, "state"), element("span", text));
    list.append(item);
  }
  byId("steps").replaceChildren(element("h3", "The check, step by step"), list);
};

/** Lines of bytes in hexadecimal, with the characters of ASCII beside them. */
const dump = (binary, from) => {
  const lines = [];
  for (let at = 0; at < binary.length; at += 16) {
    const part = binary.slice(at, at + 16);
    const digits = Array.from(part, (each) => hex(each.charCodeAt(0), 2)).join(" ");
    lines.push(`${hex(from + at, 6)}  ${digits.padEnd(47)}  ${part.replace(/[^ -~]/g, ".")}`);
  }
  return lines.join("\n");
};

/** A title, and bytes: the first and the last of them where there are many. */
const showBytes = (title, whole) => {
  const half = SHOWN_BYTES / 2;
  let text = dump(whole, 0);
  if (whole.length > SHOWN_BYTES) {
    const from = Math.floor((whole.length - half) / 16) * 16;
    text = `${dump(whole.slice(0, half), 0)}\n…\n${dump(whole.slice(from), from)}`;
  }
  const box = element("pre", text);
  box.tabIndex = 0;
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", title);
  return [element("h3", `${title}: ${whole.length} bytes`), box];
};

const showSigned = ({ stamp, payload, via }, { found }) => {
  const parts = [];
  if (found !== null) parts.push(...showBytes("What was signed", `${found.stamp}.${found.signed}`));
  const arrived = `${stamp}.${payload}`;
  if (stamp !== null && payload !== null && via === null && (found === null || arrived !== `${found.stamp}.${found.signed}`)) {
    parts.push(...showBytes("What a Verifier compares", arrived));
  }
  if (parts.length > 0) {
    const words = "The signature that would be right is never a value of this page: the browser only says "
      + "whether the one that arrived is.";
    parts.push(element("p", words, "hint"));
  }
  byId("signed").replaceChildren(...parts);
};

const showVerdict = (result, explanation, form) => {
  const kind = result.accepted ? "good" : "bad";
  // Only agent=True can make a Verifier accept what `explain` does not.
  const text = result.accepted && !explanation.verified
    ? "The delivery verifies with agent=True."
    : summarize(explanation);
  const failed = result.steps.find((each) => each.state === "failed");
  const size = form.body.length === 1 ? "1 byte" : `${form.body.length} bytes`;
  const noted = form.note === null ? "" : ` ${form.note}.`;
  const read = form.kind === null ? "" : ` The request was read as ${KINDS[form.kind]}.${noted}`;
  const step = failed === undefined ? "" : ` A Verifier refuses it at the step ${failed.name}: ${result.code}.`;
  const at = new Date(form.now * 1000);
  const when = Number.isNaN(at.getTime()) ? "" : ` It arrived at ${at.toISOString()}.`;
  say(kind, text, `The body has ${size}.${read}${when}${step}`);
};

const run = async () => {
  current += 1;
  const mine = current;
  empty();
  say("", "Checking …");
  await new Promise((resolve) => { requestAnimationFrame(() => setTimeout(resolve)); });
  try {
    if (globalThis.crypto?.subtle === undefined) {
      throw new InputError("this browser offers WebCrypto only over https, on localhost, and for files");
    }
    const form = await readForm();
    const { body, headers, candidates, now, kafka, agent } = form;
    const explanation = await explain(body, headers, candidates, now, kafka);
    const result = await check(body, headers, candidates, now, kafka, agent);
    if (mine !== current) return;
    showVerdict(result, explanation, form);
    showCauses(result.accepted ? { causes: [] } : explanation);
    showSteps(result);
    showSigned(result, explanation);
    const narrow = matchMedia("(max-width: 860px)").matches;
    byId("verdict").scrollIntoView({ block: narrow ? "start" : "nearest" });
  } catch (error) {
    if (mine !== current) return;
    const known = error instanceof InputError;
    const text = known ? error.message : `The check failed: ${error.name}`;
    say("wrong", text[0].toUpperCase() + text.slice(1));
    if (!known) throw error;
  }
};

const clear = () => {
  current += 1;
  byId("form").reset();
  for (const each of document.querySelectorAll("textarea, input:not([type=radio]):not([type=checkbox])")) each.value = "";
  byId("pasted").textContent = "";
  refresh();
  empty();
  say("", "Nothing is checked yet.");
};

/** Show the parts of the form that belong to the choices. */
const refresh = () => {
  const { value: kind } = document.querySelector("[name=as]:checked");
  byId("body-part").hidden = kind === "file";
  byId("body-file-part").hidden = kind !== "file";
  byId("ends-part").hidden = kind === "file";
  for (const each of document.querySelectorAll(".secret")) each.classList.toggle("shown", byId("show").checked);
};

/** A made-up delivery whose body an editor has given a line break. */
const fillExample = () => {
  clear();
  byId("request").value = "POST /port HTTP/1.1\nx-port-timestamp: 1713277889\n"
    + "x-port-signature: v1,AUWC8M0CT/ZfGH9+ELrIchASiw3YLjhpAU09P/y29Fg=\n";
  byId("body").value = '{"action":"create_vm","context":{"runId":"r_1"}}\n';
  byId("secret").value = "a made-up client secret";
  byId("at").value = "1713277891";
};

byId("form").addEventListener("submit", (event) => {
  event.preventDefault();
  run();
});
byId("form").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    run();
  }
});
byId("form").addEventListener("change", refresh);
for (const id of ["request", "body"]) {
  byId(id).addEventListener("paste", (event) => {
    const text = event.clipboardData?.getData("text/plain") ?? "";
    byId("pasted").textContent = text.includes("\r")
      ? "The text that you pasted has CR LF. The field keeps LF: choose what the body really has."
      : "";
  });
}
byId("clear").addEventListener("click", clear);
byId("example").addEventListener("click", fillExample);
// Going back to this page finds it empty.
addEventListener("pagehide", clear);
addEventListener("pageshow", (event) => {
  if (event.persisted) clear();
});
refresh();
