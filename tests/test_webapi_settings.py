"""The settings of the group `web`, and what follows from them."""

import pytest

from indexer.settings import Secret
from indexer.settings_reading import read_group
from webapi.settings import WebSettings, algorithms, public_url

LONG = Secret("s" * 32)
JWKS = "https://id.example/jwks.json"


@pytest.mark.parametrize(
    ("settings", "address"),
    [
        pytest.param(WebSettings(), "http://127.0.0.1:8250", id="default"),
        pytest.param(WebSettings(host="::1", port=9), "http://[::1]:9", id="IPv6"),
        pytest.param(WebSettings(host="::"), "http://127.0.0.1:8250", id="everywhere"),
        pytest.param(WebSettings(public_url="https://a.example"), "https://a.example", id="said"),
    ],
)
def test_where_browsers_find_it(settings: WebSettings, address: str) -> None:
    assert public_url(settings) == address


def test_algorithms_follow_from_the_kind_of_key() -> None:
    assert algorithms(WebSettings(jwt_secret=LONG)) == ("HS256",)
    assert algorithms(WebSettings(jwks_url=JWKS)) == ("RS256", "ES256", "EdDSA")
    assert algorithms(WebSettings(jwks_url=JWKS, jwt_algorithms=("ES384",))) == ("ES384",)


def test_settings_come_from_the_environment() -> None:
    environ = {"INDELIBLE_WEB_PORT": "9", "INDELIBLE_WEB_ALLOWED_PLANS": "a,b"}
    settings = read_group("web", WebSettings, environ=environ, document={})
    assert (settings.port, settings.allowed_plans) == (9, ("a", "b"))
