"""The addresses under which owners make, list and revoke API tokens (`webapi.api_tokens`)."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import msgspec
from flask import Blueprint, Response, request
from msgspec import Struct

from audit_events.catalogue import Catalogue
from webapi.access import admit
from webapi.api_tokens import (
    MAX_ACTIVE,
    REVOCATION_SECONDS,
    ApiToken,
    ApiTokens,
    NewApiToken,
)
from webapi.audit_log import PATH
from webapi.auth import Reader
from webapi.description import BAD_REQUEST_CODES, TOKEN_CODES, Json, operation
from webapi.errors import ForbiddenError, MissingError, ProblemError, UnavailableError
from webapi.kinds import asks
from webapi.parts import parts, reader
from webapi.request import read_pairs, refuse_parameters
from webapi.token_request import TokenRequest, read_body
from webapi.token_text import ID_PATTERN

MAX_BODY_BYTES: Final = 16_384

blueprint: Final = Blueprint("tokens", __name__, url_prefix=f"{PATH}/tokens")
blueprint.before_request(admit)


class TokenList(Struct, frozen=True):
    """The tokens of an organisation: those that can be used, then those that ended."""

    tokens: list[ApiToken]


SHAPES: Final = (TokenList, NewApiToken, TokenRequest)
"""What is sent and answered here."""


@blueprint.get("")
@asks("tokens")
def list_tokens() -> Response:
    """Answer the organisation's tokens, without what would let anybody use them."""
    refuse_parameters(read_pairs(request.query_string))
    tokens = api_tokens(reader())
    return _json(TokenList(tokens.listed(reader())), HTTPStatus.OK)


@blueprint.post("")
@asks("tokens")
def create_token() -> Response:
    """Make a token, and tell it this once."""
    refuse_parameters(read_pairs(request.query_string))
    tokens = api_tokens(reader())
    made = tokens.create(reader(), read_body(_body()))
    response = _json(made, HTTPStatus.CREATED)
    response.headers["Location"] = f"{blueprint.url_prefix}/{made.id}"
    return response


@blueprint.delete("/<token_id>")
@asks("tokens")
def revoke_token(token_id: str) -> Response:
    """Revoke a token; again is the same."""
    refuse_parameters(read_pairs(request.query_string))
    tokens = api_tokens(reader())
    if re.fullmatch(ID_PATTERN, token_id, re.ASCII) is None:
        raise MissingError("token_not_found", "the id is not one of a token")
    tokens.revoke(reader(), token_id)
    return Response(status=HTTPStatus.NO_CONTENT)


def api_tokens(who: Reader) -> ApiTokens:
    """Return what keeps the tokens, for those who may see and change them: for pages as well.

    Raises:
        ForbiddenError: `who` is no owner.
        UnavailableError: there are no API tokens here, by the settings.
    """
    allowed = parts().settings.token_roles
    if who.is_token or who.role not in allowed:
        raise ForbiddenError("tokens_not_allowed", f"this needs the role {' or '.join(allowed)}")
    found = parts().api_tokens
    if found is None:
        raise UnavailableError("tokens_unavailable", "no user that keeps them is set here")
    return found


def _body() -> bytes:
    if not request.is_json:
        raise ProblemError("body_not_json", "send it with Content-Type: application/json")
    if request.content_length is None or request.content_length > MAX_BODY_BYTES:
        raise ProblemError("body_too_large", f"send at most {MAX_BODY_BYTES} bytes, with a length")
    return request.get_data(cache=False)


def _json(body: Struct, status: HTTPStatus) -> Response:
    return Response(msgspec.json.encode(body), status, mimetype="application/json")


def describe(_catalogue: Catalogue) -> Mapping[str, Json]:
    """Describe these addresses."""
    codes = (*BAD_REQUEST_CODES, *TOKEN_CODES, "tokens_not_allowed")
    path = str(blueprint.url_prefix)
    token_id: Json = {
        "name": "token_id",
        "in": "path",
        "required": True,
        "description": "`id` of the token.",
        "schema": {"type": "string", "pattern": ID_PATTERN},
    }
    changes = (*codes, "audit_unavailable")
    return {
        path: {
            **operation("listTokens", "API tokens of the organisation.", "TokenList", codes),
            **operation(
                "createToken",
                "Make an API token for a machine. The answer alone tells it: its digest is kept,"
                f" and a lost one is replaced. At most {MAX_ACTIVE} can be used at a time.",
                "NewApiToken",
                (*changes, "too_many_tokens", "body_too_large", "body_not_json"),
                method="post",
                status=HTTPStatus.CREATED,
                asked="TokenRequest",
            ),
        },
        f"{path}/{{token_id}}": operation(
            "revokeToken",
            "Revoke an API token: refused everywhere at the latest"
            f" {REVOCATION_SECONDS:.0f} seconds later.",
            None,
            (*changes, "token_not_found"),
            [token_id],
            method="delete",
            status=HTTPStatus.NO_CONTENT,
        ),
    }
