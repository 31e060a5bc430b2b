"""How a request names its case, the words of the table, and the answers that the cases are made of. Knows no case."""

import json

from componentize_py_types import Err
from wit_world.imports import exchange
from wit_world.imports.types import (
    Blob,
    BodySource_Blob,
    BodySource_Bytes,
    Problem_Denied,
    Problem_Failed,
    Problem_Invalid,
    Problem_Limit,
    Problem_Timeout,
    Problem_WrongPhase,
    Refusal,
    Reply,
    Section,
)

HOUR_MS = 3_600_000
# 2020-01-01T00:00:00Z.
YEAR_2020_MS = 1_577_836_800_000
# How much of a body is asked for in one call.
PIECE = 1 << 20

NAMES = {
    Problem_Invalid: "invalid",
    Problem_WrongPhase: "wrong-phase",
    Problem_Limit: "limit",
    Problem_Denied: "denied",
    Problem_Timeout: "timeout",
    Problem_Failed: "failed",
}


def case():
    """The case; "" for none."""
    return exchange.header(Section.REQUEST, "x-case") or ""


def argument():
    """The argument of the case."""
    return exchange.header(Section.REQUEST, "x-arg") or ""


def outcome_of(edit, *arguments):
    """Makes an edit; the table's word for how it ended."""
    try:
        edit(*arguments)
    except Err as problem:
        return NAMES[type(problem.value)]
    return "ok"


def or_none(text):
    """The text, or the table's word for none."""
    return "none" if text is None else text


def boolean(value):
    """How the table writes a boolean."""
    return "true" if value else "false"


def number(text):
    """The number that the text is, if a status can hold it; else 0."""
    try:
        value = int(text)
    except ValueError:
        return 0
    return value if 0 <= value < 1 << 16 else 0


def whole(body):
    """All bytes of a blob."""
    pieces = []
    offset, length = 0, body.len()
    while offset < length:
        piece = body.read(offset, PIECE)
        pieces.append(piece)
        offset += len(piece)
    return b"".join(pieces)


def text(status, content, *headers):
    """A text answer."""
    kind = ("content-type", "text/plain; charset=utf-8")
    return Reply(status, [kind, *headers], BodySource_Bytes(content.encode()))


def document(status, content, *headers):
    """A JSON answer."""
    kind = ("content-type", "application/json")
    return Reply(status, [kind, *headers], BodySource_Bytes(json.dumps(content).encode()))


def binary(body: Blob):
    """An answer that is the blob itself."""
    return Reply(200, [("content-type", "application/octet-stream")], BodySource_Blob(body))


def refusal(status, code, headers=(), extra=""):
    """A refusal by the probe."""
    return Refusal(status, code, "refused by the probe", list(headers), extra)
