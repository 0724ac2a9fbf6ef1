"""`Delivery`: a verified payload, and what its signature says about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from port_webhook._signature import DIVISORS, read_timestamp
from port_webhook._tracebacks import boundary
from port_webhook.exceptions import (
    ConfigurationError,
    PayloadError,
    UnreadableBodyError,
)

if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any, Literal, Self, TypeVar

    from typing_extensions import TypeForm

    from port_webhook.models import AnyInvocation

    # Here, since making them takes a part of the time that an import may take.
    T = TypeVar("T")
    Via = Literal["port", "agent", "kafka"]

__all__ = ["Delivery"]

_VIAS = ("port", "agent", "kafka")


class Delivery:
    """One delivery whose signature and timestamp were verified.

    A `Verifier` makes it. It can be copied, pickled and handed over as JSON, always
    without the verifier and its secrets.

    Attributes:
        payload: Exactly the bytes that were signed.
        secret_index: Which secret signed it: 0 is the current one, 1 and up are
            the previous ones. If it is 0 for every delivery, a rotation is over.
        via: Which signed form matched, ``port``, ``agent`` or ``kafka``. The sender
            chooses it: never authorise on it.
    """

    __slots__ = (
        "_owner",
        "_replay_key",
        "_run_id",
        "_scope",
        "_stamp",
        "_timestamp",
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

    def __init__(
        self,
        payload: bytes,
        stamp: bytes,
        secret_index: int,
        via: Via,
        scope: str = "",
        owner: object = None,
    ) -> None:
        self.payload = payload
        self.secret_index = secret_index
        self.via = via
        self._stamp = stamp
        self._scope = scope
        self._owner = owner

    @boundary
    def __repr__(self) -> str:
        """Show everything but the payload."""
        return (
            f"<Delivery via={self.via!r} timestamp={self._stamp.decode()} "
            f"secret_index={self.secret_index} bytes={len(self.payload)}>"
        )

    @boundary
    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle what `to_json` writes."""
        fields = self.payload, self._stamp, self.secret_index, self.via, self._scope
        return _restore, (type(self), *fields)

    @classmethod
    @boundary
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """Say what to write if FastAPI takes a delivery for a body or a query."""
        try:
            # Valid if the model allows arbitrary types.
            return handler(source)
        except Exception:  # pydantic's, which is not imported here
            raise ConfigurationError(
                "FastAPI cannot parse a Delivery; put @webhook(verifier) below "
                "@app.post, with the delivery as first parameter, or annotate it "
                "Annotated[Delivery, Depends(PortWebhook(verifier))]"
            )

    @boundary
    def verified_by(self, verifier: object) -> bool:
        """Tell whether *verifier* verified this delivery.

        A second adapter on the same request asks before it verifies again.
        """
        return self._owner is not None and self._owner is verifier

    @property
    @boundary
    def timestamp(self) -> datetime:
        """When Port signed the delivery: an aware datetime in UTC."""
        if not hasattr(self, "_timestamp"):
            from datetime import UTC, datetime, timedelta

            # Added as an integer: a float of milliseconds would be rounded.
            unit = timedelta(milliseconds=1000 // DIVISORS[len(self._stamp)])
            self._timestamp = datetime.fromtimestamp(0, UTC) + int(self._stamp) * unit
        return self._timestamp

    @property
    @boundary
    def replay_key(self) -> str:
        """The identity of this signed request: 64 hexadecimal digits.

        It is SHA-256 over the scope, the timestamp's text and the payload, each
        preceded by its length, so no two different triples give the same.
        """
        if not hasattr(self, "_replay_key"):
            from hashlib import sha256

            digest = sha256()
            for part in (self._scope.encode("utf-8"), self._stamp, self.payload):
                digest.update(len(part).to_bytes(8, "big"))
                digest.update(part)
            self._replay_key = digest.hexdigest()
        return self._replay_key

    @property
    @boundary
    def run_id(self) -> str | None:
        """The id of the run to report back to, or None.

        It is looked for where Port documents it, and where templates put it:
        ``context.runId``, ``context.nodeRunId``, ``run.id``, ``port_context.runId``
        or ``run_id``, ``payload.context.runId``, then ``runId``, ``run_id``,
        ``RUN_ID`` and ``port_run_id`` at the top level (protocol, section 3). A
        payload that is not JSON has none.
        """
        if not hasattr(self, "_run_id"):
            from port_webhook._json import parse
            from port_webhook._run_id import find_run_id

            try:
                self._run_id = find_run_id(parse(self.payload))
            except PayloadError:
                self._run_id = None
        return self._run_id

    @boundary
    def json(self) -> Any:
        """Parse the payload as strict JSON.

        Returns:
            A new value each time.

        Raises:
            PayloadError: It is not UTF-8 or not JSON, repeats a key, holds NaN, a
                number beyond Python's limits, or more than 64 levels.
        """
        from port_webhook._json import parse

        return parse(self.payload)

    @boundary
    def parse(self, model: TypeForm[T], *, validate: bool = False) -> T:
        """Parse the payload into *model*.

        The JSON is checked by this library's rules first; then the same bytes go to
        the model's own library.

        Args:
            model: One of this library's models; a pydantic model; a ``TypedDict`` or
                a dataclass, for which pydantic is needed; a msgspec struct; or a
                list or a union of the latter.
            validate: Check every field of this library's models now, and not only
                the required ones; the others are checked when they are read.

        Raises:
            PayloadError: The payload is not strict JSON or not the model; ``path``
                names the field.
            ConfigurationError: *model* is none of these, or its library is missing.
        """
        from port_webhook.models import load

        try:
            return load(model, self.payload, validate=validate)
        except PayloadError as error:
            error.run_id = self.run_id
            raise

    @boundary
    def invocation(self) -> AnyInvocation:
        """Parse the payload into the model of its own shape.

        Returns:
            An ``ActionInvocation``, ``TriggerData``, ``CatalogEvent``,
            ``ChangelogMessage`` or ``WorkflowNodeRun``, and a ``CustomPayload`` for
            every other JSON.

        Raises:
            PayloadError: The payload is not strict JSON, or a required field of a
                known shape has the wrong type; ``path`` names it.
        """
        from port_webhook.models import load_invocation

        try:
            return load_invocation(self.payload)
        except PayloadError as error:
            error.run_id = self.run_id
            raise

    @boundary
    def to_json(self) -> str:
        """Return the delivery as text, for a queue between two processes.

        The text holds the payload, and nothing in it is signed: whoever may write to
        the queue can make a delivery.
        """
        from base64 import b64encode
        from json import dumps

        return dumps(
            {
                "payload": b64encode(self.payload).decode("ascii"),
                "timestamp": self._stamp.decode("ascii"),
                "secret_index": self.secret_index,
                "via": self.via,
                "scope": self._scope,
            }
        )

    @classmethod
    @boundary
    def from_json(cls, text: str | bytes) -> Self:
        """Make the delivery that `to_json` wrote.

        Nothing is verified: the queue that *text* came from must be trusted.

        Raises:
            UnreadableBodyError: `to_json` did not write *text*.
        """
        try:
            return cls(*_read_fields(text))
        except Exception:  # each field may be anything
            raise UnreadableBodyError(
                "The text is not a delivery that Delivery.to_json wrote."
            )


@boundary
def _restore(cls: type[Delivery], *fields: Any) -> Delivery:
    """Rebuild a delivery that was copied or pickled."""
    return cls(*fields)


def _read_fields(text: str | bytes) -> tuple[bytes, bytes, int, Via, str]:
    """Read what `Delivery.to_json` wrote; raise anything for other text."""
    from base64 import b64decode
    from json import loads

    fields = cast("dict[str, Any]", loads(text))
    index, via, scope = fields["secret_index"], fields["via"], fields["scope"]
    read_timestamp(fields["timestamp"])
    if type(index) is not int or index < 0 or via not in _VIAS:
        raise ValueError
    str.encode(scope, "utf-8")
    payload = b64decode(fields["payload"], validate=True)
    return payload, fields["timestamp"].encode("ascii"), index, via, scope
