"""The `port-webhook` command, and its diagnosis of a refused delivery as a function.

::

    from port_webhook.devtools import explain

    print(explain(body, headers, secret))

`explain` needs no extra. The command does: ``pip install "port-webhook[cli]"``.
"""

from __future__ import annotations

from port_webhook.devtools._causes import Cause, Explanation
from port_webhook.devtools._explain import explain

__all__ = ["Cause", "Explanation", "explain"]
