"""From one page to the next: the `Link` header (RFC 8288).

A link is a query alone, `<?limit=50&cursor=…>`. Resolved against the address that was asked (RFC
3986, section 5.2) it leads there again, whatever host, scheme and prefix a proxy has put before it;
an absolute one would be made of headers that a client can write.
"""

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlencode

from flask import Response

MAX_LINK_CHARACTERS: Final = 3000
"""Proxies refuse an answer whose headers are long (nginx: 4 KiB by default); `nextCursor` is in the
answer in any case."""


def links(pairs: Sequence[tuple[str, str]], limit: int, cursor: str | None) -> str:
    """Return the `Link` header: `self`, and `next` where there is more; one too long is left out.

    Args:
        pairs: all that was asked for.
        limit: of the page, whether it was asked for or not.
        cursor: of the next page.
    """
    kept = [(name, text) for name, text in pairs if name not in {"limit", "offset", "cursor"}]
    kept.append(("limit", str(limit)))
    places = [(name, text) for name, text in pairs if name in {"offset", "cursor"}]
    found = [_link("next", [*kept, ("cursor", cursor)])] if cursor is not None else []
    found.append(_link("self", [*kept, *places]))
    header = ""
    for link in found:
        longer = f"{header}, {link}" if header else link
        header = longer if len(longer) <= MAX_LINK_CHARACTERS else header
    return header


def set_links(
    response: Response, pairs: Sequence[tuple[str, str]], limit: int, cursor: str | None
) -> Response:
    """Return a response with the links of its page."""
    header = links(pairs, limit, cursor)
    if header:
        response.headers["Link"] = header
    return response


def _link(relation: str, pairs: Sequence[tuple[str, str]]) -> str:
    return f'<?{urlencode(pairs)}>; rel="{relation}"'
