"""User agents in words."""

import pytest

from webapi.page.browser import describe

_WEBKIT = "AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5"
_CHROME = "(KHTML, like Gecko) Chrome/142.0.0.0"


@pytest.mark.parametrize(
    ("user_agent", "words"),
    [
        (
            f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 {_CHROME} Safari/537.36",
            "Chrome 142 on Windows",
        ),
        (
            f"Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 {_CHROME} Safari/537.36 Edg/142.0",
            "Edge 142 on Windows",
        ),
        (
            f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {_WEBKIT} Safari/605.1.15",
            "Safari 18 on macOS",
        ),
        (
            f"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) {_WEBKIT} Mobile/15E148",
            "Safari 18 on iPhone",
        ),
        (
            "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
            "Firefox 145 on Linux",
        ),
        ("curl/8.5.0", "curl 8.5.0"),
        ("python-requests/2.32", "python-requests 2.32"),
        ("Mozilla/5.0 (Android 15)", "Android"),
        ("<script>alert(1)</script>", None),
        ("", None),
        ("x" * 100_000, None),
    ],
)
def test_a_user_agent_in_words(user_agent: str, words: str | None) -> None:
    assert describe(user_agent) == words
