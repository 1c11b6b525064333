"""Where to after signing in: never away from here."""

from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.urls import iri_to_uri

from webapi.sign_in.destination import HOME, safe_destination


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(HOME, id="home"),
        pytest.param(f"{HOME}?action=member.*&since=2026-03-15&q=a%20b", id="a view with filters"),
        pytest.param("/settings/access-control/api-tokens", id="another page"),
    ],
)
def test_our_own_addresses_are_kept(text: str) -> None:
    assert safe_destination(text) == text


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(None, id="none"),
        pytest.param("", id="empty"),
        pytest.param("https://evil.example/settings/", id="another site"),
        pytest.param("//evil.example/settings/", id="another host"),
        pytest.param("/\\evil.example/settings/", id="a backslash that browsers read as a slash"),
        pytest.param("\\\\evil.example", id="two of them"),
        pytest.param("/\t/evil.example", id="a tab that browsers drop"),
        pytest.param("\n//evil.example", id="a newline that browsers drop"),
        pytest.param("javascript:alert(1)", id="a script"),
        pytest.param("settings/", id="relative"),
        pytest.param("/sign-in?next=/settings/", id="the sign-in page itself"),
        pytest.param("/api/organization", id="not a page"),
        pytest.param("/settings/\r\nSet-Cookie: a=b", id="a header"),
        pytest.param("/settings/\n", id="a newline at the end"),
        pytest.param("/settings/ä", id="not ASCII"),
        pytest.param("/settings/" + "a" * 5000, id="a book"),
        pytest.param("/settings/\\..\\evil", id="backslashes within"),
        pytest.param("/settings", id="beside"),
    ],
)
def test_everything_else_leads_home(text: str | None) -> None:
    assert safe_destination(text) == HOME


PATHS = st.from_regex(r"[/\\]{0,3}(settings/)?[\t\n/\\@:.a-z?#%]{0,20}", fullmatch=True)


@given(st.text() | PATHS)
def test_whatever_is_said_the_browser_stays(text: str) -> None:
    found = urlsplit(
        urljoin("https://audit.company.com/sign-in", iri_to_uri(safe_destination(text)))
    )
    assert (found.scheme, found.netloc) == ("https", "audit.company.com")
