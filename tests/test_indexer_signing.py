"""Heads are signed one after the other, and kept outside whatever happens in between."""

import os
import resource
import stat
from base64 import urlsafe_b64encode
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from joserfc.jwk import OKPKey

from indexer.digest import Digest
from indexer.head import Head, Share, Shares, check, head_hash, root_of_shares, sign
from indexer.records import Subject
from indexer.settings import IndexSettings
from indexer.signing import LEAP, append_lacking, next_head
from indexer.span import span_of
from tests.lifecycle_world import SEALABLE

NAME = "audit-events-2024.01"
SHARES: Shares = {"org_1": Share(2, "r" * 43), None: Share(1, "s" * 43)}
DIGEST = Digest(3, "2024-01-03T10:00:00.000000Z", "2024-01-04T10:00:00.000000Z", "a" * 64, SHARES)
NESTED = urlsafe_b64encode(b"[" * 1497).decode()
KEY = OKPKey.generate_key("Ed25519")


def follow(*recorded: str) -> Head:
    span = span_of(NAME, IndexSettings())
    assert span is not None
    subject = Subject(NAME, "uuid", span)
    return next_head(recorded, subject, DIGEST, sealed_at=SEALABLE, retention_days=400)


def signed_row(count: int) -> list[str]:
    row: list[str] = []
    for _ in range(count):
        row.append(sign(follow(*row), KEY))
    return row


def test_a_head_says_all_that_was_sealed() -> None:
    assert follow() == Head(
        number=1,
        previous=None,
        partition=NAME,
        index_uuid="uuid",
        events=3,
        first=DIGEST.first,
        last=DIGEST.last,
        sha256="a" * 64,
        organizations=2,
        root=root_of_shares(SHARES),
        sealed_at="2024-02-08T00:00:00.000000Z",
        retention_days=400,
    )


def test_each_head_names_the_one_before_it() -> None:
    row = signed_row(3)
    first, second, third = (check(one, [KEY]) for one in row)
    assert [first.number, second.number, third.number] == [1, 2, 3]
    assert [first.previous, second.previous, third.previous] == [
        None,
        head_hash(row[0]),
        head_hash(row[1]),
    ]


def test_the_highest_number_counts_in_whatever_order_the_journal_has_them() -> None:
    """A clock that is set back puts a later record before an earlier one."""
    row = signed_row(3)
    ahead = follow(*reversed(row))
    assert (ahead.number, ahead.previous) == (4, head_hash(row[2]))


@pytest.mark.parametrize("number", [LEAP + 4, 2**53 - 1])
def test_a_number_that_cannot_have_been_reached_does_not_count(number: int) -> None:
    """With the lifecycle's password it could be the last there is, and nothing be signed again."""
    row = signed_row(2)
    forged = sign(msgspec.structs.replace(follow(), number=number), KEY)
    ahead = follow(forged, *row)
    assert (ahead.number, ahead.previous) == (3, head_hash(row[1]))


def test_numbers_go_on_behind_records_that_were_lost() -> None:
    assert follow(signed_row(3)[2]).number == 4


def test_numbers_go_on_under_another_key() -> None:
    other = sign(follow(*signed_row(1)), OKPKey.generate_key("Ed25519"))
    assert follow(*signed_row(1), other).previous == head_hash(other)


@pytest.mark.parametrize(
    "forged",
    [
        pytest.param("", id="nothing"),
        pytest.param("no head", id="a word"),
        pytest.param("é.é.é", id="letters of no JWS"),
        pytest.param("AA.AA.AA", id="no header"),
        pytest.param(sign(msgspec.structs.replace(follow(), number=2**53), KEY), id="the last one"),
        pytest.param(sign(msgspec.structs.replace(follow(), number=0), KEY), id="before the first"),
        pytest.param(signed_row(1)[0] + "\n", id="two lines"),
        pytest.param(f"{NESTED}.AA.AA", id="a header without end"),
        pytest.param(f"{signed_row(1)[0].split('.')[0]}.{NESTED}.AA", id="nested without end"),
        pytest.param(signed_row(1)[0] + "A" * 2000, id="a long one"),
    ],
)
def test_what_is_no_head_has_no_number_and_is_not_kept(forged: str, tmp_path: Path) -> None:
    """Whoever has the lifecycle's password can put it into the journal."""
    row = signed_row(2)
    assert follow(forged, *row).number == 3
    path = tmp_path / "heads"
    assert append_lacking(path, [forged, *row]) == row
    assert append_lacking(path, [forged, *row]) == []
    assert path.read_text().splitlines() == row


def test_a_file_is_made_for_its_owner_alone_before_there_is_a_head(tmp_path: Path) -> None:
    path = tmp_path / "heads"
    assert append_lacking(path, []) == []
    assert (path.stat().st_size, stat.S_IMODE(path.stat().st_mode)) == (0, 0o600)


def test_what_a_file_lacks_is_appended_wherever_it_lacks_it(tmp_path: Path) -> None:
    row, path = signed_row(4), tmp_path / "heads"
    for left, appended in (
        ("", row),
        (row[0] + "\n", row[1:]),
        (row[3] + "\n", row[:3]),
        # Half of it, as a crash leaves it; and what somebody else wrote there.
        (f"{row[0]}\n{row[1][:99]}", row[1:]),
        (row[0], row[1:]),
        ("# heads\n" + "x" * 10_000 + "\n\n", row),
    ):
        path.write_text(left)
        assert append_lacking(path, row) == appended
        kept = path.read_text()
        assert kept.startswith(left)
        assert set(row) <= set(kept.splitlines())
        assert append_lacking(path, row) == []
        assert path.read_text() == kept


@contextmanager
def no_file_larger_than(size: int) -> Generator[None]:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_file_that_cannot_grow_keeps_what_it_has_and_gets_the_rest_later(tmp_path: Path) -> None:
    row, path = signed_row(3), tmp_path / "heads"
    append_lacking(path, row[:1])
    with no_file_larger_than(path.stat().st_size + 10), pytest.raises(OSError, match="too large"):
        append_lacking(path, row)
    assert path.read_text() == f"{row[0]}\n"
    assert append_lacking(path, row) == row[1:]


def test_a_file_that_cannot_be_had_is_an_error_and_nothing_is_made(tmp_path: Path) -> None:
    gone, fifo = tmp_path / "mount" / "heads", tmp_path / "fifo"
    os.mkfifo(fifo)
    for path, reason in (
        (gone, "there is no directory"),
        (fifo, "no regular file"),
        (Path("/dev/full"), "no regular file"),
        (tmp_path, "no regular file"),
    ):
        with pytest.raises(OSError, match=reason):
            append_lacking(path, signed_row(1))
    assert not gone.parent.exists()
