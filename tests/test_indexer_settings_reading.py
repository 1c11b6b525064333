"""Settings: who beats whom, and that everything wrong is said at once."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import pytest
from msgspec import Meta, Struct
from structlog.testing import capture_logs

from agent.settings import AgentSettings
from indexer.errors import SettingsError
from indexer.settings import ConnectionSettings, IndexSettings, Secret
from indexer.settings_reading import SettingsReading, read_document, read_group


class Sample(Struct, frozen=True, kw_only=True):
    token: Annotated[Secret, Meta(description="required")]
    paths: Annotated[tuple[str, ...], Meta(description="a list")] = ()
    verbose: Annotated[bool, Meta(description="a switch")] = False


def index(environ: dict[str, str], document: dict[str, object] | None = None) -> IndexSettings:
    return read_group("index", IndexSettings, environ=environ, document=document or {})


def problems(environ: dict[str, str], document: dict[str, object]) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as raised:
        index(environ, document)
    return raised.value.problems


def test_without_anything_the_defaults_hold() -> None:
    assert index({}) == IndexSettings()


def test_the_environment_beats_the_document_beats_the_default() -> None:
    settings = index(
        {"INDELIBLE_INDEX_REPLICAS": "0"},
        {"index": {"replicas": 3, "retention_days": 30}, "web": {"port": 1}},
    )
    assert (settings.replicas, settings.retention_days, settings.future_hours) == (0, 30, 24)


def test_an_empty_variable_is_not_set() -> None:
    assert index({"INDELIBLE_INDEX_PREFIX": ""}).prefix == "audit"


@pytest.mark.parametrize(
    ("environ", "document", "expected"),
    [
        pytest.param(
            {"INDELIBLE_INDEX_REPLICAS": "many"},
            {},
            "INDELIBLE_INDEX_REPLICAS: expected `int`, got `str`",
            id="not a number",
        ),
        pytest.param(
            {"INDELIBLE_INDEX_RETENTION_DAYS": "0"},
            {},
            "INDELIBLE_INDEX_RETENTION_DAYS: expected `int` >= 1",
            id="out of range",
        ),
        pytest.param(
            {"INDELIBLE_INDEX_PARTITION": "week"},
            {},
            "INDELIBLE_INDEX_PARTITION: invalid enum value 'week', expected month or day",
            id="not one of the choices",
        ),
        pytest.param(
            {"INDELIBLE_INDEX_RETENSION_DAYS": "3"},
            {},
            "INDELIBLE_INDEX_RETENSION_DAYS: no such setting, did you mean retention_days?",
            id="misspelt variable",
        ),
        pytest.param(
            {},
            {"index": {"replica": 1}},
            "[index] replica: no such setting, did you mean replicas?",
            id="misspelt key",
        ),
        pytest.param(
            {}, {"index": {"replicas": "1"}}, "[index] replicas: expected `int`", id="TOML is typed"
        ),
        pytest.param({}, {"index": 3}, "[index]: expected a table", id="no table"),
        pytest.param(
            {"INDELIBLE_INDEX_PREFIX": "audit-events"},
            {},
            "[index]: prefix must not contain the words events or late",
            id="a prefix inside the patterns of another",
        ),
        pytest.param(
            {"INDELIBLE_INDEX_PREFIX": "audit-journal-2"},
            {},
            "[index]: prefix must not contain a word that begins with journal",
            id="prefix that the pattern of the journal covers",
        ),
        pytest.param(
            {"INDELIBLE_INDEX_PREFIX": "Audit*"}, {}, "INDELIBLE_INDEX_PREFIX: ", id="bad prefix"
        ),
    ],
)
def test_a_problem_names_the_setting_and_the_way_out(
    environ: dict[str, str], document: dict[str, object], expected: str
) -> None:
    (problem,) = problems(environ, document)
    assert problem.startswith(expected)


def test_all_problems_are_reported_at_once() -> None:
    found = problems(
        {"INDELIBLE_INDEX_REPLICAS": "x", "INDELIBLE_INDEX_NONSENSE": "1"},
        {"index": {"future_hours": -1}},
    )
    assert len(found) == 3


def test_a_list_is_comma_separated_in_the_environment_and_a_list_in_the_document() -> None:
    environ = {"INDELIBLE_SAMPLE_PATHS": " /a/*.log, /b.log ,", "INDELIBLE_SAMPLE_TOKEN": "t"}
    assert read_group("sample", Sample, environ=environ, document={}).paths == (
        "/a/*.log",
        "/b.log",
    )
    document = {"sample": {"paths": ["/c"], "token": "t", "verbose": True}}
    read = read_group("sample", Sample, environ={}, document=document)
    assert (read.paths, read.verbose) == (("/c",), True)


def test_a_required_setting_that_is_missing_is_named() -> None:
    with pytest.raises(SettingsError) as raised:
        read_group("sample", Sample, environ={}, document={})
    assert raised.value.problems == ("INDELIBLE_SAMPLE_TOKEN: required, and not set",)


def secret_from(path: Path) -> Secret:
    environ = {"INDELIBLE_SAMPLE_TOKEN_FILE": str(path)}
    return read_group("sample", Sample, environ=environ, document={}).token


def test_a_secret_comes_from_a_file_without_its_newline(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("s3cret\n")
    path.chmod(0o600)
    with capture_logs() as logs:
        assert secret_from(path).reveal() == "s3cret"
    assert logs == []


def test_a_secret_file_that_others_may_read_is_warned_about(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("s3cret\n")
    path.chmod(0o644)
    with capture_logs() as logs:
        assert secret_from(path).reveal() == "s3cret"
    assert [log["event"] for log in logs] == ["secret_file_readable_by_others"]


@pytest.mark.parametrize(
    ("content", "mode", "expected"),
    [
        pytest.param("", 0o600, "it is empty", id="empty"),
        pytest.param("s3cret", 0o666, "others may write it", id="anyone can replace it"),
        pytest.param(None, 0, "No such file", id="missing"),
    ],
)
def test_a_secret_file_that_cannot_be_trusted_is_refused(
    tmp_path: Path, content: str | None, mode: int, expected: str
) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_text(content)
        path.chmod(mode)
    with pytest.raises(SettingsError, match=expected) as raised:
        secret_from(path)
    assert "s3cret" not in str(raised.value)


def test_a_secret_that_does_not_begin_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "token"
    os.mkfifo(path, 0o600)
    with pytest.raises(SettingsError, match="no regular file"):
        secret_from(path)


def test_a_secret_given_twice_is_a_problem(tmp_path: Path) -> None:
    environ = {"INDELIBLE_SAMPLE_TOKEN": "a", "INDELIBLE_SAMPLE_TOKEN_FILE": str(tmp_path)}
    with pytest.raises(SettingsError, match="given beside INDELIBLE_SAMPLE_TOKEN"):
        read_group("sample", Sample, environ=environ, document={})


def test_the_document_is_the_file_that_the_environment_names(tmp_path: Path) -> None:
    path = tmp_path / "indelible.toml"
    path.write_text("[index]\nreplicas = 0\n")
    assert read_document({"INDELIBLE_CONFIG": str(path)}) == {"index": {"replicas": 0}}
    assert read_document({"INDELIBLE_HOME": "/x", "PATH": "/bin", "INDELIBLE_TEST_X": "1"}) == {}


@pytest.mark.parametrize(
    ("environ", "content", "expected"),
    [
        pytest.param({}, None, "cannot read .*No such file", id="missing file"),
        pytest.param({}, "replicas = ", "cannot read ", id="no TOML"),
        pytest.param({}, "[indx]\n", r"\[indx\]: no such group, did you mean index", id="group"),
        pytest.param(
            {"INDELIBLE_INDX_PREFIX": "a"},
            "",
            "INDELIBLE_INDX_PREFIX: no such setting, did you mean INDELIBLE_INDEX_PREFIX",
            id="variable of no group",
        ),
        pytest.param(
            {"INDELIBLE_HOM": "/x"},
            "",
            "INDELIBLE_HOM: no such setting, did you mean INDELIBLE_HOME",
            id="variable without group",
        ),
    ],
)
def test_what_nobody_reads_is_a_problem(
    tmp_path: Path, environ: dict[str, str], content: str | None, expected: str
) -> None:
    path = tmp_path / "indelible.toml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SettingsError, match=expected):
        read_document({**environ, "INDELIBLE_CONFIG": str(path)})


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    ("make", "expected"),
    [
        pytest.param(lambda path: path.symlink_to("/dev/zero"), "no regular file", id="endless"),
        pytest.param(os.mkfifo, "no regular file", id="nobody writes into the pipe"),
        pytest.param(lambda path: path.mkdir(), "Is a directory", id="directory"),
        pytest.param(lambda path: path.write_bytes(b"#" * 1_048_577), "than 1 MiB", id="large"),
    ],
)
def test_a_file_that_does_not_end_is_refused_at_once(
    tmp_path: Path, make: Callable[[Path], object], expected: str
) -> None:
    path = tmp_path / "indelible.toml"
    make(path)
    with pytest.raises(SettingsError, match=f"INDELIBLE_CONFIG: cannot read .*{expected}"):
        read_document({"INDELIBLE_CONFIG": str(path)})


def test_an_unknown_group_does_not_hide_what_is_wrong_with_the_others(tmp_path: Path) -> None:
    path = tmp_path / "indelible.toml"
    path.write_text("[indx]\nreplicas = 0\n[index]\nreplicas = 99\n")
    environ = {"INDELIBLE_CONFIG": str(path), "INDELIBLE_OPENSEARCH_URL": "ftp://x"}
    reading = SettingsReading(environ)
    assert reading.group("index", IndexSettings) is None
    assert reading.group("opensearch", ConnectionSettings) is None
    assert reading.group("agent", AgentSettings) is not None
    found = reading.error().problems
    assert [problem.partition(":")[0] for problem in found] == [
        "[indx]",
        "[index] replicas",
        "INDELIBLE_OPENSEARCH_URL",
    ]


def test_groups_beside_an_unknown_variable_are_read_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "indelible.toml"
    path.write_text("[index]\nreplicas = 3\n")
    reading = SettingsReading({"INDELIBLE_CONFIG": str(path), "INDELIBLE_HOM": "/x"})
    index = reading.group("index", IndexSettings)
    assert index is not None
    assert index.replicas == 3
    assert len(reading.problems) == 1


def test_an_address_without_a_scheme_is_shown_one() -> None:
    environ = {"INDELIBLE_OPENSEARCH_URL": "opensearch.example:9200"}
    with pytest.raises(SettingsError) as raised:
        read_group("opensearch", ConnectionSettings, environ=environ, document={})
    assert raised.value.problems == (
        "INDELIBLE_OPENSEARCH_URL: expected such as https://opensearch.example:9200",
    )
