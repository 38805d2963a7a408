"""Server-sent events (the WHATWG HTML standard, section 9.2), as far as Collimator sends them."""

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Event:
    """What happened."""

    name: str
    """`series.completed`, `series.progress`, `association.opened` and so on."""
    data: dict[str, Any]
    """The payload, as on NATS."""
    id: str | None
    """The position after which a client resumes; nothing for what is kept nowhere (`series.progress`)."""


class EventParser:
    """Makes events of lines."""

    def __init__(self) -> None:
        self._fields: dict[str, str] = {}

    def feed(self, line: str) -> Event | None:
        """Takes a line without its end, and gives the event that it ends."""
        if not line:
            fields, self._fields = self._fields, {}
            if "data" not in fields:
                return None
            data = json.loads(fields["data"]) if fields["data"] else {}
            return Event(fields.get("event", "message"), data, fields.get("id") or None)
        name, _, value = line.partition(":")
        if name:
            value = value.removeprefix(" ")
            # Data of several lines is one text.
            before = self._fields.get(name)
            self._fields[name] = f"{before}\n{value}" if name == "data" and before else value
        return None
