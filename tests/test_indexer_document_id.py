"""The `_id` of an event: its UUID, in as few bytes as there are in it."""

import base64
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.document_id import document_id, join_document_ids
from tests.event_ids import event_id_of


@given(st.lists(st.uuids(), min_size=1, max_size=20), st.binary(max_size=4))
def test_each_is_the_base64url_of_its_bytes(ids: list[uuid.UUID], drawn: bytes) -> None:
    """What stands between may be anything but a zero byte."""
    separator = drawn.replace(b"\0", b"")
    expected = [base64.urlsafe_b64encode(one.bytes).rstrip(b"=") for one in ids]
    assert join_document_ids(separator, list(map(str, ids))) == separator.join(expected)
    assert document_id(str(ids[0])) == expected[0].decode()
    assert event_id_of(document_id(str(ids[0]))) == str(ids[0])


def test_of_no_event_there_is_none() -> None:
    assert join_document_ids(b",", []) == b""


@pytest.mark.parametrize(
    "event_id",
    [
        pytest.param("", id="nothing"),
        pytest.param("id-1", id="too short"),
        pytest.param("019cf0d7-3a78-7000-8000-0000000000a", id="a digit too few"),
        pytest.param("019cf0d7-3a78-7000-8000-0000000000a5a5", id="two too many"),
        pytest.param("019cf0d7-3a78-7000-8000-0000000000ag", id="no digit"),
        pytest.param("019cf0d7-3a78-7000-8000-0000000000é5", id="another letter"),
    ],
)
def test_what_is_no_uuid_has_none(event_id: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        document_id(event_id)
