"""`AsyncPortClient`: the asynchronous client."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import httpx2

from port_webhook._tracebacks import boundary
from port_webhook.exceptions import ConfigurationError
from port_webhook.reporting import _requests
from port_webhook.reporting._core import AsyncIO, Core
from port_webhook.reporting._logging import TaskPump
from port_webhook.reporting._options import (
    make_timeout,
    read_credentials,
    read_environment,
    read_run_id,
    read_settings,
)
from port_webhook.reporting._run import AsyncRun, RunState

if TYPE_CHECKING:
    from collections.abc import Mapping
    from logging import Logger
    from types import TracebackType
    from typing import Self, Unpack

    from port_webhook.reporting._options import AsyncClientOptions, HasRunId

__all__ = ["AsyncPortClient"]


class AsyncPortClient:
    """`PortClient` for ``async with`` and ``await``.

    It belongs to the event loop in which it is first used. The arguments are those of
    `PortClient`, but ``http_client`` is an `httpx2.AsyncClient`, and ``sleep`` is
    awaited.
    """

    @boundary
    def __init__(
        self,
        client_id: str,
        client_secret: str | bytes | Any,
        **options: Unpack[AsyncClientOptions],
    ) -> None:
        settings = read_settings(options, time.time)
        http_client = options.get("http_client")
        if http_client is not None and not isinstance(http_client, httpx2.AsyncClient):
            raise ConfigurationError("http_client must be an httpx2.AsyncClient")
        own = None
        if http_client is None:
            timeout = make_timeout(settings.timeout)
            http_client = own = httpx2.AsyncClient(timeout=timeout)
        credentials = read_credentials(client_id, client_secret)
        io = AsyncIO(http_client, options.get("sleep", asyncio.sleep))
        self._own = own
        self._core = Core(*credentials, settings, io)

    @classmethod
    @boundary
    def from_env(cls, **options: Unpack[AsyncClientOptions]) -> Self:
        """Do what `PortClient.from_env` does."""
        return cls(*read_environment(options), **options)

    @boundary
    def report(
        self,
        delivery: HasRunId | str | None,
        *,
        error_text: bool | None = None,
        logger: str | Logger | None = None,
        level: int | None = None,
    ) -> AsyncRun:
        """Do what `PortClient.report` does, for ``async with``."""
        settings = self._core.settings
        state = RunState(
            self._core,
            read_run_id(delivery),
            TaskPump,
            error_text=settings.error_text if error_text is None else error_text,
            logger=settings.logger if logger is None else logger,
            level=settings.level if level is None else level,
        )
        return AsyncRun(state)

    @boundary
    async def run_action(
        self,
        identifier: str,
        properties: Mapping[str, Any] | None = None,
        *,
        run_as: str | None = None,
        entity: str | None = None,
    ) -> dict[str, Any]:
        """Do what `PortClient.run_action` does."""
        request = _requests.run_action(identifier, properties or {}, run_as, entity)
        return _requests.part(await self._core.call(request), "run")

    @boundary
    async def upsert_entity(
        self,
        blueprint: str,
        entity: Mapping[str, Any],
        *,
        run_id: str | None = None,
        merge: bool = True,
        create_missing_related_entities: bool = False,
    ) -> dict[str, Any]:
        """Do what `PortClient.upsert_entity` does."""
        request = _requests.upsert_entity(
            blueprint,
            entity,
            run_id=run_id,
            merge=merge,
            create_missing_related_entities=create_missing_related_entities,
        )
        return _requests.part(await self._core.call(request), "entity")

    @boundary
    async def approve(self, run_id: str, description: str | None = None) -> None:
        """Do what `PortClient.approve` does."""
        request = _requests.decide_approval(run_id, "APPROVE", description)
        await self._core.call(request)

    @boundary
    async def decline(self, run_id: str, description: str | None = None) -> None:
        """Do what `PortClient.decline` does."""
        request = _requests.decide_approval(run_id, "DECLINE", description)
        await self._core.call(request)

    @boundary
    async def aclose(self) -> None:
        """Close the connections, unless the HTTP client is yours."""
        if self._own is not None:
            await self._own.aclose()

    async def __aenter__(self) -> Self:
        return self

    @boundary
    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()
