"""The instrument of the benchmarks: what it counts is what was sent."""

import gzip
import http.client
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.corpus import write_corpus
from bench.null_sink import BUFFER_BYTES, NullSink, Options, null_sink

ACTION = b'{"create":{"_index":"i","_id":"1"}}\n'


@pytest.fixture(scope="module")
def sink() -> Iterator[NullSink]:
    with null_sink(Options(distinct=True, marks=True)) as running:
        yield running


def body_of(lines: list[bytes]) -> bytes:
    return b"".join(ACTION + line for line in lines)


def mark(number: int, pad: int = 0) -> bytes:
    return b'{"correlationId":"mark-%d","pad":"%b"}\n' % (number, b"x" * pad)


def post(sink: NullSink, *bodies: bytes, path: str = "/_bulk", **headers: str) -> list[bytes]:
    """Send bodies by one connection."""
    sink.reset()
    connection = http.client.HTTPConnection("127.0.0.1", sink.port, timeout=10)
    answers: list[bytes] = []
    for body in bodies:
        connection.request("POST", path, body, {k.replace("_", "-"): v for k, v in headers.items()})
        answers.append(connection.getresponse().read())
    connection.close()
    return answers


def test_every_event_is_counted_once_with_an_item_for_each(sink: NullSink) -> None:
    answers = post(sink, body_of([mark(1), mark(2)]), body_of([mark(3)]))
    items = [json.loads(answer)["items"] for answer in answers]
    assert [[item["create"]["status"] for item in some] for some in items] == [[201, 201], [201]]
    assert (sink.tally().events, sink.tally().requests) == (3, 2)


def test_an_answer_is_trimmed_only_where_that_is_asked_for(sink: NullSink) -> None:
    (whole,) = post(sink, body_of([mark(1)]))
    (short,) = post(sink, body_of([mark(1)]), path="/_bulk?filter_path=items.*.status")
    assert "_id" in json.loads(whole)["items"][0]["create"]
    assert json.loads(short) == {"errors": False, "items": [{"create": {"status": 201}}]}


def test_a_body_of_many_blocks_is_counted_whole(sink: NullSink) -> None:
    lines = [mark(number, pad=700) for number in range(3 * BUFFER_BYTES // 700)]
    post(sink, body_of(lines), body_of(lines[:1]))
    assert sink.tally().events == len(lines) + 1
    assert sink.marks().keys() == set(range(len(lines)))


def test_gzip_is_counted_by_what_it_unpacks_to(sink: NullSink) -> None:
    body = gzip.compress(body_of([mark(number, pad=700) for number in range(2000)]))
    post(sink, body, body, content_encoding="gzip")
    assert (sink.tally().events, sink.tally().wire_bytes) == (4000, 2 * len(body))


def test_who_waits_to_be_told_to_continue_is_told(sink: NullSink) -> None:
    # http.client skips the 100 that curl waits for, and reads on.
    (answer,) = post(sink, body_of([mark(1)]), expect="100-continue")
    assert len(json.loads(answer)["items"]) == 1


def test_a_line_that_comes_twice_is_one_distinct_event(sink: NullSink, tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus", 40, files=8)
    lines = corpus.merged.read_bytes().splitlines(keepends=True)
    post(sink, body_of(lines), body_of(lines[:5]))
    assert (sink.tally().events, sink.tally().distinct) == (45, 40)
    spread = b"".join(path.read_bytes() for path in corpus.spread).splitlines(keepends=True)
    assert sorted(spread) == sorted(lines)
