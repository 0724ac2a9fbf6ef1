"""The definition of an automation that runs an action, to be given to Port."""

from __future__ import annotations

import json
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from port_webhook._tracebacks import boundary
from port_webhook.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Automation"]

Event = Literal[
    "ENTITY_CREATED",
    "ENTITY_UPDATED",
    "ENTITY_DELETED",
    "ANY_ENTITY_CHANGE",
    "TIMER_PROPERTY_EXPIRED",
    "RUN_CREATED",
    "RUN_UPDATED",
    "ANY_RUN_CHANGE",
]


@dataclass(frozen=True)
class Automation:
    """An automation that runs a self-service action when something happens in Port.

    Port calls its own API then, and needs no credentials for it ("Trigger Port API").
    ``str()`` prints the JSON that Port's editor of automations takes.

    Args:
        identifier: The automation's own identifier.
        action: The identifier of the action to run.
        event: The event that triggers it.
        of: The blueprint of the entities, or the identifier of the action whose runs
            it watches.
        properties: The inputs of the action; they may hold templates such as ``{{
            .event.diff.after.title }}``.
        title: The name that people see.
        property: The property, for a timer that expires.
        conditions: JQ expressions that must be true.
        combinator: Whether all of them must be true, or any.
        run_as: The email address of the user whose run it is.
        entity: The identifier of the entity, for an action on one.
        publish: Whether the automation is active.
        base_url: The address of Port's API in your region.
    """

    identifier: str
    _: KW_ONLY
    action: str
    event: Event
    of: str
    properties: Mapping[str, Any] | None = None
    title: str | None = None
    property: str | None = None
    conditions: Sequence[str] = ()
    combinator: Literal["and", "or"] = "and"
    run_as: str | None = None
    entity: str | None = None
    publish: bool = True
    base_url: str = "https://api.port.io"

    @boundary
    def to_dict(self) -> dict[str, Any]:
        """Return the definition as Port's API takes it."""
        trigger: dict[str, Any] = {"type": "automation", "event": self._event()}
        if self.conditions:
            trigger["condition"] = {
                "type": "JQ",
                "expressions": [*self.conditions],
                "combinator": self.combinator,
            }
        title = {} if self.title is None else {"title": self.title}
        entity = {} if self.entity is None else {"entity": self.entity}
        return {
            "identifier": self.identifier,
            **title,
            "trigger": trigger,
            "invocationMethod": {
                "type": "WEBHOOK",
                "url": self._url(),
                "synchronized": True,
                "method": "POST",
                "body": {"properties": dict(self.properties or {}), **entity},
            },
            "publish": self.publish,
        }

    @boundary
    def to_json(self, *, indent: int | None = 2) -> str:
        """Return the definition as JSON.

        Args:
            indent: The number of spaces; None for a single line.

        Raises:
            ConfigurationError: JSON cannot express the inputs.
        """
        try:
            return json.dumps(
                self.to_dict(), indent=indent, ensure_ascii=False, allow_nan=False
            )
        except (TypeError, ValueError, RecursionError):
            raise ConfigurationError("JSON cannot express the properties")

    def __str__(self) -> str:
        return self.to_json()

    def _event(self) -> dict[str, str]:
        is_run = "RUN" in self.event
        found = {
            "type": self.event,
            ("actionIdentifier" if is_run else "blueprintIdentifier"): self.of,
        }
        if self.property is not None:
            found["propertyIdentifier"] = self.property
        return found

    def _url(self) -> str:
        url = (
            f"{self.base_url.rstrip('/')}/v1/actions/{quote(self.action, safe='')}/runs"
        )
        if self.run_as is None:
            return url
        # A template is left as it is.
        is_template = "{{" in self.run_as
        user = self.run_as if is_template else quote(self.run_as, safe="@")
        return f"{url}?run_as={user}"
