"""Request ids, the access log, metrics and the page of the description."""

import re
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from indexer.settings import IndexSettings, Secret
from tests.cluster import Cluster
from tests.conftest import free_ports
from tests.webapi_api import SETTINGS, Api, problem, token
from tests.webapi_process import GUNICORN, ask, environment, serving
from webapi.audit_log import PATH
from webapi.docs_page import POLICY, coded
from webapi.metrics import METRICS, PREFIX, REQUESTS, count, observe, render
from webapi.metrics import REQUEST_SECONDS as SECONDS
from webapi.tallies import SERIES, Tallies

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
SCRAPE = "m" * 40


@pytest.fixture
def api(opensearch: Cluster, index: IndexSettings) -> Api:
    settings = msgspec.structs.replace(
        SETTINGS, metrics_secret=Secret(SCRAPE), hsts_seconds=31_536_000
    )
    return Api(opensearch.client("reader"), index, settings)


@pytest.mark.opensearch
@pytest.mark.parametrize(
    ("given", "taken"),
    [
        pytest.param("req_7f9c", True, id="sane"),
        pytest.param("x" * 129, False, id="too long"),
        pytest.param("a b", False, id="a blank"),
        pytest.param("é", False, id="no ASCII"),
        pytest.param("", False, id="nothing"),
    ],
)
def test_each_answer_has_the_id_of_its_request(api: Api, given: str, taken: bool) -> None:  # noqa: FBT001
    for query in ("", "limit=0"):
        response = api.get(query, headers={"X-Request-Id": given})
        told = response.headers["X-Request-Id"]
        assert (told == given) is taken
        assert re.fullmatch(r"[!-~]{1,128}", told)
        if query:
            assert problem(response, 400, "parameters_invalid")["requestId"] == told


@pytest.mark.opensearch
def test_a_request_is_logged_without_what_was_asked(api: Api) -> None:
    with capture_logs() as logged:
        api.get("actorEmail=ana@company.com&q=secret", headers={"X-Request-Id": "req_1"})
        api.get(path="/healthz")
        api.get("q=secret", path=f"{PATH}/nowhere/at/all")
    lines = [line for line in logged if line["event"] == "request"]
    assert [(one["route"], one["status"], one["organization_id"]) for one in lines] == [
        (PATH, 200, "org_a"),
        ("(none)", 404, None),
    ]
    assert lines[0]["request_id"] == "req_1"
    assert "secret" not in str(logged)
    assert "ana@" not in str(logged)


@pytest.mark.opensearch
def test_hsts_is_told_where_the_settings_say_so(api: Api) -> None:
    assert api.get().headers["Strict-Transport-Security"] == "max-age=31536000"


@pytest.mark.opensearch
def test_metrics_are_for_whoever_has_their_secret(api: Api) -> None:
    api.get()
    problem(api.get(path="/metrics", bearer=None), 401, "token_invalid")
    problem(api.get(path="/metrics"), 401, "token_invalid")
    response = api.get(path="/metrics", bearer=SCRAPE)
    assert response.mimetype == "text/plain"
    text = response.text
    assert f'indelible_web_requests_total{{method="GET",route="{PATH}",status="200"}} 1.0' in text
    assert "indelible_web_storage_seconds_count" in text
    assert "org_a" not in text


@pytest.mark.opensearch
def test_without_a_secret_there_are_no_metrics(opensearch: Cluster, index: IndexSettings) -> None:
    plain = Api(opensearch.client("reader"), index)
    problem(plain.get(path="/metrics", bearer=SCRAPE), 404, "route_not_found")


def test_metrics_are_sums_and_cumulative_buckets() -> None:
    tallies = Tallies()
    for _ in range(3):
        tallies.add(count(REQUESTS, "/a", "GET", "200"))
    for seconds in (0.001, 0.03, 0.03, 99.0):
        tallies.add(observe(SECONDS, seconds, "/a"))
    lines = render(tallies).decode().splitlines()
    prefix = "indelible_web_request_seconds"
    for line in (
        'indelible_web_requests_total{method="GET",route="/a",status="200"} 3.0',
        f'{prefix}_bucket{{le="0.005",route="/a"}} 1.0',
        f'{prefix}_bucket{{le="0.05",route="/a"}} 3.0',
        f'{prefix}_bucket{{le="10.0",route="/a"}} 3.0',
        f'{prefix}_bucket{{le="+Inf",route="/a"}} 4.0',
        f'{prefix}_count{{route="/a"}} 4.0',
        f'{prefix}_sum{{route="/a"}} 99.061',
    ):
        assert line in lines, lines


def test_there_is_room_for_so_many_series_and_no_more_is_counted() -> None:
    tallies = Tallies()
    tallies.add({f"series {number}": 1.0 for number in range(SERIES + 10)})
    tallies.add({"series 0": 1.0})
    found = tallies.read()
    assert len(found) == SERIES
    assert found["series 0"] == 2.0


def test_the_table_of_metrics_is_what_the_api_tells() -> None:
    rows = re.findall(
        r"^\| `(indelible_web_\w+)` \| (\w+) \| (.*?) \| (.*) \|$", README, re.MULTILINE
    )
    assert rows == [
        (PREFIX + one.name, one.kind, ", ".join(f"`{label}`" for label in one.labels) or "-",
         one.meaning)
        for one in METRICS
    ]  # fmt: skip


@pytest.mark.opensearch
def test_the_page_of_the_description_names_every_operation_and_loads_nothing(api: Api) -> None:
    response = api.get(path="/docs", bearer=None)
    assert (response.status_code, response.mimetype) == (200, "text/html")
    assert response.headers["Content-Security-Policy"] == POLICY
    document = api.get(path="/openapi.json", bearer=None).get_json()
    for path, item in document["paths"].items():
        assert path in response.text
        for one in item.values():
            assert f'id="{one["operationId"]}"' in response.text
    assert "`" not in re.sub(r"<pre>.*?</pre>", "", response.text, flags=re.DOTALL)
    assert '<h2 id="listEvents">List events</h2>' in response.text
    assert "Take <code>cursor</code> to the next request." in response.text
    assert "<script" not in response.text
    assert not re.search(r"""(?:src|href)=["'](?:https?:)?//""", response.text)


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("plain <b>", "plain &lt;b&gt;"),
        ("`a` or `<i>`.", "<code>a</code> or <code>&lt;i&gt;</code>."),
        ("one ` alone", "one ` alone"),
    ],
)
def test_code_in_a_description_is_marked_and_nothing_else(text: str, html: str) -> None:
    assert coded(text) == html


@pytest.mark.opensearch
@pytest.mark.slow
def test_gunicorns_workers_count_together(
    opensearch: Cluster, index: IndexSettings, tmp_path: Path
) -> None:
    (port,) = free_ports(1)
    environ = environment(
        opensearch, index, tmp_path, INDELIBLE_WEB_PORT=str(port), INDELIBLE_WEB_WORKERS="3",
        INDELIBLE_WEB_METRICS_SECRET=SCRAPE,
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    with serving(GUNICORN, environ, port, tmp_path / "web.log"):
        for _ in range(30):
            ask(f"{url}{PATH}/actions", token())
        for _ in range(4):
            status, _, body = ask(f"{url}/metrics", SCRAPE)
            line = f'{{method="GET",route="{PATH}/actions",status="200"}} 30.0'
            assert (status, line in body.decode()) == (200, True), "whichever worker is asked"
