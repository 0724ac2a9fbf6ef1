"""`Verifier`: the secrets and the rules for accepting deliveries.

A `Verifier` takes headers and a body and returns a `Delivery`, or raises. It is the
only reader of the clock, and writes the log record of each delivery. An adapter only
reads bytes and sends responses.
"""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast, final

from port_webhook._delivery import Delivery
from port_webhook._signature import (
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    check_window,
    compute_signature,
    match_signature,
    new_key,
    read_headers,
    read_timestamp,
)
from port_webhook._tracebacks import boundary, clean
from port_webhook.exceptions import (
    BodyTooLargeError,
    ConfigurationError,
    DeliveryError,
    MalformedHeaderError,
    ReplayError,
    SignatureMismatchError,
    TimestampError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence
    from datetime import datetime
    from typing import Self

    from typing_extensions import Unpack

    from port_webhook._delivery import Via
    from port_webhook._options import VerifierOptions
    from port_webhook._reception import AsyncReception, Reception
    from port_webhook._signature import HMAC, Headers, SignedHeaders
    from port_webhook.replay import AsyncReplayStore, ReplayStore
    from port_webhook.replay._claims import Claim

    Body = bytes | bytearray | memoryview | str

__all__ = [
    "CheckedHeaders",
    "Delivery",
    "SignedForms",
    "Verifier",
    "require_verifier",
    "set_source",
    "sign",
    "verify",
]

_DEBUG = 10  # logging's own
_WEEK = 7 * 86_400
# A replayed request is refused this much longer, in seconds, than its timestamp can
# pass, so that the clocks of several machines may differ.
_REPLAY_MARGIN = 60.0
# Seconds that a body may take to arrive after its headers were checked. Less than the
# margin, so that a slow body cannot outlive the claim of its first copy.
_BODY_DELAY = 30.0
_TIMESTAMP_LIMIT = 10**13
# A clock that is set lies between these: 2020 and 2100, in seconds.
_EARLIEST, _LATEST = 1_577_836_800, 4_102_444_800


@final
class CheckedHeaders:
    """The signature headers of one request, checked before its body is read.

    `Verifier.check_headers` returns it. Pass it to the methods of the same Verifier in
    place of the headers.
    """

    __slots__ = ("owner", "received_at", "signed")

    def __init__(
        self,
        signed: SignedHeaders,
        owner: object,
        *,
        received_at: bool,
    ) -> None:
        self.signed: SignedHeaders = signed
        self.owner: object = owner
        self.received_at: bool = received_at

    @boundary
    def __repr__(self) -> str:
        """Show the timestamp, not the signatures."""
        return f"<CheckedHeaders timestamp={self.signed[0].decode()}>"


@final
class SignedForms:
    """Candidate texts, one of which was signed, for a message that wraps them.

    An adapter passes it to `Verifier.verify` or `Verifier.receive` as the body.

    Attributes:
        via: The path, which becomes `Delivery.via`.
        candidates: The texts in the order in which to try them.
    """

    __slots__ = ("candidates", "via")

    def __init__(self, via: Via, candidates: Iterable[bytes]) -> None:
        self.via: Via = via
        self.candidates: Iterable[bytes] = candidates


class Verifier:
    """An organisation's secrets and the rules for accepting its deliveries.

    Build it once and share it: it does not change, and threads may use it together.

    Args:
        secret: The organisation's client secret, ``PORT_CLIENT_SECRET``: text, UTF-8
            bytes, or an object whose ``get_secret_value()`` returns either.
        previous_secrets: Secrets that are still accepted during a rotation, the most
            recent first; at most 8.
        max_age: The oldest timestamp that is accepted, in seconds; at most 7 days.
        max_future: How far ahead a timestamp may lie, in seconds; at most 7 days.
        agent: Accept what Port's execution agent forwards, too. The agent adds white
            space to the signed bytes; it is removed to verify them.
        max_body_bytes: The largest body that is accepted, in bytes.
        agent_max_bytes: The largest body from the agent, in bytes.
        replay_store: Makes each signed request run once; see ``port_webhook.replay``.
        replay_scope: Separates services that share one store.
        replay_lease: How long a claim holds while the handler runs, in seconds. It
            must exceed the longest handler.
        replay_ttl: The least time to remember a handled request, in seconds, if a queue
            may hold a copy of it. None: as long as its timestamp is accepted.
        replay_fail_open: Run the handler even if the store failed.
        clock: Returns the time in seconds since the epoch. None is `time.time`, looked
            up at each call.
        on_verified: Called with each delivery that is handed over.
        on_rejected: Called with the error of each delivery that is refused.

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
        "_min_age",
        "_records",
        "_replay",
        "_replay_scope",
        "_replay_ttl",
        "_secret_source",
    )

    @boundary
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
        replay_ttl: float | None = None,
        replay_fail_open: bool = False,
        clock: Callable[[], float] | None = None,
        on_verified: Callable[[Delivery], None] | None = None,
        on_rejected: Callable[[DeliveryError], None] | None = None,
    ) -> None:
        """Check every argument now, not when a delivery arrives."""
        # Loaded with the first verifier, so that the package is imported fast.
        from port_webhook._arguments import (
            read_secrets,
            require_bool,
            require_function,
            require_seconds,
            require_size,
            require_text,
        )
        from port_webhook._log import Records
        from port_webhook._secrets import remember, warn_of_weak

        secrets = read_secrets(secret, previous_secrets)
        self._max_age = _require_window("max_age", max_age)
        self._max_future = _require_window("max_future", max_future)
        self._min_age = -self._max_future
        require_bool("agent", agent)
        self._agent = agent
        self._max_body_bytes = require_size("max_body_bytes", max_body_bytes)
        self._agent_max_bytes = require_size("agent_max_bytes", agent_max_bytes)
        require_text("replay_scope", replay_scope)
        self._replay_scope = replay_scope
        lease = require_seconds("replay_lease", replay_lease, positive=True)
        self._replay_ttl: float = 0
        if replay_ttl is not None:
            self._replay_ttl = require_seconds("replay_ttl", replay_ttl)
        require_bool("replay_fail_open", replay_fail_open)
        for name, function in (
            ("clock", clock),
            ("on_verified", on_verified),
            ("on_rejected", on_rejected),
        ):
            if function is not None:
                require_function(name, function)
        self._clock = clock
        self._records = Records(on_verified, on_rejected)
        self._replay = None
        if replay_store is not None:
            from port_webhook.replay._claims import Claims

            self._replay = Claims(replay_store, lease=lease, fail_open=replay_fail_open)
        self._keys: list[HMAC] = [new_key(each) for each in secrets]
        self._secret_source = "an argument"
        warn_of_weak(secrets)
        remember(self, secrets)

    @classmethod
    @boundary
    def from_env(cls, **options: Unpack[VerifierOptions]) -> Self:
        """Build a verifier from the environment.

        ``PORT_CLIENT_SECRET`` is the secret, or ``PORT_CLIENT_SECRET_FILE`` the path of
        a file that holds it; one line break at the file's end is dropped.
        ``PORT_CLIENT_SECRET_PREVIOUS`` lists previous ones, separated by commas without
        spaces; unset or empty means none.

        Args:
            options: Those of the class, without the secrets.

        Raises:
            ConfigurationError: The secret is not set, is set in both ways, or something
                is not valid.
        """
        taken = options.keys() & {"secret", "previous_secrets"}
        if taken:
            raise ConfigurationError(
                f"from_env reads {' and '.join(sorted(taken))} from the environment"
            )
        from port_webhook._arguments import read_env

        source, secret, previous = read_env()
        verifier = cls(secret, previous_secrets=previous, **options)
        verifier._secret_source = source
        return verifier

    def __repr__(self) -> str:
        """Show the rules, not the secrets, even if half built."""
        if not hasattr(self, "_keys"):
            return "<Verifier that could not be built>"
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
        """The name that separates services on one replay store."""
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
    ) -> CheckedHeaders:
        """Check the headers, before the body is read.

        Args:
            headers: As for `verify`.
            received_at: As for `verify`.

        Returns:
            The headers, for `verify` or `receive` of this Verifier. By then the
            timestamp may have become at most 30 s older than ``max_age``.

        Raises:
            MissingHeaderError: A header is absent.
            MalformedHeaderError: A header is not in the grammar, or came twice.
            TimestampError: The timestamp lies outside the window.
            ConfigurationError: *received_at* is not valid.
        """
        try:
            # As in `_judge`, because adapters ask this for every request.
            if received_at is None and self._clock is None:
                now = time.time()
            else:
                now = self._now(received_at)
            signed = read_headers(headers)
            if not self._min_age <= now - signed[1] <= self._max_age:
                check_window(signed[1], now, self._max_age, self._max_future)
            return CheckedHeaders(signed, self, received_at=received_at is not None)
        except BaseException as error:
            headers, signed = (), None
            self._leave(error)
            raise

    def verify(
        self,
        body: Body | SignedForms,
        headers: Headers | CheckedHeaders,
        *,
        received_at: float | datetime | None = None,
    ) -> Delivery:
        """Verify one delivery.

        With a replay store it is claimed and committed at once; use `receive` to
        commit after the work.

        Args:
            body: The raw bytes as they arrived, or text, which is taken as UTF-8.
            headers: Any mapping or iterable of pairs, names in any case, text or
                bytes; or what `check_headers` returned.
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
            PayloadError: The agent signed something that is not JSON.
            ReplayError: The request ran before, runs now, or the store failed.
            ConfigurationError: *received_at* is not valid, or the store is
                asynchronous.
        """
        try:
            if self._replay is None:
                delivery = self._judge(body, headers, received_at)
            else:
                delivery = self._judge_once(body, headers, received_at)
            # Asked before the call, because this is the path of every delivery.
            records = self._records
            if (
                records.on_verified is not None
                or delivery.secret_index
                or records.get_logger().isEnabledFor(_DEBUG)
            ):
                records.verified(delivery)
            return delivery
        except BaseException as error:
            body, headers, delivery = b"", (), None
            self._leave(error)
            raise

    async def averify(
        self,
        body: Body | SignedForms,
        headers: Headers | CheckedHeaders,
        *,
        received_at: float | datetime | None = None,
    ) -> Delivery:
        """Do what `verify` does, and await the replay store."""
        try:
            delivery, claim = self._open(body, headers, received_at)
            if claim is not None:
                with _naming_run(delivery):
                    await claim.atake()
                    await claim.afinish(commit=True)
            self._records.verified(delivery)
            return delivery
        except BaseException as error:
            body, headers, delivery = b"", (), None
            self._leave(error)
            raise

    @boundary
    def receive(
        self,
        body: Body | SignedForms,
        headers: Headers | CheckedHeaders,
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
        self._require_sync()
        from port_webhook._reception import Reception

        return Reception(
            lambda: self._open(body, headers, received_at),
            accept=self._records.verified,
            record=self._records.rejected,
            reject=self.reject,
        )

    @boundary
    def areceive(
        self,
        body: Body | SignedForms,
        headers: Headers | CheckedHeaders,
        *,
        received_at: float | datetime | None = None,
    ) -> AsyncReception:
        """Do what `receive` does, for ``async with``.

        A synchronous store runs in a thread; a cancelled block releases its claim.
        """
        from port_webhook._reception import AsyncReception

        return AsyncReception(
            lambda: self._open(body, headers, received_at),
            accept=self._records.verified,
            record=self._records.rejected,
            reject=self.reject,
        )

    @boundary
    def self_check(self) -> None:
        """Check at start-up what would fail at the first delivery.

        The clock must be set, and the replay store must answer: a random key is
        claimed and released.

        Raises:
            ConfigurationError: The clock is not set, or the store is asynchronous; see
                `aself_check`.
            ReplayStoreError: The store failed; the message says what to do.
        """
        self._require_sync("aself_check")
        self._check_clock()
        if self._replay is not None:
            from port_webhook.replay._claims import check_store

            check_store(self._replay)

    @boundary
    async def aself_check(self) -> None:
        """Do what `self_check` does, and await the replay store."""
        self._check_clock()
        if self._replay is not None:
            from port_webhook.replay._claims import acheck_store

            await acheck_store(self._replay)

    @boundary
    def reject(self, error: DeliveryError) -> None:
        """Log *error* and call ``on_rejected``, without raising it.

        The verifier does this for its own errors, an adapter for those that it finds
        itself, such as a truncated body.
        """
        # A hook may hand the error to a tracker, frames and all.
        clean(error)
        self._records.rejected(error)

    def _leave(self, error: BaseException) -> None:
        """Clean what leaves a public method, and record it if it is a refusal."""
        clean(error)
        if isinstance(error, DeliveryError):
            self._records.rejected(error)

    def _judge_once(
        self,
        body: Body | SignedForms,
        headers: Headers | CheckedHeaders,
        received_at: float | datetime | None,
    ) -> Delivery:
        """Verify, claim, and commit at once."""
        self._require_sync()
        delivery, claim = self._open(body, headers, received_at)
        taken = cast("Claim", claim)  # there is a store
        with _naming_run(delivery):
            taken.take()
            taken.finish(commit=True)
        return delivery

    def _open(
        self,
        body: Body | SignedForms,
        headers: Headers | CheckedHeaders,
        received_at: float | datetime | None,
    ) -> tuple[Delivery, Claim | None]:
        """Verify, and return the claim that is yet to be taken."""
        delivery = self._judge(body, headers, received_at)
        return delivery, self._new_claim(delivery, headers, received_at)

    def _judge(
        self,
        body: Body | SignedForms,
        headers: Headers | CheckedHeaders,
        received_at: float | datetime | None,
    ) -> Delivery:
        """Verify everything but the claim."""
        if type(headers) is CheckedHeaders:
            stamp, macs = self._use_checked(headers, received_at)
        else:
            # The commonest case first, in place: a function call costs as much.
            if received_at is None and self._clock is None:
                now = time.time()
            else:
                now = self._now(received_at)
            stamp, timestamp, macs = read_headers(headers)
            if not self._min_age <= now - timestamp <= self._max_age:
                check_window(timestamp, now, self._max_age, self._max_future)
        via: Via = "port"
        if type(body) is bytes and len(body) <= self._max_body_bytes:
            payload = body
        elif type(body) is SignedForms:
            return self._judge_forms(body, stamp, macs)
        else:
            from port_webhook._arguments import read_body

            payload = read_body(body, self._max_body_bytes)
        index = match_signature(self._keys, stamp, macs, payload)
        if index is None and self._agent:
            via = "agent"
            payload, index = self._match_agent(payload, stamp, macs)
        if index is None:
            raise self._mismatch(suggest_agent=not self._agent)
        return Delivery(payload, stamp, index, via, self._replay_scope, self)

    def _use_checked(
        self, checked: CheckedHeaders, received_at: object
    ) -> tuple[bytes, Sequence[bytes]]:
        """Return the timestamp's text and the MACs, if they may still be used."""
        if checked.owner is not self:
            raise ConfigurationError("The headers were checked by another Verifier")
        if received_at is not None:
            raise ConfigurationError(
                "received_at belongs to check_headers, which got the headers"
            )
        stamp, timestamp, macs = checked.signed
        if not checked.received_at:
            age = self._now(None) - timestamp
            # Both are written so that a NaN is refused. Few bodies are so slow that the
            # second is needed; it rounds for the same reason as `check_window`.
            if not age <= self._max_age:
                age = round(age, 6)
                if not age < self._max_age + _BODY_DELAY:
                    raise TimestampError(age, self._max_age, self._max_future)
        return stamp, macs

    def _judge_forms(
        self, forms: SignedForms, stamp: bytes, macs: Sequence[bytes]
    ) -> Delivery:
        """Return the delivery of the candidate that was signed."""
        for candidate in forms.candidates:
            index = match_signature(self._keys, stamp, macs, candidate)
            if index is not None:
                scope = self._replay_scope
                return Delivery(candidate, stamp, index, forms.via, scope, self)
        raise self._mismatch(suggest_agent=False)

    def _mismatch(self, *, suggest_agent: bool) -> SignatureMismatchError:
        return SignatureMismatchError(
            suggest_agent=suggest_agent,
            secret_source=self._secret_source,
            secrets_tried=len(self._keys),
        )

    def _match_agent(
        self, raw: bytes, stamp: bytes, macs: Sequence[bytes]
    ) -> tuple[bytes, int | None]:
        """Return what Port's agent signed for *raw*, and the index of its secret.

        It is parsed only after its MAC matched, so that a forger cannot make us parse.
        """
        if len(raw) > self._agent_max_bytes:
            raise BodyTooLargeError(self._agent_max_bytes, option="agent_max_bytes")
        from port_webhook._json import require_json, strip_white_space

        # A mapping whose result is null is sent as nothing and signed as null.
        payload = strip_white_space(raw) if raw else b"null"
        if payload == raw:
            return raw, None
        index = match_signature(self._keys, stamp, macs, payload)
        if index is not None:
            require_json(payload)
        return payload, index

    def _new_claim(
        self,
        delivery: Delivery,
        headers: Headers | CheckedHeaders,
        received_at: float | datetime | None,
    ) -> Claim | None:
        """Return the claim of *delivery*, not yet taken; None without a store."""
        if self._replay is None:
            return None
        if received_at is not None or (
            type(headers) is CheckedHeaders and headers.received_at
        ):
            # A caller who sets the time may set it again later, so only the width of
            # the window bounds how long the request can pass.
            passes = self._max_age + self._max_future
        else:
            signed_at = delivery.timestamp.timestamp()
            passes = signed_at + self._max_age - self._now(None)
        ttl = max(passes + _REPLAY_MARGIN, self._replay_ttl)
        return self._replay.new(delivery.replay_key, ttl)

    def _now(self, received_at: object) -> float:
        """Return the instant to compare with, from the caller or from the clock."""
        if received_at is None and self._clock is None:
            return time.time()
        from port_webhook._arguments import read_clock, read_instant

        if received_at is not None:
            return read_instant(received_at, "received_at")
        return read_clock(cast("Callable[[], float]", self._clock))

    def _check_clock(self) -> None:
        if not _EARLIEST < self._now(None) < _LATEST:
            raise ConfigurationError(
                "The clock is not set: it says a time before 2020 or after 2100"
            )

    def _require_sync(self, instead: str = "averify or areceive") -> None:
        if self.is_async:
            raise ConfigurationError(f"The replay store is asynchronous; use {instead}")

    def _decryption_keys(self) -> Sequence[bytes]:
        """Return the secrets, the current one first, for `decrypt_properties`."""
        from port_webhook._secrets import recall

        return recall(self)


@contextmanager
def _naming_run(delivery: Delivery) -> Generator[None]:
    """Set the run of *delivery* on an error of the block."""
    try:
        yield
    except ReplayError as error:
        error.run_id = delivery.run_id
        raise


def require_verifier(value: object) -> None:
    """Refuse what is not a Verifier; passing the secret is a common mistake.

    Raises:
        ConfigurationError: *value* is something else.
    """
    if not isinstance(value, Verifier):
        raise ConfigurationError(
            f"verifier must be a Verifier, not {type(value).__name__}"
        )


def set_source(verifier: Verifier, source: str) -> None:
    """Note where the secrets of *verifier* came from, such as the name of a setting."""
    verifier._secret_source = source  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # for the other modules


def _require_window(name: str, value: object) -> float:
    from port_webhook._arguments import require_seconds

    hint = "to accept an older delivery, pass received_at"
    return require_seconds(name, value, most=_WEEK, hint=hint)


@boundary
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
    from port_webhook._arguments import read_body, read_secret

    raw = read_body(body, sys.maxsize)
    key = new_key(read_secret(secret, "secret"))
    stamp: object = int(time.time()) if timestamp is None else timestamp
    text = ""
    if isinstance(stamp, int) and not isinstance(stamp, bool):
        # The bounds come before str(), which refuses a very long integer.
        text = str(stamp) if 0 < stamp < _TIMESTAMP_LIMIT else ""
    try:
        read_timestamp(text)
    except MalformedHeaderError:
        raise ConfigurationError(
            "timestamp must be an int of 10 digits (seconds) or 13 (milliseconds)"
        )
    signature = compute_signature(key, text.encode("ascii"), raw)
    return {TIMESTAMP_HEADER: text, SIGNATURE_HEADER: signature.decode("ascii")}


@boundary
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

    A `Verifier` that is built once is faster, and does more.

    Args:
        body: The raw bytes as they arrived, or text, which is taken as UTF-8.
        headers: Any mapping or iterable of pairs, names in any case, text or bytes.
        secret: The organisation's client secret.
        max_age: The oldest timestamp that is accepted, in seconds; at most 7 days.
        max_future: How far ahead a timestamp may lie, in seconds; at most 7 days.
        agent: Accept what Port's execution agent forwards, too.
        received_at: When the delivery arrived, if that was not now: seconds since
            the epoch, or an aware datetime.

    Returns:
        The delivery, with the bytes that were signed.

    Raises:
        VerificationError: The delivery is not authentic, or not acceptable as it
            arrived; see `Verifier.verify`.
        ConfigurationError: The secret or an option is not valid.
    """
    verifier = Verifier(secret, max_age=max_age, max_future=max_future, agent=agent)
    return verifier.verify(body, headers, received_at=received_at)
