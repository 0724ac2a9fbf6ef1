"""The Django adapter, through Django's own handlers for WSGI and ASGI."""
