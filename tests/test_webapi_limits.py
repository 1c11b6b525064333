"""Limits: how many requests an organisation may make, over all workers, and what it is told."""

import multiprocessing
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.settings import IndexSettings
from tests.cluster import Cluster
from tests.conftest import free_ports
from tests.webapi_api import OWNER, SETTINGS, Api, problem, token
from tests.webapi_process import ask, environment, serving
from webapi import shared
from webapi.audit_log import PATH
from webapi.kinds import SCOPE_OF
from webapi.limits import BUCKETS, SLOTS, Allowance, Counters, decide, describe, limits_of
from webapi.settings import WebSettings

GUNICORN = ("-m", "gunicorn", "-c", "python:webapi.gunicorn_settings", "webapi.wsgi:create()")


@pytest.mark.parametrize(
    ("debt", "told", "full_in"),
    [
        pytest.param(0, Allowance(60, 59, 1, 0), 1, id="the first"),
        pytest.param(30, Allowance(60, 29, 31, 0), 31, id="half of it used"),
        pytest.param(59, Allowance(60, 0, 60, 0), 60, id="the last"),
        pytest.param(59.5, Allowance(60, 0, 60, 1), 59.5, id="half a second too early"),
        pytest.param(60, Allowance(60, 0, 60, 1), 60, id="one too many"),
        pytest.param(-500, Allowance(60, 59, 1, 0), 1, id="after a long pause no more than full"),
    ],
)
def test_what_is_left(debt: float, told: Allowance, full_in: float) -> None:
    full_at, found = decide(1000.0, 1000.0 + debt, 60)
    assert (found, full_at) == (told, 1000.0 + full_in)


@given(
    limit=st.integers(1, 200),
    pauses=st.lists(st.floats(0, 10, allow_nan=False), min_size=1, max_size=300),
)
def test_no_more_than_the_limit_and_what_refilled_meanwhile(
    limit: int, pauses: list[float]
) -> None:
    now, full_at, admitted = 0.0, 0.0, 0
    for pause in pauses:
        now += pause
        full_at, found = decide(now, full_at, limit)
        admitted += found.is_admitted
        assert 0 <= found.remaining < limit or limit == 1
        if not found.is_admitted:
            later, again = decide(now + found.retry_seconds, full_at, limit)
            assert again.is_admitted, "whoever waits as told is let in"
            del later
    assert admitted <= limit + now * limit / 60 + 1e-3


def test_each_organisation_and_each_limit_counts_by_itself() -> None:
    counters = Counters(lambda: 1000.0)
    assert counters.take("org_a", "export", 1).is_admitted
    assert not counters.take("org_a", "export", 1).is_admitted
    assert counters.take("org_b", "export", 1).is_admitted
    assert counters.take("org_a", "list", 1).is_admitted
    assert counters.take("org_a\0list", "", 1).is_admitted


def test_many_organisations_share_the_memory() -> None:
    now = [0.0]
    counters = Counters(lambda: now[0])
    for number in range(BUCKETS * SLOTS // 4):
        assert counters.take(f"org_{number}", "list", 60).remaining == 59
    again = [counters.take(f"org_{number}", "list", 60).remaining for number in range(1000)]
    assert again.count(58) > 990, "those that must share a full bucket are let in, not kept out"


def _take(counters: Counters, results: "Any") -> None:
    results.put(sum(counters.take("org_a", "list", 100).is_admitted for _ in range(100)))


def test_forked_workers_count_together() -> None:
    fork = multiprocessing.get_context("fork")
    counters, results = Counters(lambda: 1000.0), fork.Queue()
    workers = [fork.Process(target=_take, args=(counters, results)) for _ in range(4)]
    for worker in workers:
        worker.start()
    admitted = sum(results.get(timeout=60) for _ in workers)
    for worker in workers:
        worker.join()
    assert admitted == 100


def test_every_kind_of_question_has_a_limit_and_a_scope() -> None:
    assert set(limits_of(WebSettings())) == set(SCOPE_OF)
    assert dict(limits_of(WebSettings()).values()) == {
        "list": 60, "search": 20, "incident": 20, "export": 2, "stream": 60,
    }  # fmt: skip
    assert {limit for _, limit in limits_of(SETTINGS).values()} == {0}


def test_the_headers_are_those_of_the_draft() -> None:
    """draft-ietf-httpapi-ratelimit-headers-10, sections 3 and 4."""
    assert describe("list", Allowance(60, 12, 48, 0)) == {
        "RateLimit-Policy": '"list";q=60;w=60',
        "RateLimit": '"list";r=12;t=48',
    }


@pytest.fixture
def limited(opensearch: Cluster, index: IndexSettings, monkeypatch: pytest.MonkeyPatch) -> Api:
    monkeypatch.setattr(shared, "_made", [])
    settings = msgspec.structs.replace(SETTINGS, list_per_minute=3, search_per_minute=1)
    return Api(opensearch.client("reader"), index, settings)


@pytest.mark.opensearch
def test_an_organisation_that_asks_too_often_is_told_when_to_come_again(limited: Api) -> None:
    told = [limited.get().headers["RateLimit"] for _ in range(3)]
    assert [one.split(";")[1] for one in told] == ["r=2", "r=1", "r=0"]
    response = limited.get()
    problem(response, 429, "rate_limited")
    assert response.headers["RateLimit-Policy"] == '"list";q=3;w=60'
    assert 1 <= int(response.headers["Retry-After"]) <= 20
    assert limited.get(bearer=token("org_b")).status_code == 200, "others are not held up"


@pytest.mark.opensearch
def test_a_search_is_counted_as_one_and_the_siblings_with_the_list(limited: Api) -> None:
    assert limited.get("q=x").status_code == 200
    problem(limited.get("q=y"), 429, "rate_limited")
    problem(limited.get("resourceType=a&resourceId=b", path=f"{PATH}/state"), 429, "rate_limited")
    assert limited.get().status_code == 200
    assert limited.get(path=f"{PATH}/actions").status_code == 200
    assert limited.get("limit=0").status_code == 400, "a wrong request counts as well"
    problem(limited.get(path=f"{PATH}/01a209c8-3fec-704d-9ea0-6979ad24323e"), 429, "rate_limited")


@pytest.mark.opensearch
def test_people_at_the_page_have_a_limit_of_their_own(limited: Api) -> None:
    """A client that asks too often keeps nobody from looking, nor the other way round."""
    for _ in range(4):
        limited.get()
    pages = [limited.visit("/settings/access-control/audit-log", OWNER) for _ in range(4)]
    assert [page.status_code for page in pages] == [200, 200, 200, 429]
    assert pages[-1].mimetype == "text/html"


@pytest.mark.opensearch
def test_who_may_not_read_uses_nothing_up(limited: Api) -> None:
    for _ in range(5):
        limited.get(bearer=None)
        limited.get(bearer=token(role="member"))
    assert "r=2" in limited.get().headers["RateLimit"]


@pytest.mark.opensearch
@pytest.mark.slow
def test_gunicorns_workers_share_the_limits(
    opensearch: Cluster, index: IndexSettings, tmp_path: Path
) -> None:
    (port,) = free_ports(1)
    more = {"INDELIBLE_WEB_PORT": str(port), "INDELIBLE_WEB_WORKERS": "3"}
    environ = environment(opensearch, index, tmp_path, INDELIBLE_WEB_LIST_PER_MINUTE="5", **more)
    with serving(GUNICORN, environ, port, tmp_path / "web.log"):
        begun = time.monotonic()
        found = [ask(f"http://127.0.0.1:{port}{PATH}/actions", token())[0] for _ in range(40)]
        back = (time.monotonic() - begun) / 12
    assert 5 <= found.count(200) <= 6 + back
    assert set(found) == {200, 429}
