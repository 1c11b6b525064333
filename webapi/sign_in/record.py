"""What signing in and out leaves in the audit log of the person's organisation.

    audit_log.signed_in         before the session begins; where it cannot be recorded, it does not
    audit_log.sign_in_refused   the same for a role or plan that does not include the log
    audit_log.signed_out        after the session has ended; it ends whether or not that is recorded

Where nobody was proved to be anybody (a forged token, a used link) there is no organisation to
tell: that goes to the service's own log, without what was sent.
"""

import structlog

from audit_events.binding import request_facts
from webapi.auth import Reader, authorize
from webapi.errors import ForbiddenError, ProblemError
from webapi.parts import parts
from webapi.trail import event_fields

_log = structlog.get_logger("webapi")


def record_sign_in(reader: Reader, method: str) -> None:
    """Record that somebody signs in, and whether they may see anything.

    Raises:
        UnavailableError: it cannot be recorded.
    """
    try:
        authorize(reader, parts().settings)
    except ForbiddenError as error:
        context = {"method": method, "reason": error.code}
        _tell("audit_log.sign_in_refused", reader, context, result="denied")
    else:
        _tell("audit_log.signed_in", reader, {"method": method})


def record_sign_out(reader: Reader, method: str) -> None:
    """Record that somebody signed out; who cannot be kept in for want of a record."""
    try:
        _tell("audit_log.signed_out", reader, {"method": method})
    except ProblemError as error:
        _log.warning("sign-out not recorded", cause=str(error.__cause__ or error.detail))


def note_failure(method: str, why: str) -> None:
    """Tell the operator of an attempt that proved nothing."""
    _log.warning("sign-in failed", method=method, why=why)


def _tell(action: str, reader: Reader, context: dict[str, str], result: str | None = None) -> None:
    tell = parts().tell
    if tell is not None:
        tell(action, event_fields(reader, request_facts(), context=context, result=result))
