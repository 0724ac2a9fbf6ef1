"""`Delivery`: what a `Verifier` lets through.

Its public methods raise only after dropping ``self``, whose payload no traceback may
show; see ``signature``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from port_webhook._signature import DIVISORS
from port_webhook.exceptions import PayloadError, PortWebhookError

if TYPE_CHECKING:
    from datetime import datetime

    from port_webhook._verifier import Verifier
    from port_webhook.models import Invocation

Via = Literal["port", "agent", "kafka"]
T = TypeVar("T")


class Delivery:
    """One delivery whose signature and timestamp were verified.

    Attributes:
        payload: Exactly the bytes that were signed.
        secret_index: Which secret signed it: 0 is the current one, 1 and up are
            the previous ones. Always 0 means that a rotation is over.
        via: Which signed form matched, ``port``, ``agent`` or ``kafka``. The sender
            chooses it: never authorise on it.
    """

    __slots__ = (
        "_replay_key",
        "_run_id",
        "_text",
        "_timestamp",
        "_verifier",
        "payload",
        "secret_index",
        "via",
    )

    payload: bytes
    secret_index: int
    via: Via
    _timestamp: datetime
    _replay_key: str
    _run_id: str | None

    def __init__(  # made by a Verifier, not by users
        self,
        payload: bytes,
        text: str,
        secret_index: int,
        via: Via,
        verifier: Verifier,
    ) -> None:
        self.payload = payload
        self.secret_index = secret_index
        self.via = via
        self._text = text
        self._verifier = verifier

    def __repr__(self) -> str:
        """Show what may be shown: the payload is not."""
        return (
            f"<Delivery via={self.via!r} timestamp={self._text} "
            f"secret_index={self.secret_index} bytes={len(self.payload)}>"
        )

    def verified_by(self, verifier: Verifier) -> bool:
        """Tell whether *verifier* verified this delivery.

        A second adapter on the same request asks before it verifies again.
        """
        return self._verifier is verifier

    @property
    def timestamp(self) -> datetime:
        """When Port signed the delivery: an aware datetime in UTC."""
        if not hasattr(self, "_timestamp"):
            from datetime import UTC, datetime, timedelta

            # Added as an integer: a float of milliseconds would be rounded.
            unit = timedelta(milliseconds=1000 // DIVISORS[len(self._text)])
            self._timestamp = datetime.fromtimestamp(0, UTC) + int(self._text) * unit
        return self._timestamp

    @property
    def replay_key(self) -> str:
        """The identity of this signed request: 64 hexadecimal digits.

        It is SHA-256 over the scope, the timestamp's text and the payload, each
        preceded by its length, so that no two different triples read the same.
        """
        if not hasattr(self, "_replay_key"):
            from hashlib import sha256

            digest = sha256()
            scope = self._verifier.replay_scope.encode("utf-8")
            for part in (scope, self._text.encode("ascii"), self.payload):
                digest.update(len(part).to_bytes(8, "big"))
                digest.update(part)
            self._replay_key = digest.hexdigest()
        return self._replay_key

    @property
    def run_id(self) -> str | None:
        """The id of the run to report back to, or None.

        It is looked for where Port documents it: ``context.runId``, ``run.id``, and
        ``port_context.runId`` or ``run_id`` (protocol, section 3). A payload that is
        not JSON has none.
        """
        if not hasattr(self, "_run_id"):
            from port_webhook._json import parse

            self._run_id = _find_run_id(parse(self.payload))
        return self._run_id

    def json(self) -> Any:
        """Parse the payload as strict JSON.

        Returns:
            A new value each time.

        Raises:
            PayloadError: It is not UTF-8 or not JSON, repeats a key, holds NaN, a
                number beyond Python's limits, or more than 64 levels.
        """
        from port_webhook._json import parse

        value = parse(self.payload)
        if isinstance(value, PayloadError):
            del self
            raise value
        return value

    def parse(self, model: type[T]) -> T:
        """Parse the payload into *model*.

        The JSON is checked by this library's rules first; then the same bytes go to
        the model's own library.

        Args:
            model: One of this library's models; a pydantic model; a ``TypedDict`` or
                a dataclass, for which pydantic is needed; a msgspec struct; or a
                list or a union of the latter.

        Raises:
            PayloadError: The payload is not strict JSON or not the model; ``path``
                names the field.
            ConfigurationError: *model* is none of these, or its library is missing.
        """
        from port_webhook.models import load

        try:
            value = load(model, self.payload)
        except BaseException:  # from the user's own code
            del self
            raise
        if isinstance(value, PortWebhookError):
            del self
            raise value
        return value

    def invocation(self) -> Invocation:
        """Parse the payload into the model of its own shape.

        Returns:
            An ``ActionInvocation``, ``TriggerData``, ``CatalogEvent`` or
            ``ChangelogMessage``, and a ``CustomPayload`` for every other JSON.

        Raises:
            PayloadError: The payload is not strict JSON, or a field of a known shape
                has the wrong type; ``path`` names it.
        """
        from port_webhook.models import load_invocation

        value = load_invocation(self.payload)
        if isinstance(value, PayloadError):
            del self
            raise value
        return value


def _find_run_id(document: Any) -> str | None:
    """Return the first documented run id of *document*."""
    if not isinstance(document, dict):
        return None
    places = (
        ("context", "runId"),
        ("run", "id"),
        ("port_context", "runId"),
        ("port_context", "run_id"),
    )
    for outer, inner in places:
        part = cast("dict[str, Any]", document).get(outer)
        if isinstance(part, dict):
            run_id = cast("dict[str, Any]", part).get(inner)
            if isinstance(run_id, str) and run_id:
                return run_id
    return None
