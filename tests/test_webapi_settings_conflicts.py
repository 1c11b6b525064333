"""What must hold between the settings of the group `web`."""

import pytest

from indexer.settings import Secret
from webapi.settings import WebSettings
from webapi.settings_conflicts import conflicts

LONG = Secret("s" * 32)
JWKS = "https://id.example/jwks.json"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        pytest.param(WebSettings(jwt_secret=LONG), [], id="shared secret"),
        pytest.param(
            WebSettings(jwks_url=JWKS, cursor_secret=LONG, session_secret=LONG),
            [],
            id="published keys",
        ),
        pytest.param(
            WebSettings(jwks_url="http://[::1]:80/", cursor_secret=LONG, session_secret=LONG),
            [],
            id="on this host",
        ),
        pytest.param(WebSettings(), ["web.jwt_secret or web.jwks_url"], id="nothing"),
        pytest.param(
            WebSettings(jwt_secret=LONG, jwks_url=JWKS), ["both set"], id="which of the two?"
        ),
        pytest.param(
            WebSettings(jwt_secret=LONG, auditor_roles=("admin",)), ["may only read"], id="both"
        ),
        pytest.param(WebSettings(jwt_secret=Secret("short")), ["too short"], id="guessable"),
        pytest.param(
            WebSettings(jwks_url=JWKS),
            ["web.cursor_secret", "web.session_secret"],
            id="no keys for cursors and sessions",
        ),
        pytest.param(
            WebSettings(jwks_url="http://id.example/", cursor_secret=LONG, session_secret=LONG),
            ["https"],
            id="readable",
        ),
        pytest.param(
            WebSettings(jwks_url="file:///etc/passwd", cursor_secret=LONG, session_secret=LONG),
            ["https"],
            id="a file",
        ),
        pytest.param(
            WebSettings(jwt_secret=LONG, session_secret=Secret("short")),
            ["web.session_secret is too short"],
            id="guessable sessions",
        ),
        pytest.param(
            WebSettings(jwt_secret=LONG, host="0.0.0.0", cookie_secure=False),  # noqa: S104
            ["web.cookie_secure"],
            id="cookies over a network in the clear",
        ),
        pytest.param(
            WebSettings(
                jwt_secret=LONG,
                oidc_issuer="https://id.company.com/realm",
                oidc_client_id="indelible",
                public_url="https://audit.company.com",
            ),
            [],
            id="a provider",
        ),
        pytest.param(
            WebSettings(
                jwt_secret=LONG, oidc_issuer="http://id.company.com", oidc_scopes=("email",)
            ),
            ["oidc_issuer", "oidc_client_id", "openid", "public_url"],
            id="half a provider",
        ),
        pytest.param(
            WebSettings(jwt_secret=LONG, trusted_proxy_networks=("127.0.0.0/8", "::1")),
            [],
            id="a proxy on this host",
        ),
        pytest.param(
            WebSettings(jwt_secret=LONG, trusted_proxy_networks=("10.0.0.0/8",)),
            ["web.trusted_proxy_secret must be set"],
            id="a proxy elsewhere without a secret",
        ),
        pytest.param(
            WebSettings(
                jwt_secret=LONG,
                trusted_proxy_networks=("10.0.0.1/8", "proxy"),
                trusted_proxy_secret=Secret("short"),
                proxy_sign_out_url="javascript:alert(1)",
            ),
            ["10.0.0.1/8", "proxy", "too short", "proxy_sign_out_url"],
            id="a proxy that is none",
        ),
        pytest.param(
            WebSettings(jwt_secret=LONG, proxy_sign_out_url="/oauth2/sign_out"), [], id="sign-out"
        ),
        pytest.param(
            WebSettings(jwt_secret=LONG, proxy_sign_out_url="//evil.example"),
            ["proxy_sign_out_url"],
            id="sign-out elsewhere",
        ),
        pytest.param(
            WebSettings(jwt_secret=LONG, public_url="https://audit.company.com:8443"),
            [],
            id="where browsers find it",
        ),
        *(
            pytest.param(
                WebSettings(jwt_secret=LONG, public_url=url), ["web.public_url"], id=f"url {url}"
            )
            for url in (
                "http://audit.company.com",
                "https://audit.company.com/",
                "https://audit.company.com/log",
                "https://",
                "https://audit.company.com:x",
                "https://ann:pw@audit.company.com",
                "javascript:alert(1)",
                "audit.company.com",
            )
        ),
        pytest.param(
            WebSettings(jwt_secret=LONG, jwt_algorithms=("none", "RS256")),
            ["'none'", "'RS256'"],
            id="algorithms that do not fit a secret",
        ),
        pytest.param(
            WebSettings(
                jwks_url=JWKS,
                cursor_secret=LONG,
                session_secret=LONG,
                jwt_algorithms=("HS256",),
            ),
            ["'HS256'"],
            id="hmac with a public key",
        ),
    ],
)
def test_conflicts(settings: WebSettings, words: list[str]) -> None:
    found = conflicts(settings)
    assert len(found) == len(words), found
    for problem, word in zip(found, words, strict=True):
        assert word in problem
        assert "short" not in problem or "too short" in problem
