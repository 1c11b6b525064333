"""Text of others on a page: seen, and never obeyed."""

import html
import json
import re

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


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("Renée F\u043eurnier", ["\u043e"]),
        ("support-desk@\u0430urora.example", ["\u0430"]),
        ("\u0421I-backup <b>", ["\u0421"]),
        ("П\u0435тp", ["p"]),
        ("\u202eП\u0435тя", []),
        ("\u0391lpha", ["\u0391"]),
        ("Renée Fournier", []),
        ("Дмитрий Соколов d.sokolov@aurora.example", []),
        ("Παπαδόπουλος, 田中 健二, Ελ-Wifi", []),
        ("5\u00b5m", []),
    ],
)
def test_letters_of_another_script_within_a_word_are_marked(text: str, marked: list[str]) -> None:
    shown = str(isolated(text))
    assert re.findall(r'<u class="alike" title="U[+][^"]+">(.)</u>', shown) == marked
    assert html.unescape(re.sub(r"<[^>]+>", "", shown)) == visible(text)


def test_json_that_is_spelled_out_is_the_same_json() -> None:
    value = {"a\u202e": "\U000e0067\x7f<script>"}
    text = json.dumps(value, ensure_ascii=False)
    shown = html.unescape(str(preformatted(text)))
    assert "\u202e" not in shown
    assert json.loads(shown) == value


def test_what_is_cut_says_so() -> None:
    assert shortened("abcdef", 6) == "abcdef"
    assert shortened("abcdefg", 6) == "abcde…"
