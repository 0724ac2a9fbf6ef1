"""Responses to synchronous actions, which give Port status and result of the run.

Port, and its agent, turn a status under 400 into a success, and store the body of the
response as the ``response`` of the run (protocol, section 5).
"""

from __future__ import annotations

import json
import sys
from typing import Any

from port_webhook._tracebacks import boundary
from port_webhook.exceptions import ConfigurationError, PayloadError

__all__ = ["ActionFailedError", "answer"]

_MAX_MESSAGE = 1_000
# Views of these must return a response of theirs; of others, JSON will do.
_RESPONSES = {
    "django": ("django.http", "HttpResponse", "content_type"),
    "rest_framework": ("django.http", "HttpResponse", "content_type"),
    "aiohttp": ("aiohttp.web", "Response", "content_type"),
}


class ActionFailedError(PayloadError):
    """Raised by a view to fail a synchronous action with a message.

    Every adapter answers 422 with the message, which Port shows in the run. It is the
    only error whose text the sender sees: write what a user of the portal may know. A
    replay store releases the delivery, so that a retry runs.

    Args:
        message: The reason, for the user.
    """

    code: str = "action_failed"

    def __init__(self, message: str) -> None:
        super().__init__("")
        text = message[:_MAX_MESSAGE]
        Exception.__init__(self, text)  # the message alone, as it is
        self.http_body: bytes = json.dumps({"error": text}).encode("ascii")


@boundary
def answer(result: Any, *, request: object = None) -> Any:
    """Return a response to a synchronous action, with *result*.

    Args:
        result: JSON: an object, a list or text.
        request: The request of a view of Django or aiohttp, which have to return a
            response of theirs. Other frameworks need none, and get *result* itself.

    Raises:
        ConfigurationError: JSON cannot express *result*.
    """
    try:
        text = json.dumps(result, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise ConfigurationError("JSON cannot express the result")
    for kind in type(request).__mro__:
        found = _RESPONSES.get(kind.__module__.partition(".")[0])
        if found is not None:
            module, name, option = found
            response = getattr(sys.modules[module], name)
            options: dict[str, Any] = {option: "application/json"}
            if name == "Response":
                return response(text=text, **options)
            return response(text, **options)
    return result
