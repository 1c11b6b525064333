"""Who looks at the page."""

from flask import request

from webapi.auth import Reader, authorize
from webapi.parts import parts


def require_reader() -> Reader:
    """Return who asks, if they may read the log.

    Raises:
        TokenError, ForbiddenError, UnavailableError: they may not, or cannot be known.
    """
    found = parts().verify(request.headers.get("Authorization"))
    authorize(found, parts().settings)
    return found
