"use strict";
/*
 * The signature debugger's check: what `port_webhook.devtools.explain` does, in a browser.
 *
 * It follows src/port_webhook/devtools function by function, and the tests compare the
 * two on generated deliveries: the codes, the sentences and the remedies are equal. When
 * one of them changes, change the other.
 *
 * Bytes are "binary strings" here, one character of U+0000 to U+00FF for each byte, so
 * that a pattern of Python's for bytes is a pattern of JavaScript's. MACs are compared by
 * `crypto.subtle.verify`: the MAC that would be right never becomes a value of this page.
 *
 * It is a classic script, not a module: browsers load no module from a file.
 */

// --- Bytes and text -------------------------------------------------------------------

/** Bad input, with a sentence that says what is wrong. */
class InputError extends Error {}

const fromBytes = (bytes) => {
  const parts = [];
  for (let at = 0; at < bytes.length; at += 32768) {
    parts.push(String.fromCharCode.apply(null, bytes.subarray(at, at + 32768)));
  }
  return parts.join("");
};

const toBytes = (binary) => {
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < binary.length; at += 1) bytes[at] = binary.charCodeAt(at);
  return bytes;
};

const isAscii = (text) => !/[^\x00-\x7f]/.test(text);
const loneSurrogate = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;
const hex = (number, width) => number.toString(16).padStart(width, "0");
const utf8Encoder = new TextEncoder();

/** Text as UTF-8; a lone surrogate as the six characters of its escape. */
const encode = (text) => {
  if (isAscii(text)) return text;
  const whole = hasLoneSurrogate(text)
    ? text.replace(loneSurrogate, (each) => `\\u${hex(each.charCodeAt(0), 4)}`)
    : text;
  return fromBytes(utf8Encoder.encode(whole));
};

const hasLoneSurrogate = (text) =>
  (typeof text.isWellFormed === "function" ? !text.isWellFormed() : text.search(loneSurrogate) >= 0);

/** UTF-8 as text; null for what is not UTF-8. A byte order mark stays. */
const decode = (binary) => {
  if (isAscii(binary)) return binary;
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(toBytes(binary));
  } catch {
    return null;
  }
};

const trimSets = new Map();

const trimOf = (text, set) => {
  let has = trimSets.get(set);
  if (has === undefined) {
    has = new Uint8Array(65536);
    for (let at = 0; at < set.length; at += 1) has[set.charCodeAt(at)] = 1;
    trimSets.set(set, has);
  }
  let start = 0;
  let end = text.length;
  while (start < end && has[text.charCodeAt(start)]) start += 1;
  while (end > start && has[text.charCodeAt(end - 1)]) end -= 1;
  return text.slice(start, end);
};

// White space as Python's str.strip and bytes.strip know it.
const WHITE = "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005"
  + "\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000";
const WHITE_BYTES = "\t\n\v\f\r ";
const strip = (text) => trimOf(text, WHITE);
/** Text without a character as often as it ends with it; a pattern would take quadratic time. */
const dropEnd = (text, mark) => {
  let end = text.length;
  while (end > 0 && text[end - 1] === mark) end -= 1;
  return text.slice(0, end);
};
const stripLines = (binary) => trimOf(binary, "\r\n");

/** Order by code point, as Python sorts; JavaScript sorts by UTF-16 units. */
const byCodePoint = (first, second) => {
  const a = Array.from(first);
  const b = Array.from(second);
  for (let at = 0; at < Math.min(a.length, b.length); at += 1) {
    if (a[at] !== b[at]) return a[at].codePointAt(0) - b[at].codePointAt(0);
  }
  return a.length - b.length;
};

/** Round half to even, as Python does. */
const roundEven = (number) => {
  const low = Math.floor(number);
  if (number - low !== 0.5) return Math.round(number);
  return low % 2 === 0 ? low : low + 1;
};

const BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** Decode base64 of either alphabet; null if its length is that of none. */
const fromBase64 = (text) => {
  const digits = dropEnd(text, "=").replace(/-/g, "+").replace(/_/g, "/");
  if (digits.length % 4 === 1) return null;
  try {
    return atob(digits);
  } catch {
    return null;
  }
};

/** Put one byte in the place of another; replaceAll takes seconds where there are millions. */
const swapByte = (binary, old, put) => {
  if (!binary.includes(old)) return binary;
  const bytes = toBytes(binary);
  const [from, to] = [old.charCodeAt(0), put.charCodeAt(0)];
  for (let at = 0; at < bytes.length; at += 1) if (bytes[at] === from) bytes[at] = to;
  return fromBytes(bytes);
};

const percentDecode = (binary) =>
  binary.replace(/%([0-9A-Fa-f]{2})/g, (_, digits) => String.fromCharCode(parseInt(digits, 16)));

// --- Causes ---------------------------------------------------------------------------

const REMEDIES = {
  missing_header: "Port sends both headers. Let every proxy and gateway pass x-port-signature and "
    + "x-port-timestamp on, or look for who else calls this URL.",
  duplicate_header: "Find the hop that adds or repeats the header, and let it send one value.",
  malformed_header: "Find what rewrites the header, and pass its value on as it came: v1, a comma and "
    + "44 characters of base64, or a time of 10 or 13 digits.",
  timestamp_too_old: "If the delivery was new, set this machine's clock (NTP), or find the queue that "
    + "held it. If it was saved before, say when it arrived: --at on the command line, "
    + "now= in Python.",
  timestamp_in_future: "Set this machine's clock (NTP). If the delivery was saved before, say when it "
    + "arrived: --at on the command line, now= in Python.",
  agent_form: "Build the verifier with agent=True.",
  reserialised: "Verify the raw bytes, before anything parses the JSON, and let no proxy reprint "
    + "it. agent=True accepts added white space, and nothing else.",
  newline_added: "Find what appends it (an editor, echo, a template), and pass on the body as it "
    + "came.",
  newline_removed: "Pass on the body as it came; with curl use --data-binary, since -d strips line "
    + "breaks.",
  bom_added: "Find what writes the file or the text as UTF-8 with a byte order mark, and write "
    + "it without.",
  text_reencoded: "Pass on bytes, not text; or decode and encode with UTF-8 in every place.",
  url_encoded: "Read the raw body, not a form field, and send it without URL encoding.",
  html_escaped: "Take the body from where it is not prepared for an HTML page.",
  base64_body: "Decode the base64 before verifying; in Lambda look at isBase64Encoded, as the "
    + "aws_lambda adapter does.",
  gzip_body: "Port does not compress. Switch compression of requests off, or decompress before "
    + "verifying.",
  truncated: "Read the whole body: look for a size limit of the proxy or the server, a lost "
    + "connection, or a copy that was cut.",
  timestamp_changed: "Verify with the text of the header as it came. Do not convert it to another unit.",
  secret_whitespace: "Store the secret without white space, line breaks and invisible characters: "
    + "printf %s, not echo.",
  secret_quoted: "Store the secret without the quotes; many .env readers keep them.",
  other_secret: "Configure the secret that matches; during a rotation add it to previous_secrets "
    + "(PORT_CLIENT_SECRET_PREVIOUS).",
  renamed_header: "Let the proxy or gateway keep the names x-port-signature and x-port-timestamp.",
  unprefixed_signature: "Pass on the value as it came, with its v1 and comma.",
  hex_signature: "Port's webhooks sign in base64 behind v1 and a comma. Look for another sender, or "
    + "for what converts the header.",
  sha1_signature: "Port signs with SHA-256. SHA-1 comes from another product, or from code that "
    + "follows outdated documentation.",
  kafka_form: "Verify it with port_webhook.adapters.kafka, or with verify_kafka_event in Lambda.",
  http_form: "Verify the body and the two headers with Verifier.verify, not with the Kafka "
    + "adapter.",
  unknown: "Compare the secret with the one that Port shows, and the body with what Port "
    + "sent, byte by byte. Give other secrets that may be in use as candidates.",
};

const cause = (code, text, proven = true) => ({ code, proven, text, remedy: REMEDIES[code] });

/** One cause for each code, with all that was said of it. */
const merge = (causes) => {
  const merged = new Map();
  for (const each of causes) {
    const known = merged.get(each.code);
    if (known === undefined) {
      merged.set(each.code, each);
    } else if (!known.text.includes(each.text)) {
      merged.set(each.code, {
        ...known, proven: known.proven || each.proven, text: `${known.text} ${each.text}`,
      });
    }
  }
  return [...merged.values()];
};

// --- Strict JSON ----------------------------------------------------------------------

const MAX_DEPTH = 64;
const MAX_LENIENT_DEPTH = 900;
const MAX_DIGITS = 4300;

/** Why a text is not JSON: the problem, and where. */
class JsonError extends Error {
  constructor(problem, position = 0) {
    super(problem);
    this.position = position;
  }
}

/** A number, by its text. */
class NumberText {
  constructor(text) { this.text = text; }
}

/**
 * A parser of JSON that keeps numbers as text and objects as a Map, which has `start`,
 * `end` and, for each key, its span in the text. Strict, it refuses repeated keys, NaN and
 * Infinity; lenient, it accepts them, as Python's json does.
 */
class JsonReader {
  constructor(text, strict) {
    this.text = text;
    this.strict = strict;
    this.at = 0;
    this.depth = 0;
  }

  read() {
    this.skip();
    const value = this.value();
    this.skip();
    if (this.at !== this.text.length) throw new JsonError("Extra data", this.at);
    return value;
  }

  skip() {
    const { text } = this;
    let { at } = this;
    for (;;) {
      const code = text.charCodeAt(at);
      if (code !== 32 && code !== 10 && code !== 13 && code !== 9) break;
      at += 1;
    }
    this.at = at;
  }

  value() {
    const { text, at } = this;
    const first = text[at];
    if (first === '"') return this.string();
    if (first === "{") return this.object();
    if (first === "[") return this.array();
    for (const [word, value] of JsonReader.words) {
      if (text.startsWith(word, at)) {
        this.at += word.length;
        return value;
      }
    }
    for (const word of ["NaN", "Infinity", "-Infinity"]) {
      if (text.startsWith(word, at)) {
        if (this.strict) {
          throw new JsonError("holds NaN or Infinity, which are not JSON");
        }
        this.at += word.length;
        return new NumberText(word);
      }
    }
    const pattern = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y;
    pattern.lastIndex = at;
    const found = pattern.exec(text);
    if (found === null) throw new JsonError("Expecting value", at);
    const integer = found[1] === undefined && found[2] === undefined;
    if (!this.strict && integer && found[0].replace("-", "").length > MAX_DIGITS) {
      throw new JsonError("holds a number that is too large", -1);
    }
    this.at = pattern.lastIndex;
    return new NumberText(found[0]);
  }

  string() {
    const { text } = this;
    const start = this.at;
    let at = start + 1;
    const parts = [];
    const plain = /[^"\\\x00-\x1f]*/y;
    for (;;) {
      plain.lastIndex = at;
      parts.push(plain.exec(text)[0]);
      at = plain.lastIndex;
      const mark = text[at];
      if (mark === '"') break;
      if (mark === undefined) throw new JsonError("Unterminated string", start);
      if (mark !== "\\") throw new JsonError("Invalid control character at", at);
      const letter = text[at + 1];
      if (letter === undefined) throw new JsonError("Unterminated string", start);
      if (letter === "u") {
        const digits = text.slice(at + 2, at + 6);
        if (!/^[0-9A-Fa-f]{4}$/.test(digits) || at + 6 >= text.length) {
          throw new JsonError("Invalid \\uXXXX escape", at + 1);
        }
        parts.push(String.fromCharCode(parseInt(digits, 16)));
        at += 6;
      } else {
        const meant = JsonReader.escapes[letter];
        if (meant === undefined) throw new JsonError("Invalid \\escape", at);
        parts.push(meant);
        at += 2;
      }
    }
    this.at = at + 1;
    return parts.length === 1 ? parts[0] : parts.join("");
  }

  enter() {
    this.depth += 1;
    if (this.depth > MAX_LENIENT_DEPTH) throw new JsonError("is nested too deep", -1);
  }

  object() {
    this.enter();
    const members = new Map();
    members.start = this.at;
    members.spans = new Map();
    let count = 0;
    this.at += 1;
    this.skip();
    if (this.text[this.at] !== "}") {
      for (;;) {
        if (this.text[this.at] !== '"') {
          throw new JsonError("Expecting property name", this.at);
        }
        const from = this.at;
        const key = this.string();
        this.skip();
        if (this.text[this.at] !== ":") throw new JsonError("Expecting ':'", this.at);
        this.at += 1;
        this.skip();
        members.set(key, this.value());
        members.spans.set(key, [from, this.at]);
        count += 1;
        this.skip();
        if (this.text[this.at] === "}") break;
        if (this.text[this.at] !== ",") throw new JsonError("Expecting ','", this.at);
        this.at += 1;
        this.skip();
      }
    }
    this.at += 1;
    members.end = this.at;
    if (this.strict && members.size !== count) throw new JsonError("repeats a key");
    this.depth -= 1;
    return members;
  }

  array() {
    this.enter();
    const items = [];
    this.at += 1;
    this.skip();
    if (this.text[this.at] !== "]") {
      for (;;) {
        items.push(this.value());
        this.skip();
        if (this.text[this.at] === "]") break;
        if (this.text[this.at] !== ",") throw new JsonError("Expecting ','", this.at);
        this.at += 1;
        this.skip();
      }
    }
    this.at += 1;
    this.depth -= 1;
    return items;
  }
}
JsonReader.words = [["null", null], ["true", true], ["false", false]];
JsonReader.escapes = {
  __proto__: null,
  '"': '"', "\\": "\\", "/": "/", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t",
};

const BACKSLASH = "\xfe";
const QUOTE = "\xff";

/** Split at the quotes around strings, which are every second part then. */
const splitStrings = (data, escaped) => {
  const text = escaped
    ? data.replaceAll("\\\\", BACKSLASH).replaceAll('\\"', QUOTE)
    : data;
  return text.split('"');
};

const restore = (data) => data.replaceAll(QUOTE, '\\"').replaceAll(BACKSLASH, "\\\\");

const isTooDeep = (data) => {
  let level = 0;
  let deepest = 0;
  const parts = splitStrings(data, data.includes("\\"));
  for (let index = 0; index < parts.length; index += 2) {
    for (let at = 0; at < parts[index].length; at += 1) {
      const code = parts[index].charCodeAt(at);
      if (code === 91 || code === 123) {
        level += 1;
        if (level > deepest) deepest = level;
      } else if (code === 93 || code === 125) {
        level -= 1;
      }
    }
  }
  return deepest > MAX_DEPTH;
};

/** Parse strict JSON; a JsonError whose message says what is wrong if it is none. */
const parseStrict = (data) => {
  if (isTooDeep(data)) {
    throw new JsonError(`is nested more than ${MAX_DEPTH} levels deep`);
  }
  const text = decode(data);
  if (text === null) throw new JsonError("is not UTF-8");
  try {
    return new JsonReader(text, true).read();
  } catch (error) {
    if (/^(?:repeats|holds)/.test(error.message)) throw error;
    throw new JsonError("is not JSON");
  }
};

/** Remove the insignificant white space of JSON; any bytes will do. */
const stripWhiteSpace = (data) => spellings(data).next().value;

/** JSON without white space, then with its strings as JavaScript prints them. */
function* spellings(data) {
  const escaped = data.includes("\\");
  if (escaped && (data.includes(BACKSLASH) || data.includes(QUOTE))) {
    yield data;
    return;
  }
  const parts = splitStrings(data, escaped);
  let bare = data;
  for (let index = 0; index < parts.length; index += 2) {
    parts[index] = parts[index].replace(/[ \t\n\r]+/g, "");
  }
  bare = restore(parts.join('"'));
  yield bare;
  if (escaped) {
    for (let index = 1; index < parts.length; index += 2) {
      parts[index] = encode(printString(JSON.parse(`"${decode(restore(parts[index]))}"`)).slice(1, -1));
    }
    const printed = parts.join('"');
    if (printed !== bare) yield printed;
  }
}

// --- Printing JSON anew ---------------------------------------------------------------

const MAX_REPRINT = 65536;
const MAX_ORDERS = 720;
const TOKEN = /("(?:[^"\\]|\\[^\n])*")|([ \t\r\n]+)|([[\]{}:,])|([^[\]{}:," \t\n\v\f\r]+)/g;
const RANKS = {
  __proto__: null,
  "": "headers action resourceType status inputs trigger event entity context payload "
    + "diff run",
  "trigger": "by origin at operation",
  "by": "orgId userId user",
  "user": "email firstName lastName phoneNumber picture providers status id createdAt "
    + "updatedAt",
  "context": "entity blueprint blueprintIdentifier entityIdentifier propertyIdentifier runId",
  "payload": "entity action properties censoredProperties",
  "action": "id identifier title icon userInputs invocationMethod trigger description "
    + "blueprint encryptedProperties createdAt createdBy updatedAt updatedBy",
  "invocationMethod": "type url agent synchronized method headers body",
  "entity": "identifier title icon blueprint team properties relations createdAt createdBy "
    + "updatedAt updatedBy",
  "event": "action resourceType trigger context diff",
  "diff": "before after",
};
for (const part of Object.keys(RANKS)) {
  RANKS[part] = new Map(RANKS[part].split(" ").map((name, rank) => [name, rank]));
}

const SHORT = { __proto__: null, '"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\f": "\\f", "\b": "\\b" };
const escapeUnit = (unit) => SHORT[unit] ?? `\\u${hex(unit.charCodeAt(0), 4)}`;
/** Print a string as Python's json does without ASCII escapes: as JavaScript, but for lone surrogates. */
const printString = (text) => `"${text.replace(/["\\\x00-\x1f]/g, escapeUnit)}"`;
const printAscii = (text) => `"${text.replace(/["\\]|[^ -~]/g, escapeUnit)}"`;
const printUpper = (text) => printAscii(text)
  .replace(/\\\\|\\u[0-9a-f]{4}/g, (found) => found.slice(0, 2) + found.slice(2).toUpperCase());
// As Go's encoding/json and .NET's System.Text.Json print these.
const printHtmlSafe = (text) => printString(text)
  .replace(/[<>&\u2028\u2029]/g, (unit) => `\\u${hex(unit.charCodeAt(0), 4)}`);
const printSlashed = (text) => printAscii(text).replaceAll("/", "\\/"); // as PHP prints it

const orderKnown = (members, part) => {
  const ranks = RANKS[part] ?? new Map();
  const rank = (key) => ranks.get(key) ?? ranks.size;
  return [...members.keys()].sort((a, b) => rank(a) - rank(b));
};
const orderSorted = (members) => [...members.keys()].sort(byCodePoint);

const newStyle = (string, options) => ({ string, comma: ",", colon: ":", indent: 0, order: null, numbers: false, ...options });
const SPACED = { comma: ", ", colon: ": " };
const STYLES = [
  newStyle(printString),
  newStyle(printAscii),
  newStyle(printString, { numbers: true }),
  newStyle(printAscii, { numbers: true }),
  newStyle(printString, { order: orderSorted }),
  newStyle(printAscii, { order: orderSorted }),
  newStyle(printAscii, SPACED),
  newStyle(printString, SPACED),
  newStyle(printAscii, { ...SPACED, order: orderSorted }),
  newStyle(printString, { ...SPACED, order: orderSorted }),
  newStyle(printString, { indent: 2, colon: ": " }),
  newStyle(printAscii, { indent: 2, colon: ": " }),
  newStyle(printString, { indent: 4, colon: ": " }),
  newStyle(printAscii, { indent: 4, colon: ": " }),
  newStyle(printString, { order: orderKnown }),
  newStyle(printAscii, { order: orderKnown }),
  newStyle(printHtmlSafe),
  newStyle(printUpper),
  newStyle(printSlashed),
];

/** Whether a body is printed as Python's json.dumps does by default. */
const isAgentForm = (body) => {
  if (!isAscii(body)) return false;
  if (body.length > MAX_REPRINT) return body.includes(", ");
  let after = false;
  for (const [token] of body.matchAll(TOKEN)) {
    if (after !== (token === " ")) return false;
    after = token === "," || token === ":";
  }
  return !after;
};

/** What strict JSON says, its numbers as text; null for all else. */
const load = (body) => {
  if (body.length > MAX_REPRINT) return null;
  try {
    return parseStrict(body);
  } catch {
    return null;
  }
};

/** Print a number as JavaScript does; one that is too large stays as it is. */
const spellNumber = (text) => (Number.isFinite(Number(text)) ? String(Number(text)) : text);

const write = (value, style, line, at) => {
  const inner = line + " ".repeat(style.indent);
  const join = (opening, parts, closing) => {
    const breaks = style.indent > 0 && parts.length > 0;
    const space = breaks ? inner : "";
    return opening + space + parts.join(style.comma + space) + (breaks ? line : "") + closing;
  };
  if (value instanceof Map) {
    const keys = style.order === null ? [...value.keys()] : style.order(value, at);
    return join("{", keys.map((key) => style.string(key) + style.colon + write(value.get(key), style, inner, key)), "}");
  }
  if (Array.isArray(value)) return join("[", value.map((each) => write(each, style, inner, "")), "]");
  if (value instanceof NumberText) return style.numbers ? spellNumber(value.text) : value.text;
  return typeof value === "string" ? style.string(value) : String(value);
};

const print = (value, style) => encode(write(value, style, "\n", ""));

/** Other prints of the JSON in a body; nothing if it is none, or is long. */
function* reprints(body) {
  if (stripLines(body) !== body) return; // what stands around it is another change
  const bare = stripWhiteSpace(body);
  if (bare !== body) yield bare;
  const value = load(body);
  if (value === null) return;
  if (typeof value === "string") yield encode(value);
  for (const style of STYLES) yield print(value, style);
}

const collect = (value, at, objects) => {
  if (value instanceof Map) {
    objects.push([at, value]);
    for (const [key, each] of value) collect(each, key, objects);
  } else if (Array.isArray(value)) {
    for (const each of value) collect(each, at, objects);
  }
};

const countOrders = (objects) => {
  let count = 1;
  for (const each of objects) {
    for (let number = 2; number <= Math.min(each.size, 10); number += 1) count *= number;
    if (count > MAX_ORDERS) break;
  }
  return count;
};

function* permutations(items) {
  if (items.length === 0) yield [];
  for (let at = 0; at < items.length; at += 1) {
    for (const rest of permutations([...items.slice(0, at), ...items.slice(at + 1)])) {
      yield [items[at], ...rest];
    }
  }
}

/** One of each list, in every combination; the last changes first. */
function* product(lists) {
  const at = lists.map(() => 0);
  for (;;) {
    yield lists.map((list, index) => list[at[index]]);
    let index = lists.length - 1;
    while (index >= 0 && at[index] === lists[index].length - 1) {
      at[index] = 0;
      index -= 1;
    }
    if (index < 0) return;
    at[index] += 1;
  }
}

/** Compact prints with the keys in every order, if there are not too many. */
function* reorders(body) {
  if (stripLines(body) !== body) return;
  const objects = [];
  const value = load(body);
  collect(value, "", objects);
  const all = objects.map(([, each]) => each);
  const free = objects.filter(([at]) => !(at in RANKS)).map(([, each]) => each);
  for (const chosen of [all, free]) {
    if (chosen.length > 0 && countOrders(chosen) <= MAX_ORDERS) {
      const each = chosen.map((members) => [...permutations([...members.keys()])]);
      for (const keys of product(each)) {
        const orders = new Map(chosen.map((members, index) => [members, keys[index]]));
        const order = (members, at) => {
          const found = orders.get(members);
          return found !== undefined && found.length > 0 ? found : orderKnown(members, at);
        };
        for (const string of [printString, printAscii]) yield print(value, newStyle(string, { order }));
      }
      return;
    }
  }
}

const tokensOf = (body) => {
  if (body.length > MAX_REPRINT) return null;
  const kinds = { string: [], space: [], number: [] };
  for (const [, string, space, , number] of body.matchAll(TOKEN)) {
    if (string !== undefined) kinds.string.push(string);
    else if (space !== undefined) kinds.space.push(space);
    else if (number !== undefined) kinds.number.push(number);
  }
  return kinds;
};

const keysOf = (body) => {
  const objects = [];
  collect(load(body), "", objects);
  return objects.map(([at, each]) => JSON.stringify([at, ...each.keys()])).sort().join("\n");
};

/** Name what differs between two prints of one JSON value. */
const describe = (arrived, signed) => {
  const first = tokensOf(arrived);
  const second = tokensOf(signed);
  if (first === null || second === null) return "The JSON was printed anew.";
  if (arrived[0] === '"' && signed[0] !== '"') return "The JSON was printed anew, as a JSON string.";
  const differs = (kind) => JSON.stringify([...first[kind]].sort()) !== JSON.stringify([...second[kind]].sort());
  const changes = [];
  if (JSON.stringify(first.space) !== JSON.stringify(second.space)) {
    changes.push(`white space was ${first.space.length > second.space.length ? "added" : "removed"}`);
  }
  if (differs("string")) {
    const count = (kinds) => kinds.string.join("").split("\\").length;
    changes.push(`characters were ${count(first) > count(second) ? "escaped" : "unescaped"}`);
  }
  if (differs("number")) changes.push("numbers were spelled anew");
  if (keysOf(arrived) !== keysOf(signed)) changes.push("keys were put in another order");
  return `The JSON was printed anew: ${changes.join(", ")}.`;
};

// --- Decompression --------------------------------------------------------------------

const MAX_INFLATED = 8 * 1024 * 1024;

class InflateError extends Error {}
class EndOfInput extends Error {}

const LENGTHS = [3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258];
const LENGTH_BITS = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
const DISTANCES = [1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577];
const CODE_ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/** A Huffman code of canonical form; what zlib refuses is refused. */
const newCode = (lengths, mayBeIncomplete) => {
  const counts = new Array(16).fill(0);
  for (const each of lengths) counts[each] += 1;
  let left = 1;
  for (let size = 1; size < 16; size += 1) {
    left = left * 2 - counts[size];
    if (left < 0) throw new InflateError();
  }
  const used = lengths.length - counts[0];
  // One symbol alone, of one bit, is the only code that may leave some out.
  if (left > 0 && used > 0 && !(mayBeIncomplete && used === 1 && counts[1] === 1)) throw new InflateError();
  const offsets = [0, 0];
  for (let size = 1; size < 15; size += 1) offsets[size + 1] = offsets[size] + counts[size];
  const symbols = [];
  lengths.forEach((size, symbol) => {
    if (size > 0) {
      symbols[offsets[size]] = symbol;
      offsets[size] += 1;
    }
  });
  return { counts, symbols };
};

const FIXED = [
  newCode(Array.from({ length: 288 }, (_, at) => (at < 144 ? 8 : at < 256 ? 9 : at < 280 ? 7 : 8)), false),
  newCode(new Array(32).fill(5), false),
];

/** Raw DEFLATE (RFC 1951) of what begins at an index, as far as it goes. */
class Inflater {
  constructor(data, at) {
    this.data = data;
    this.at = at;
    this.bit = 0;
    this.out = new Uint8Array(65536);
    this.size = 0;
    this.done = false;
  }

  bits(count) {
    let value = 0;
    for (let each = 0; each < count; each += 1) {
      if (this.at >= this.data.length) throw new EndOfInput();
      value |= ((this.data[this.at] >> this.bit) & 1) << each;
      this.bit += 1;
      if (this.bit === 8) {
        this.bit = 0;
        this.at += 1;
      }
    }
    return value;
  }

  symbol({ counts, symbols }) {
    let code = 0;
    let first = 0;
    let index = 0;
    for (let size = 1; size < 16; size += 1) {
      code |= this.bits(1);
      const count = counts[size];
      if (code - count < first) return symbols[index + (code - first)];
      index += count;
      first = (first + count) << 1;
      code <<= 1;
    }
    throw new InflateError();
  }

  put(byte) {
    if (this.size >= MAX_INFLATED) throw new EndOfInput();
    if (this.size === this.out.length) {
      const larger = new Uint8Array(this.size * 2);
      larger.set(this.out);
      this.out = larger;
    }
    this.out[this.size] = byte;
    this.size += 1;
  }

  run() {
    try {
      let last = 0;
      while (last === 0) {
        last = this.bits(1);
        const kind = this.bits(2);
        if (kind === 0) this.stored();
        else if (kind === 1) this.block(...FIXED);
        else if (kind === 2) this.block(...this.codes());
        else throw new InflateError();
      }
      if (this.bit > 0) this.at += 1;
      this.bit = 0;
      this.done = true;
    } catch (error) {
      if (!(error instanceof EndOfInput)) throw error;
    }
    return this;
  }

  stored() {
    if (this.bit > 0) this.at += 1;
    this.bit = 0;
    const size = this.bits(16);
    if (this.bits(16) !== (~size & 0xffff)) throw new InflateError();
    for (let each = 0; each < size; each += 1) this.put(this.bits(8));
  }

  codes() {
    const literals = this.bits(5) + 257;
    const distances = this.bits(5) + 1;
    const count = this.bits(4) + 4;
    if (literals > 286 || distances > 30) throw new InflateError();
    const sizes = new Array(19).fill(0);
    for (let each = 0; each < count; each += 1) sizes[CODE_ORDER[each]] = this.bits(3);
    const code = newCode(sizes, false);
    if (code.symbols.length === 0) throw new InflateError();
    const lengths = [];
    while (lengths.length < literals + distances) {
      const symbol = this.symbol(code);
      if (symbol < 16) {
        lengths.push(symbol);
        continue;
      }
      if (symbol === 16 && lengths.length === 0) throw new InflateError();
      const value = symbol === 16 ? lengths.at(-1) : 0;
      const times = symbol === 16 ? 3 + this.bits(2) : symbol === 17 ? 3 + this.bits(3) : 11 + this.bits(7);
      for (let each = 0; each < times; each += 1) lengths.push(value);
    }
    if (lengths.length > literals + distances || lengths[256] === 0) throw new InflateError();
    return [newCode(lengths.slice(0, literals), true), newCode(lengths.slice(literals), true)];
  }

  block(literals, distances) {
    for (;;) {
      const symbol = this.symbol(literals);
      if (symbol === 256) return;
      if (symbol < 256) {
        this.put(symbol);
        continue;
      }
      if (symbol > 285) throw new InflateError();
      const length = LENGTHS[symbol - 257] + this.bits(LENGTH_BITS[symbol - 257]);
      const far = this.symbol(distances);
      if (far === undefined || far > 29) throw new InflateError();
      const distance = DISTANCES[far] + this.bits(far < 4 ? 0 : (far >> 1) - 1);
      if (distance > this.size) throw new InflateError();
      for (let each = 0; each < length; each += 1) this.put(this.out[this.size - distance]);
    }
  }
}

const CRC = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});
const crc32 = (bytes) => {
  let value = 0xffffffff;
  for (const byte of bytes) value = CRC[(value ^ byte) & 255] ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
};
const adler32 = (bytes) => {
  let low = 1;
  let high = 0;
  for (const byte of bytes) {
    low = (low + byte) % 65521;
    high = (high + low) % 65521;
  }
  return high * 65536 + low;
};

/** Where the data begins behind a gzip header; the length of the whole if it is cut. */
const skipGzipHeader = (data) => {
  // zlib reads the method and the flags together.
  if (data.length > 3 && (data[2] !== 8 || (data[3] & 0xe0) !== 0)) throw new InflateError();
  if (data.length < 10) return data.length;
  const flags = data[3];
  let at = 10;
  if (flags & 4) {
    if (at + 2 > data.length) return data.length;
    at += 2 + data[at] + 256 * data[at + 1];
  }
  for (const flag of [8, 16]) {
    if (flags & flag) {
      const end = data.indexOf(0, at);
      if (end < 0) return data.length;
      at = end + 1;
    }
  }
  if (flags & 2) {
    if (at + 2 > data.length) return data.length;
    if ((crc32(data.subarray(0, at)) & 0xffff) !== data[at] + 256 * data[at + 1]) throw new InflateError();
    at += 2;
  }
  return Math.min(at, data.length);
};

let inflated = ["", null];

/** What is compressed in a body, and whether it is all there; null if nothing is. */
const gunzip = (body) => {
  if (inflated[0] !== body) inflated = [body, inflateBody(body)];
  return inflated[1];
};

const inflateBody = (body) => {
  if (body === "" || "{[ ".includes(body[0])) return null;
  const data = toBytes(body);
  for (const kind of ["gzip", "zlib", "raw"]) {
    if (kind === "gzip" && !body.startsWith("\x1f\x8b")) continue;
    if (kind === "zlib" && body[0] !== "\x78") continue;
    try {
      let start = 0;
      if (kind === "gzip") start = skipGzipHeader(data);
      if (kind === "zlib") {
        if (data.length > 1 && ((data[0] * 256 + data[1]) % 31 !== 0 || (data[1] & 32) !== 0)) continue;
        start = 2;
      }
      const inflater = new Inflater(data, start).run();
      const out = inflater.out.subarray(0, inflater.size);
      const trailer = data.subarray(inflater.at);
      const size = { gzip: 8, zlib: 4, raw: 0 }[kind];
      const whole = inflater.done && trailer.length >= size;
      if (inflater.done && kind !== "raw") {
        const view = new DataView(trailer.buffer, trailer.byteOffset, trailer.length);
        if (kind === "gzip") {
          // zlib compares each word as soon as it is there.
          if (trailer.length >= 4 && view.getUint32(0, true) !== crc32(out)) continue;
          if (trailer.length >= 8 && view.getUint32(4, true) !== out.length) continue;
        } else if (trailer.length >= 4 && view.getUint32(0) !== adler32(out)) {
          continue;
        }
      }
      const unused = whole && trailer.length > size;
      if (whole && !unused) return [fromBytes(out), true];
      if (kind === "gzip" && !unused) return [fromBytes(out), false];
    } catch (error) {
      if (!(error instanceof InflateError)) throw error;
    }
  }
  return null;
};

// --- HTML entities and character sets -------------------------------------------------

const entities = new Map();
let entityPolicy;

/** What a named entity stands for, its longest known part decoded, as browsers read it. */
const namedEntity = (name) => {
  let known = entities.get(name);
  if (known === undefined) {
    // Letters, digits and a semicolon: nothing else reaches the parser.
    const check = (markup) => {
      if (!/^&[A-Za-z0-9]{1,32};?$/.test(markup)) throw new TypeError("no entity");
      return markup;
    };
    entityPolicy ??= globalThis.trustedTypes
      ? trustedTypes.createPolicy("entities", { createHTML: check })
      : { createHTML: check };
    const html = entityPolicy.createHTML(`&${name}`);
    known = new DOMParser().parseFromString(html, "text/html").body.textContent;
    entities.set(name, known);
  }
  return known;
};

// HTML 5, section 13.2.5.80: these numbers stand for characters of windows-1252.
const C1 = "€\x81‚ƒ„…†‡ˆ‰Š‹Œ\x8dŽ\x8f\x90‘’“”•–—˜™š›œ\x9džŸ";
const numericEntity = (number) => {
  if (number === 0 || number > 0x10ffff || (number >= 0xd800 && number <= 0xdfff)) return "\ufffd";
  if (number >= 0x80 && number <= 0x9f) return C1[number - 0x80];
  if (number === 13) return "\r";
  const control = number < 32 && ![9, 10, 12].includes(number);
  const none = (number & 0xfffe) === 0xfffe || (number >= 0xfdd0 && number <= 0xfdef);
  if (control || number === 127 || none) return "";
  return String.fromCodePoint(number);
};

const unescapeHtml = (text) =>
  text.replace(/&(#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[^\t\n\f <&#;]{1,32};?)/g, (whole, entity) => {
    if (entity[0] === "#") {
      const digits = entity.replace(";", "").slice(1);
      return numericEntity(/^[xX]/.test(digits) ? parseInt(digits.slice(1), 16) : parseInt(digits, 10));
    }
    const name = /^[A-Za-z0-9]+;?/.exec(entity);
    return name === null ? whole : namedEntity(name[0]) + entity.slice(name[0].length);
  });

const escapeHtml = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

// Names are Python's; browsers have no decoder for the last two.
const ENCODINGS = [
  "latin-1", "cp1252", "iso8859-15", "cp1250", "cp1251", "koi8-r", "mac-roman", "cp437",
  "cp850", "shift_jis", "euc-jp", "euc-kr", "big5", "gb18030",
];
const WIDE = ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"];
const SINGLE = {
  __proto__: null,
  "cp1252": ["windows-1252", "\x81\x8d\x8f\x90\x9d"],
  "iso8859-15": ["iso-8859-15", ""],
  "cp1250": ["windows-1250", "\x81\x83\x88\x90\x98"],
  "cp1251": ["windows-1251", "\x98"],
  "koi8-r": ["koi8-r", ""],
  "mac-roman": ["macintosh", ""],
};
const UPPER_HALVES = {
  __proto__: null,
  "cp437":
    "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u00a0",
  "cp850":
    "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜø£Ø×ƒáíóúñÑªº¿®¬½¼¡«»░▒▓│┤ÁÂÀ©╣║╗╝¢¥┐└┴┬├─┼ãÃ╚╔╩╦╠═╬¤ðÐÊËÈıÍÎÏ┘┌█▄¦Ì▀ÓßÔÒõÕµþÞÚÛÙýÝ¯´\u00ad±‗¾¶§÷¸°¨·¹³²■\u00a0",
};
// What Python's decoders read otherwise than browsers do. Left out: twenty characters of
// gb18030, and the syllables that Python writes as eight bytes of euc-kr.
const WAVES = "\u301c\uff5e\u2016\u2225\u2212\uff0d\u00a2\uffe0\u00a3\uffe1\u00ac\uffe2";
const BIG5 = "\u2022\u2027\uff64\ufe51\u203e\u00af\u223c\uff5e\u2641\u2295\u2609\u2299\uff0f\u2215"
  + "\uff3c\ufe68\u00a5\uffe5\u00a2\uffe0\u00a3\uffe1";
// From C6 A1 on browsers read Hong Kong's characters, and Python those of ETEN.
const ETEN = "ヾゝゞ々ぁあぃいぅうぇえぉおかがきぎくぐけげこごさざしじすずせぜそぞただちぢっつづてでとどなにぬねのはばぱひびぴふぶぷへべぺほぼぽまみ"
  + "むめもゃやゅゆょよらりるれろゎわゐゑをんァアィイゥウェエォオカガキギクグケゲコゴサザシジスズセゼソゾタダチヂッツヅテデトドナニヌネノハバパヒビピフブプ"
  + "ヘベペホボポマミムメモャヤュユョヨラリルレロヮワヰヱヲンヴヵヶДЕЁЖЗИЙКЛМУФХЦЧШЩЪЫЬЭЮЯабвгдеёжзийклмнопрстуфхцчшщъыьэюя"
  + "①②③④⑤⑥⑦⑧⑨⑩⑴⑵⑶⑷⑸⑹⑺⑻⑼⑽";
const MULTIPLE = {
  __proto__: null,
  "shift_jis": {
    has: (a, b) => (b === undefined ? a < 0x80 || (a > 0xa0 && a < 0xe0) : a < 0xed && a !== 0x87),
    swaps: WAVES,
  },
  "euc-jp": {
    has: (a, b) => (b === undefined ? a < 0x80 : b > 0xa0 && (a === 0x8e || (a > 0xa0 && a < 0xf5 && a !== 0xad))),
    swaps: WAVES,
  },
  "euc-kr": { has: (a, b) => (b === undefined ? a < 0x80 : a > 0xa0 && b > 0xa0), swaps: "" },
  "big5": {
    has: (a, b) => (b === undefined
      ? a < 0x80
      : (a === 0xa3 ? b < 0xc0 : a > 0xa0) && (a < 0xc6 || (a === 0xc6 && b < 0xa1) || a > 0xc8)
        && (a < 0xf9 || (a === 0xf9 && b < 0xd6))),
    swaps: BIG5,
  },
  "gb18030": { has: (a) => a !== 0x80, swaps: "" },
};

const tables = new Map();

/**
 * A character set: what one byte, two, three (with their first left out) and four stand for,
 * and the bytes of each character of the basic plane. All are one more than they mean, so
 * that 0 means none.
 */
const tableOf = (name) => {
  let table = tables.get(name);
  if (table === undefined) {
    table = {
      units: [null, new Uint32Array(256), new Uint32Array(65536), new Uint32Array(65536), new Map()],
      codes: new Uint32Array(65536),
    };
    for (let byte = 0; byte < 128; byte += 1) addCode(table, [byte], byte);
    fillTable(name, table);
    tables.set(name, table);
  }
  return table;
};

const addCode = ({ units, codes }, bytes, unit) => {
  const code = bytes.reduce((all, byte) => all * 256 + byte, 0);
  const key = bytes.length === 3 ? code & 0xffff : code;
  if (bytes.length === 4) units[4].set(key, unit + 1);
  else units[bytes.length][key] ||= unit + 1;
  codes[unit] ||= code + 1;
};

const fillTable = (name, table) => {
  if (name in UPPER_HALVES) {
    Array.from(UPPER_HALVES[name]).forEach((each, at) => addCode(table, [128 + at], each.charCodeAt(0)));
    return;
  }
  if (name in SINGLE) {
    const [label, none] = SINGLE[name];
    const decoder = new TextDecoder(label);
    for (let byte = 128; byte < 256; byte += 1) {
      if (!none.includes(String.fromCharCode(byte))) {
        addCode(table, [byte], decoder.decode(Uint8Array.of(byte)).charCodeAt(0));
      }
    }
    return;
  }
  const { has, swaps } = MULTIPLE[name];
  const tried = [];
  for (let a = 128; a < 256; a += 1) {
    if (has(a, undefined)) tried.push([a]);
    for (let b = 64; b < 256; b += 1) if (has(a, b)) tried.push([a, b]);
  }
  if (name === "euc-jp") {
    for (let b = 0xa1; b < 255; b += 1) for (let c = 0xa1; c < 255; c += 1) tried.push([0x8f, b, c]);
  }
  if (name === "gb18030") for (let at = 0; at < GB_LAST; at += 1) tried.push(gbBytes(at));
  const decoder = new TextDecoder(name);
  for (let from = 0; from < tried.length; from += 128) {
    // A line break is part of no character, so that one call decodes many of them.
    const some = tried.slice(from, from + 128);
    const lines = decoder.decode(Uint8Array.from(some.flatMap((bytes) => [...bytes, 10]))).split("\n");
    some.forEach((bytes, at) => {
      const text = lines[at];
      if (text.length !== 1 || text === "\ufffd") return;
      const swapped = bytes.length === 2 ? swaps.indexOf(text) : -1;
      addCode(table, bytes, (swapped % 2 === 1 ? swaps[swapped - 1] : text).charCodeAt(0));
    });
  }
  if (name === "shift_jis" || name === "euc-jp") {
    // Python writes a yen sign and an overline as the bytes that it reads as \ and ~.
    table.codes[0xa5] = 0x5c + 1;
    table.codes[0x203e] = 0x7e + 1;
  }
  if (name === "big5") {
    // Of two codes of one character, Python writes these.
    for (const code of [0xa451, 0xa4ca, 0xa241, 0xa242]) table.codes[table.units[2][code] - 1] = code + 1;
    Array.from(ETEN).forEach((each, index) => {
      // 157 characters a row: 63 from 40 on, then 94 from A1 on.
      const at = index + 63;
      const column = at % 157;
      addCode(table, [0xc6 + Math.floor(at / 157), column + (column < 63 ? 0x40 : 0x62)], each.charCodeAt(0));
    });
  }
};

/** The four bytes of gb18030 at an index; those of the basic plane come first. */
const GB_LAST = 39420;
const GB_ASTRAL = 189000;
const gbBytes = (index) => [
  0x81 + Math.floor(index / 12600), 0x30 + (Math.floor(index / 1260) % 10),
  0x81 + (Math.floor(index / 10) % 126), 0x30 + (index % 10),
];

const fromUnits = (units) => {
  const parts = [];
  for (let at = 0; at < units.length; at += 32768) {
    parts.push(String.fromCharCode.apply(null, units.subarray(at, at + 32768)));
  }
  return parts.join("");
};

/** Bytes of a character set as text; null if they are none. */
const decodeFrom = (binary, name) => {
  if (name === "utf-8") return decode(binary);
  if (name === "latin-1") return binary;
  if (name.startsWith("utf-")) return decodeWide(binary, name);
  const { units: [, one, two, three, four] } = tableOf(name);
  const out = new Uint16Array(binary.length);
  let size = 0;
  for (let at = 0; at < binary.length;) {
    const a = binary.charCodeAt(at);
    let unit = one[a];
    let used = 1;
    if (unit === 0 && at + 1 < binary.length) {
      const b = binary.charCodeAt(at + 1);
      unit = two[a * 256 + b];
      used = 2;
      if (unit === 0 && name === "euc-jp" && a === 0x8f && at + 2 < binary.length) {
        unit = three[b * 256 + binary.charCodeAt(at + 2)];
        used = 3;
      }
      if (unit === 0 && name === "gb18030" && at + 3 < binary.length) {
        const c = binary.charCodeAt(at + 2);
        const d = binary.charCodeAt(at + 3);
        unit = four.get(((a * 256 + b) * 256 + c) * 256 + d) ?? 0;
        used = 4;
        const index = (a - 0x81) * 12600 + (b - 0x30) * 1260 + (c - 0x81) * 10 + (d - 0x30) - GB_ASTRAL;
        const digits = b > 0x2f && b < 0x3a && c > 0x80 && c < 0xff && d > 0x2f && d < 0x3a;
        if (unit === 0 && digits && index >= 0 && index < 0x100000) {
          out[size] = 0xd800 + (index >> 10);
          size += 1;
          unit = 0xdc00 + (index & 0x3ff) + 1;
        }
      }
    }
    if (unit === 0) return null;
    out[size] = unit - 1;
    size += 1;
    at += used;
  }
  return fromUnits(out.subarray(0, size));
};

/** Text in a character set; null if it has a character that the set has not. */
const encodeTo = (text, name) => {
  if (name === "utf-8") return encode(text);
  if (name === "latin-1") return /[^\x00-\xff]/.test(text) ? null : text;
  const { codes } = tableOf(name);
  const out = new Uint8Array(text.length * 4);
  let size = 0;
  const put = (code) => {
    for (const shift of code > 0xffffff ? [24, 16, 8, 0] : code > 0xffff ? [16, 8, 0] : code > 0xff ? [8, 0] : [0]) {
      out[size] = (code >>> shift) & 255;
      size += 1;
    }
  };
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at);
    const code = codes[unit];
    if (code > 0 && code <= 256) {
      out[size] = code - 1;
      size += 1;
    } else if (code > 0) {
      put(code - 1);
    } else if (name === "gb18030" && unit >= 0xd800 && unit < 0xdc00) {
      const index = text.codePointAt(at) - 0x10000 + GB_ASTRAL;
      for (const byte of gbBytes(index)) put(byte);
      at += 1;
    } else {
      return null;
    }
  }
  return fromBytes(out.subarray(0, size));
};

/** UTF-16 and UTF-32 as text; null if it is not valid. */
const decodeWide = (binary, name) => {
  const size = name.startsWith("utf-32") ? 4 : 2;
  if (binary.length % size !== 0) return null;
  let big = name.endsWith("-be");
  let from = 0;
  if (name.length === 6) {
    const marks = size === 2 ? ["\xff\xfe", "\xfe\xff"] : ["\xff\xfe\0\0", "\0\0\xfe\xff"];
    const mark = marks.findIndex((each) => binary.startsWith(each));
    big = mark === 1;
    from = mark < 0 ? 0 : size;
  }
  const out = new Uint16Array(binary.length / 2);
  let count = 0;
  let high = false; // the last unit was the first half of a pair
  for (let at = from; at < binary.length; at += size) {
    let number = 0;
    for (let each = 0; each < size; each += 1) {
      number = number * 256 + binary.charCodeAt(big ? at + each : at + size - 1 - each);
    }
    const low = number >= 0xdc00 && number <= 0xdfff;
    if (size === 4 ? number > 0x10ffff || (number >= 0xd800 && number <= 0xdfff) : low !== high) return null;
    high = size === 2 && number >= 0xd800 && number < 0xdc00;
    if (number > 0xffff) {
      out[count] = 0xd7c0 + (number >> 10);
      out[count + 1] = 0xdc00 + (number & 0x3ff);
      count += 2;
    } else {
      out[count] = number;
      count += 1;
    }
  }
  return high ? null : fromUnits(out.subarray(0, count));
};

// --- Undoing what may have happened to a body -----------------------------------------

const AGENT = "Port's agent forwarded it: a space stands behind each comma and colon, and was not signed.";
const BOM = "\xef\xbb\xbf";
const LINE_ENDS = ["\r\n", "\n", "\r"];

function* undoBom(body) {
  if (body.startsWith(BOM)) yield ["A byte order mark stands before the body.", body.slice(3)];
}

function* undoReprint(body) {
  for (const each of reprints(body)) yield ["", each];
}

function* undoOrder(body) {
  for (const each of reorders(body)) yield ["", each];
}

function* undoNewlineAdded(body) {
  for (const end of LINE_ENDS) {
    if (body.endsWith(end)) yield ["A line break was added at the end of the body.", body.slice(0, -end.length)];
  }
  const bare = stripLines(body);
  if (bare !== body) yield ["Line breaks were added around the body.", bare];
  if (body.includes("\r\n")) {
    yield ["Line breaks arrived as CR LF, and were signed as LF.", body.replaceAll("\r\n", "\n")];
  }
}

function* undoNewlineRemoved(body) {
  for (const end of LINE_ENDS) yield ["A line break was removed from the end of the body.", body + end];
  if (body.includes("\n") && !body.includes("\r")) {
    yield ["Line breaks arrived as LF, and were signed as CR LF.", body.replaceAll("\n", "\r\n")];
  }
}

function* undoGzip(body) {
  const found = gunzip(body);
  if (found !== null) yield ["The body is compressed (gzip or deflate); plain text was signed.", found[0]];
}

function* undoBase64(body) {
  let text = body;
  if (text.length > 1 && text[0] === '"' && text.at(-1) === '"') text = text.slice(1, -1);
  if (/[^A-Za-z0-9+/_=\r\n-]/.test(text)) return;
  if (!/^[^\r\n]+(?:\r?\n[^\r\n]+)*$/.test(text)) return;
  text = text.replace(/[\r\n]/g, "");
  if (!/^[A-Za-z0-9+/_-]+={0,2}$/.test(text)) return;
  const decoded = fromBase64(text);
  if (decoded !== null) yield ["The body is base64; what it stands for was signed.", decoded];
}

function* undoHtml(body) {
  const text = decode(body);
  if (text === null) return;
  const endless = /&#[0-9]{4301}/.test(body); // more digits than Python reads
  if (/&(?:#[0-9xX]|[A-Za-z]+;)/.test(body) && !endless) {
    yield ["Characters arrived as HTML entities, such as &quot;.", encode(unescapeHtml(text))];
  }
  if (body.length <= MAX_REPRINT) {
    yield ["HTML entities arrived as the characters that they stand for.", encode(escapeHtml(text))];
  }
}

function* undoUrl(body) {
  const words = "The body arrived URL-encoded.";
  const field = /^(?:[A-Za-z0-9_.[\]-]{1,64}=)?([^&=]*)=?$/.exec(body);
  if (field !== null && /[=%]/.test(body)) {
    const form = "The body arrived URL-encoded, as a field of a form.";
    yield [body.includes("=") ? form : words, percentDecode(swapByte(field[1], "+", " "))];
  }
  if (/[%+]/.test(body)) {
    yield [words, percentDecode(body)];
    yield [words, percentDecode(body.replace(/%[0-9A-Fa-f]?$/, ""))];
    yield [words, percentDecode(swapByte(body, "+", " "))];
  }
  if (body.endsWith("=")) yield ["The body was read as a form, which adds a =.", body.slice(0, -1)];
  if (body.includes(" ")) {
    yield ["The body was URL-decoded: each + arrived as a space.", swapByte(body, " ", "+")];
  }
}

function* recode(body, read, writeAs, words) {
  const text = decodeFrom(body, read);
  const encoded = text === null ? null : encodeTo(text, writeAs);
  if (encoded !== null) yield [`${words}; UTF-8 was signed.`, encoded];
}

function* undoText(body) {
  if (body.includes("\0")) {
    for (const each of WIDE) yield* recode(body, each, "utf-8", `The body arrived as ${each}`);
  }
  if (isAscii(body)) return;
  const text = decode(body);
  if (text === null) {
    for (const each of ENCODINGS) yield* recode(body, each, "utf-8", `The body arrived as ${each}`);
    return;
  }
  for (const each of ENCODINGS) {
    yield* recode(body, "utf-8", each, `UTF-8 was read as ${each} and encoded again`);
  }
  for (const form of ["NFC", "NFD"]) {
    yield [`Characters were composed or decomposed (Unicode); ${form} was signed.`, encode(text.normalize(form))];
  }
}

function* undoAgent(body) {
  if (body === "") yield ["The body is empty and null was signed, as Port's agent does it.", "null"];
}

/** The quote and the brackets that a body lacks at its end. */
const closeJson = (body) => {
  const opened = [];
  for (const [token] of body.matchAll(/"[^"\\]*(?:\\[^][^"\\]*)*"|"[^"\\]*(?:\\[^][^"\\]*)*\\?$|[[\]{}]/g)) {
    if (token === "{" || token === "[") {
      opened.push(token === "{" ? "}" : "]");
    } else if (token === "}" || token === "]") {
      if (opened.pop() !== token) return "";
    } else if (token.length === 1 || !token.endsWith('"')) {
      return `"${opened.reverse().join("")}`;
    }
  }
  return opened.reverse().join("");
};

function* undoTruncated(body) {
  if (body.length > MAX_REPRINT || !/^[{[]/.test(body)) return;
  const missing = closeJson(body);
  for (let count = 1; count <= Math.min(missing.length, 64); count += 1) {
    const noun = count === 1 ? "byte is" : "bytes are";
    yield [`The body was cut: its last ${count} ${noun} missing.`, body + missing.slice(0, count)];
  }
}

/** Whether UTF-8 is right but for a character that breaks off at its end. */
const breaksOff = (binary) => {
  const found = /(?:[\xc2-\xdf]|\xe0[\xa0-\xbf]?|[\xe1-\xec\xee\xef][\x80-\xbf]?|\xed[\x80-\x9f]?|\xf0(?:[\x90-\xbf][\x80-\xbf]?)?|[\xf1-\xf3](?:[\x80-\xbf]{1,2})?|\xf4(?:[\x80-\x8f][\x80-\xbf]?)?)$/
    .exec(binary.slice(-3));
  return found !== null && decode(binary.slice(0, -found[0].length)) !== null;
};

/** Whether the JSON in a body breaks off at its end, by its look. */
const isCut = (body) => {
  if (!/^[{[]/.test(body) || "}] \t\r\n".includes(body.at(-1))) return false;
  const text = decode(body);
  if (text === null) return breaksOff(body);
  try {
    new JsonReader(text, false).read();
  } catch (error) {
    return error.position >= text.length || error.message.startsWith("Unterminated");
  }
  return false;
};

const WRAPPERS = [
  ["bom_added", undoBom], ["gzip_body", undoGzip], ["base64_body", undoBase64],
  ["html_escaped", undoHtml], ["url_encoded", undoUrl],
];
const ORDERS = [["reserialised", undoOrder]];
const STEPS = [
  ["bom_added", undoBom],
  ["newline_added", undoNewlineAdded],
  ["gzip_body", undoGzip],
  ["base64_body", undoBase64],
  ["agent_form", undoAgent],
  ["reserialised", undoReprint],
  ["html_escaped", undoHtml],
  ["url_encoded", undoUrl],
  ["text_reencoded", undoText],
  ["newline_removed", undoNewlineRemoved],
  ["truncated", undoTruncated],
];

/** What a body may have been one step ago, the likeliest first. */
function* undo(body, done, steps = STEPS) {
  const seen = new Set([body]);
  for (const [code, step] of steps) {
    if (done.has(code)) continue;
    for (const [text, candidate] of step(body)) {
      if (!seen.has(candidate)) {
        seen.add(candidate);
        yield { arrived: body, body: candidate, code, text };
      }
    }
  }
}

/** The cause, if what was undone turns out to be right. */
const causeOf = ({ arrived, body, code, text }) => {
  if (code !== "reserialised") return cause(code, text);
  if (body === stripWhiteSpace(arrived) && isAgentForm(arrived)) return cause("agent_form", AGENT);
  return cause(code, describe(arrived, body));
};

const looksLikeJson = (data) => {
  const text = trimOf(data, WHITE_BYTES);
  return ["{}", "[]"].includes(text.slice(0, 1) + text.slice(-1));
};

/** What a body that is no JSON is by its look, if JSON is inside; else null. */
const unwrap = (body) => {
  if (looksLikeJson(body)) return null;
  for (const [code, step] of WRAPPERS) {
    for (const [text, candidate] of step(body)) {
      if (looksLikeJson(candidate)) return cause(code, text, false);
    }
  }
  return null;
};

// --- The two headers ------------------------------------------------------------------

const SIGNATURE_HEADER = "x-port-signature";
const TIMESTAMP_HEADER = "x-port-timestamp";
const MAX_HEADERS = 10000;
const MAX_VALUES = 32;
const LAST_DIGITS = "AEIMQUYcgkosw048";
const CORE = { [SIGNATURE_HEADER]: "portsignature", [TIMESTAMP_HEADER]: "porttimestamp" };
const V1 = /^v1,([A-Za-z0-9+/]{43}=)$/;
const DIGITS = /^[1-9][0-9]{9,18}$/;

/** A header that does not follow the grammar, with its code. */
class HeaderError extends Error {
  constructor(header, problem, code = "malformed_header") {
    super(`The ${header} header ${problem}.`);
    this.code = code;
  }
}

const codePoints = (text) => (/[\ud800-\udfff]/.test(text) ? Array.from(text).length : text.length);

/** The time that a timestamp's text says, in seconds. */
const readTimestamp = (text) => {
  if (/^[1-9][0-9]{9}$/.test(text)) return Number(text);
  if (/^[1-9][0-9]{12}$/.test(text)) return Number(text) / 1000;
  if (text.includes(",")) throw new HeaderError(TIMESTAMP_HEADER, "has more than one value", "duplicate_header");
  throw new HeaderError(TIMESTAMP_HEADER, "is not a time in seconds or milliseconds");
};

/** The MACs of version 1 in a signature header; "" for one in a second spelling. */
const readSignatures = (value) => {
  const text = trimOf(value, " \t");
  const refuse = (problem, code) => { throw new HeaderError(SIGNATURE_HEADER, problem, code); };
  if (codePoints(text) > 4096) refuse("is too long");
  const listed = text.split(" ");
  if (listed.length > 8) refuse("lists more than 8 signatures");
  const commas = text.split(",").length - 1;
  if (text.includes(", ") || commas > listed.filter((each) => trimOf(each, ",") !== "").length) {
    refuse("has more than one value", "duplicate_header");
  }
  const macs = [];
  for (const each of listed) {
    if (each.startsWith("v1,")) {
      if (!V1.test(each)) refuse("does not hold v1 and 44 characters of base64");
      macs.push(LAST_DIGITS.includes(each.at(-2)) ? atob(each.slice(3)) : "");
    } else if (!/^[A-Za-z0-9]+,[!-~]+$/.test(each)) {
      refuse("is not a version, a comma and a signature");
    }
  }
  if (macs.length === 0) refuse("holds no signature of version 1");
  return macs;
};

/** A name as it can be printed: short, and in ASCII. */
const quoteName = (name) => {
  const text = Array.from(name).slice(0, 60).join("");
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const printed = Array.from(text, (each) => {
    const point = each.codePointAt(0);
    if (each === "\\" || each === quote) return `\\${each}`;
    const short = { "\n": "\\n", "\r": "\\r", "\t": "\\t" }[each];
    if (short !== undefined) return short;
    if (point >= 32 && point < 127) return each;
    if (point < 256) return `\\x${hex(point, 2)}`;
    return point < 65536 ? `\\u${hex(point, 4)}` : `\\U${hex(point, 8)}`;
  }).join("");
  return trimOf(printed, "'\"");
};

/** The only value of a header that says something else; null without one. */
const findHeader = (pairs, name) => {
  const values = new Set(pairs.filter(([each]) => each.toLowerCase() === name).map(([, value]) => strip(value)));
  return values.size === 1 ? [...values][0] : null;
};

/** Find the two headers, or what became of them. */
const readFacts = (pairs) => {
  const facts = { causes: [], stamps: [], macs: [] };
  for (const value of findValues(pairs, SIGNATURE_HEADER, facts)) readSignature(value, facts);
  for (const value of findValues(pairs, TIMESTAMP_HEADER, facts)) readStamp(value, facts);
  return facts;
};

const findValues = (pairs, wanted, facts) => {
  const exact = pairs.filter(([name]) => name.toLowerCase() === wanted).map(([, value]) => value);
  if (exact.length > 1) {
    const same = new Set(exact).size === 1 ? "equal" : "different";
    facts.causes.push(cause("duplicate_header", `The ${wanted} header came ${exact.length} times, with ${same} values.`));
  }
  if (exact.length > 0) return exact.slice(0, MAX_VALUES);
  const renamed = pairs.filter(([name, value]) =>
    name.toLowerCase().replace(/[^a-z0-9]/g, "").includes(CORE[wanted]) && strip(value) !== "");
  if (renamed.length > 0) {
    const names = [...new Set(renamed.map(([name]) => quoteName(name)))].join(", ");
    facts.causes.push(cause("renamed_header", `The ${wanted} header is not there, but one that is called ${names}.`));
    if (renamed.length > 1) {
      facts.causes.push(cause("duplicate_header", `There are ${renamed.length} headers in place of ${wanted}.`));
    }
    return renamed.slice(0, MAX_VALUES).map(([, value]) => value);
  }
  facts.causes.push(cause("missing_header", `There is no ${wanted} header.`));
  guessHeader(pairs, wanted, facts);
  return [];
};

/** Note what may be the value, under a name of which nothing is left. */
const guessHeader = (pairs, wanted, facts) => {
  let count = 0;
  for (const [name, value] of pairs) {
    const text = strip(value);
    const fits = wanted === SIGNATURE_HEADER
      ? V1.test(text)
      : name.toLowerCase().includes("time") && isStamp(text);
    if (fits && count < MAX_VALUES) {
      count += 1;
      const words = `The ${wanted} header is not there; its value came as ${quoteName(name)}.`;
      const causes = [cause("renamed_header", words)];
      if (wanted === SIGNATURE_HEADER) facts.macs.push({ mac: atob(text.slice(3)), causes });
      else facts.stamps.push({ text, causes });
    }
  }
};

const readSignature = (value, facts) => {
  let problem;
  try {
    const macs = readSignatures(value);
    for (const mac of macs) if (mac !== "") facts.macs.push({ mac, causes: [] });
    if (macs.includes("")) {
      facts.causes.push(cause("malformed_header", `The ${SIGNATURE_HEADER} header is base64 in a second spelling.`));
    }
    return;
  } catch (error) {
    if (!(error instanceof HeaderError)) throw error;
    problem = error;
  }
  const head = Array.from(value.slice(0, 16384)).slice(0, 8192).join("");
  const text = strip(trimOf(strip(head), "\"'"));
  if (problem.code === "duplicate_header") {
    facts.causes.push(cause(problem.code, problem.message));
    for (const part of text.split(/,[\s\x1c-\x1f\x85]*(?=v1,)/).slice(0, MAX_VALUES)) {
      for (const [, digits] of part.matchAll(/v1,([A-Za-z0-9+/]{43}=)/g)) facts.macs.push({ mac: atob(digits), causes: [] });
    }
    return;
  }
  facts.causes.push(nameSignature(text, problem.message, facts.macs));
};

/** Say in which form a signature is that Port does not write. */
const nameSignature = (text, problem, macs) => {
  let found = /^(?:v1[,=:]?|sha(?:1|256)=)?([0-9A-Fa-f]{40}|[A-Za-z0-9+/]{27}=)$/.exec(text);
  if (found !== null) {
    const form = found[1].endsWith("=") ? "base64" : "hexadecimal";
    return cause("sha1_signature", `The signature is 20 bytes in ${form}: SHA-1.`);
  }
  found = /^(?:v1[,=:]?|sha256=)?([0-9A-Fa-f]{64})$/.exec(text);
  if (found !== null) {
    const bytes = found[1].match(/../g).map((digits) => String.fromCharCode(parseInt(digits, 16)));
    macs.push({ mac: bytes.join(""), causes: [] });
    return cause("hex_signature", "The signature is 64 hexadecimal digits.");
  }
  found = /^([A-Za-z0-9+/]{43}=)$/.exec(text);
  if (found !== null) {
    macs.push({ mac: atob(found[1]), causes: [] });
    return cause("unprefixed_signature", "The signature is base64 without the v1 and comma before it.");
  }
  const decoded = unquoteText(text);
  const blank = `[${WHITE}]*`;
  found = V1.exec(decoded)
    ?? new RegExp(`^(?:v1|sha256|v1a)?${blank}[,=:;]?${blank}([A-Za-z0-9+/_-]{43})=*$`, "i").exec(decoded);
  if (found !== null) {
    const standard = dropEnd(found[1], "=").replaceAll("-", "+").replaceAll("_", "/");
    macs.push({ mac: atob(`${standard}=`), causes: [] });
  }
  return cause("malformed_header", problem);
};

/** Percent-decode text as Python's unquote does. */
const unquoteText = (text) => text.replace(/(?:%[0-9A-Fa-f]{2})+/g, (found) =>
  new TextDecoder("utf-8", { ignoreBOM: true }).decode(toBytes(percentDecode(found))));

const changed = (words) => cause("timestamp_changed", `The timestamp was changed: ${words}`);

const readStamp = (value, facts) => {
  const text = trimOf(value, " \t");
  try {
    readTimestamp(text);
  } catch (error) {
    if (!(error instanceof HeaderError)) throw error;
    facts.causes.push(cause(error.code, error.message));
    const pieces = error.code === "duplicate_header" ? text.split(",").slice(0, MAX_VALUES).map(strip) : [text];
    for (const piece of pieces) facts.stamps.push(...respell(Array.from(piece.slice(0, 200)).slice(0, 100).join("")));
    return;
  }
  facts.stamps.push({ text, causes: [] });
  if (text.length === 13) {
    const words = "13 digits arrived (milliseconds), 10 were signed (seconds).";
    facts.stamps.push({ text: text.slice(0, 10), causes: [changed(words)] });
  } else {
    const words = "10 digits arrived (seconds), 13 were signed (milliseconds).";
    facts.stamps.push({ text: `${text}000`, causes: [changed(words)] });
  }
};

const isStamp = (text) => (text.length === 10 || text.length === 13) && DIGITS.test(text);

/** What may have been signed where no timestamp arrived. */
const respell = (text) => {
  if (isStamp(text)) return [{ text, causes: [] }];
  const bare = trimOf(text, "\"' +");
  const causes = [changed("another spelling of the time arrived than was signed.")];
  const found = (/^[1-9][0-9]{9,18}/.exec(bare) ?? []).slice();
  const seconds = parseIso(bare);
  if (seconds !== null) found.push(String(Math.trunc(seconds)), String(roundEven(seconds * 1000)));
  const stamps = [];
  for (const each of found) {
    for (const length of [10, 13]) {
      const cut = each.slice(0, length); // of a time before 1970, it begins with a minus
      if (isStamp(cut)) stamps.push({ text: cut, causes });
    }
  }
  return stamps;
};

/** A time of ISO 8601 in seconds since the epoch, local if it names no zone; or null. */
const parseIso = (text) => {
  const found = /^(\d{4})(-?)(\d\d)\2(\d\d)(?:[^](\d\d)(?:(:?)(\d\d)(?:\6(\d\d)(?:[.,](\d{1,9}))?)?)?(Z|[+-]\d\d(?::?\d\d(?::?\d\d)?)?)?)?$/
    .exec(text);
  if (found === null) return null;
  const [, year, , month, day, hour = "0", , minute = "0", second = "0", fraction = "0", zone] = found;
  const numbers = [Number(year), Number(month) - 1, Number(day), Number(hour), Number(minute), Number(second)];
  const utc = new Date(Date.UTC(...numbers));
  const read = [utc.getUTCFullYear(), utc.getUTCMonth(), utc.getUTCDate(), utc.getUTCHours(), utc.getUTCMinutes(), utc.getUTCSeconds()];
  if (read.some((each, at) => each !== numbers[at])) return null;
  const part = Number(`0.${fraction.slice(0, 6)}`);
  if (zone === undefined) return new Date(...numbers).getTime() / 1000 + part;
  const digits = zone.replace(/[^\d]/g, "").padEnd(6, "0");
  const offset = Number(digits.slice(0, 2)) * 3600 + Number(digits.slice(2, 4)) * 60 + Number(digits.slice(4, 6));
  return utc.getTime() / 1000 + part - (zone[0] === "-" ? -offset : zone === "Z" ? 0 : offset);
};

// --- Secrets --------------------------------------------------------------------------

const MAX_SECRETS = 64;
const QUOTES = "\"'`";

const repairSecret = (secret, label) => {
  const found = new Map();
  const note = (code, words) => {
    if (!found.has(code)) found.set(code, cause(code, words[0].toUpperCase() + words.slice(1)));
  };
  let text = secret;
  for (;;) {
    const visible = strip(text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, ""));
    if (visible !== text) note("secret_whitespace", `${label} has ${describeSecret(text)}.`);
    const letters = Array.from(visible);
    if (letters.length < 2 || letters[0] !== letters.at(-1) || !QUOTES.includes(letters[0])) {
      return [visible, [...found.values()]];
    }
    note("secret_quoted", `${label} is wrapped in quotes.`);
    text = visible.slice(1, -1);
  }
};

const describeSecret = (text) => {
  const within = /(?:\r\n|[\n\v\f\r\x1c-\x1e\x85\u2028\u2029])[^]/.test(text.replace(/\r\n/g, "\n"));
  if (within || /[\n\r]$/.test(text)) return "a line break in it";
  return text !== strip(text) ? "white space around it" : "an invisible character in it";
};

/** The secret as it should be, then as the sender may have it. */
const secretSpellings = ({ label, secret }) => {
  if (hasLoneSurrogate(secret)) throw new InputError(`${label} holds a lone surrogate`);
  const [plain, causes] = repairSecret(secret, label);
  if (plain === "") throw new InputError(`${label} is empty`);
  const found = [[plain, causes]];
  if (causes.length > 0) return found;
  const sender = (words) => `The sender signs with ${label} and ${words}.`;
  for (const [damaged, words] of [
    [`${plain}\n`, "a line break behind it"],
    [`${plain}\r\n`, "a line break behind it"],
    [`${plain} `, "a space behind it"],
    [` ${plain}`, "a space before it"],
  ]) found.push([damaged, [cause("secret_whitespace", sender(words))]]);
  for (const quote of QUOTES.slice(0, 2)) {
    found.push([quote + plain + quote, [cause("secret_quoted", sender("quotes around it"))]]);
  }
  return found;
};

const importKey = (secret) => crypto.subtle.importKey(
  "raw", utf8Encoder.encode(secret), { name: "HMAC", hash: "SHA-256" }, false, ["verify"],
);

/** A key for each candidate, and for each way in which it may be damaged. */
const readKeys = async (candidates) => {
  if (candidates.length < 1 || candidates.length > MAX_SECRETS) {
    throw new InputError(`secrets must be 1 to ${MAX_SECRETS} secrets`);
  }
  const seen = new Set();
  const keys = [];
  for (const each of candidates) {
    const words = `It was signed with ${each.label}, not with the current secret.`;
    const base = each.accepted ? [] : [cause("other_secret", words)];
    for (const [index, [raw, causes]] of secretSpellings(each).entries()) {
      if (!seen.has(raw)) {
        seen.add(raw);
        const damaged = index === 0 && each.accepted && causes.length > 0;
        keys.push({ key: await importKey(raw), causes: [...base, ...causes], damaged, label: each.label });
      }
    }
  }
  return keys.sort((a, b) => a.causes.length - b.causes.length);
};

// --- Kafka messages -------------------------------------------------------------------

const MAX_UNDO = 4 * 1024 * 1024;
const SIGNATURE_KEY = /"x[-_]?port[-_]?signature"/gi;
const TIMESTAMP_KEY = /"x[-_]?port[-_]?timestamp"/gi;
const RENAMED = "The message has the two keys of the signature in another spelling.";

/** The text of an object without the members of the given keys. */
const withoutMembers = (text, members, keys) => {
  const kept = [];
  let at = members.start + 1;
  for (const [key, [start, end]] of members.spans) {
    if (keys.includes(key)) {
      kept.push(trimOf(text.slice(at, start), ", \t\n\r"));
      at = end;
    }
  }
  kept.push(trimOf(text.slice(at, members.end - 1), ", \t\n\r"));
  return `{${kept.filter((each) => each !== "").join(",")}}`;
};

const KAFKA_KEYS = ["X-Port-Signature", "X-Port-Timestamp"];

/** The texts of which one was signed, and the headers; or the error's code and text. */
const readMessage = (raw) => {
  let message;
  try {
    message = parseStrict(raw);
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    return { code: "unreadable_body", text: "The message is not strict JSON." };
  }
  const headers = message instanceof Map ? message.get("headers") : undefined;
  if (!(headers instanceof Map)) {
    return {
      code: "missing_header",
      text: `The delivery has no ${SIGNATURE_HEADER} header; either Port did not send it, or something on its way removed the header.`,
    };
  }
  const text = decode(raw);
  const member = (value, key) => (value instanceof Map ? value.get(key) : undefined);
  const type = member(member(member(member(message, "payload"), "action"), "invocationMethod"), "type");
  const signed = type === "GITLAB"
    ? withoutMembers(text, message, ["headers"])
    : text.slice(message.start, headers.start) + withoutMembers(text, headers, KAFKA_KEYS)
      + text.slice(headers.end, message.end);
  const pairs = [];
  for (const [key, name] of [[KAFKA_KEYS[0], SIGNATURE_HEADER], [KAFKA_KEYS[1], TIMESTAMP_HEADER]]) {
    if (headers.has(key)) {
      const value = headers.get(key);
      pairs.push([name, value instanceof NumberText ? value.text : value]);
    }
  }
  return { forms: [...spellings(encode(signed))], pairs };
};

const readForms = (body) => readMessage(body).forms ?? [];

/** The headers of the Kafka message in a body, which may be wrapped; or null. */
const findMessage = async (body) => {
  if (body.length > MAX_UNDO) return null;
  const read = (candidate) => {
    if (candidate.search(SIGNATURE_KEY) < 0) return null;
    const { pairs } = readMessage(candidate);
    if (pairs === undefined || !pairs.some(([name]) => name === SIGNATURE_HEADER)) return null;
    return pairs.map(([name, value]) =>
      [name, typeof value === "string" ? value : value === null ? "None" : "False"]);
  };
  const found = read(body);
  if (found !== null) return found;
  for (const each of undoMessage(body, new Set())) {
    const inside = read(each.body);
    if (inside !== null) return inside;
    await breathe();
  }
  return null;
};

/** What a message may have been: with keys as they were, or unwrapped. */
function* undoMessage(body, done) {
  const renamed = body.replace(SIGNATURE_KEY, '"X-Port-Signature"').replace(TIMESTAMP_KEY, '"X-Port-Timestamp"');
  if (renamed !== body) yield { arrived: body, body: renamed, code: "renamed_header", text: RENAMED };
  yield* undo(body, done);
}

// --- The search for what was signed ---------------------------------------------------

const MAX_MACS = 20000;
const MAX_BYTES = 128 * 1024 * 1024;
const MAX_CHANGES = 3;
const MAX_LIKELY = 6;
const MANY = ["newline_removed", "text_reencoded", "truncated"];
const NO_ORDER = ["reserialised", "truncated", "newline_removed"];
const LOST_MILLIS = changed("10 digits arrived (seconds), 13 were signed (milliseconds).");
// Comparisons that run together.
const BATCH = 64;
const BATCH_BYTES = 8 * 1024 * 1024;

class Exhausted extends Error {}

let rested = 0;

/** Let the page answer if the check has kept it for long. */
const breathe = async () => {
  if (performance.now() - rested < 25) return;
  await new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = resolve;
    port2.postMessage(null);
  });
  rested = performance.now();
};

const isLikely = (changes) => {
  for (const each of changes) {
    if (MANY.includes(each.code)) return false;
    if (each.code === "reserialised") return each.body === stripWhiteSpace(each.arrived);
  }
  return true;
};

/** The search for what was signed: from few changes to many, within bounds. */
class Search {
  constructor(body, facts, keys, kafka) {
    this.body = body;
    this.stamps = facts.stamps;
    this.macs = facts.macs;
    this.keys = keys;
    this.plain = keys.filter((each) => each.causes.length === 0);
    this.forms = kafka ? readForms : (each) => [each];
    this.undo = kafka ? undoMessage : undo;
    this.spentMacs = 0;
    this.spentBytes = 0;
    this.levels = [[[body, []]]];
    this.seen = new Set([body]);
  }

  /** The simplest explanation; null if there is none within bounds. */
  async run() {
    if (this.macs.length === 0 || this.stamps.length === 0) return null;
    let batch = [];
    let size = 0;
    const flush = async () => {
      const tried = batch;
      batch = [];
      size = 0;
      const found = await Promise.all(tried.map((each) => this.match(each)));
      await breathe();
      return found.find((each) => each !== null) ?? null;
    };
    try {
      for await (const attempt of this.attempts()) {
        if (attempt === null) {
          const found = await flush();
          if (found !== null) return found;
          continue;
        }
        batch.push(attempt);
        size += attempt.signed.length;
        if (batch.length >= BATCH || size >= BATCH_BYTES) {
          const found = await flush();
          if (found !== null) return found;
        }
      }
    } catch (error) {
      if (!(error instanceof Exhausted)) throw error;
    }
    return flush();
  }

  /** Every attempt, the simplest first; null where what follows costs more. */
  async* attempts() {
    for (let total = 0; total <= MAX_CHANGES; total += 1) {
      yield* this.total(total);
      yield null;
      if (total === 1 || total === 2) {
        const bodies = await this.level(total - 1);
        yield* this.millis(bodies);
        yield null;
        yield* this.orders(bodies);
        yield null;
      }
    }
  }

  async* total(total) {
    const last = total < MAX_CHANGES ? Math.min(total, 2) : 1;
    for (let level = 0; level <= last; level += 1) {
      for (const stamp of this.stamps) {
        const count = total - level - stamp.causes.length;
        const keys = this.keys.filter((each) => each.causes.length === count);
        if (keys.length === 0) continue;
        for (const [body, changes] of await this.level(level)) yield* this.each(body, changes, stamp, keys);
      }
    }
  }

  /** The milliseconds that a timestamp may have lost. */
  * millis(bodies) {
    for (const [body, changes] of bodies.filter((each) => isLikely(each[1])).slice(0, MAX_LIKELY)) {
      for (const stamp of this.stamps) {
        if (stamp.text.length === 10 && stamp.causes.length === 0) {
          for (let millis = 1; millis < 1000; millis += 1) {
            const text = stamp.text + String(millis).padStart(3, "0");
            yield* this.each(body, changes, { text, causes: [LOST_MILLIS] }, this.plain);
          }
        }
      }
    }
  }

  /** Other orders of keys, of which there are many. */
  * orders(bodies) {
    if (this.body.length > MAX_UNDO) return;
    for (const [body, changes] of bodies) {
      if (changes.every((each) => !NO_ORDER.includes(each.code))) {
        for (const undone of undo(body, new Set(), ORDERS)) {
          for (const stamp of this.stamps) {
            if (stamp.causes.length === 0) yield* this.each(undone.body, [...changes, undone], stamp, this.plain);
          }
        }
      }
    }
  }

  /** The bodies of which so many changes are undone. */
  async level(level) {
    if (this.body.length > MAX_UNDO) return level === 0 ? this.levels[0] : [];
    while (this.levels.length <= level) {
      const deeper = [];
      for (const [body, changes] of this.levels.at(-1)) {
        await breathe();
        for (const undone of this.undo(body, new Set(changes.map((each) => each.code)))) {
          if (!this.seen.has(undone.body)) {
            this.seen.add(undone.body);
            deeper.push([undone.body, [...changes, undone]]);
            this.spend(0, undone.body.length);
          }
          await breathe();
        }
      }
      this.levels.push(deeper);
    }
    return this.levels[level];
  }

  * each(body, changes, stamp, keys) {
    for (const signed of this.forms(body)) {
      this.spend(keys.length, signed.length * keys.length);
      yield { signed, changes, stamp, keys };
    }
  }

  async match({ signed, changes, stamp, keys }) {
    const data = signedBytes(stamp.text, signed);
    const tests = [];
    for (const key of keys) for (const mac of this.macs) tests.push([key, mac]);
    const matches = await Promise.all(tests.map(([key, { mac }]) => matchMac(key.key, mac, data)));
    const first = matches.indexOf(true);
    if (first < 0) return null;
    const [key, mac] = tests[first];
    const causes = [...mac.causes, ...stamp.causes, ...key.causes, ...changes.map(causeOf)];
    return { stamp: stamp.text, causes, signed, key };
  }

  spend(macs, size) {
    this.spentMacs += macs;
    this.spentBytes += size;
    if (this.spentMacs > MAX_MACS || this.spentBytes > MAX_BYTES) throw new Exhausted();
  }
}

const signedBytes = (stamp, payload) => toBytes(`${stamp}.${payload}`);
const matchMac = (key, mac, data) => crypto.subtle.verify("HMAC", key, toBytes(mac), data);

// --- The diagnosis --------------------------------------------------------------------

const MAX_AGE = 300;
const MAX_FUTURE = 60;
const EXPLAINING = ["gzip_body", "hex_signature", "secret_quoted", "secret_whitespace", "truncated"];
const KAFKA = "The body is a message of Kafka's runs topic: the signature is inside it.";
const HTTP = "The signature is in headers beside the body, as with HTTP, not inside it.";

/**
 * Say why a delivery does not verify.
 *
 * @param {Uint8Array} body the bytes that arrived
 * @param {[string, string][]} headers all headers
 * @param {{label: string, secret: string, accepted: boolean}[]} candidates the secrets
 * @param {number} now when it arrived, in seconds since the epoch
 * @param {boolean} kafka whether it is a message of Kafka
 */
const explain = async (body, headers, candidates, now, kafka = false) => {
  rested = performance.now();
  const binary = fromBytes(body);
  const keys = await readKeys(candidates);
  if (headers.length > MAX_HEADERS) {
    const problem = "cannot be looked up: headers must be a mapping or an iterable of pairs";
    const broken = new HeaderError(SIGNATURE_HEADER, problem);
    return { verified: false, causes: [cause(broken.code, broken.message)], found: null };
  }
  let facts = readFacts(headers);
  let isKafka = kafka;
  const causes = [];
  const message = kafka || facts.macs.length === 0 ? await findMessage(binary) : null;
  if (message !== null) {
    if (!kafka) causes.push(cause("kafka_form", KAFKA));
    facts = readFacts(message);
    isKafka = true;
  } else if (kafka && facts.macs.length > 0) {
    causes.push(cause("http_form", HTTP));
    isKafka = false;
  }
  const found = await new Search(binary, facts, keys, isKafka).run();
  const damages = keys.filter((each) => each.damaged).flatMap((each) => each.causes);
  let stamp;
  if (found === null) {
    await breathe();
    causes.push(...facts.causes, ...signsOf(binary, headers, facts, damages));
    stamp = facts.stamps[0]?.text;
  } else {
    causes.push(...facts.causes.filter((each) => each.code !== "missing_header"));
    causes.push(...found.causes, ...damages);
    // Else what looks like a part of a stream was signed as it is.
    if (found.causes.length > 0) causes.push(...cutStream(binary));
    stamp = found.stamp;
  }
  if (stamp !== undefined) causes.push(...checkTime(stamp, now));
  inflated = ["", null]; // nothing of a delivery is kept
  const verified = found !== null && causes.length === 0;
  // What was signed is for the page: Python's explain keeps it to itself.
  return { verified, causes: merge(causes), found };
};

/** What can be seen, although no MAC matches. */
const signsOf = (body, pairs, facts, damages) => {
  const signs = [...damages, ...cutStream(body)];
  const encoding = findHeader(pairs, "content-encoding");
  if (gunzip(body) !== null && encoding !== null && encoding !== "identity") {
    signs.push(cause("gzip_body", "The body is compressed, and Content-Encoding says so."));
  }
  const missing = countMissing(body, pairs);
  if (missing > 0) {
    const noun = missing === 1 ? "byte is" : "bytes are";
    signs.push(cause("truncated", `The body was cut: ${missing} ${noun} missing, by Content-Length.`));
  }
  const complete = !facts.causes.some((each) => each.code === "missing_header");
  if (facts.macs.length > 0 && facts.stamps.length > 0 && complete) {
    const codes = [...facts.causes, ...signs].map((each) => each.code);
    signs.push(...guessBody(body, codes, Math.max(-missing, 0)));
  }
  return signs;
};

const guessBody = (body, found, surplus) => {
  const wrapped = unwrap(body);
  if (wrapped !== null && !found.includes(wrapped.code)) return [wrapped];
  if (isCut(body) && !found.includes("truncated")) {
    return [cause("truncated", "The body seems to be cut: its JSON does not end.", false)];
  }
  if (!EXPLAINING.some((each) => found.includes(each))) {
    return [cause("unknown", describeUnknown(body, surplus), false)];
  }
  return [];
};

const cutStream = (body) => {
  const found = gunzip(body);
  if (found === null || found[1]) return [];
  return [cause("truncated", "The body was cut: the compressed data in it does not end.")];
};

const describeUnknown = (body, surplus) => {
  const words = "No signature matches, and no known change of the body, the timestamp or the secret makes one match. ";
  if (surplus > 0) {
    return `${words}The file holds ${surplus} ${surplus === 1 ? "byte" : "bytes"} more than Content-Length says: `
      + "the body was changed after the header was written, or the file holds a second request.";
  }
  if (body === "") return `${words}The body is empty.`;
  try {
    parseStrict(body);
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    return `${words}The body ${error.message}.`;
  }
  if (stripWhiteSpace(body) !== body) {
    return `${words}The body is JSON with white space in it, which Port does not send.`;
  }
  return `${words}The body is JSON as Port prints it, so the secret may be another.`;
};

const countMissing = (body, pairs) => {
  const text = findHeader(pairs, "content-length") ?? "";
  return /^[0-9]{1,12}$/.test(text) ? Number(text) - body.length : 0;
};

const ageOf = (stamp, now) => Number((now - readTimestamp(stamp)).toFixed(6));

const checkTime = (stamp, now) => {
  const age = ageOf(stamp, now);
  if (age >= -MAX_FUTURE && age <= MAX_AGE) return [];
  const ago = sayDuration(Math.abs(age));
  if (age > 0) {
    let words = `It was signed ${ago} ago; at most ${MAX_AGE} s are accepted.`;
    if (age < 86400) words += ` If it is new, the clock here is ahead, by about ${ago}.`;
    return [cause("timestamp_too_old", words)];
  }
  return [cause(
    "timestamp_in_future",
    `It was signed ${ago} ahead of the clock here; at most ${MAX_FUTURE} s are accepted. `
    + `So this clock is behind, or the sender's ahead, by about ${ago}.`,
  )];
};

/** A duration in the two units that say most of it. */
const sayDuration = (seconds) => {
  let left = roundEven(seconds);
  const parts = [];
  for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]]) {
    const count = Math.floor(left / size);
    left %= size;
    if (count > 0 || parts.length > 0) parts.push(`${count} ${unit}`);
  }
  return parts.slice(0, 2).join(" ") || "less than 1 s";
};

const summarize = ({ verified, causes }) => {
  if (verified) return "The delivery verifies.";
  return `The delivery does not verify: ${causes.length} ${causes.length === 1 ? "cause" : "causes"}.`;
};

// --- What a Verifier does, step by step -----------------------------------------------

const MAX_BODY = 1048576;
const MAX_AGENT_BODY = 262144;

/** A delivery that a Verifier refuses, with the code of its error. */
class Refusal extends Error {
  constructor(code, text) {
    super(text);
    this.code = code;
  }
}

const NAME = "(?:[A-Z_][A-Z0-9_]*|[a-z_][a-z0-9_]*|[a-z]+(?:[A-Z][a-z]+)+)";
const WORDS = " *[.$]?[A-Za-z_]\\w*(?:[ .:/'-]+\\w+)* *";
const PLACEHOLDER = new RegExp(
  `^(?:\\$(?:env:)?${NAME}|%${NAME}%|\\$\\(${WORDS}\\)|#?\\{${WORDS}\\}|<${WORDS}>)$`,
);
const WRAPPED = [["${", "}"], ["{{", "}}"], ["<%", "%>"]];
const MAX_PLACEHOLDER = 63;

/** Whether the whole secret stands for a value that was to replace it. */
const isPlaceholder = (secret) =>
  ["…", "..."].includes(secret) ||
  WRAPPED.some(([start, end]) => secret.startsWith(start) && secret.endsWith(end)) ||
  (secret.length <= MAX_PLACEHOLDER && PLACEHOLDER.test(secret));

/** What an editor, a shell or a template did to a secret; or null. */
const findDamage = (secret) => {
  const lines = secret.replace(/\r\n/g, "\n");
  const breaks = /[\n\v\f\r\x1c-\x1e\x85\u2028\u2029]/;
  const problems = [
    ["holds a lone surrogate", hasLoneSurrogate(secret)],
    ["is empty", secret === ""],
    ["is blank", strip(secret) === ""],
    ["holds a byte order mark", secret.includes("\ufeff")],
    ["holds a line break", breaks.test(lines.slice(0, -1)) || breaks.test(lines.slice(-1))],
    ["has white space around it", strip(secret) !== secret],
    ["holds an invisible character", /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(secret)],
    ["is wrapped in quotes", secret.length > 1 && secret[0] === secret.at(-1) && QUOTES.includes(secret[0])],
    ["looks like a placeholder that was never filled in", isPlaceholder(secret)],
  ];
  return problems.find(([, found]) => found)?.[0] ?? null;
};

/** The only value of each header. */
const readHeaders = (pairs) => {
  const found = new Map();
  for (const [name, value] of pairs) {
    const lower = name.toLowerCase();
    if (lower !== SIGNATURE_HEADER && lower !== TIMESTAMP_HEADER) continue;
    if (found.has(lower)) throw new HeaderError(lower, "has more than one value", "duplicate_header");
    found.set(lower, value);
  }
  return [SIGNATURE_HEADER, TIMESTAMP_HEADER].map((name) => {
    const value = found.get(name) ?? null;
    if (value === null) {
      throw new Refusal("missing_header", `The delivery has no ${name} header; either Port did not send it, or something on its way removed the header.`);
    }
    if (typeof value !== "string") throw new HeaderError(name, "is neither text nor bytes");
    return value;
  });
};

const sayAge = (age) => Number(Math.abs(age).toFixed(3));

const checkWindow = (age) => {
  if (age >= -MAX_FUTURE && age <= MAX_AGE) return;
  const clock = "are accepted. If the delivery is new, check this machine's clock.";
  if (age < 0) {
    throw new Refusal("timestamp_in_future", `The timestamp lies ${sayAge(age)} s ahead; at most ${MAX_FUTURE} s (max_future) ${clock}`);
  }
  throw new Refusal("timestamp_too_old", `The timestamp is ${sayAge(age)} s old; at most ${MAX_AGE} s (max_age) ${clock}`);
};

const STEP_NAMES = ["Secrets", "Headers", "Timestamp", "Signature", "Window", "Body", "Signed text", "Match"];

/**
 * Do what a Verifier does, and tell each step.
 *
 * It takes what `explain` takes; the secrets that are not accepted do not count. `agent`
 * stands for Verifier(agent=True). The result has `accepted`, `code` (that of the error),
 * `steps` and, where the timestamp is one, `stamp` and the `payload` to compare.
 */
const check = async (body, headers, candidates, now, kafka, agent) => {
  const result = { accepted: false, code: null, steps: [], stamp: null, payload: null, via: null };
  const pass = (text) => result.steps.push({ name: STEP_NAMES[result.steps.length], state: "passed", text });
  try {
    await checkSteps(result, pass, fromBytes(body), headers, candidates.filter((each) => each.accepted), now, kafka, agent);
    result.accepted = true;
  } catch (error) {
    if (!(error instanceof Refusal || error instanceof HeaderError)) throw error;
    result.code = error.code;
    result.steps.push({ name: STEP_NAMES[result.steps.length], state: "failed", text: error.message });
  }
  for (const name of STEP_NAMES.slice(result.steps.length)) {
    result.steps.push({ name, state: "skipped", text: "Not reached." });
  }
  return result;
};

const checkSteps = async (result, pass, binary, headers, candidates, now, kafka, agent) => {
  for (const { label, secret } of candidates) {
    const damage = findDamage(secret);
    if (damage !== null) {
      throw new Refusal("configuration_error", `A Verifier cannot be built: ${label} ${damage}.`);
    }
  }
  const count = candidates.length;
  if (count > 9) {
    throw new Refusal("configuration_error", "A Verifier cannot be built: previous_secrets holds more than 8 secrets.");
  }
  pass(count === 1 ? "1 secret, without damage." : `${count} secrets, without damage.`);

  let forms = [["port", binary]];
  let pairs = headers;
  if (kafka) {
    if (binary.length > MAX_BODY) throw tooLarge("max_body_bytes", MAX_BODY);
    const message = readMessage(binary);
    if (message.code !== undefined) throw new Refusal(message.code, message.text);
    forms = message.forms.map((each) => ["kafka", each]);
    pairs = message.pairs;
  }
  const [signature, timestamp] = readHeaders(pairs);
  pass(kafka ? "Both are in the message, under its headers." : "Both are there, once.");

  const stamp = trimOf(timestamp, " \t");
  const seconds = readTimestamp(stamp);
  Object.assign(result, { stamp, payload: forms[0][1] });
  const unit = stamp.length === 13 ? "milliseconds" : "seconds";
  pass(`${stamp} is a time in ${unit}: ${new Date(seconds * 1000).toISOString().replace(".000Z", "Z")}.`);

  const macs = readSignatures(signature);
  pass(macs.length === 1 ? "1 signature of version 1, of 32 bytes." : `${macs.length} signatures of version 1, of 32 bytes.`);

  const age = ageOf(stamp, now);
  checkWindow(age);
  pass(`It was signed ${sayAge(age)} s ${age < 0 ? "after" : "before"} it arrived; ${MAX_AGE} s before and ${MAX_FUTURE} s after are accepted.`);

  if (!kafka && binary.length > MAX_BODY) throw tooLarge("max_body_bytes", MAX_BODY);
  pass(`${binary.length === 1 ? "1 byte" : `${binary.length} bytes`}.`);

  pass(kafka
    ? "The timestamp's text, a dot, and the message without the two keys, as compact JSON."
    : "The timestamp's text, a dot, and the body.");

  const keys = [];
  for (const { label, secret } of candidates) keys.push({ label, key: await importKey(secret) });
  const match = async (via, payload) => {
    const data = signedBytes(stamp, payload);
    for (const { label, key } of keys) {
      for (const mac of macs) {
        if (await matchMac(key, mac, data)) {
          Object.assign(result, { via, payload });
          return label;
        }
      }
    }
    return null;
  };
  let label = null;
  for (const [via, payload] of forms) label ??= await match(via, payload);
  if (label === null && agent && !kafka) {
    if (binary.length > MAX_AGENT_BODY) throw tooLarge("agent_max_bytes", MAX_AGENT_BODY);
    const payload = binary === "" ? "null" : stripWhiteSpace(binary);
    if (payload !== binary) label = await match("agent", payload);
    if (label !== null) requireJson(payload);
  }
  if (label === null) {
    throw new Refusal("signature_mismatch", "No signature matches the signed text with any of these secrets. The causes above say why.");
  }
  pass(`The signature matches with ${label}${result.via === "agent" ? ", once the agent's white space is removed" : ""}.`);
};

const requireJson = (payload) => {
  try {
    parseStrict(payload);
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    throw new Refusal("invalid_payload", `The payload ${error.message}.`);
  }
};

const tooLarge = (option, limit) => {
  const words = option === "agent_max_bytes"
    ? "matches no signature as it came, and to look for the agent's form it is"
    : "is";
  return new Refusal("body_too_large", `The body ${words} larger than the limit of ${limit} bytes; ${option} sets it.`);
};

// --- Captures -------------------------------------------------------------------------

const newCapture = (body, headers, kafka = false, receivedAt = null, note = null) => ({ body, headers, kafka, receivedAt, note });

/** Read a capture, of bytes; `kind` is http, curl, har, lambda, kafka, or auto. */
const readCapture = (binary, kind, entry = null) => {
  const chosen = kind === "auto" ? guessKind(binary) : kind;
  const readers = { http: readHttp, curl: readCurl, har: readHar, lambda: readLambda, kafka: readKafka };
  return { kind: chosen, ...readers[chosen](binary, entry) };
};

const guessKind = (binary) => {
  const text = trimOf(binary.startsWith(BOM) ? binary.slice(3) : binary, WHITE_BYTES);
  if (/^(?:\S*\/)?curl[ \t\\\r\n]/.test(text)) return "curl";
  if (text[0] !== "{") return "http";
  const value = loadCapture(text, null);
  if (value === null) return "kafka"; // records, one a line
  if (value instanceof Map) {
    if (value.has("log")) return "har";
    if (value.get("records") instanceof Map) return "lambda";
    const signed = memberOf(value.get("headers"), KAFKA_KEYS[0]) !== undefined;
    if (value.has("topic") || (signed && !value.has("body"))) return "kafka";
    if (value.has("body") || value.has("headers")) return "lambda";
  }
  return "kafka";
};

const CHUNK = /([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\r\n]*)?\r?\n/y;
const LINE_END = /\r?\n/y;
const TRAILER_FIELD = /[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\r\n]*(?:\r?\n|$)/y;
const NO_CHUNKS = "Transfer-Encoding says chunked, but the body does not begin with the size of a "
  + "chunk. It is used as it is";
const JOINED = "if a tool has joined the chunks, remove the Transfer-Encoding line";

/** What a sticky pattern matches at an index, or null. */
const matchAt = (pattern, text, at) => {
  pattern.lastIndex = at;
  return pattern.exec(text);
};

/** Raw HTTP/1.1: its line, which may be missing, headers and body. */
const readHttp = (binary) => {
  const raw = binary.replace(/^[\r\n]+/, "");
  const end = /\r?\n\r?\n/.exec(raw);
  const head = end === null ? stripLines(raw) : raw.slice(0, end.index);
  const body = end === null ? "" : raw.slice(end.index + end[0].length);
  // A CR alone ends no line (RFC 9112, section 2.2).
  const lines = head === "" ? [] : head.split(/\r?\n/);
  if (lines[0]?.startsWith("HTTP/")) throw new InputError("this is a response, not a request");
  const start = lines.length > 0 && /^[A-Z]+ [^ \t\n\v\f\r]+(?: HTTP\/[0-9.]+)?$/.test(trimOf(lines[0], WHITE_BYTES)) ? 1 : 0;
  const headers = readLines(lines.slice(start), start + 1);
  if (headers.length === 0) throw new InputError("there are no headers; is it raw HTTP?");
  if (!isChunked(headers)) return newCapture(cutBody(body, headers), headers);
  if (matchAt(CHUNK, body, 0) !== null) return newCapture(joinChunks(body), headers);
  return newCapture(cutBody(body, headers), headers, false, null, NO_CHUNKS);
};

const isChunked = (headers) => headers.some(([name, value]) => name.toLowerCase() === "transfer-encoding"
  && value.split(",").some((coding) => trimOf(coding, " \t").toLowerCase() === "chunked"));

/** A body without white space that is beyond its length. */
const cutBody = (body, headers) => {
  const values = new Map(headers.map(([name, value]) => [name.toLowerCase(), value]));
  const length = values.get("content-length") ?? "";
  if (!/^[0-9]{1,12}$/.test(length) || trimOf(body.slice(Number(length)), WHITE_BYTES) !== "") return body;
  return body.slice(0, Number(length));
};

const readLines = (lines, first) => {
  const headers = [];
  lines.forEach((line, index) => {
    if (/^[ \t]/.test(line) && headers.length > 0) {
      headers.at(-1)[1].push(trimOf(line, WHITE_BYTES));
      return;
    }
    const bare = line.replace(/^:/, "");
    const colon = bare.indexOf(":");
    if (colon < 0 || !/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(strip(bare.slice(0, colon)))) {
      throw new InputError(`line ${first + index} is no header; is it raw HTTP?`);
    }
    if (!line.startsWith(":")) headers.push([bare.slice(0, colon), [trimOf(bare.slice(colon + 1), " \t")]]);
  });
  return headers.map(([name, parts]) => [name, parts.filter((each) => each !== "").join(" ")]);
};

/** A chunked body as one (RFC 9112, section 7.1). */
const joinChunks = (body) => {
  const parts = [];
  const fail = (problem) => {
    throw new InputError(`the chunked body is broken: ${problem}; ${JOINED}`);
  };
  let at = 0;
  for (;;) {
    const number = parts.length + 1;
    const found = matchAt(CHUNK, body, at);
    if (found === null) {
      fail(at >= body.length
        ? `it ends behind chunk ${number - 1}, without one of 0 bytes`
        : `no size of a chunk where chunk ${number} should begin`);
    }
    at += found[0].length;
    // A size that is beyond a number's precision is no body's.
    const size = BigInt(`0x${found[1]}`);
    if (size === 0n) {
      while (matchAt(TRAILER_FIELD, body, at) !== null) at = TRAILER_FIELD.lastIndex;
      if (trimOf(body.slice(at), WHITE_BYTES) !== "") fail("it goes on behind the chunk of 0 bytes, which is the last");
      return parts.join("");
    }
    const part = body.slice(at, at + Number(size));
    if (part.length < size) fail(`chunk ${number} lacks ${size - BigInt(part.length)} of its ${size} bytes`);
    parts.push(part);
    at += part.length;
    const end = matchAt(LINE_END, body, at);
    if (end === null && at < body.length) fail(`no line break behind the ${size} bytes of chunk ${number}`);
    at += end === null ? 0 : end[0].length;
  }
};

const CURL_DATA = ["-d", "--data", "--data-ascii", "--data-binary", "--data-raw", "--json"];
const CURL_NEXT = ["-:", "--next"];
const CURL_FORM = ["-F", "--form", "--form-string", "-T", "--upload-file", "-G", "--get"];
const CURL_LONG = [
  "--request", "--url", "--user", "--user-agent", "--referer", "--cookie", "--max-time",
  "--connect-timeout", "--output", "--proxy", "--cacert", "--cert", "--key", "--resolve",
  "--retry", "--write-out", ...CURL_DATA.slice(1), "--header", "--form", "--form-string",
  "--upload-file", "--get", "--data-urlencode",
];
const CURL_VALUED = "AbcCdDeEFhHKmoPQrtTuUwxXyYz";

/** A curl command for a POSIX shell; a file that it names is not opened. */
const readCurl = (binary) => {
  const words = splitCommand(firstCommand(binary));
  if (words.length === 0 || !words[0].split("/").at(-1).startsWith("curl")) {
    throw new InputError("this does not begin with curl");
  }
  const headers = [];
  const parts = [];
  for (const [option, value] of curlOptions(words.slice(1))) {
    if (option === "-H" || option === "--header") {
      if (value.startsWith("@")) throw new InputError(`${option} names a file of headers: insert them`);
      const colon = value.indexOf(":");
      const name = colon < 0 ? value : value.slice(0, colon);
      const text = colon < 0 ? "" : value.slice(colon + 1);
      headers.push([dropEnd(name, ";"), strip(text)].map((each) => decode(each) ?? each));
    } else if (CURL_NEXT.includes(option)) {
      throw new InputError(`${option} begins a second request: keep one of them`);
    } else if (CURL_DATA.includes(option)) {
      if (value.startsWith("@") && option !== "--data-raw") {
        throw new InputError(`${option} names a file: choose it as the body, too`);
      }
      // What --json adds is a part of the same JSON.
      parts.push(...(option === "--json" || parts.length === 0 ? [value] : ["&", value]));
    } else if (option === "--data-urlencode") {
      parts.push(...(parts.length === 0 ? [] : ["&"]), encodeField(value));
    } else if (CURL_FORM.includes(option)) {
      throw new InputError(`${option} sends a form or a file, not a body`);
    }
  }
  return newCapture(parts.join(""), headers);
};

/** Encode as curl does: what is behind the first =, with + for a space. */
const encodeField = (value) => {
  const equals = value.indexOf("=");
  if (equals < 0 && value.includes("@")) {
    throw new InputError("--data-urlencode names a file: choose it as the body, too");
  }
  const quoted = value.slice(equals + 1)
    .replace(/[^A-Za-z0-9_.~-]/g, (each) => (each === " " ? "+" : `%${hex(each.charCodeAt(0), 2).toUpperCase()}`));
  return (equals > 0 ? `${value.slice(0, equals)}=` : "") + quoted;
};

function* curlOptions(words) {
  const rest = words[Symbol.iterator]();
  const next = () => rest.next().value ?? "";
  for (let step = rest.next(); !step.done; step = rest.next()) {
    const word = step.value;
    if (word.startsWith("--")) {
      const equals = word.indexOf("=");
      const name = equals < 0 ? word : word.slice(0, equals);
      if (CURL_NEXT.includes(name)) yield [name, ""];
      else if (CURL_LONG.includes(name)) yield [name, equals < 0 ? next() : word.slice(equals + 1)];
    } else if (word.startsWith("-")) {
      for (let at = 1; at < word.length; at += 1) {
        if (CURL_VALUED.includes(word[at])) {
          yield [`-${word[at]}`, word.slice(at + 1) || next()];
          break;
        }
        yield [`-${word[at]}`, ""];
      }
    }
  }
}

/** A command up to an operator of the shell, or a comment, that is not quoted. */
const firstCommand = (text) => {
  let at = 0;
  let isInside = false;
  for (;;) {
    const found = matchAt(TOKEN_OF_SHELL, text, at);
    if (found === null) return text;
    const plain = found[6] ?? "";
    if (!isInside && "#;&".includes(plain[0] ?? " ")) return text.slice(0, at);
    if (!isInside && plain[0] === "^") {
      throw new InputError("the command is for Windows (^): copy the one for a POSIX shell (bash)");
    }
    for (const { 0: operator, index } of plain.matchAll(/\||&&|;/g)) {
      // A semicolon within a word is most often one of a URL.
      const behind = text[at + index + operator.length] ?? " ";
      if (operator !== ";" || index === 0 || " \t\r\n".includes(behind)) return text.slice(0, at + index);
    }
    const space = found[1];
    isInside = space === undefined;
    const end = at + found[0].length;
    // An option on the next line belongs to the command: its backslash was lost.
    if (space?.includes("\n") && space[0] !== "\\" && text[end] !== "-" && strip(text.slice(0, at)) !== "") {
      return text.slice(0, at);
    }
    at = end;
  }
};

const TOKEN_OF_SHELL = /([ \t\r\n]+|\\\r?\n)|\$'([^'\\]*(?:\\[^][^'\\]*)*)'|'([^']*)'|\$?"([^"\\]*(?:\\[^][^"\\]*)*)"|\\([^])|(\$|[^ \t\r\n'"\\$]+)/y;

const splitCommand = (text) => {
  const words = [];
  let word = null;
  let at = 0;
  while (at < text.length) {
    const found = matchAt(TOKEN_OF_SHELL, text, at);
    if (found === null) throw new InputError("a quote is not closed");
    at = TOKEN_OF_SHELL.lastIndex;
    const [, space, ansi, single, double, escaped, plain] = found;
    if (space === undefined) {
      word ??= "";
      if (ansi !== undefined) word += unescapeAnsi(ansi);
      else if (double !== undefined) word += double.replace(/\\([\\"$`])|\\\n/g, (_, each) => each ?? "");
      else word += single ?? escaped ?? plain;
    } else if (word !== null) {
      words.push(word);
      word = null;
    }
  }
  if (word !== null) words.push(word);
  return words;
};

const ANSI = {
  __proto__: null, a: "\x07", b: "\b", e: "\x1b", E: "\x1b", "\\": "\\", "'": "'", '"': '"', "?": "?", f: "\f", n: "\n", r: "\r", t: "\t", v: "\v",
};
const unescapeAnsi = (text) =>
  text.replace(/\\(?:x([0-9A-Fa-f]{1,2})|u([0-9A-Fa-f]{1,4})|U([0-9A-Fa-f]{1,8})|([0-7]{1,3})|([^]))/g,
    (escape, byte, short, long, octal, letter) => {
      if (byte !== undefined) return String.fromCharCode(parseInt(byte, 16));
      if (octal !== undefined) return String.fromCharCode(parseInt(octal, 8) & 255);
      if (letter !== undefined) return ANSI[letter] ?? escape;
      const number = parseInt(short ?? long, 16);
      if (number > 0x10ffff || (number >= 0xd800 && number <= 0xdfff)) {
        throw new InputError("a \\u escape is no character");
      }
      return encode(String.fromCodePoint(number));
    });

/** JSON of a capture; `fallback` (or an error, without one) for what is none. */
const loadCapture = (binary, fallback) => {
  const text = decode(binary.startsWith(BOM) ? binary.slice(3) : binary);
  try {
    if (text !== null) return new JsonReader(text, false).read();
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
  }
  if (fallback === undefined) throw new InputError("this is not JSON");
  return fallback;
};

const memberOf = (value, key) => (value instanceof Map ? value.get(key) : undefined);
const listOf = (value) => (Array.isArray(value) ? value : []);
const textOf = (value) => {
  if (typeof value === "string") return value;
  if (value === null || value === undefined) return "None";
  if (value instanceof NumberText) return value.text;
  if (typeof value === "boolean") return value ? "True" : "False";
  return Array.isArray(value) ? "[]" : "{}";
};
const encodeBody = (text) => {
  if (hasLoneSurrogate(text)) throw new InputError("the body holds a lone surrogate, so its bytes are not known");
  return encode(text);
};
/** Base64 as Python's b64decode(validate=True) reads it: with padding, or too much of it. */
const decodeBody = (text) => {
  const found = /^([A-Za-z0-9+/]*)(={0,2})$/.exec(text);
  const lacking = found === null ? 3 : (4 - (found[1].length % 4)) % 4;
  const padding = found === null ? 0 : found[2].length;
  if (lacking === 3 || (padding !== lacking && (lacking > 0 || found[1] === ""))) {
    throw new InputError("the body is not the base64 that it says it is");
  }
  return atob(found[1]);
};
/** Milliseconds since the epoch as seconds; null for what is none. */
const secondsOf = (value) => {
  const number = value instanceof NumberText ? Number(value.text) : NaN;
  return number > 1e12 && number < 1e13 ? number / 1000 : null;
};

const isSigned = (headers) =>
  headers.some(([name]) => name.toLowerCase().replace(/[^\p{L}\p{N}]/gu, "").includes("portsignature"));

/**
 * Which of the requests with these headers is meant, from 0. Their bodies are not read: one
 * that cannot be is no reason to refuse another.
 */
const chooseEntry = (found, entry, what) => {
  if (entry !== null) {
    if (entry < 1 || entry > found.length) throw new InputError(`there is no entry ${entry}; there are ${found.length}`);
    return entry - 1;
  }
  if (found.length === 0) throw new InputError(`there are no ${what}`);
  const all = [...found.keys()];
  const signed = all.filter((at) => isSigned(found[at]));
  const likely = signed.length > 0 ? signed : all;
  if (likely.length === 1) return likely[0];
  const numbers = likely.slice(0, 20).map((at) => at + 1).join(", ");
  throw new InputError(`there are ${likely.length} ${what}: choose entry ${numbers}`);
};

const readHar = (binary, entry) => {
  const entries = listOf(memberOf(memberOf(loadCapture(binary), "log"), "entries"));
  const at = chooseEntry(entries.map(readHarHeaders), entry, "entries");
  if (hasLostBody(memberOf(entries[at], "request"))) {
    throw new InputError(`entry ${at + 1} holds no body (postData.text); the browser did not save it`);
  }
  return readHarEntry(entries[at]);
};

/** Whether a request had a body that is not in the capture. */
const hasLostBody = (request) => {
  if (typeof memberOf(memberOf(request, "postData"), "text") === "string") return false;
  const given = memberOf(request, "bodySize");
  const size = given instanceof NumberText ? Number(given.text) : null;
  return ["POST", "PUT", "PATCH"].includes(memberOf(request, "method")) ? size !== 0 : size > 0;
};

const readHarHeaders = (entry) => {
  const headers = [];
  for (const each of listOf(memberOf(memberOf(entry, "request"), "headers"))) {
    const name = memberOf(each, "name");
    const value = memberOf(each, "value");
    if (typeof name === "string" && typeof value === "string" && name[0] !== ":") headers.push([name, value]);
  }
  return headers;
};

const readHarEntry = (entry) => {
  const data = memberOf(memberOf(entry, "request"), "postData");
  const given = memberOf(data, "text");
  const text = typeof given === "string" ? given : "";
  const started = memberOf(entry, "startedDateTime");
  const zoned = typeof started === "string" && /(?:Z|[+-]\d\d(?::?\d\d)?)$/.test(started);
  const body = memberOf(data, "encoding") === "base64" ? decodeBody(text) : encodeBody(text);
  return newCapture(body, readHarHeaders(entry), false, zoned ? parseIso(started) : null);
};

const readLambda = (binary, entry) => {
  const event = loadCapture(binary);
  const records = memberOf(event, "records");
  if (records instanceof Map) {
    const listed = [...records.values()].flatMap(listOf);
    const headers = listed.map(readTriggerHeaders);
    const at = chooseEntry(headers, entry, "records");
    return readTrigger(listed[at], headers[at]);
  }
  if (!(event instanceof Map) || !(event.has("body") || event.has("headers"))) {
    throw new InputError("this is no event of an HTTP request or a Kafka trigger");
  }
  const text = event.get("body") ?? "";
  if (typeof text !== "string") throw new InputError("the event's body is no text; save the event unchanged");
  const body = event.get("isBase64Encoded") === true ? decodeBody(text) : encodeBody(text);
  const context = event.get("requestContext");
  const epoch = secondsOf(memberOf(context, "timeEpoch")) ?? secondsOf(memberOf(context, "requestTimeEpoch"));
  return newCapture(body, readMaps(event), false, epoch);
};

/** Each header as often as it was sent, from both maps of an event. */
const readMaps = (event) => {
  const pairs = [];
  const known = new Set();
  for (const key of ["multiValueHeaders", "headers"]) {
    const headers = event.get(key);
    for (const [name, value] of headers instanceof Map ? headers : []) {
      const values = listOf(value).length > 0 ? value : [value];
      for (const each of values) {
        if (each === null) continue;
        const text = textOf(each);
        // A REST API shows each value in both.
        const pair = JSON.stringify([name, text]);
        if (key !== "headers" || !known.has(pair)) pairs.push([name, text]);
        known.add(pair);
      }
    }
  }
  return pairs;
};

const readTrigger = (record, headers) => {
  const value = memberOf(record, "value");
  const body = typeof value === "string" ? decodeBody(value) : "";
  return newCapture(body, headers, true, secondsOf(memberOf(record, "timestamp")));
};

const readTriggerHeaders = (record) => {
  const headers = [];
  for (const each of listOf(memberOf(record, "headers"))) {
    for (const [name, listed] of each instanceof Map ? each : []) {
      const numbers = listOf(listed).filter((one) => one instanceof NumberText && /^-?[0-9]+$/.test(one.text));
      headers.push([name, numbers.map((one) => String.fromCharCode(Number(BigInt.asUintN(8, BigInt(one.text))))).join("")]);
    }
  }
  return headers;
};

const readKafka = (binary, entry) => {
  const lines = binary.split(/\r\n|\r|\n/).filter((line) => trimOf(line, WHITE_BYTES) !== "");
  const records = [];
  for (const line of lines) {
    const record = findRecord(line);
    if (record === null) break; // to try thousands of others would take seconds
    records.push(record);
  }
  if (records.length > 1 && records.length === lines.length) {
    return records[chooseEntry(records.map(({ headers }) => headers), entry, "records")];
  }
  return findRecord(binary) ?? newCapture(binary, [], true);
};

/** The record that kcat or a console printed; null for a bare message. */
const findRecord = (binary) => {
  const record = loadCapture(binary, null);
  const value = memberOf(record, "payload") ?? memberOf(record, "value");
  if (typeof value !== "string" || !record.has("topic")) return null;
  const stamp = memberOf(record, "ts") ?? memberOf(record, "timestamp");
  return newCapture(encodeBody(value), readRecordHeaders(record.get("headers")), true, secondsOf(stamp));
};

/** A record's headers: an object, objects, or names and values in turn. */
const readRecordHeaders = (headers) => {
  if (headers instanceof Map) return [...headers].map(([name, value]) => [name, textOf(value)]);
  const listed = listOf(headers);
  const pairs = [];
  if (listed.length > 0 && listed.every((each) => typeof each === "string")) {
    for (let at = 0; at + 1 < listed.length; at += 2) pairs.push([listed[at], listed[at + 1]]);
    return pairs;
  }
  for (const each of listed) {
    const name = memberOf(each, "key") ?? memberOf(each, "name");
    if (typeof name === "string") pairs.push([name, textOf(memberOf(each, "value"))]);
  }
  return pairs;
};
