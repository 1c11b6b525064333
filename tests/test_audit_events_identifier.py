"""UUIDv7 as RFC 9562 has it."""

import os
from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_events.identifier import format_uuid7, new_uuid7

_moments = st.integers(0, 2**48 * 1_000_000 - 1)
_random = st.integers(0, 2**62 - 1)


@given(_moments, _random)
def test_version_variant_and_milliseconds_are_where_they_belong(unix_ns: int, random: int) -> None:
    identifier = UUID(format_uuid7(unix_ns, random))
    assert identifier.version == 7
    assert identifier.variant == RFC_4122
    assert identifier.int >> 80 == unix_ns // 1_000_000


@given(_moments, _moments, _random, _random)
def test_identities_sort_by_time(one: int, two: int, low: int, high: int) -> None:
    """The finest step kept is a 4096th of a millisecond."""
    if one + 1000 < two:
        assert format_uuid7(one, high) < format_uuid7(two, low)


def test_two_of_one_moment_differ() -> None:
    assert new_uuid7(1) != new_uuid7(1)


@pytest.mark.parametrize("nanoseconds", [0, 1, 245, 999_354, 999_755, 999_999])
def test_each_part_of_a_millisecond_has_its_place(nanoseconds: int) -> None:
    unix_ns = 1_773_567_000_123_000_000 + nanoseconds
    fresh, spelled = UUID(new_uuid7(unix_ns)), UUID(format_uuid7(unix_ns, 0))
    assert str(fresh) == new_uuid7(unix_ns)[:19] + str(fresh)[19:]
    assert fresh.int >> 64 == spelled.int >> 64
    assert (fresh.version, fresh.variant) == (7, RFC_4122)


def test_fresh_ones_hold_62_bits_that_vary() -> None:
    tails = [UUID(new_uuid7(0)).int & (2**62 - 1) for _ in range(500)]
    assert len(set(tails)) == 500
    assert {tail >> 58 for tail in tails} == set(range(16))
    assert {tail & 15 for tail in tails} == set(range(16))


def test_a_forked_child_draws_others() -> None:
    new_uuid7(0)
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.write(writer, new_uuid7(0).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 36).decode() != new_uuid7(0)
    os.close(reader)
    os.close(writer)
