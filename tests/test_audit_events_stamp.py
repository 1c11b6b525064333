"""Identity and time of an event: the same as spelled one by one."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from audit_events.identifier import format_uuid7
from audit_events.instant import format_unix_ns
from audit_events.stamp import Stamps

_moments = st.integers(0, 2**47 * 1_000_000)


@given(st.lists(st.tuples(_moments, st.integers(0, 2_000_000)), min_size=1, max_size=8))
def test_stamps_spell_what_the_long_way_spells(moments: list[tuple[int, int]]) -> None:
    """Also in one millisecond, over its end, and when the clock is set back."""
    stamps = Stamps()
    for begin, step in moments:
        for unix_ns in (begin % (4 * 10**18), (begin + step) % (4 * 10**18)):
            event_id, instant = stamps.draw(unix_ns)
            assert instant == format_unix_ns(unix_ns)
            assert event_id == format_uuid7(unix_ns, UUID(event_id).int & (2**62 - 1))


def test_no_two_are_the_same() -> None:
    stamps = Stamps()
    assert len({stamps.draw(1)[0] for _ in range(1_000)}) == 1_000
