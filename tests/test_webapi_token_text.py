"""The text of an API token: recognisable, unguessable, checked before anybody is asked."""

import re

import pytest

from webapi.token_text import PATTERN, checksum, digest, new_token, read_id


def test_a_token_names_its_id_and_is_found_by_scanners_of_secrets() -> None:
    token_id, text = new_token()
    assert read_id(text) == token_id
    assert re.search(rf"\b{PATTERN}\b", f'API_TOKEN="{text}"') is not None
    assert len(text) == 74
    assert text not in digest(text)


def test_no_two_tokens_are_alike() -> None:
    assert len({text for _ in range(200) for text in new_token()}) == 400


def test_the_checksum_is_crc_32_in_base_62() -> None:
    """So that a scanner in another language can check it: CRC-32 of this text is 0xcbf43926."""
    assert checksum("123456789") == "3jZRME"
    assert checksum("") == "000000"


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda text: text[:-1], id="cut"),
        pytest.param(lambda text: text + "0", id="longer"),
        pytest.param(lambda text: text.upper(), id="upper case"),
        pytest.param(lambda text: text + "\n", id="a newline at the end"),
        pytest.param(lambda text: "gh_" + text[5:], id="another beginning"),
        pytest.param(lambda text: text[:30] + "_" + text[31:], id="another alphabet"),
        pytest.param(lambda text: text[:5] + text[6:] + "0", id="shifted"),
        pytest.param(lambda text: text[:0], id="nothing"),
    ],
)
def test_what_is_not_whole_is_no_token(spoil: "type[str]") -> None:
    assert read_id(spoil(new_token()[1])) is None


def test_one_mistyped_character_is_seen() -> None:
    _, text = new_token()
    for place in range(5, len(text)):
        other = "a" if text[place] != "a" else "b"
        assert read_id(text[:place] + other + text[place + 1 :]) is None
