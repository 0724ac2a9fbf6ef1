"""`Verifier`: the policy, and the composition of all that a delivery goes through.

A `Verifier` holds an organisation's secrets and the rules. It takes headers and a
body, whichever path they came by, and returns a `Delivery` or raises. This is the
only reader of the clock, and it writes the record of each delivery: an adapter
fetches bytes and sends answers, nothing else.

Like `signature`, it raises only where the names that hold a body, a header or a
secret have been dropped; everything below a public function returns its error.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from port_webhook import _log
from port_webhook._arguments import (
    load_keys,
    read_body,
    read_env,
    read_instant,
    require_bool,
    require_function,
    require_seconds,
    require_size,
    require_text,
)
from port_webhook._delivery import Delivery, Via
from port_webhook._reception import AsyncReception, Reception
from port_webhook._signature import (
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    check_window,
    compute_signature,
    match_signature,
    new_key,
    read_headers,
    read_secret,
    read_timestamp,
)
from port_webhook.exceptions import (
    BodyTooLargeError,
    ConfigurationError,
    DeliveryError,
    MalformedHeaderError,
    PortWebhookError,
    ReplayStoreError,
    SignatureMismatchError,
    VerificationError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime
    from typing import NoReturn, Self

    from port_webhook._reception import Verdict
    from port_webhook._signature import Headers, SignedHeaders
    from port_webhook.replay import AsyncReplayStore, ReplayStore

__all__ = ["Body", "Delivery", "SignedForms", "Verifier", "sign", "verify"]

Body = bytes | bytearray | memoryview | str

# A replayed request is refused this much longer, in seconds, than its timestamp can
# pass, so that the clocks of several machines may differ.
_REPLAY_MARGIN = 60.0
_TIMESTAMP_LIMIT = 10**13


class SignedForms(NamedTuple):
    """The texts of which one was signed, on a path where the bytes do not arrive bare.

    An adapter passes it to `Verifier.verify` or `Verifier.receive` as the body.

    Attributes:
        via: The path, which becomes `Delivery.via`.
        candidates: The texts in the order in which to try them.
    """

    via: Via
    candidates: Iterable[bytes]


class Verifier:
    """An organisation's secrets and the rules for accepting its deliveries.

    Build it once and share it: it does not change, and threads may use it together.

    Args:
        secret: The organisation's client secret, ``PORT_CLIENT_SECRET``.
        previous_secrets: Secrets that are still accepted during a rotation, the most
            recent first; at most 8.
        max_age: The oldest timestamp that is accepted, in seconds.
        max_future: How far ahead a timestamp may lie, in seconds.
        agent: Accept what Port's execution agent forwards, too. The agent sends
            other bytes than it signs, so that the body is parsed to find them.
        max_body_bytes: The largest body that is accepted, in bytes.
        agent_max_bytes: The largest body that is parsed for the agent, in bytes.
        replay_store: Makes each signed request run once; see ``port_webhook.replay``.
        replay_scope: Keeps services apart that share one store.
        replay_lease: How long a claim holds while the handler runs, in seconds. It
            must exceed the longest handler.
        replay_fail_open: Run the handler although the store failed.
        clock: Returns the time in seconds since the epoch.
        on_verified: Called with each delivery that is handed over.
        on_rejected: Called with the error of each delivery that is not.

    Raises:
        ConfigurationError: A secret or an option is not valid.
    """

    __slots__ = (
        "__weakref__",
        "_agent",
        "_agent_max_bytes",
        "_clock",
        "_keys",
        "_max_age",
        "_max_body_bytes",
        "_max_future",
        "_on_rejected",
        "_on_verified",
        "_replay",
        "_replay_scope",
    )

    def __init__(
        self,
        secret: str | bytes,
        *,
        previous_secrets: Sequence[str | bytes] = (),
        max_age: float = 300,
        max_future: float = 60,
        agent: bool = False,
        max_body_bytes: int = 1_048_576,
        agent_max_bytes: int = 262_144,
        replay_store: ReplayStore | AsyncReplayStore | None = None,
        replay_scope: str = "",
        replay_lease: float = 60,
        replay_fail_open: bool = False,
        clock: Callable[[], float] = time.time,
        on_verified: Callable[[Delivery], None] | None = None,
        on_rejected: Callable[[DeliveryError], None] | None = None,
    ) -> None:
        """Check every argument, so that nothing is left to go wrong later."""
        keys = load_keys(secret, previous_secrets)
        del secret, previous_secrets
        if isinstance(keys, ConfigurationError):
            raise keys
        self._max_age = require_seconds("max_age", max_age)
        self._max_future = require_seconds("max_future", max_future)
        require_bool("agent", agent)
        self._max_body_bytes = require_size("max_body_bytes", max_body_bytes)
        self._agent_max_bytes = require_size("agent_max_bytes", agent_max_bytes)
        require_text("replay_scope", replay_scope)
        lease = require_seconds("replay_lease", replay_lease, positive=True)
        require_bool("replay_fail_open", replay_fail_open)
        require_function("clock", clock)
        if on_verified is not None:
            require_function("on_verified", on_verified)
        if on_rejected is not None:
            require_function("on_rejected", on_rejected)
        self._keys = keys
        self._agent = agent
        self._replay_scope = replay_scope
        self._clock = clock
        self._on_verified = on_verified
        self._on_rejected = on_rejected
        self._replay = None
        if replay_store is not None:
            from port_webhook.replay._claims import Claims

            self._replay = Claims(replay_store, lease=lease, fail_open=replay_fail_open)

    @classmethod
    def from_env(cls, **options: Any) -> Self:  # those of __init__
        """Build a verifier from the environment.

        ``PORT_CLIENT_SECRET`` is the secret. ``PORT_CLIENT_SECRET_PREVIOUS`` lists
        previous ones, separated by commas without spaces; unset or empty means none.

        Args:
            options: Those of the class but for the two secrets.

        Raises:
            ConfigurationError: The secret is not set, or something is not valid.
        """
        taken = options.keys() & {"secret", "previous_secrets"}
        if taken:
            del options
            msg = f"from_env reads {' and '.join(sorted(taken))} from the environment"
            raise ConfigurationError(msg)
        found = read_env()
        if isinstance(found, ConfigurationError):
            raise found
        try:
            return cls(found[0], previous_secrets=found[1], **options)
        finally:
            del found  # whoever sees an error sees this frame

    def __repr__(self) -> str:
        """Show the rules, not the secrets."""
        return (
            f"<Verifier secrets={len(self._keys)} max_age={self._max_age:g} "
            f"max_future={self._max_future:g} agent={self._agent}>"
        )

    @property
    def max_body_bytes(self) -> int:
        """The largest body that is accepted, in bytes: an adapter reads no more."""
        return self._max_body_bytes

    @property
    def replay_scope(self) -> str:
        """What keeps services apart that share one replay store."""
        return self._replay_scope

    @property
    def has_replay_store(self) -> bool:
        """Whether a delivery is claimed, and so must be committed or released."""
        return self._replay is not None

    @property
    def is_async(self) -> bool:
        """Whether the replay store is asynchronous.

        Only `averify` and `areceive` work then, and an adapter of a synchronous
        framework refuses the verifier when it is set up.
        """
        return self._replay is not None and self._replay.is_async

    def check_headers(
        self, headers: Headers, *, received_at: float | datetime | None = None
    ) -> float:
        """Check all that can be checked before a body is read.

        Args:
            headers: As for `verify`.
            received_at: As for `verify`.

        Returns:
            The instant, in seconds since the epoch, that the timestamp was compared
            with. Pass it on as *received_at*, so that one request has one reading of
            the clock.

        Raises:
            MissingHeaderError: A header is absent.
            MalformedHeaderError: A header is not in the grammar, or came twice.
            TimestampError: The timestamp lies outside the window.
            ConfigurationError: *received_at* is not valid.
        """
        checked = self._check(headers, received_at)
        del headers
        if isinstance(checked, PortWebhookError):
            self._refuse(checked)
        return checked[1]

    def verify(
        self,
        body: Body | SignedForms,
        headers: Headers,
        *,
        received_at: float | datetime | None = None,
    ) -> Delivery:
        """Verify one delivery.

        With a replay store it is claimed and committed at once; use `receive` to
        commit after the work.

        Args:
            body: The raw bytes as they arrived, or text, which is taken as UTF-8.
            headers: Any mapping or iterable of pairs, names in any case, text or
                bytes.
            received_at: When the delivery arrived, if that was not now: seconds
                since the epoch, or an aware datetime.

        Returns:
            The delivery, with the bytes that were signed.

        Raises:
            MissingHeaderError: A header is absent.
            MalformedHeaderError: A header is not in the grammar, or came twice.
            TimestampError: The timestamp lies outside the window.
            UnreadableBodyError: *body* is not the raw bytes.
            BodyTooLargeError: *body* is larger than the limit.
            SignatureMismatchError: No signature matches.
            ReplayError: The request ran before, runs now, or the store failed.
            ConfigurationError: *received_at* is not valid, or the store is
                asynchronous.
        """
        if self._replay is not None and self._replay.is_async:
            del body, headers
            raise _needs_await()
        verdict = self._judge(body, headers, received_at)
        del body, headers
        if not isinstance(verdict, tuple):
            self._refuse(verdict)
        delivery, claim = verdict
        del verdict
        if claim is not None:
            failure = claim.take() or claim.finish(commit=True)
            if failure is not None:
                del delivery, claim
                self._refuse(failure)
        self._accept(delivery)
        return delivery

    async def averify(
        self,
        body: Body | SignedForms,
        headers: Headers,
        *,
        received_at: float | datetime | None = None,
    ) -> Delivery:
        """Do what `verify` does, and await the replay store."""
        verdict = self._judge(body, headers, received_at)
        del body, headers
        if not isinstance(verdict, tuple):
            self._refuse(verdict)
        delivery, claim = verdict
        del verdict
        if claim is not None:
            failure = await claim.atake() or await claim.afinish(commit=True)
            if failure is not None:
                del delivery, claim
                self._refuse(failure)
        self._accept(delivery)
        return delivery

    def receive(
        self,
        body: Body | SignedForms,
        headers: Headers,
        *,
        received_at: float | datetime | None = None,
    ) -> Reception:
        """Verify one delivery around the block that handles it.

        The request is claimed on entry. It is committed when the block ends, and
        released, so that a retry runs, when the block raises or has set a
        `Reception.status` of 400 or more.

        Args:
            body: As for `verify`.
            headers: As for `verify`.
            received_at: As for `verify`.

        Returns:
            A context manager for one use, which gives the `Delivery` and raises what
            `verify` raises.

        Raises:
            ConfigurationError: The replay store is asynchronous.
        """
        if self.is_async:
            del body, headers
            raise _needs_await()
        return Reception(
            lambda: self._judge(body, headers, received_at), self._accept, self.reject
        )

    def areceive(
        self,
        body: Body | SignedForms,
        headers: Headers,
        *,
        received_at: float | datetime | None = None,
    ) -> AsyncReception:
        """Do what `receive` does, for ``async with``.

        A synchronous store runs in a thread; a cancelled block releases its claim.
        """
        return AsyncReception(
            lambda: self._judge(body, headers, received_at), self._accept, self.reject
        )

    def reject(self, error: DeliveryError) -> None:
        """Log *error* and call ``on_rejected``, without raising it.

        The verifier does this for its own errors. An adapter does it for those that
        it finds itself, such as a body that was truncated.
        """
        level = _log.ERROR if isinstance(error, ReplayStoreError) else _log.WARNING
        fields = {**vars(error), "code": error.code, "http_status": error.http_status}
        message = f"Port delivery refused ({error.code}): {error}"
        _log.write(level, message, "rejected", **fields)
        if self._on_rejected is not None:
            _log.call_hook(self._on_rejected, error)

    def _accept(self, delivery: Delivery) -> None:
        """Log that *delivery* is handed over, and call ``on_verified``."""
        index = delivery.secret_index
        level = _log.INFO if index else _log.DEBUG
        # Asked first, because this is the path of every delivery.
        if _log.get_logger().isEnabledFor(level):
            message = f"Port delivery verified via {delivery.via}"
            if index:
                message += f" with previous secret {index}"
            _log.write(level, message, "verified", via=delivery.via, secret_index=index)
        if self._on_verified is not None:
            _log.call_hook(self._on_verified, delivery)

    def _refuse(self, error: PortWebhookError) -> NoReturn:
        """Record and raise *error*."""
        if isinstance(error, DeliveryError):
            self.reject(error)
        raise error

    def _check(
        self, headers: Headers, received_at: float | datetime | None
    ) -> tuple[SignedHeaders, float] | PortWebhookError:
        """Do the cheap half: the grammar of the headers and the window."""
        now = self._now(received_at)
        if isinstance(now, ConfigurationError):
            return now
        signed = read_headers(headers)
        if not isinstance(signed, tuple):
            return signed
        error = check_window(signed[1], now, self._max_age, self._max_future)
        return (signed, now) if error is None else error

    def _judge(
        self,
        body: Body | SignedForms,
        headers: Headers,
        received_at: float | datetime | None,
    ) -> Verdict:
        """Do the whole verification, up to a claim that is yet to be taken."""
        checked = self._check(headers, received_at)
        if not isinstance(checked, tuple):
            return checked
        (text, timestamp, signatures), now = checked
        for via, payload in self._forms(body):
            if not isinstance(payload, bytes):
                return payload
            index = match_signature(self._keys, text, signatures, payload)
            if index is None:
                continue
            delivery = Delivery(payload, text, index, via, self)
            if self._replay is None:
                return delivery, None
            # A caller who sets the time may set it again later, so that only the
            # width of the window bounds how long the request can pass.
            passes = self._max_age + self._max_future
            if received_at is None:
                passes = timestamp + self._max_age - now
            ttl = passes + _REPLAY_MARGIN
            return delivery, self._replay.new(delivery.replay_key, ttl)
        from_kafka = type(body) is SignedForms
        return SignatureMismatchError(suggest_agent=not (self._agent or from_kafka))

    def _forms(
        self, body: Body | SignedForms
    ) -> Iterable[tuple[Via, bytes | VerificationError]]:
        """Return the texts that may have been signed, the cheapest first.

        An error in place of a text says that there are no more.
        """
        if type(body) is SignedForms:
            return ((body.via, candidate) for candidate in body.candidates)
        raw = read_body(body, self._max_body_bytes)
        if self._agent and isinstance(raw, bytes):
            return self._agent_forms(raw)
        return (("port", raw),)

    def _agent_forms(
        self, raw: bytes
    ) -> Iterator[tuple[Via, bytes | VerificationError]]:
        """Yield the body as it came, then what Port's agent signs for it."""
        yield "port", raw
        if not raw:
            # A mapping whose result is null is sent as nothing and signed as null.
            yield "agent", b"null"
        elif len(raw) > self._agent_max_bytes:
            yield (
                "agent",
                BodyTooLargeError(self._agent_max_bytes, option="agent_max_bytes"),
            )
        else:
            from port_webhook._json import compact

            text = compact(raw)
            if text is not None and text != raw:
                yield "agent", text

    def _now(self, received_at: object) -> float | ConfigurationError:
        """Return the instant to compare with, from the caller or from the clock."""
        if received_at is not None:
            return read_instant(received_at, "received_at")
        try:
            now = self._clock()
        except Exception as error:  # noqa: BLE001  # whatever a user's clock raises
            return ConfigurationError(f"clock raised {type(error).__name__}")
        return read_instant(now, "clock")


def _needs_await() -> ConfigurationError:
    return ConfigurationError(
        "The replay store is asynchronous; use averify or areceive"
    )


def sign(
    body: bytes | str, secret: str | bytes, *, timestamp: int | None = None
) -> dict[str, str]:
    """Sign *body* as Port does: for tests, and for your own senders.

    Args:
        body: The bytes that will be sent, or text, which is taken as UTF-8.
        secret: The organisation's client secret.
        timestamp: Seconds since the epoch, or milliseconds (13 digits); now if None.

    Returns:
        The two headers, ``x-port-timestamp`` and ``x-port-signature``.

    Raises:
        UnreadableBodyError: *body* is neither bytes nor text.
        ConfigurationError: The secret or the timestamp is not valid.
    """
    headers = _sign(body, secret, timestamp)
    del body, secret
    if isinstance(headers, PortWebhookError):
        raise headers
    return headers


def _sign(
    body: object, secret: object, timestamp: object
) -> dict[str, str] | PortWebhookError:
    raw = read_body(body, sys.maxsize)
    if isinstance(raw, VerificationError):
        return raw
    key = read_secret(secret, "secret")
    if isinstance(key, ConfigurationError):
        return key
    stamp = int(time.time()) if timestamp is None else timestamp
    text = ""
    if isinstance(stamp, int) and not isinstance(stamp, bool):
        # The bounds come before str(), which refuses a very long integer.
        text = str(stamp) if 0 < stamp < _TIMESTAMP_LIMIT else ""
    if isinstance(read_timestamp(text), MalformedHeaderError):
        return ConfigurationError(
            "timestamp must be an int of 10 digits (seconds) or 13 (milliseconds)"
        )
    signature = compute_signature(new_key(key), text, raw)
    return {TIMESTAMP_HEADER: text, SIGNATURE_HEADER: signature.decode("ascii")}


def verify(
    body: Body,
    headers: Headers,
    secret: str | bytes,
    *,
    max_age: float = 300,
    max_future: float = 60,
    agent: bool = False,
    received_at: float | datetime | None = None,
) -> Delivery:
    """Verify one delivery with one secret.

    A `Verifier` that is built once does the same faster, and more.

    Args:
        body: The raw bytes as they arrived, or text, which is taken as UTF-8.
        headers: Any mapping or iterable of pairs, names in any case, text or bytes.
        secret: The organisation's client secret.
        max_age: The oldest timestamp that is accepted, in seconds.
        max_future: How far ahead a timestamp may lie, in seconds.
        agent: Accept what Port's execution agent forwards, too.
        received_at: When the delivery arrived, if that was not now: seconds since
            the epoch, or an aware datetime.

    Returns:
        The delivery, with the bytes that were signed.

    Raises:
        VerificationError: The delivery is not authentic, or not acceptable as it
            came; see `Verifier.verify`.
        ConfigurationError: The secret or an option is not valid.
    """
    try:
        verifier = Verifier(secret, max_age=max_age, max_future=max_future, agent=agent)
        return verifier.verify(body, headers, received_at=received_at)
    finally:
        del body, headers, secret  # whoever sees an error sees this frame
