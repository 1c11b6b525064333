"""What an answer means, case by case (the table of answers that shippers get wrong)."""

import pytest

from indexer.answer import (
    ALL_STORED,
    ItemError,
    ItemResult,
    Outcome,
    Stored,
    judge,
    judge_request,
    read_error,
    read_items,
    read_stored,
)
from indexer.nesting import STORED_LEVELS


@pytest.mark.parametrize(
    ("status", "error_type", "outcome"),
    [
        pytest.param(201, "", Outcome.CREATED, id="stored"),
        pytest.param(200, "", Outcome.DUPLICATE, id="dropped by a pipeline: looked up"),
        pytest.param(
            409, "version_conflict_engine_exception", Outcome.DUPLICATE, id="replay after a crash"
        ),
        pytest.param(429, "rejected_execution_exception", Outcome.RETRY, id="queue full"),
        pytest.param(429, "circuit_breaking_exception", Outcome.RETRY, id="breaker"),
        pytest.param(429, "cluster_block_exception", Outcome.BLOCKED, id="flood stage"),
        pytest.param(403, "cluster_block_exception", Outcome.BLOCKED, id="blocked partition"),
        pytest.param(403, "index_create_block_exception", Outcome.BLOCKED, id="no new indices"),
        pytest.param(403, "security_exception", Outcome.HALTED, id="the role forbids it"),
        pytest.param(401, "security_exception", Outcome.HALTED, id="credentials"),
        pytest.param(404, "index_not_found_exception", Outcome.HALTED, id="no auto-create"),
        pytest.param(500, "exception", Outcome.RETRY, id="server error"),
        pytest.param(503, "unavailable_shards_exception", Outcome.RETRY, id="no primary"),
        pytest.param(503, "cluster_block_exception", Outcome.RETRY, id="no cluster manager"),
        pytest.param(400, "mapper_parsing_exception", Outcome.REFUSED, id="bad value"),
        pytest.param(400, "illegal_argument_exception", Outcome.REFUSED, id="immense term"),
        pytest.param(400, "", Outcome.REFUSED, id="400 without a type"),
        pytest.param(400, "validation_exception", Outcome.BLOCKED, id="limit of shards"),
        pytest.param(400, "index_closed_exception", Outcome.BLOCKED, id="closed by an operator"),
        pytest.param(
            400, "resource_already_exists_exception", Outcome.RETRY, id="two made it at once"
        ),
        pytest.param(404, "shard_not_found_exception", Outcome.RETRY, id="a node left alone"),
        pytest.param(413, "", Outcome.TOO_LARGE, id="one item too large"),
        pytest.param(418, "", Outcome.REFUSED, id="unknown 4xx"),
        pytest.param(302, "", Outcome.RETRY, id="no word on the document"),
        pytest.param(0, "", Outcome.RETRY, id="no status"),
    ],
)
def test_an_item_is_judged(status: int, error_type: str, outcome: Outcome) -> None:
    assert judge(status, error_type) is outcome


@pytest.mark.parametrize(
    ("status", "error_type", "outcome"),
    [
        pytest.param(429, "", Outcome.RETRY, id="too many requests"),
        pytest.param(408, "", Outcome.RETRY, id="timeout"),
        pytest.param(500, "", Outcome.RETRY, id="server error"),
        pytest.param(502, "", Outcome.RETRY, id="proxy"),
        pytest.param(503, "", Outcome.RETRY, id="unavailable"),
        pytest.param(204, "", Outcome.RETRY, id="an answer without content"),
        pytest.param(413, "", Outcome.TOO_LARGE, id="too large"),
        pytest.param(400, "", Outcome.HALTED, id="plain HTTP to a TLS port"),
        pytest.param(400, "illegal_argument_exception", Outcome.HALTED, id="not one event's fault"),
        pytest.param(401, "", Outcome.HALTED, id="credentials"),
        pytest.param(403, "security_exception", Outcome.HALTED, id="role"),
        pytest.param(403, "cluster_block_exception", Outcome.BLOCKED, id="blocked"),
        pytest.param(503, "cluster_block_exception", Outcome.RETRY, id="no cluster manager"),
        pytest.param(404, "", Outcome.HALTED, id="another service"),
        pytest.param(302, "", Outcome.HALTED, id="a login page"),
    ],
)
def test_a_request_is_judged(status: int, error_type: str, outcome: Outcome) -> None:
    assert judge_request(status, error_type) is outcome


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        pytest.param("pipeline with id [x] does not exist", Outcome.BLOCKED, id="no pipeline"),
        pytest.param("pipeline with id [x\ny] does not exist", Outcome.BLOCKED, id="two lines"),
        pytest.param("", Outcome.REFUSED, id="no reason"),
        pytest.param("Document contains at least one immense term", Outcome.REFUSED, id="term"),
        pytest.param(
            "bad value [pipeline with id [x] does not exist]", Outcome.REFUSED, id="a quoted event"
        ),
        pytest.param(
            "pipeline with id [x] does not exist: bad value", Outcome.REFUSED, id="more of it"
        ),
    ],
)
def test_a_pipeline_that_is_not_there_is_no_fault_of_an_event(
    reason: str, outcome: Outcome
) -> None:
    assert judge(400, "illegal_argument_exception", reason) is outcome
    assert judge(400, "mapper_parsing_exception", reason) is Outcome.REFUSED


def test_a_whole_request_never_settles_an_event() -> None:
    outcomes = {judge_request(status) for status in range(600)}
    assert outcomes == {Outcome.RETRY, Outcome.HALTED, Outcome.TOO_LARGE}


WHOLE = '{"errors":true,"items":[{"create":{"status":201}},{"create":{"status":400,"error":%s}}]}'


def test_items_come_in_the_order_of_the_request() -> None:
    assert read_items(WHOLE % '{"type":"t","reason":"r"}', 2) == [
        ItemResult(201),
        ItemResult(400, ItemError("t", "r")),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html>",
        "null",
        "[]",
        "{}",
        '{"items":[]}',
        '{"errors":false,"items":null}',
        '{"errors":false,"items":[{"create":{}}]}',
        '{"errors":false,"items":[{"index":{"status":201}}]}',
        '{"errors":false,"items":[{"create":{"status":"201"}}]}',
        '{"errors":false,"items":[{"create":{"status":201}},{"create":{"status":201}}]}',
        '{"errors":false,"items":[{"create":{"status":201}}',
        '{"errors":false,"items":[{"create":{"status":201}}]}x',
        "\ud800",
    ],
)
def test_what_is_no_whole_answer_says_nothing(text: str) -> None:
    assert read_items(text, 1) is None


@pytest.mark.parametrize("levels", [1000, 1_000_000])
def test_an_answer_nested_without_end_says_nothing(levels: int) -> None:
    """It must not end the process: deeper than the decoder's stack, not a fault of the format."""
    nested = '{"x":' + "[" * levels
    assert read_items(nested, 1) is None
    assert read_stored(nested, [["a"]]) is None
    assert read_error(nested) == ItemError()


def test_a_cut_answer_says_nothing_wherever_it_is_cut() -> None:
    whole = WHOLE % '{"type":"t","reason":"r"}'
    assert {read_items(whole[:end], 2) is None for end in range(len(whole))} == {True}


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        pytest.param(
            '{"docs":[{"_id":"a","found":true,"_source":{"hash":"h"}},{"_id":"b","found":false}]}',
            [b'{"hash":"h"}', None],
            id="one stored, one not",
        ),
        pytest.param(
            '{"docs":[{"_id":"a","error":{"type":"index_not_found_exception"}},'
            '{"_id":"b","found":false}]}',
            [None, None],
            id="no such index",
        ),
        pytest.param(
            '{"docs":[{"_id":"a","error":{"type":"no_shard_available_action_exception"}},'
            '{"_id":"b","error":{"type":"index_closed_exception","reason":"closed"}}]}',
            [
                ItemError("no_shard_available_action_exception"),
                ItemError("index_closed_exception", "closed"),
            ],
            id="nobody could look",
        ),
        pytest.param(
            '{"docs":[{"_id":"a"},{"_id":"b"}]}', [ItemError("lookup_failed")] * 2, id="no word"
        ),
        pytest.param('{"docs":[{"_id":"b"},{"_id":"a"}]}', None, id="another order"),
        pytest.param('{"docs":[{"_id":"a"}]}', None, id="one too few"),
        pytest.param("{}", None, id="no docs"),
        pytest.param("", None, id="nothing"),
    ],
)
def test_stored_events_are_read(text: str, stored: list[Stored] | None) -> None:
    assert read_stored(text, [["a"], ["b"]]) == stored


FOUND = '{"_id":"%s","found":true,"_source":{"hash":"h"}}'
ABSENT = '{"_id":"%s","found":false}'
DOWN = '{"_id":"%s","error":{"type":"no_shard_available_action_exception"}}'
NOBODY = ItemError("no_shard_available_action_exception")


@pytest.mark.parametrize(
    ("first", "second", "stored"),
    [
        (FOUND, ABSENT, b'{"hash":"h"}'),
        (ABSENT, FOUND, b'{"hash":"h"}'),
        (ABSENT, ABSENT, None),
        (ABSENT, DOWN, NOBODY),
        (DOWN, ABSENT, NOBODY),
    ],
)
def test_an_event_may_be_stored_under_any_of_its_ids(
    first: str, second: str, stored: Stored
) -> None:
    text = f'{{"docs":[{first % "a"},{second % "old-a"},{ABSENT % "b"}]}}'
    assert read_stored(text, [["a", "old-a"], ["b"]]) == [stored, None]


def test_a_stored_event_is_read_whatever_letters_a_forger_gave_it() -> None:
    stored = r'{"a":"\ud800","b":"\ud83d\ude00","c":"\\ud800","d":"\uDC00\uD800"}'
    text = f'{{"docs":[{{"_id":"a","found":true,"_source":{stored}}}]}}'
    spelled = rb'{"a":"\ufffdd800","b":"\ud83d\ude00","c":"\\ud800","d":"\ufffdDC00\ufffdD800"}'
    assert read_stored(text, [["a"]]) == [spelled]
    raw = '{"docs":[{"_id":"a","found":true,"_source":{"x":"\ud800"}}]}'
    assert read_stored(raw, [["a"]]) == [b'{"x":"\xed\xa0\x80"}']


def test_a_stored_event_is_read_however_deep_a_forger_made_it() -> None:
    deep = "[" * STORED_LEVELS + "]" * STORED_LEVELS
    text = f'{{"docs":[{{"_id":"a","found":true,"_source":{deep}}}]}}'
    assert read_stored(text, [["a"]]) == [deep.encode()]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        pytest.param(
            '{"error":{"type":"cluster_manager_not_discovered_exception","reason":null}}',
            ItemError("cluster_manager_not_discovered_exception"),
            id="without words, as 3.4.0 says that there is no cluster manager",
        ),
        pytest.param(
            '{"error":{"type":"t","reason":"r"},"status":400}', ItemError("t", "r"), id="OpenSearch"
        ),
        pytest.param('{"error":"Unauthorized"}', ItemError("", "Unauthorized"), id="a text"),
        pytest.param("Unauthorized", ItemError(), id="no JSON"),
        pytest.param('{"error":7}', ItemError(), id="another shape"),
        pytest.param("", ItemError(), id="empty"),
    ],
)
def test_an_error_body_is_read(text: str, error: ItemError) -> None:
    assert read_error(text) == error


def test_an_answer_that_stores_all_is_known_without_reading_it() -> None:
    stored = '{"create":{"status":201}}'
    text = '{"errors":false,"items":[' + ",".join([stored] * 3) + "]}"
    assert read_items(text, 3) is ALL_STORED
    assert read_items(text, 2) is None
    assert read_items(text[:-1], 3) is None
    spaced = read_items(text.replace(",", ", "), 3)
    assert spaced is not ALL_STORED
    assert spaced == [ItemResult(201)] * 3
