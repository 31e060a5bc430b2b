"""Test guest `probe`: the conformance cases of `tests/guests/README.md`, in Python. The request chooses the case; the
table there is the specification, and the guests of the other languages do the same."""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports import (
    on_error,
    on_request,
    on_request_body,
    on_response,
    on_response_body,
    responder,
)
from wit_world.exports.plugin import Manifest
from wit_world.imports import clock, counters, exchange, log, metrics, random, shared
from wit_world.imports.counters import Quota
from wit_world.imports.exchange import WhenClientLeaves
from wit_world.imports.types import BodySource_Bytes, Section, Side

from case import (
    HOUR_MS,
    NAMES,
    YEAR_2020_MS,
    argument,
    binary,
    boolean,
    case,
    document,
    number,
    or_none,
    outcome_of,
    refusal,
    text,
    whole,
)

REQUEST = Section.REQUEST
RESPONSE = Section.RESPONSE

# The counter of the case `metric`, defined when the plugin is configured.
total = None


class Plugin(exports.Plugin):
    def describe(self):
        return Manifest("probe", "0.1.0", "", "", 0, [])

    def configure(self, config):
        global total
        try:
            total = metrics.define(
                metrics.Kind.COUNTER, "probe_total", "Requests of the case `metric`.", ["arg"]
            )
        except Err as problem:
            raise Err(f"probe_total: {NAMES[type(problem.value)]}")


class OnRequest(exports.OnRequest):
    def handle(self):
        chosen, arg = case(), argument()
        if edit := EDITS.get(chosen):
            outcome = edit(arg)
            if outcome == "ok":
                return on_request.Action_Next()
            return on_request.Action_Respond(text(200, outcome))
        if answer := ANSWERS.get(chosen):
            return on_request.Action_Respond(answer(arg))
        if chosen == "refuse" or (chosen == "error-replace" and arg == "refuse"):
            extra = json.dumps({"arg": arg, "list": [1, 2]})
            return on_request.Action_Refuse(
                refusal(418, "probe-refused", [("x-probe", "refuse")], extra)
            )
        if chosen == "panic":
            raise RuntimeError("the probe panics")
        return on_request.Action_Next()


class OnRequestBody(exports.OnRequestBody):
    def handle(self, body):
        match case():
            case "body-upper":
                return on_request_body.Action_Replace(BodySource_Bytes(whole(body).upper()))
            case "body-len" | "skip-body":
                exchange.set_header(REQUEST, "x-body-len", str(body.len()))
            case "body-find":
                found = body.find(argument().encode(), 0)
                exchange.set_header(REQUEST, "x-body-find", "none" if found is None else str(found))
            case "body-echo":
                return on_request_body.Action_Respond(binary(body))
            case "body-refuse":
                return on_request_body.Action_Refuse(refusal(422, "probe-body-refused"))
        return on_request_body.Action_Next()


class OnResponse(exports.OnResponse):
    def handle(self):
        match case():
            case "bytes":
                # One character of a header's text is one byte on the wire.
                value = exchange.header(REQUEST, "x-arg") or ""
                exchange.set_header(RESPONSE, "x-bytes", value)
                exchange.set_header(RESPONSE, "x-bytes-len", str(len(value)))
            case "state" | "state-none":
                state = exchange.state()
                exchange.set_header(RESPONSE, "x-state", "none" if state is None else state.decode())
            case "attribute":
                for name, key in ("x-note", "probe.note"), ("x-subject", "auth.subject"):
                    exchange.set_header(RESPONSE, name, or_none(exchange.attribute(key)))
            case "response-status":
                outcome = outcome_of(exchange.set_status, number(argument()))
                if outcome != "ok":
                    exchange.set_header(RESPONSE, "x-problem", outcome)
            case "response-headers":
                edit_headers(RESPONSE)
            case "response-replace":
                return on_response.Action_Replace(text(203, "replaced", ("x-probe", "replaced")))
            case "response-refuse":
                return on_response.Action_Refuse(refusal(502, "probe-response-refused"))
        return on_response.Action_Next()


class OnResponseBody(exports.OnResponseBody):
    def handle(self, body):
        match case():
            case "response-body-prefix":
                return on_response_body.Action_Replace(
                    BodySource_Bytes(argument().encode() + whole(body))
                )
            case "response-body-replace-all":
                return on_response_body.Action_ReplaceAll(
                    text(203, str(body.len()), ("x-probe", "replaced"))
                )
        return on_response_body.Action_Next()


class OnError(exports.OnError):
    def handle(self):
        match case():
            case "error-replace":
                kind = or_none(exchange.property("error.kind"))
                return on_error.Action_Replace(
                    text(503, f"probe saw {exchange.status()}", ("x-error", kind))
                )
            case "error-retry":
                return on_error.Action_RetryOn(argument())
        return on_error.Action_Next()


class OnFinish(exports.OnFinish):
    def handle(self, outcome):
        if case() == "finish":
            line = f"{outcome.status} {outcome.bytes_out} {boolean(outcome.aborted)}"
            shared.put(f"finished:{argument()}", line.encode(), 0)
        if case() == "capture":
            copy = exchange.captured(Side.RESPONSE)
            line = copy.read(0, 99) if copy else b"none"
            shared.put(f"finished:{argument()}", line, 0)


class Balancer(exports.Balancer):
    def pick(self, upstream, candidates):
        match case():
            case "pick":
                wanted = ("name", argument())
                fits = (
                    index
                    for index, candidate in enumerate(candidates)
                    if candidate.weight >= 1 and wanted in candidate.labels
                )
                return next(fits, None)
            case "pick-beyond":
                return len(candidates)
        return None


class Responder(exports.Responder):
    def handle(self, body):
        match case():
            case "responder-refuse":
                return responder.Answer_Refuse(refusal(404, "probe-not-found"))
            case "responder-body":
                return responder.Answer_Reply(binary(body))
        seen = {
            "method": exchange.method(),
            "path": exchange.path(),
            "query": exchange.query(),
            "body-length": body.len(),
        }
        return responder.Answer_Reply(document(200, seen, ("x-probe", "responder")))


def edit_headers(section):
    exchange.set_header(section, "x-probe", "1")
    exchange.append_header(section, "x-twice", "a")
    exchange.append_header(section, "x-twice", "b")
    exchange.remove_header(section, "x-drop")


def set_attributes(arg):
    exchange.set_attribute("probe.note", arg)
    denied = outcome_of(exchange.set_attribute, "auth.subject", arg)
    exchange.set_header(REQUEST, "x-denied", denied)


# Cases that edit and go on: each gives the table's word for how the edit ended.
EDITS = {
    "set-headers": lambda _: outcome_of(edit_headers, REQUEST),
    "edit-headers": lambda arg: outcome_of(
        exchange.edit_headers, REQUEST, f"x-probe: {arg}\r\n".encode(), b"x-twice: a\r\nx-twice: b\r\n"
    ),
    "edit-response": lambda arg: outcome_of(
        exchange.edit_headers, RESPONSE, f"x-probe: {arg}\r\n".encode(), b""
    ),
    "set-target": lambda arg: outcome_of(exchange.set_target, arg),
    "set-method": lambda arg: outcome_of(exchange.set_method, arg),
    "set-authority": lambda arg: outcome_of(exchange.set_authority, arg),
    "set-upstream": lambda arg: outcome_of(exchange.set_upstream, arg),
    "set-retry": lambda arg: outcome_of(exchange.set_retry, 60000, int(arg)),
    "delay": lambda arg: outcome_of(exchange.delay, int(arg)),
    "capture": lambda _: outcome_of(exchange.capture_body, Side.RESPONSE, 99, WhenClientLeaves.FINISH),
    "state": lambda arg: outcome_of(exchange.set_state, arg.encode()),
    "attribute": lambda arg: outcome_of(set_attributes, arg),
    "skip-body": lambda _: outcome_of(exchange.skip_body, Side.REQUEST),
    "log": lambda arg: outcome_of(log.write, log.Level.INFO, "probe logs", [("arg", arg)]),
    "metric": lambda arg: outcome_of(metrics.observe, total, [arg], 1.0),
    "metric-series": lambda arg: outcome_of(
        lambda: metrics.observe_series(metrics.series(total, [arg]), 1.0)
    ),
}


def echo_head(_):
    head = {
        "method": exchange.method(),
        "path": exchange.path(),
        "query": exchange.query(),
        "authority": exchange.authority(),
        "client-ip": exchange.client_ip(),
        "route": exchange.route(),
    }
    return document(200, head)


def bad_header(_):
    name = outcome_of(exchange.set_header, REQUEST, "bad name", "v")
    value = outcome_of(exchange.set_header, REQUEST, "x-ok", "a\r\nb")
    return text(200, f"{name} {value}")


def shared_count(_):
    """Raises the shared number by one, however many instances do so at the same time."""
    while True:
        entry = shared.get("count")
        number, version = (int(entry.value), entry.version) if entry else (0, 0)
        try:
            shared.put_if("count", str(number + 1).encode(), 0, version)
        except Err:
            continue
        return text(200, str(number + 1))


def shared_absent(arg):
    try:
        return text(200, boolean(shared.put_absent(arg, b"1", 0)))
    except Err as problem:
        return text(200, NAMES[type(problem.value)])


def counter_take(arg):
    verdict = counters.take(arg, Quota(3, HOUR_MS, 3, []), 1)
    return text(200, f"{boolean(verdict.allowed)} {verdict.remaining}")


def clock_runs(_):
    before = clock.monotonic_ns()
    return text(200, boolean(clock.unix_ms() > YEAR_2020_MS and clock.monotonic_ns() >= before))


def random_differs(_):
    return text(200, boolean(random.unsigned() != random.unsigned() and len(random.bytes(16)) == 16))


def finished(arg):
    entry = shared.get(f"finished:{arg}")
    return text(200, entry.value.decode() if entry else "none")


# Cases that answer from `on-request`.
ANSWERS = {
    "echo-head": echo_head,
    "property": lambda arg: text(200, or_none(exchange.property(arg))),
    "respond": lambda arg: text(202, f"probe says {arg}", ("x-probe", "respond")),
    "bad-header": bad_header,
    "shared-count": shared_count,
    "shared-absent": shared_absent,
    "counter-take": counter_take,
    "counter-add": lambda arg: text(200, str(counters.add(arg, 1, HOUR_MS))),
    "random": random_differs,
    "clock": clock_runs,
    "finished": finished,
}
