// Print each JSON document again, as Port does: a line of base64 in, one out.
//
// The answer to what JSON.parse refuses is an exclamation mark.

import { createInterface } from "node:readline";

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

for await (const line of createInterface({ input: process.stdin })) {
  let answer = "!";
  try {
    const document = JSON.parse(decoder.decode(Buffer.from(line, "base64")));
    answer = Buffer.from(JSON.stringify(document), "utf8").toString("base64");
  } catch {
    // Not UTF-8, or not JSON.
  }
  process.stdout.write(`${answer}\n`);
}
