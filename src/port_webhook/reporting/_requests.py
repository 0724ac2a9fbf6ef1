"""The requests of Port's API, described once for both clients.

Each function returns a `Request`. ``is_safe`` says whether it may be sent again though
it may have arrived: a request that sets something to a value may, one that adds
something may not. Source: the protocol, section 5.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, cast
from urllib.parse import quote

from port_webhook.exceptions import ConfigurationError

__all__ = [
    "MAX_TEXT",
    "TOKEN_PATH",
    "Outcome",
    "Request",
    "cut",
    "decide_approval",
    "end_run",
    "fetch_token",
    "is_identifier",
    "is_node_run",
    "part",
    "read_level",
    "read_text",
    "run_action",
    "show",
    "status_word",
    "update_run",
    "upsert_entity",
    "write_log",
]

Outcome = Literal["SUCCESS", "FAILURE", "CANCELLED"]

# A body may have 1 MiB, and JSON prints a character as up to 6 bytes.
MAX_TEXT = 131_072
TOKEN_PATH = "/v1/auth/access_token"
_MAX_BODY = 1_048_576
_CUT = "… (cut)"
_SHOWN = 80
_NODE_OUTCOMES = {"FAILURE": "FAILED"}
_LEVELS = {"WARNING": "WARN", "CRITICAL": "ERROR"}
_WORDS = ("DEBUG", "INFO", "WARN", "ERROR")


class Request(NamedTuple):
    """One request.

    Attributes:
        method: The HTTP method.
        path: The path, quoted, below the base URL.
        body: The JSON body.
        what: Its name for messages.
        is_safe: It may be repeated though it may have arrived.
        params: The query.
    """

    method: str
    path: str
    body: bytes
    what: str
    is_safe: bool
    params: Mapping[str, str] = {}


def fetch_token(client_id: str, client_secret: str) -> Request:
    """Ask for the access token. Safe: the same one comes back until it expires."""
    body = {"clientId": client_id, "clientSecret": client_secret}
    what = f"the login (POST {TOKEN_PATH})"
    return Request("POST", TOKEN_PATH, _encode(body), what, is_safe=True)


def update_run(
    run_id: str,
    *,
    status_label: str | None = None,
    links: str | Sequence[str] | None = None,
    summary: str | None = None,
    external_run_id: str | None = None,
) -> list[Request]:
    """Change a run that goes on. Safe: each key is overwritten.

    A node's run has no label and no summary, so that these become lines of its log.
    """
    fields = {
        "externalRunId": read_text("external_run_id", external_run_id),
        ("links" if is_node_run(run_id) else "link"): _read_links(links),
    }
    texts = {
        "statusLabel": read_text("status_label", status_label),
        "summary": read_text("summary", summary),
    }
    if not is_node_run(run_id):
        fields = _given(fields | texts)
        return [_patch(run_id, fields)] if fields else []
    fields = _given(fields)
    found = [_patch(run_id, {"status": "IN_PROGRESS", **fields})] if fields else []
    lines = [("INFO", text) for text in texts.values() if text is not None]
    return found + ([write_log(run_id, lines)] if lines else [])


def end_run(
    run_id: str, outcome: Outcome, summary: str | None, output: Any = None
) -> list[Request]:
    """End a run. Safe: a second time changes nothing, and Port refuses it."""
    summary = read_text("summary", summary)
    if not is_node_run(run_id):
        if output is not None:
            raise ConfigurationError("output is for the run of a workflow's node")
        status = status_word(run_id, outcome)
        return [_patch(run_id, _given({"status": status, "summary": summary}))]
    found: list[Request] = []
    if summary is not None:
        level = "INFO" if outcome == "SUCCESS" else "ERROR"
        found.append(write_log(run_id, [(level, summary)]))
    fields = {
        "status": "COMPLETED",
        "result": status_word(run_id, outcome),
        "output": output,
    }
    return [*found, _patch(run_id, _given(fields))]


def write_log(
    run_id: str,
    lines: Sequence[tuple[str, str | None]],
    *,
    status_label: str | None = None,
) -> Request:
    """Add lines, each a level and a text. Not safe: a line would stand there twice.

    The log of an action's run takes one text, so that several become one.
    """
    path = f"{_run_path(run_id)}/logs"
    body: dict[str, Any]
    if is_node_run(run_id):
        if status_label is not None:
            lines = [("INFO", status_label), *lines]
        logs = [{"level": level, "message": text or ""} for level, text in lines]
        body = {"logs": logs}
    else:
        text = cut("\n".join(text or "" for _, text in lines))
        label = read_text("status_label", status_label)
        body = _given({"message": text, "statusLabel": label})
    what = f"a log of run {show(run_id)}"
    return Request("POST", path, _encode(body), what, is_safe=False)


def run_action(
    action: str, properties: Mapping[str, Any], run_as: str | None, entity: str | None
) -> Request:
    """Run a self-service action. Not safe: it would run twice."""
    path = f"/v1/actions/{_segment('identifier', action)}/runs"
    fields = {"properties": _read_mapping("properties", properties)}
    body = _encode(_given({**fields, "entity": _read_exact("entity", entity)}))
    params = _given({"run_as": _read_exact("run_as", run_as)})
    what = f"a run of the action {show(action)}"
    return Request("POST", path, body, what, is_safe=False, params=params)


def upsert_entity(
    blueprint: str,
    entity: Mapping[str, Any],
    *,
    run_id: str | None,
    merge: bool,
    create_missing_related_entities: bool,
) -> Request:
    """Create an entity or change it. Safe: the same values are written again."""
    path = f"/v1/blueprints/{_segment('blueprint', blueprint)}/entities"
    fields = _read_mapping("entity", entity)
    if not fields.get("identifier"):
        raise ConfigurationError("entity must have an identifier")
    if isinstance(fields["identifier"], str):
        _read_exact("the entity's identifier", fields["identifier"])
    params = {
        "upsert": "true",
        "merge": _spell(merge),
        "create_missing_related_entities": _spell(create_missing_related_entities),
        **_given({"run_id": _read_exact("run_id", run_id)}),
    }
    what = f"an entity of {show(blueprint)}"
    body = _encode(fields)
    return Request("POST", path, body, what, is_safe=True, params=params)


def decide_approval(
    run_id: str, decision: Literal["APPROVE", "DECLINE"], description: str | None
) -> Request:
    """Approve or decline a run. Not safe: the second one is an error."""
    description = read_text("description", description)
    body = _encode(_given({"status": decision, "description": description}))
    path = f"/v1/actions/runs/{_segment('run_id', run_id)}/approval"
    what = f"the approval of run {show(run_id)}"
    return Request("PATCH", path, body, what, is_safe=False)


def status_word(run_id: str, outcome: Outcome) -> str:
    """Return Port's word for *outcome*, which depends on the kind of run."""
    if is_node_run(run_id):
        return _NODE_OUTCOMES.get(outcome, outcome)
    return "SUCCESS" if outcome == "SUCCESS" else "FAILURE"


def is_node_run(run_id: str) -> bool:
    """Tell whether *run_id* is that of a workflow's node."""
    return run_id.startswith("wfnr_")


def read_level(level: object) -> str:
    """Return the word that Port has for *level*.

    Raises:
        ConfigurationError: It has none.
    """
    word = level.upper() if isinstance(level, str) else ""
    word = _LEVELS.get(word, word)
    if word not in _WORDS:
        raise ConfigurationError(f"level must be one of {', '.join(_WORDS)}")
    return word


def read_text(name: str, value: object) -> str | None:
    """Return *value*, which may be None, at most as long as Port takes it.

    Raises:
        ConfigurationError: It is no text.
    """
    if value is None:
        return None
    if not isinstance(value, str):
        raise ConfigurationError(f"{name} must be text, not {type(value).__name__}")
    return cut(value)


def part(body: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return an object of a response; empty if it is not there."""
    found = body.get(name)
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def cut(text: str) -> str:
    """Shorten *text* to what fits a request."""
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - len(_CUT)] + _CUT


def _patch(run_id: str, fields: Mapping[str, Any]) -> Request:
    what = f"the status of run {show(run_id)}"
    return Request("PATCH", _run_path(run_id), _encode(fields), what, is_safe=True)


def _run_path(run_id: str) -> str:
    kind = "workflows/nodes" if is_node_run(run_id) else "actions"
    return f"/v1/{kind}/runs/{_segment('run_id', run_id)}"


def is_identifier(text: str) -> bool:
    """Tell whether *text* can be a segment of a path, and reaches Port as it is.

    A client removes a segment of dots, in whatever way it is quoted.
    """
    return text not in ("", ".", "..") and _is_exact(text)


def _segment(name: str, value: object) -> str:
    """Quote one segment of a path."""
    text = _read_exact(name, value)
    if text is None or not is_identifier(text):
        raise ConfigurationError(f"{name} must be an identifier")
    return quote(text, safe="")


def _read_exact(name: str, value: object) -> str | None:
    """Return an identifier, which must not become another one on the way to Port."""
    text = read_text(name, value)
    if text is not None and (text != value or not _is_exact(text)):
        raise ConfigurationError(f"{name} must be an identifier")
    return text


def _is_exact(text: str) -> bool:
    """Tell whether *text* can be sent as it is: UTF-8 has no lone surrogate."""
    if len(text) > MAX_TEXT:
        return False
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def show(identifier: str) -> str:
    """Return an identifier as it can be printed: short, and on one line."""
    short = identifier if len(identifier) <= _SHOWN else f"{identifier[:_SHOWN]}…"
    return short if short.isprintable() else "?"


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _read_links(links: object) -> list[str] | None:
    if links is None:
        return None
    if isinstance(links, str):
        return [links]
    found: list[Any] = [*links] if isinstance(links, Sequence) else [None]
    if not all(isinstance(each, str) for each in found):
        raise ConfigurationError("links must be a URL, or a sequence of URLs")
    return found


def _read_mapping(name: str, value: object) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{name} must be a mapping")
    return {**cast("Mapping[str, Any]", value)}


def _spell(value: object) -> str:
    return "true" if value else "false"


def _encode(body: Mapping[str, Any]) -> bytes:
    """Print *body* as strict JSON.

    Raises:
        ConfigurationError: It holds what JSON cannot express, or is too large.
    """
    try:
        text = json.dumps(
            body, ensure_ascii=False, allow_nan=False, separators=(",", ":")
        )
    except (TypeError, ValueError, RecursionError):
        raise ConfigurationError("JSON cannot express what is to be sent to Port")
    # A lone surrogate becomes a question mark.
    found = text.encode("utf-8", "replace")
    if len(found) > _MAX_BODY:
        raise ConfigurationError("Port takes at most 1 MiB, and this is larger")
    return found
