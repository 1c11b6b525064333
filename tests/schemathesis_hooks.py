"""What schemathesis is told besides the description."""

from typing import Any

import schemathesis


@schemathesis.hook
def map_query(_context: object, query: dict[str, Any] | None) -> dict[str, Any] | None:
    """Let no poll wait: its half minute is the description's, and there are hundreds of cases."""
    if query and "wait" in query:
        query["wait"] = "0s"
    return query
