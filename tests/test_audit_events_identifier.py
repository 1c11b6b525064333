"""UUIDv7 as RFC 9562 has it."""

from uuid import RFC_4122, UUID

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
