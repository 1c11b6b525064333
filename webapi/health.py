"""Whether the process lives, and whether it can answer: for load balancers and supervisors."""

from typing import Final

import msgspec
from flask import Blueprint, Response
from msgspec import Struct

from webapi.errors import UnavailableError
from webapi.parts import parts

blueprint: Final = Blueprint("health", __name__)


class Alive(Struct, frozen=True):
    """The process answers."""

    status: str = "alive"


class Ready(Struct, frozen=True, rename="camel"):
    """The service can answer questions.

    Args:
        template: `present`, or `unknown` where the reader's role may search and may not look.
        reads_recorded: whether reads become `audit_log.viewed`.
    """

    template: str
    reads_recorded: bool
    status: str = "ready"


@blueprint.get("/healthz")
def healthz() -> Response:
    """Answer as long as the process does; asks nobody."""
    return Response(msgspec.json.encode(Alive()), mimetype="application/json")


@blueprint.get("/readyz")
def readyz() -> Response:
    """Answer 200 when OpenSearch lets the reader ask and the index template is there, else 503."""
    template = parts().storage.template_state()
    if template == "refused":
        raise UnavailableError(
            "not_ready", "OpenSearch refuses the reader; check its user name, password and role"
        )
    if template == "missing":
        raise UnavailableError(
            "not_ready", "the index template is missing; run `indelible indices apply`"
        )
    ready = Ready(template=template, reads_recorded=parts().record is not None)
    return Response(msgspec.json.encode(ready), mimetype="application/json")
