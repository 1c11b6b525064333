"""`/docs`: the description of the API as one page for people, made of the document itself.

No script and nothing from elsewhere: the page is served under a policy that allows its own
stylesheet, by digest, and nothing else.
"""

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, cast

import msgspec
from flask import Blueprint, Response, render_template
from markupsafe import Markup, escape

from webapi import openapi
from webapi.description import Json
from webapi.parts import parts

STYLE: Final = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
  color: #1a1a1a; background: #fff; }
h2 { margin-top: 3rem; border-top: 1px solid #bbb; padding-top: 1rem; }
code, pre { font: 14px/1.45 ui-monospace, monospace; }
pre { background: #f4f4f4; padding: 1rem; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0;
  border-bottom: 1px solid #ddd; }
.method { font-weight: 700; }
a { color: #0b57d0; }
@media (prefers-color-scheme: dark) {
  body { color: #e6e6e6; background: #161616; } pre { background: #222; } a { color: #8ab4f8; }
  th, td { border-color: #444; }
}
"""
_DIGEST: Final = base64.b64encode(sha256(STYLE.encode()).digest()).decode()
POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_DIGEST}'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'"
)

_code: Final = re.compile("`([^`]+)`")

blueprint: Final = Blueprint("docs", __name__, template_folder="templates")


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation, as the page shows it."""

    id: str
    title: str
    method: str
    path: str
    description: str
    needs_token: bool
    parameters: Sequence[Mapping[str, str]]
    body: str | None
    answer: str | None
    status: str
    refusals: Sequence[tuple[str, str]]


@blueprint.get("/docs")
def show_docs() -> Response:
    """Answer the page."""
    document = openapi.document(parts().catalogue)
    text = render_template(
        "docs/description.html",
        style=STYLE,
        info=document["info"],
        operations=list(operations(document)),
        coded=coded,
    )
    response = Response(text, mimetype="text/html")
    response.headers["Content-Security-Policy"] = POLICY
    return response


def operations(document: Json) -> Iterator[Operation]:
    """Return the operations of a description, in its order. Pure."""
    for path, item in cast("dict[str, dict[str, Json]]", document["paths"]).items():
        for method, one in item.items():
            answers = cast("dict[str, Json]", one["responses"])
            status = next(code for code in answers if code.startswith("2"))
            yield Operation(
                id=str(one["operationId"]),
                title=str(one["summary"]),
                method=method.upper(),
                path=path,
                description=str(one["description"]),
                needs_token=one.get("security") != [],
                parameters=[_parameter(each) for each in _list(one.get("parameters", ()))],
                body=_example(cast("Json", one.get("requestBody", {}))),
                answer=_example(answers[status]),
                status=status,
                refusals=[
                    (code, str(answer["description"]))
                    for code, answer in answers.items()
                    if code != status
                ],
            )


def coded(text: str) -> Markup:
    """Return a text as HTML, with `code` for what stands between backticks."""
    pieces = [escape(piece) for piece in _code.split(text)]
    # Every second one stood between two.
    pieces[1::2] = [Markup("<code>%s</code>") % piece for piece in pieces[1::2]]
    return Markup("").join(pieces)


def _parameter(described: Json) -> Mapping[str, str]:
    schema = cast("Json", described["schema"])
    inner = cast("Json", schema.get("items", schema))
    examples = cast("Sequence[object]", inner.get("examples") or inner.get("enum") or ())
    return {
        "name": str(described["name"]),
        "where": str(described["in"]),
        "description": str(described["description"]),
        "examples": ", ".join(map(str, examples)),
        "default": str(schema.get("default", "")),
    }


def _example(answer: Json) -> str | None:
    for content in cast("dict[str, Json]", answer.get("content", {})).values():
        if "example" in content:
            return msgspec.json.format(msgspec.json.encode(content["example"]), indent=2).decode()
    return None


def _list(value: object) -> Sequence[Json]:
    return cast("Sequence[Json]", value)
