"""A cluster that is too old is told so in words, before anything is changed."""

from collections.abc import Mapping

import msgspec
import pytest

from indexer.errors import RefusedError, VersionError
from indexer.version import check_version, find_older, read_version
from tests.cluster import Cluster
from tests.faults import UNREACHABLE, Faults, connect_through


@pytest.mark.parametrize(
    ("versions", "older"),
    [
        pytest.param({"a": "3.3.0"}, [], id="the oldest that will do"),
        pytest.param({"a": "3.10.1", "b": "4.0.0"}, [], id="numbers, not text"),
        pytest.param({"a": "3.3.0-SNAPSHOT"}, [], id="built by hand"),
        pytest.param({"a": "3.2.0"}, ["a"], id="one minor too old"),
        pytest.param({"a": "2.19.4"}, ["a"], id="one major too old"),
        pytest.param({"a": "3.4.0", "b": "3.2.0"}, ["b"], id="half upgraded"),
    ],
)
def test_a_node_that_is_older_than_the_mapping_needs_is_found(
    versions: Mapping[str, str], older: list[str]
) -> None:
    assert list(find_older(versions)) == older


def test_what_is_no_version_is_no_old_one() -> None:
    with pytest.raises(ValueError, match="is no version"):
        read_version("three")


def answering(nodes: Mapping[str, Mapping[str, str]]) -> Faults:
    text = msgspec.json.encode({"nodes": nodes}).decode()
    return Faults(lambda *_: lambda _send, _body: (200, {}, text))


def test_the_error_names_the_node_and_the_next_step() -> None:
    script = answering(
        {"u1": {"name": "os-1", "version": "3.4.0"}, "u2": {"name": "os-2", "version": "3.2.0"}}
    )
    with (
        connect_through(UNREACHABLE, script, role="lifecycle") as client,
        pytest.raises(VersionError) as raised,
    ):
        check_version(client)
    assert str(raised.value) == "OpenSearch 3.3 or newer is needed, and os-2 is 3.2.0"
    assert "upgrade" in raised.value.hint


def test_something_else_that_answers_is_an_error() -> None:
    script = answering({"u1": {"name": "a", "version": "new"}})
    with (
        connect_through(UNREACHABLE, script, role="lifecycle") as client,
        pytest.raises(RefusedError, match="not_an_answer"),
    ):
        check_version(client)


@pytest.mark.opensearch
def test_the_lifecycle_user_may_ask_and_this_cluster_will_do(opensearch: Cluster) -> None:
    with opensearch.client("lifecycle") as client:
        check_version(client)
