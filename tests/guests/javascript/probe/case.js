// How a request names its case, the words of the table, and the answers that the cases are made of. Knows no case.

import { header } from "portcullis:gateway/exchange@0.1.0-draft";

export const HOUR_MS = 3_600_000;
/** 2020-01-01T00:00:00Z. */
export const YEAR_2020_MS = 1_577_836_800_000;
/** How much of a body is asked for in one call. */
const PIECE = 1 << 20;

/** The case; "" for none. */
export const chosen = () => header("request", "x-case") ?? "";

/** The argument of the case. */
export const argument = () => header("request", "x-arg") ?? "";

/** The table's word for a problem that an import threw; a bug of the guest stays an exception. */
export function nameOf(thrown) {
  const name = thrown?.payload?.tag;
  if (typeof name !== "string") throw thrown;
  return name;
}

/** Makes an edit; the table's word for how it ended. */
export function outcomeOf(edit) {
  try {
    edit();
  } catch (thrown) {
    return nameOf(thrown);
  }
  return "ok";
}

/** The number that the text is, if a status can hold it; else 0. */
export function number(text) {
  const value = Number(text);
  return Number.isInteger(value) && value >= 0 && value < 65_536 ? value : 0;
}

/** UTF-8; QuickJS has no TextEncoder. */
export const encode = (text) => Uint8Array.from(unescape(encodeURIComponent(text)), (c) => c.charCodeAt(0));

/** Text from UTF-8. */
export const decode = (bytes) => decodeURIComponent(escape(String.fromCharCode(...bytes)));

/** All bytes of a blob, after `prefix`. */
export function whole(body, prefix = new Uint8Array()) {
  const length = body.len();
  const bytes = new Uint8Array(prefix.length + length);
  bytes.set(prefix);
  for (let offset = 0; offset < length; offset += PIECE) {
    bytes.set(body.read(offset, PIECE), prefix.length + offset);
  }
  return bytes;
}

const reply = (status, type, body, headers) => ({ status, headers: [["content-type", type], ...headers], body });

/** A text answer. */
export const text = (status, content, ...headers) =>
  reply(status, "text/plain; charset=utf-8", { tag: "bytes", val: encode(content) }, headers);

/** A JSON answer. */
export const json = (status, content, ...headers) =>
  reply(status, "application/json", { tag: "bytes", val: encode(JSON.stringify(content)) }, headers);

/** An answer that is the blob itself. */
export const binary = (body) => reply(200, "application/octet-stream", { tag: "blob", val: body }, []);

/** A refusal by the probe. */
export const refusal = (status, code, headers = [], extra = "") => ({
  status,
  code,
  detail: "refused by the probe",
  headers,
  extra,
});
