// Test guest `probe`: the conformance cases of `tests/guests/README.md`, in JavaScript. The request chooses the case;
// the table there is the specification, and the guests of the other languages do the same.

import * as clock from "portcullis:gateway/clock@0.1.0-draft";
import * as counters from "portcullis:gateway/counters@0.1.0-draft";
import * as exchange from "portcullis:gateway/exchange@0.1.0-draft";
import * as log from "portcullis:gateway/log@0.1.0-draft";
import * as metrics from "portcullis:gateway/metrics@0.1.0-draft";
import * as random from "portcullis:gateway/random@0.1.0-draft";
import * as shared from "portcullis:gateway/shared@0.1.0-draft";

import {
  HOUR_MS,
  YEAR_2020_MS,
  argument,
  binary,
  chosen,
  decode,
  encode,
  json,
  nameOf,
  number,
  outcomeOf,
  refusal,
  text,
  whole,
} from "./case.js";

const NEXT = { tag: "next" };

/** The counter of the case `metric`, defined when the plugin is configured. */
let total;

export const plugin = {
  describe: () => ({ name: "probe", version: "0.1.0", configSchema: "", openapi: "", tickMs: 0, labels: [] }),
  configure() {
    try {
      total = metrics.define("counter", "probe_total", "Requests of the case `metric`.", ["arg"]);
    } catch (thrown) {
      throw `probe_total: ${nameOf(thrown)}`;
    }
  },
};

export const onRequest = {
  handle() {
    const name = chosen();
    const arg = argument();
    if (Object.hasOwn(edits, name)) {
      const outcome = outcomeOf(() => edits[name](arg));
      return outcome === "ok" ? NEXT : { tag: "respond", val: text(200, outcome) };
    }
    if (Object.hasOwn(answers, name)) {
      return { tag: "respond", val: answers[name](arg) };
    }
    if (name === "refuse" || (name === "error-replace" && arg === "refuse")) {
      const extra = JSON.stringify({ arg, list: [1, 2] });
      return { tag: "refuse", val: refusal(418, "probe-refused", [["x-probe", "refuse"]], extra) };
    }
    if (name === "panic") {
      throw new Error("the probe panics");
    }
    return NEXT;
  },
};

export const onRequestBody = {
  handle(body) {
    switch (chosen()) {
      case "body-upper": {
        const upper = whole(body).map((byte) => (byte >= 0x61 && byte <= 0x7a ? byte - 0x20 : byte));
        return { tag: "replace", val: { tag: "bytes", val: upper } };
      }
      case "body-len":
      case "skip-body":
        exchange.setHeader("request", "x-body-len", String(body.len()));
        return NEXT;
      case "body-find": {
        const found = body.find(encode(argument()), 0);
        exchange.setHeader("request", "x-body-find", String(found ?? "none"));
        return NEXT;
      }
      case "body-echo":
        return { tag: "respond", val: binary(body) };
      case "body-refuse":
        return { tag: "refuse", val: refusal(422, "probe-body-refused") };
      default:
        return NEXT;
    }
  },
};

export const onResponse = {
  handle() {
    switch (chosen()) {
      case "bytes": {
        // One character of a header's text is one byte on the wire.
        const value = argument();
        exchange.setHeader("response", "x-bytes", value);
        exchange.setHeader("response", "x-bytes-len", String(value.length));
        return NEXT;
      }
      case "state":
      case "state-none": {
        const state = exchange.state();
        exchange.setHeader("response", "x-state", state == null ? "none" : decode(state));
        return NEXT;
      }
      case "attribute":
        exchange.setHeader("response", "x-note", exchange.attribute("probe.note") ?? "none");
        exchange.setHeader("response", "x-subject", exchange.attribute("auth.subject") ?? "none");
        return NEXT;
      case "response-status": {
        const outcome = outcomeOf(() => exchange.setStatus(number(argument())));
        if (outcome !== "ok") exchange.setHeader("response", "x-problem", outcome);
        return NEXT;
      }
      case "response-headers":
        editHeaders("response");
        return NEXT;
      case "response-replace":
        return { tag: "replace", val: text(203, "replaced", ["x-probe", "replaced"]) };
      case "response-refuse":
        return { tag: "refuse", val: refusal(502, "probe-response-refused") };
      default:
        return NEXT;
    }
  },
};

export const onResponseBody = {
  handle(body) {
    switch (chosen()) {
      case "response-body-prefix":
        return { tag: "replace", val: { tag: "bytes", val: whole(body, encode(argument())) } };
      case "response-body-replace-all":
        return { tag: "replace-all", val: text(203, String(body.len()), ["x-probe", "replaced"]) };
      default:
        return NEXT;
    }
  },
};

export const onError = {
  handle() {
    switch (chosen()) {
      case "error-replace": {
        const kind = exchange.property("error.kind") ?? "none";
        return { tag: "replace", val: text(503, `probe saw ${exchange.status()}`, ["x-error", kind]) };
      }
      case "error-retry":
        return { tag: "retry-on", val: argument() };
      default:
        return NEXT;
    }
  },
};

export const onFinish = {
  handle(outcome) {
    if (chosen() === "finish") {
      const line = `${outcome.status} ${outcome.bytesOut} ${outcome.aborted}`;
      shared.put(`finished:${argument()}`, encode(line), 0);
    }
    if (chosen() === "capture") {
      const copy = exchange.captured("response");
      shared.put(`finished:${argument()}`, copy ? copy.read(0, 99) : encode("none"), 0);
    }
  },
};

export const balancer = {
  pick(upstream, candidates) {
    switch (chosen()) {
      case "pick": {
        const fits = ({ weight, labels }) =>
          weight >= 1 && labels.some(([name, value]) => name === "name" && value === argument());
        const index = candidates.findIndex(fits);
        return index < 0 ? undefined : index;
      }
      case "pick-beyond":
        return candidates.length;
      default:
        return undefined;
    }
  },
};

export const responder = {
  handle(body) {
    switch (chosen()) {
      case "responder-refuse":
        return { tag: "refuse", val: refusal(404, "probe-not-found") };
      case "responder-body":
        return { tag: "reply", val: binary(body) };
      default: {
        const seen = {
          method: exchange.method(),
          path: exchange.path(),
          query: exchange.query() ?? null,
          "body-length": body.len(),
        };
        return { tag: "reply", val: json(200, seen, ["x-probe", "responder"]) };
      }
    }
  },
};

function editHeaders(section) {
  exchange.setHeader(section, "x-probe", "1");
  exchange.appendHeader(section, "x-twice", "a");
  exchange.appendHeader(section, "x-twice", "b");
  exchange.removeHeader(section, "x-drop");
}

/** Cases that edit and go on, or answer the name of the problem. */
const edits = {
  "set-headers": () => editHeaders("request"),
  "edit-headers": (arg) =>
    exchange.editHeaders("request", encode(`x-probe: ${arg}\r\n`), encode("x-twice: a\r\nx-twice: b\r\n")),
  "edit-response": (arg) => exchange.editHeaders("response", encode(`x-probe: ${arg}\r\n`), encode("")),
  "set-target": (arg) => exchange.setTarget(arg),
  "set-method": (arg) => exchange.setMethod(arg),
  "set-authority": (arg) => exchange.setAuthority(arg),
  "set-upstream": (arg) => exchange.setUpstream(arg),
  "set-retry": (arg) => exchange.setRetry(60000, Number(arg)),
  delay: (arg) => exchange.delay(Number(arg)),
  capture: () => exchange.captureBody("response", 99, "finish"),
  state: (arg) => exchange.setState(encode(arg)),
  attribute(arg) {
    exchange.setAttribute("probe.note", arg);
    const denied = outcomeOf(() => exchange.setAttribute("auth.subject", arg));
    exchange.setHeader("request", "x-denied", denied);
  },
  "skip-body": () => exchange.skipBody("request"),
  log: (arg) => log.write("info", "probe logs", [["arg", arg]]),
  metric: (arg) => metrics.observe(total, [arg], 1),
  "metric-series": (arg) => metrics.observeSeries(metrics.series(total, [arg]), 1),
};

/** Cases that answer from `on-request`. */
const answers = {
  "echo-head": () =>
    json(200, {
      method: exchange.method(),
      path: exchange.path(),
      query: exchange.query() ?? null,
      authority: exchange.authority(),
      "client-ip": exchange.clientIp(),
      route: exchange.route(),
    }),
  property: (arg) => text(200, exchange.property(arg) ?? "none"),
  respond: (arg) => text(202, `probe says ${arg}`, ["x-probe", "respond"]),
  "bad-header"() {
    const name = outcomeOf(() => exchange.setHeader("request", "bad name", "v"));
    const value = outcomeOf(() => exchange.setHeader("request", "x-ok", "a\r\nb"));
    return text(200, `${name} ${value}`);
  },
  "shared-count": () => text(200, String(raise("count"))),
  "shared-absent"(arg) {
    let written;
    const outcome = outcomeOf(() => {
      written = shared.putAbsent(arg, encode("1"), 0);
    });
    return text(200, outcome === "ok" ? String(written) : outcome);
  },
  "counter-take"(arg) {
    const verdict = counters.take(arg, { limit: 3, periodMs: HOUR_MS, burst: 3, options: [] }, 1);
    return text(200, `${verdict.allowed} ${verdict.remaining}`);
  },
  "counter-add": (arg) => text(200, String(counters.add(arg, 1, HOUR_MS))),
  random: () => text(200, String(random.unsigned() !== random.unsigned() && random.bytes(16).length === 16)),
  clock() {
    const before = clock.monotonicNs();
    return text(200, String(clock.unixMs() > YEAR_2020_MS && clock.monotonicNs() >= before));
  },
  finished(arg) {
    const entry = shared.get(`finished:${arg}`);
    return text(200, entry ? decode(entry.value) : "none");
  },
};

/** Raises a shared number by one, however many instances do so at the same time. */
function raise(key) {
  for (;;) {
    const entry = shared.get(key);
    const next = (entry ? Number(decode(entry.value)) : 0) + 1;
    try {
      shared.putIf(key, encode(String(next)), 0, entry?.version ?? 0);
      return next;
    } catch (thrown) {
      // The version found, when another was faster; anything else is a fault.
      if (typeof thrown?.payload !== "number") throw thrown;
    }
  }
}
