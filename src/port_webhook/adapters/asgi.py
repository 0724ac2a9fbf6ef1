"""ASGI: a middleware that lets only verified deliveries reach an application.

::

    app = PortWebhookMiddleware(app, verifier, paths=["/port"])

The delivery is ``scope["state"]["port_delivery"]``, and the application receives
exactly the payload that was signed. ``lifespan`` and ``websocket`` pass through: a
websocket on a protected path is not verified, since Port opens none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from port_webhook.integration import Endpoint, PathPrefixes, answer, serve

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator

    from port_webhook._verifier import Verifier
    from port_webhook.integration._asgi import Application, Receive, Scope, Send

    Choose = Callable[[Scope], Verifier | Awaitable[Verifier]]


class PortWebhookMiddleware:
    """Verify every request, or those to some paths, before *app* sees it.

    Requests are verified whatever their method. Those that fail are answered here:
    401, 400, 413, 422, or what a replay store says. Nothing is sent to a client that
    is gone.

    Args:
        app: The ASGI application.
        verifier: A `Verifier`, or a function, which may be asynchronous, that takes
            the scope and returns one. None reads the environment when the first
            request comes.
        paths: The path prefixes to protect, such as ``["/port"]``, relative to the
            server's root or to where *app* is mounted; None protects all. See
            `PathPrefixes` for what a prefix covers.

    Raises:
        ConfigurationError: *verifier* is none of these, or *paths* is not a
            collection of path prefixes.
    """

    def __init__(
        self,
        app: Application,
        verifier: Verifier | Choose | None = None,
        *,
        paths: Iterable[str] | None = None,
    ) -> None:
        self.app = app
        try:
            self._endpoint = Endpoint["Scope"](verifier, None, synchronous=False)
        finally:
            del verifier  # whoever sees an error sees this frame
        self._paths = PathPrefixes(paths)
        self._own_roots = [*_root_paths(app)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection (ASGI 3)."""
        if scope["type"] != "http" or not self._is_protected(scope):
            await self.app(scope, receive, send)
            return
        try:
            verifier = await self._endpoint.averifier_for(scope)
            error = await serve(
                self.app,
                verifier,
                scope,
                receive,
                send,
                body_of=lambda error: error.http_body,
            )
        finally:
            del scope  # whoever sees an error sees this frame
        if error is not None:
            await answer(send, error, error.http_body)

    def _is_protected(self, scope: Scope) -> bool:
        # Servers differ in whether a path begins with root_path, and applications in
        # which of the two paths they read.
        root = (scope.get("root_path") or "").encode("utf-8", "surrogateescape")
        path = scope["path"].encode("utf-8", "surrogateescape")
        raw = (scope.get("raw_path") or b"").partition(b"?")[0]
        readings = [path, path.removeprefix(root), root + path]
        readings += [raw, raw.removeprefix(root)] if raw else []
        readings += [
            each.removeprefix(own) for own in self._own_roots for each in readings
        ]
        return any(map(self._paths.covers, readings))


def _root_paths(app: object) -> Iterator[bytes]:
    """Yield the root paths that FastAPI applications were given, and take off later.

    They are looked for through the middlewares around them, not behind mounts.
    """
    while app is not None:
        root = getattr(app, "root_path", None)
        if isinstance(root, str) and root:
            yield root.encode("utf-8", "surrogateescape")
        app = getattr(app, "app", None)
