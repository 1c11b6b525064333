"""The cache: only verified files get in and out, and no network is an error with a next step."""

import hashlib
from pathlib import Path

import pytest

from node.artifact import Artifact
from node.cache import Progress, fill
from node.errors import ChecksumError, DownloadError

CONTENT = b"the pinned bytes"


def _artifact(name: str = "thing") -> Artifact:
    digest = hashlib.sha256(CONTENT).hexdigest()
    return Artifact(f"org.example:{name}:jar:1.0", digest, len(CONTENT), ("lib",))


def _store(cache: Path, artifact: Artifact, content: bytes) -> Path:
    path = cache / artifact.path
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return path


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send every download to a proxy that is not there."""
    for variable in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)


def test_a_full_cache_needs_no_network(tmp_path: Path) -> None:
    reports: list[Progress] = []
    _store(tmp_path, _artifact(), CONTENT)
    fill([_artifact()], tmp_path, reports.append)
    assert reports == []


def test_without_network_the_missing_artifact_is_named(tmp_path: Path) -> None:
    _store(tmp_path, _artifact(), CONTENT)
    with pytest.raises(DownloadError, match=r"org\.example:other") as caught:
        fill([_artifact(), _artifact("other")], tmp_path, lambda _: None)
    assert "INDELIBLE_CACHE" in caught.value.hint
    assert "HTTPS_PROXY" in caught.value.hint


def test_a_failed_download_leaves_nothing_that_looks_whole(tmp_path: Path) -> None:
    with pytest.raises(DownloadError):
        fill([_artifact()], tmp_path / "cache", lambda _: None)
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(CONTENT[:-1], id="cut"),
        pytest.param(CONTENT + b"\n", id="longer"),
        pytest.param(CONTENT.replace(b"p", b"q"), id="the same length"),
    ],
)
def test_a_file_that_is_not_the_pinned_one_is_refused_by_name(
    tmp_path: Path, content: bytes
) -> None:
    path = _store(tmp_path, _artifact(), content)
    with pytest.raises(ChecksumError, match=r"org\.example:thing") as caught:
        fill([_artifact()], tmp_path, lambda _: None)
    assert str(path) in caught.value.hint
    assert path.read_bytes() == content


def test_a_report_that_raises_ends_the_download(tmp_path: Path) -> None:
    def give_up(_: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises((KeyboardInterrupt, DownloadError)):
        fill([_artifact()], tmp_path, give_up)
