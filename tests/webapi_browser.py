"""A browser without JavaScript: follows redirects, fills in forms, keeps cookies."""

import re
from html import unescape

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

HTML = {"Accept": "text/html"}


def form_fields(page: str) -> dict[str, str]:
    """Return the hidden fields of the page's last form."""
    form = page[page.rindex("<form") :]
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form)
    return {name: unescape(value) for name, value in found}


def visit(client: FlaskClient, path: str) -> TestResponse:
    """Open a page, as a navigation of a browser that says so in no header."""
    return client.get(path, headers=HTML)


def submit(client: FlaskClient, page: TestResponse, **changed: str) -> TestResponse:
    """Press the button of the page's last form; `changed` replaces fields of it."""
    text = page.text
    action = re.search(r'<form method="post" action="([^"]+)"', text[text.rindex("<form") :])
    assert action is not None, text
    return client.post(unescape(action[1]), data={**form_fields(text), **changed}, headers=HTML)
