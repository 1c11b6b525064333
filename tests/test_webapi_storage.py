"""An answer of the cluster is whole, or an error: never a silent half."""

import json
from typing import Any

import msgspec
import pytest

from indexer.client import Reply
from webapi.errors import IndexGoneError, InternalError, UnavailableError
from webapi.storage_answer import (
    Checkpoint,
    RefreshedReply,
    StatsReply,
    checkpoint_of,
    split_multi,
    whole,
)


def reply(status: int = 200, **parts: Any) -> Reply:  # JSON
    body = {
        "timed_out": False,
        "_shards": {"total": 2, "failed": 0},
        "hits": {"hits": [], "total": {"value": 0, "relation": "eq"}},
    }
    return Reply(status, json.dumps({**body, **parts}), {})


def hit(organization: str) -> dict[str, object]:
    return {"_source": {"id": "x"}, "sort": [organization, 1, "x"]}


def test_events_are_the_bytes_that_are_stored() -> None:
    """Decoded and encoded again, a hash over them could not be recomputed."""
    source = '{"b":1.0,"a":"\\u00e9","n":1e2, "x" : [ ] }'
    text = reply(hits={"hits": ["HIT"]}).text.replace(
        '"HIT"', f'{{"_source":{source},"sort":["org_a",1,"x"]}}'
    )
    (found,) = whole(Reply(200, text, {}), "org_a").hits.hits
    assert bytes(found.source).decode() == source


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        pytest.param(reply(timed_out=True), "storage_timeout", id="timed out"),
        pytest.param(
            reply(_shards={"total": 2, "failed": 1}), "storage_incomplete", id="failed shard"
        ),
        pytest.param(Reply(429, "{}", {}), "storage_unavailable", id="overloaded"),
        pytest.param(Reply(503, "<html>", {}), "storage_unavailable", id="proxy without a node"),
        pytest.param(
            Reply(503, '{"error":{"type":"search_phase_execution_exception"}}', {}),
            "storage_incomplete",
            id="failed shards, refused by the cluster",
        ),
        pytest.param(
            Reply(403, '{"error":{"type":"cluster_block_exception"}}', {}),
            "storage_incomplete",
            id="a partition that somebody blocked",
        ),
        pytest.param(
            Reply(503, '{"error":{"type":"cluster_block_exception"}}', {}),
            "storage_unavailable",
            id="a node without a cluster manager",
        ),
    ],
)
def test_what_another_moment_may_mend(answer: Reply, code: str) -> None:
    with pytest.raises(UnavailableError) as caught:
        whole(answer, "org_a")
    assert caught.value.code == code
    assert caught.value.headers["Retry-After"]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(reply(hits={"hits": [hit("org_b")]}), id="event of another organisation"),
        pytest.param(Reply(200, "<html>", {}), id="not json"),
        pytest.param(Reply(200, "{}", {}), id="another json"),
        pytest.param(Reply(200, reply().text[:-5], {}), id="cut"),
        pytest.param(Reply(200, '{"x":' + "[" * 100_000, {}), id="nested without end"),
        pytest.param(Reply(200, '{"x":"\ud800"}', {}), id="half a character"),
        pytest.param(Reply(400, '{"error":"parse"}', {}), id="refused query"),
        pytest.param(Reply(401, "", {}), id="wrong password"),
        pytest.param(Reply(403, "", {}), id="missing permission"),
        pytest.param(Reply(302, "", {}), id="redirected"),
    ],
)
def test_what_must_not_be_passed_on(answer: Reply) -> None:
    with pytest.raises(InternalError) as caught:
        whole(answer, "org_a")
    assert "org_b" not in caught.value.detail


def test_an_index_that_is_still_empty_has_no_events() -> None:
    found = whole(reply(_shards={"total": 0, "failed": 0}), "org_a")
    assert (found.hits.hits, found.hits.total.value) == ([], 0)


def together(*texts: str) -> Reply:
    """What `_msearch` answers; the status of each part stands in it."""
    return Reply(200, f'{{"took":1,"responses":[{",".join(texts)}]}}', {})


def part(status: int = 200, **more: Any) -> str:  # JSON
    return json.dumps({**json.loads(reply(**more).text), "status": status})


def test_each_answer_of_several_is_judged_by_itself() -> None:
    good, foreign = split_multi(together(part(), part(hits={"hits": [hit("org_b")]})), 2)
    assert whole(good, "org_a").hits.hits == []
    with pytest.raises(InternalError):
        whole(foreign, "org_a")


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param('{"error":{"type":"index_not_found_exception"},"status":404}', id="gone"),
        pytest.param(part(_shards={"total": 1, "failed": 1}), id="failed shard"),
        pytest.param(part(timed_out=True), id="timed out"),
        pytest.param('{"error":{"type":"es_rejected"},"status":429}', id="overloaded"),
    ],
)
def test_one_answer_of_several_that_is_not_whole_spoils_all(bad: str) -> None:
    good, spoilt = split_multi(together(part(), bad), 2)
    whole(good, "org_a")
    with pytest.raises((UnavailableError, IndexGoneError)):
        whole(spoilt, "org_a")


def test_a_refusal_of_all_searches_is_that_of_each() -> None:
    refused = Reply(429, "{}", {})
    assert split_multi(refused, 2) == [refused, refused]


@pytest.mark.parametrize("texts", [(part(),), (part(), part(), part()), ("{}", "{}")])
def test_another_number_of_answers_is_an_error(texts: tuple[str, ...]) -> None:
    with pytest.raises(InternalError):
        split_multi(together(*texts), 2)


def copy(node: str, *, primary: bool, number: int | None = 7) -> dict[str, object]:
    """What `_stats` says of one copy of a shard; a copy that starts knows no number."""
    told: dict[str, object] = {
        "routing": {"primary": primary, "node": node},
        "refresh": {"external_total": 3},
        "segments": {"index_writer_memory_in_bytes": 0},
    }
    return told if number is None else {**told, "seq_no": {"global_checkpoint": number}}


def checkpoint(*shards: list[dict[str, object]]) -> Checkpoint | None:
    told = {"uuid": "u", "shards": {str(number): shard for number, shard in enumerate(shards)}}
    return checkpoint_of("e", msgspec.convert(told, StatsReply.OfIndex))


@pytest.mark.parametrize(
    ("copies", "wanted"),
    [
        pytest.param(
            [copy("a", primary=True), copy("b", primary=False, number=5)],
            Checkpoint("u", 7, copy="a", refreshes=3),
            id="that of the primary",
        ),
        pytest.param([copy("b", primary=False)], None, id="no primary"),
        pytest.param([copy("a", primary=True, number=None)], None, id="a primary that starts"),
        pytest.param(
            [copy("a", primary=True), copy("b", primary=True, number=9)],
            None,
            id="two while it changes, as each node answers for itself",
        ),
    ],
)
def test_how_far_an_index_is(copies: list[dict[str, object]], wanted: Checkpoint | None) -> None:
    assert checkpoint(copies) == wanted


def test_two_shards_have_no_number_in_common() -> None:
    with pytest.raises(InternalError):
        checkpoint([copy("a", primary=True)], [copy("a", primary=True)])


def test_what_could_not_be_refreshed_says_why() -> None:
    text = '{"docs":[{"_id":"-","found":false},{"error":{"type":"no_shard"}}]}'
    found = msgspec.json.decode(text, type=RefreshedReply).docs
    assert [bytes(one.error) for one in found] == [b"", b'{"type":"no_shard"}']
