"""Everything that the API refuses, as one tree; each becomes one RFC 9457 answer.

* WebError
    * IndexGoneError        an index that was listed, or its copy, is there no more; asked anew
    * StoppingError         this process ends, and reads nothing more; never answered
    * ParameterError        one value is wrong; collected, never answered alone
    * ProblemError          an answer with a stable `code`
        * ParametersError       400: every bad parameter of the request at once
        * TokenError            401: no token, or one that proves nothing
        * ForbiddenError        403: a good token of somebody who may not read
            * ScopeError            403: an API token that is for something else
        * MissingError          404: no such event for this organisation
        * ConflictError         409: it cannot be done as things are
        * LimitError            429: the organisation asks too often
        * UnavailableError      503, 504: storage, keys or the trail of reads do not answer
            * PartitionsChangedError    503: partitions came and went at each attempt
        * TooLongError          422: more events than one answer can be made of
        * InternalError         500: an answer of the storage that must not be passed on
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from msgspec import Struct


class Code(NamedTuple):
    """What a stable error code stands for."""

    status: int
    title: str


PAGE_CODES: Final[Mapping[str, Code]] = MappingProxyType(
    {
        "session_too_large": Code(400, "Signing in does not work for this person"),
        "sign_in_failed": Code(403, "Signing in did not work"),
        "sign_out_not_offered": Code(404, "Signing out ends here"),
        "heads_not_found": Code(404, "There are no signed heads yet"),
        "session_missing": Code(401, "Nobody is signed in"),
        "request_forged": Code(403, "The request was not made by a page of this service"),
        "links_not_offered": Code(403, "One-time links do not sign in here"),
        "provider_unavailable": Code(503, "The identity provider does not answer"),
        "session_unavailable": Code(503, "Sessions cannot be told at the moment"),
    }
)
"""The codes of the web page alone, of which no client of the API hears."""

CODES: Final[Mapping[str, Code]] = MappingProxyType(
    {
        **PAGE_CODES,
        "parameters_invalid": Code(400, "The request has parameters that are wrong"),
        "request_malformed": Code(400, "The request cannot be read"),
        "token_missing": Code(401, "A bearer token is needed"),
        "token_invalid": Code(401, "The bearer token is not valid"),
        "token_expired": Code(401, "The bearer token has expired"),
        "role_not_allowed": Code(403, "Audit logs are for owners and admins"),
        "plan_not_allowed": Code(403, "The plan does not include audit logs"),
        "scope_not_allowed": Code(403, "The API token is not for this"),
        "tokens_not_allowed": Code(403, "API tokens are for owners"),
        "event_not_found": Code(404, "There is no such event"),
        "token_not_found": Code(404, "There is no such API token"),
        "route_not_found": Code(404, "There is nothing at this address"),
        "method_not_allowed": Code(405, "This address does not take this method"),
        "too_many_tokens": Code(409, "There are as many API tokens as there may be"),
        "body_too_large": Code(413, "The body is too large"),
        "body_not_json": Code(415, "The body has to be JSON"),
        "history_too_long": Code(422, "There are more events than can be folded into an answer"),
        "rate_limited": Code(429, "The organisation asks too often"),
        "internal_error": Code(500, "Something is wrong on our side"),
        "storage_unavailable": Code(503, "The event store does not answer"),
        "storage_incomplete": Code(503, "The event store could only answer in part"),
        "keys_unavailable": Code(503, "The keys to verify tokens cannot be fetched"),
        "tokens_unavailable": Code(503, "API tokens cannot be looked up"),
        "export_busy": Code(503, "As many exports are under way as may be"),
        "audit_unavailable": Code(503, "The read could not be recorded"),
        "not_ready": Code(503, "The service is not ready"),
        "storage_timeout": Code(504, "The event store took too long"),
    }
)
"""The codes a client may rely on; a code never changes its meaning."""

_not_in_challenge: Final = re.compile(r"[^\x20-\x21\x23-\x5b\x5d-\x7e]")
"""What a description in a challenge may not have (RFC 6750, section 3)."""
PARAMETER_CODES: Final = (
    "unknown_parameter",
    "unknown_field",
    "repeated",
    "empty",
    "required",
    "invalid",
    "out_of_range",
    "unknown_value",
    "conflict",
)
"""The codes of single parameters, in `errors[].code` of a `parameters_invalid` answer."""


RETRY_AFTER: Final = "Retry-After"
"""The header with the seconds until a request may be made again; a body tells them too."""


class WebError(Exception):
    """Base of all errors of this package."""


class IndexGoneError(WebError):
    """An index that was listed is not there any more, or no copy of it where it was asked for."""


class StoppingError(WebError):
    """This process ends, so nothing more is read in it."""


class ParameterProblem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is wrong with one parameter, as it stands in `errors` of the answer."""

    parameter: str
    code: str
    reason: str
    position: int | None = None
    hint: str | None = None
    allowed: tuple[str, ...] | None = None
    nearest: tuple[str, ...] | None = None


class ParameterError(WebError):
    """One value that cannot be taken; whoever reads the request adds the parameter's name.

    Args:
        code: one of `PARAMETER_CODES`.
        reason: a sentence for the caller: what was expected.
        position: where in the value, in characters (code points) from its beginning.
        hint: the place, shown: a line of the value, and below it a caret.
        allowed: all values there are, where they are few.
        nearest: the values that were perhaps meant, where they are many.
    """

    def __init__(
        self,
        code: str,
        reason: str,
        *,
        position: int | None = None,
        hint: str | None = None,
        allowed: tuple[str, ...] = (),
        nearest: tuple[str, ...] = (),
    ) -> None:
        self.code = code
        self.reason = reason
        self.position = position
        self.hint = hint
        self.allowed = allowed
        self.nearest = nearest
        super().__init__(reason)

    def of(self, parameter: str) -> ParameterProblem:
        """Return this problem under the name of the parameter it was found in."""
        return ParameterProblem(
            parameter=parameter,
            code=self.code,
            reason=self.reason,
            position=self.position,
            hint=self.hint,
            allowed=self.allowed or None,
            nearest=self.nearest or None,
        )


class ProblemError(WebError):
    """An answer other than the one asked for.

    Args:
        code: a key of `CODES`.
        detail: a sentence about this occurrence, safe to show to the caller.
        headers: headers that the answer needs.
    """

    def __init__(
        self, code: str, detail: str, *, headers: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self.code = code
        self.detail = detail
        self.headers = headers
        super().__init__(f"{code}: {detail}")

    @property
    def status(self) -> int:
        """The HTTP status of the code."""
        return CODES[self.code].status


class ParametersError(ProblemError):
    """All parameters of one request that cannot be taken."""

    def __init__(self, problems: tuple[ParameterProblem, ...]) -> None:
        self.problems = problems
        what = "; ".join(f"{problem.parameter}: {problem.reason}" for problem in problems)
        super().__init__("parameters_invalid", what)


CHALLENGE: Final = 'Bearer realm="audit-log"'


class TokenError(ProblemError):
    """No proof of who asks; carries the challenge of RFC 6750, section 3."""

    def __init__(self, code: str, detail: str) -> None:
        challenge = CHALLENGE
        if code != "token_missing":
            # The name of a claim is the operator's to choose.
            description = _not_in_challenge.sub("?", detail)
            challenge += f', error="invalid_token", error_description="{description}"'
        super().__init__(code, detail, headers={"WWW-Authenticate": challenge})


class ForbiddenError(ProblemError):
    """Known, but may not read."""


class ScopeError(ForbiddenError):
    """An API token that is for something else; says which it takes (RFC 6750, section 3.1)."""

    def __init__(self, needed: str | None) -> None:
        reason, headers = "no API token is", dict[str, str]()
        if needed is not None:
            reason = f"it needs the scope {needed}"
            challenge = f'{CHALLENGE}, error="insufficient_scope", scope="{needed}"'
            headers["WWW-Authenticate"] = challenge
        super().__init__("scope_not_allowed", reason, headers=headers)


ROUTING_CODES: Final = ("route_not_found", "method_not_allowed")
"""Answered where there is no operation, so no operation lists them."""
LOOK_FOR_ROUTES: Final = "look into /docs for what there is"
"""Of `route_not_found`; the same where something is merely off."""


class MissingError(ProblemError):
    """Not there, or another organisation's: the caller cannot tell which."""


class TooLongError(ProblemError):
    """More than is read for one answer; a narrower question has one."""


class ConflictError(ProblemError):
    """Cannot be done as things are."""


class LimitError(ProblemError):
    """An organisation asks more often than it may.

    Args:
        name: of the limit.
        limit: requests a minute.
        retry_after_seconds: until one more may come.
    """

    def __init__(self, name: str, limit: int, retry_after_seconds: int) -> None:
        detail = f"your organisation may ask {limit} times a minute here ({name})"
        super().__init__("rate_limited", detail, headers={RETRY_AFTER: str(retry_after_seconds)})


class UnavailableError(ProblemError):
    """Something that is needed does not answer; asking again later may help."""

    def __init__(self, code: str, detail: str, *, retry_after_seconds: int = 5) -> None:
        super().__init__(code, detail, headers={RETRY_AFTER: str(retry_after_seconds)})


class TooSlowError(UnavailableError):
    """The store takes too long for what was asked."""

    def __init__(self) -> None:
        super().__init__("storage_timeout", "the question took too long; ask for a shorter time")


class NoCopyError(UnavailableError):
    """A part of the index has no copy that could be asked, for a moment while its first starts."""

    def __init__(self) -> None:
        super().__init__("storage_incomplete", "a part of the index has no copy that could answer")


class PartitionsChangedError(UnavailableError):
    """The indices were others at each attempt, so no answer is known to be whole."""

    def __init__(self) -> None:
        super().__init__("storage_incomplete", "partitions came and went meanwhile")


class InternalError(ProblemError):
    """A fault of ours; `cause` goes to the log, never to the caller."""

    def __init__(self, cause: str) -> None:
        self.cause = cause
        super().__init__("internal_error", "The fault is logged; ask again, or tell the operator.")


class ForeignEventError(InternalError):
    """Something in an answer is of another organisation, too or alone."""
