"""Which copies an organisation's questions go to, and when any will do."""

from typing import Any

import pytest
from opensearchpy.exceptions import ConnectionTimeout
from typing_extensions import override

from indexer.client import QuietConnection, connect
from indexer.settings import IndexSettings
from tests.cluster import Cluster
from webapi.errors import TooSlowError
from webapi.preference import ANY, FREE_SECONDS, Preference
from webapi.query import Query, total_search
from webapi.storage import Storage


@pytest.mark.parametrize("organization_id", ["org_a", "_local", "_only_nodes:x", "é&|,", "x" * 999])
def test_it_is_the_same_text_each_time_and_means_nothing_else(organization_id: str) -> None:
    texts = {Preference().of(organization_id) for _ in range(3)}
    assert len(texts) == 1
    (text,) = texts
    assert text.isalnum()
    assert text.isascii()
    assert len(text) == 16
    assert text != Preference().of(organization_id + "b")


def test_after_one_was_too_slow_any_will_do_for_a_while() -> None:
    now = [100.0]
    preference = Preference(clock=lambda: now[0])
    own = preference.of("org_a"), preference.of("org_b")
    preference.free("org_a")
    now[0] += FREE_SECONDS / 2
    preference.free("org_b")
    assert (preference.of("org_a"), preference.of("org_b")) == (ANY, ANY)
    now[0] += FREE_SECONDS / 2
    assert (preference.of("org_a"), preference.of("org_b")) == (own[0], ANY)
    now[0] += FREE_SECONDS / 2
    assert (preference.of("org_a"), preference.of("org_b")) == own


class Noting(QuietConnection):
    """Notes what is preferred, and answers too late where it is told to."""

    noted: list[str]
    is_late: bool

    @override
    def perform_request(self, *args: Any, **kwargs: Any) -> Any:
        type(self).noted.append(kwargs["params"]["preference"])
        if type(self).is_late:
            raise ConnectionTimeout("TIMEOUT", "late", OSError("late"))
        return super().perform_request(*args, **kwargs)


@pytest.mark.opensearch
def test_a_question_that_took_too_long_frees_those_of_its_organisation(
    opensearch: Cluster, index: IndexSettings
) -> None:
    class Connection(Noting):
        noted: list[str] = []  # noqa: RUF012  # of this test
        is_late = False

    own, other = Preference().of("org_a"), Preference().of("org_b")
    search, beside = (total_search(Query(organization_id=one)) for one in ("org_a", "org_b"))
    with connect(opensearch.connection(), role="reader", connection_class=Connection) as reader:
        storage = Storage(reader, index, 10)
        storage.search(search)
        storage.pin("org_a", [f"{index.prefix}-*"])
        storage.search(search, copy="")
        Connection.is_late = True
        with pytest.raises(TooSlowError):
            # Where the caller chooses the copies, that says nothing of others.
            storage.search(search, copy="")
        Connection.is_late = False
        storage.search(search)
        Connection.is_late = True
        with pytest.raises(TooSlowError):
            storage.search(search)
        Connection.is_late = False
        storage.search(search)
        storage.pin("org_a", [f"{index.prefix}-*"])
        storage.search(beside)
    assert Connection.noted == [own, own, "_primary", "_primary", own, own, ANY, ANY, other]
