"""`PortClient`: the synchronous client."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import httpx2

from port_webhook._tracebacks import boundary
from port_webhook.exceptions import ConfigurationError, PayloadError
from port_webhook.reporting import _requests
from port_webhook.reporting._core import BlockingIO, Core, drive
from port_webhook.reporting._logging import ThreadPump
from port_webhook.reporting._options import (
    make_timeout,
    read_credentials,
    read_environment,
    read_run_id,
    read_settings,
)
from port_webhook.reporting._run import Run, RunState, was_reported

if TYPE_CHECKING:
    from collections.abc import Mapping
    from logging import Logger
    from types import TracebackType
    from typing import Self, Unpack

    from port_webhook.exceptions import DeliveryError
    from port_webhook.reporting._options import ClientOptions, HasRunId

__all__ = ["PortClient"]


class PortClient:
    """A client of Port's API, which threads may share. Build one and keep it.

    It is a context manager that closes it at the end.

    Args:
        client_id: The client id of your organisation, or of a machine user.
        client_secret: The secret that belongs to it, as text, bytes or ``SecretStr``.
        options: ``region``, ``eu`` or ``us``, or a ``base_url`` in its place;
            ``timeout``, of each step of a request, in seconds (10), while a whole
            response may take six times as long; ``attempts``, how often a request is
            sent at most (5); ``max_wait``, how long one call waits at most, all waits
            between its attempts together, in seconds (60): where Port asks for a
            longer wait than is left, the call fails at once; ``error_text``, whether
            the summary of a failure has the text of the exception (False); ``logger``
            and ``level``, whose records each report sends to the log of its run;
            ``http_client``, an `httpx2.Client` of your own, with its own timeouts,
            which you close; ``clock`` and ``sleep``.

    Raises:
        ConfigurationError: An argument is not valid.
    """

    @boundary
    def __init__(
        self,
        client_id: str,
        client_secret: str | bytes | Any,
        **options: Unpack[ClientOptions],
    ) -> None:
        settings = read_settings(options, time.time)
        http_client = options.get("http_client")
        if http_client is not None and not isinstance(http_client, httpx2.Client):
            raise ConfigurationError("http_client must be an httpx2.Client")
        own = None
        if http_client is None:
            http_client = own = httpx2.Client(timeout=make_timeout(settings.timeout))
        credentials = read_credentials(client_id, client_secret)
        io = BlockingIO(http_client, options.get("sleep", time.sleep))
        self._own = own
        self._core = Core(*credentials, settings, io)

    @classmethod
    @boundary
    def from_env(cls, **options: Unpack[ClientOptions]) -> Self:
        """Build a client from the environment.

        ``PORT_CLIENT_ID``, ``PORT_CLIENT_SECRET`` (or ``PORT_CLIENT_SECRET_FILE``, a
        path), and ``PORT_REGION`` or ``PORT_BASE_URL``, which takes precedence.

        Args:
            options: As for the class; they take precedence over the environment.

        Raises:
            ConfigurationError: A variable is missing or not valid.
        """
        return cls(*read_environment(options), **options)

    @boundary
    def report(
        self,
        delivery: HasRunId | str | None,
        *,
        error_text: bool | None = None,
        logger: str | Logger | None = None,
        level: int | None = None,
    ) -> Run:
        """Report how the run of *delivery* goes on and how it ends.

        The end of the block is a success. An exception is a failure, and is raised
        again. If the block ended the run itself, nothing more is reported. A failure to
        report is logged, never raised.

        Args:
            delivery: A run id, or an object that has one. Without a run nothing is
                reported.
            error_text: Whether the summary of a failure holds the text of the
                exception, which may quote secrets, or only its type. The text of this
                library's own errors is always included.
            logger: Send the records that this logger gets in the block to the log of
                the run.
            level: The lowest level that is sent.

        Returns:
            A context manager for one use, which gives the run.

        Raises:
            ConfigurationError: *delivery* is not text and has no ``run_id``.
        """
        settings = self._core.settings
        state = RunState(
            self._core,
            read_run_id(delivery),
            ThreadPump,
            error_text=settings.error_text if error_text is None else error_text,
            logger=settings.logger if logger is None else logger,
            level=settings.level if level is None else level,
        )
        return Run(state)

    @boundary
    def report_refusals(self, error: DeliveryError) -> None:
        """End the run of an authentic delivery that is refused, as ``on_rejected``.

        Such a delivery has no JSON or does not fit its model, and is answered 422.
        When this returns, Port has been told, or the log has a ``reporting_failed``
        record.

        Args:
            error: What a `Verifier` gives to its hook.
        """
        if isinstance(error, PayloadError) and not was_reported(error):
            drive(self.report(error.run_id).leave(error))

    @boundary
    def run_action(
        self,
        identifier: str,
        properties: Mapping[str, Any] | None = None,
        *,
        run_as: str | None = None,
        entity: str | None = None,
    ) -> dict[str, Any]:
        """Run a self-service action ("Trigger Port API").

        It is sent again only if it surely did not arrive, since it would run twice.

        Args:
            identifier: The action.
            properties: Its inputs.
            run_as: The email address of the user whose run it is.
            entity: The identifier of the entity, for an action on one.

        Returns:
            The run, as Port describes it; its ``id`` is that of the run.

        Raises:
            ReportingError: Port did not take it.
            ConfigurationError: An argument is not valid.
        """
        request = _requests.run_action(identifier, properties or {}, run_as, entity)
        return _requests.part(drive(self._core.call(request)), "run")

    @boundary
    def upsert_entity(
        self,
        blueprint: str,
        entity: Mapping[str, Any],
        *,
        run_id: str | None = None,
        merge: bool = True,
        create_missing_related_entities: bool = False,
    ) -> dict[str, Any]:
        """Create an entity, or change the one that has its identifier.

        Args:
            blueprint: The blueprint.
            entity: ``identifier``, and ``title``, ``properties`` and ``relations``.
            run_id: The run in progress to link the entity to.
            merge: Keep the values that *entity* does not name.
            create_missing_related_entities: Create the entities that it relates to.

        Returns:
            The entity, as Port describes it.

        Raises:
            ReportingError: Port did not take it.
            ConfigurationError: An argument is not valid.
        """
        request = _requests.upsert_entity(
            blueprint,
            entity,
            run_id=run_id,
            merge=merge,
            create_missing_related_entities=create_missing_related_entities,
        )
        return _requests.part(drive(self._core.call(request)), "entity")

    @boundary
    def approve(self, run_id: str, description: str | None = None) -> None:
        """Approve a run that waits for it.

        Args:
            run_id: The run.
            description: The reason.

        Raises:
            ReportingError: Port did not take it.
            ConfigurationError: An argument is not valid.
        """
        request = _requests.decide_approval(run_id, "APPROVE", description)
        drive(self._core.call(request))

    @boundary
    def decline(self, run_id: str, description: str | None = None) -> None:
        """Decline a run that waits for approval; see `approve`."""
        request = _requests.decide_approval(run_id, "DECLINE", description)
        drive(self._core.call(request))

    @boundary
    def close(self) -> None:
        """Close the connections, unless the HTTP client is yours."""
        if self._own is not None:
            self._own.close()

    def __enter__(self) -> Self:
        return self

    @boundary
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
