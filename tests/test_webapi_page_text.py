"""Text of others on a page: seen, and never obeyed."""

import html
import json

import pytest

from webapi.page.text import isolated, preformatted, shortened, visible


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("plain", "plain"),
        ("Ana María 👩‍👩‍👧‍👦 محمد", "Ana María 👩‍👩‍👧‍👦 محمد"),
        ("a\u202eb", r"a\u202eb"),
        ("\x00\x07\x7f\x9b", r"\u0000\u0007\u007f\u009b"),
        ("line\nbreak\ttab", "line\nbreak\ttab"),
        ("\U000e0067", r"\u{e0067}"),
        ("\ufeff\u200b", r"\ufeff\u200b"),
    ],
)
def test_what_would_be_obeyed_is_spelled_out(text: str, seen: str) -> None:
    assert visible(text) == seen


def test_markup_is_text_in_isolation() -> None:
    assert isolated("<b>&\"'") == "<bdi>&lt;b&gt;&amp;&#34;&#39;</bdi>"


def test_json_that_is_spelled_out_is_the_same_json() -> None:
    value = {"a\u202e": "\U000e0067\x7f<script>"}
    text = json.dumps(value, ensure_ascii=False)
    shown = html.unescape(str(preformatted(text)))
    assert "\u202e" not in shown
    assert json.loads(shown) == value


def test_what_is_cut_says_so() -> None:
    assert shortened("abcdef", 6) == "abcdef"
    assert shortened("abcdefg", 6) == "abcde…"
