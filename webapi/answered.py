"""Types of what answers hold that Python has no name for, each with what the description says."""

from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Raw

REFERENCE: Final = "#/components/schemas/"

Moment = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
"""An instant. Those of an event are text: a client that spelled one anew would break its hash."""
Verdict = Literal["complete", "lagging", "gaps", "unknown"]
"""Whether anything of a time is known to be missing (`webapi.completeness`)."""
StoredEvent = Annotated[Raw, Meta(extra_json_schema={"$ref": REFERENCE + "Event"})]
"""An event as it was written."""
StoredActor = Annotated[Any, Meta(extra_json_schema={"$ref": REFERENCE + "Actor"})]
"""The actor of one, as it is stored."""
