// An emitter of Indelible's audit events in plain JavaScript: one chained JSON line for each event.
//
//     import { openLog } from "./audit_log.mjs";
//
//     const log = openLog("/var/log/shop/audit.jsonl", { service: "shop" });
//     log.record("member.role_changed", {
//       organizationId: "org_acme",
//       actor: { type: "user", id: "u_1" },
//       context: { previous: { role: "member" }, new: { role: "admin" } },
//     });
//
// `record` returns when the line is in the kernel, and throws when it is not; the chain moves on only
// then. Each call of `openLog` is a source of its own. The format: docs/event-format.md.

import { createHash, randomBytes } from "node:crypto";
import { appendFileSync } from "node:fs";
import { hostname } from "node:os";

export const MAX_LINE_BYTES = 65_536;

// RFC 8785: JSON.stringify spells numbers and strings as the form wants them, and the default order
// of `sort` is that of UTF-16 code units. What JSON would drop or change without a word is refused.
export function canonical(value, path = "event") {
  if (value === null || typeof value === "boolean") return JSON.stringify(value);
  if (typeof value === "number") {
    if (!Number.isFinite(value)) throw new TypeError(`${path} is ${value}, which JSON cannot carry`);
    // From 1e21 on it is spelled with an exponent, and nobody takes it for an exact integer.
    if (Number.isInteger(value) && Math.abs(value) > 2 ** 53 && Math.abs(value) < 1e21)
      throw new TypeError(`${path} is an integer beyond 2^53; pass it as a string`);
    return JSON.stringify(value);
  }
  if (typeof value === "string") {
    if (!value.isWellFormed()) throw new TypeError(`${path} holds half of a surrogate pair`);
    return JSON.stringify(value);
  }
  if (Array.isArray(value)) {
    return `[${value.map((item, index) => canonical(item, `${path}[${index}]`)).join(",")}]`;
  }
  if (Object.prototype.toString.call(value) !== "[object Object]")
    throw new TypeError(`${path} is of type ${typeof value}; convert it`);
  const members = Object.keys(value)
    .filter((key) => value[key] !== undefined)
    .sort()
    .map((key) => `${canonical(key, path)}:${canonical(value[key], `${path}.${key}`)}`);
  return `{${members.join(",")}}`;
}

// RFC 9562, section 5.7: 48 bits of milliseconds, version and variant, 74 random bits.
export function uuid7(milliseconds = Date.now()) {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(milliseconds, 0, 6);
  bytes[6] = 0x70 | (bytes[6] & 0x0f);
  bytes[8] = 0x80 | (bytes[8] & 0x3f);
  const text = bytes.toString("hex");
  return [text.slice(0, 8), text.slice(8, 12), text.slice(12, 16), text.slice(16, 20), text.slice(20)].join("-");
}

const sha256 = (...parts) => parts.reduce((hash, part) => hash.update(part), createHash("sha256")).digest();

class AuditLog {
  #path;
  #source;
  #previous;

  constructor(path, { service, host = hostname() }) {
    this.#path = path;
    this.#source = { id: uuid7(), seq: 0, service, host };
    this.#previous = sha256(this.#source.id);
  }

  // Append one event and return its id. `fields` are the keys of docs/event.schema.json that are the
  // caller's to say: organizationId, actor, targetUser, resource, ipAddress, userAgent, context,
  // result, correlationId.
  record(action, fields) {
    const milliseconds = Date.now();
    const event = {
      result: "success",
      ...fields,
      action,
      id: uuid7(milliseconds),
      schemaVersion: 1,
      source: this.#source,
      timestamp: new Date(milliseconds).toISOString().replace("Z", "000Z"),
    };
    const digest = sha256(this.#previous, canonical(event));
    const line = `${canonical({ ...event, hash: digest.toString("base64url") })}\n`;
    if (Buffer.byteLength(line) > MAX_LINE_BYTES)
      throw new RangeError(`the event is ${Buffer.byteLength(line)} bytes long; the most is ${MAX_LINE_BYTES}`);
    appendFileSync(this.#path, line, { mode: 0o640 });
    this.#previous = digest;
    this.#source = { ...this.#source, seq: this.#source.seq + 1 };
    return event.id;
  }
}

export function openLog(path, source) {
  return new AuditLog(path, source);
}
