// Print deliveries in the shapes that Port sends, signed with Node's own crypto.
//
//     node tests/vectors/sign.mjs > tests/vectors/deliveries.json
//
// Port prints JSON in JavaScript and signs it there, so that this is what a receiver in
// Python has to agree with. Everything in it is made up; README.md says what each shape
// is modelled on.

import { createHmac } from "node:crypto";

const SECRET = "s3cr3t-of-an-organisation-that-does-not-exist";
const SECONDS = "1700000000";
const MILLISECONDS = "1700000000456";

const sign = (payload, timestamp) =>
  "v1," +
  createHmac("sha256", SECRET).update(`${timestamp}.${payload}`, "utf8").digest("base64");

// What Python's json.dumps prints with its default separators, as the agent sends it.
const pythonSpaced = (value) => {
  if (Array.isArray(value)) return `[${value.map(pythonSpaced).join(", ")}]`;
  if (value !== null && typeof value === "object") {
    const members = Object.entries(value).map(
      ([key, member]) => `${asciiOnly(JSON.stringify(key))}: ${pythonSpaced(member)}`,
    );
    return `{${members.join(", ")}}`;
  }
  return asciiOnly(JSON.stringify(value));
};
const asciiOnly = (text) =>
  text.replace(
    /[\u0080-\uffff]/g,
    (unit) => "\\u" + unit.charCodeAt(0).toString(16).padStart(4, "0"),
  );

const trigger = {
  by: {
    orgId: "org_A1b2C3d4E5f6G7h8",
    userId: "auth0|00000000000000000000000a",
    user: {
      email: "ada@example.com",
      firstName: "Ada",
      lastName: "Løvelace",
      phoneNumber: null,
      providers: ["auth0"],
      status: "ACTIVE",
    },
  },
  origin: "UI",
  at: "2023-11-14T22:13:20.000Z",
};

const envelope = (runId, invocationMethod, properties) => ({
  action: "create_queue",
  resourceType: "run",
  status: "TRIGGERED",
  trigger,
  context: { entity: null, blueprint: "queue", runId },
  payload: {
    entity: null,
    action: {
      id: "action_Q1w2E3r4T5y6U7i8",
      identifier: "create_queue",
      title: "Create a queue",
      icon: "Queue",
      userInputs: { properties: { name: { type: "string" } }, required: ["name"] },
      invocationMethod,
      trigger: "CREATE",
      description: "",
      blueprint: "queue",
    },
    properties,
    censoredProperties: [],
  },
});

const triggerData = {
  inputs: { name: "orders", "größe": 3, note: "line\u2028break / \"quoted\" \\ 😀" },
  trigger: { ...trigger, operation: "CREATE" },
  event: null,
  entity: {},
  action: { identifier: "create_queue", blueprint: "queue", encryptedProperties: [] },
  run: { id: "r_Z9y8X7w6V5u4T3s2" },
};

const automation = {
  inputs: null,
  trigger: { by: { orgId: trigger.by.orgId, byPort: true }, origin: "AUTOMATION", at: trigger.at },
  event: {
    action: "UPDATE",
    resourceType: "entity",
    trigger: { by: { byPort: true }, origin: "API", at: trigger.at },
    context: { blueprintIdentifier: "queue", entityIdentifier: "orders", propertyIdentifier: null },
    diff: {
      before: { identifier: "orders", icon: null, properties: { depth: 1e-7, rate: 0.000001 } },
      after: { identifier: "orders", icon: null, properties: { depth: 1e21, rate: -0.5 } },
    },
  },
  entity: null,
  action: { identifier: "on_queue_change" },
  run: { id: "r_A0b1C2d3E4f5G6h7" },
};

const http = (name, value, timestamp = SECONDS) => {
  const payload = JSON.stringify(value);
  return {
    name,
    via: "port",
    body: payload,
    headers: { "x-port-timestamp": timestamp, "x-port-signature": sign(payload, timestamp) },
    payload,
  };
};

const agent = (name, value, { body = pythonSpaced(value) } = {}) => {
  const payload = asciiOnly(JSON.stringify(value));
  return {
    name,
    via: "agent",
    body,
    headers: {
      "User-Agent": "python-requests/2.32.3",
      "X-Port-Timestamp": SECONDS,
      "X-Port-Signature": sign(payload, SECONDS),
    },
    payload,
  };
};

const kafka = (name, message, { timestamp = Number(SECONDS), gitlab = false } = {}) => {
  const payload = JSON.stringify(gitlab ? message : { ...message, headers: {} });
  const headers = {
    "X-Port-Signature": sign(payload, String(timestamp)),
    "X-Port-Timestamp": timestamp,
  };
  return { name, via: "kafka", body: JSON.stringify({ ...message, headers }), payload };
};

const webhook = { type: "WEBHOOK", agent: true, url: "https://receiver.invalid/port" };
const gitlab = { type: "GITLAB", projectName: "queues", groupName: "platform" };
const run = envelope("r_H8g7F6e5D4c3B2a1", webhook, { name: "orders", ratio: 1e-7 });

const deliveries = [
  http("action envelope", envelope("r_K1l2M3n4O5p6Q7r8", { ...webhook, agent: false }, { name: "orders" })),
  http("action envelope, milliseconds", run, MILLISECONDS),
  http("trigger data of a self-service action", triggerData),
  http("trigger data of an automation", automation),
  http("custom body, an array", [triggerData.inputs, null, []]),
  http("custom body, an empty object", {}),
  agent("action envelope", { ...envelope("r_T0u9V8w7X6y5Z4a3", webhook, {}), headers: {} }),
  agent("trigger data, beyond ASCII", triggerData),
  agent("custom body, an array", [1, "a, b: c", { a: [] }]),
  agent("mapping without a body", null, { body: "" }),
  kafka("run", run),
  kafka("run, timestamp as text", run, { timestamp: SECONDS }),
  kafka("run, timestamp in milliseconds", run, { timestamp: Number(MILLISECONDS) }),
  kafka("GITLAB run", envelope("r_S9t8U7v6W5x4Y3z2", gitlab, { name: "orders" }), { gitlab: true }),
  kafka("workflow node run", {
    payload: { action: { invocationMethod: { ...webhook, method: "POST" } } },
    context: { runId: "wfnr_a1b2c3" },
  }),
  kafka("numbers and characters that Python prints otherwise", {
    ...triggerData,
    numbers: [1e-7, 0.000001, 1e21, 123456789012345680000, 0.1, -0],
    lone: "\ud83d and \udc00",
  }),
];

const vectors = { secret: SECRET, received_at: Number(SECONDS), deliveries };
process.stdout.write(asciiOnly(JSON.stringify(vectors, null, 2)) + "\n");
