"""The cache of artifacts: a Maven repository layout, filled by jgo, every file verified.

A file is downloaded into a scratch directory beside the cache, verified against `artifacts.lock`,
and renamed into place: a killed download leaves nothing behind that a later start could take for
whole, and several nodes may fill one cache at the same time.
"""

import contextlib
import hashlib
import tempfile
import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from node.artifact import Artifact
from node.errors import ChecksumError, DownloadError

DOWNLOADS_IN_FLIGHT = 4
DOWNLOAD_ATTEMPTS = 3
TIMEOUT_SECONDS = 30
REPORT_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a stage is: `done` of `total` (bytes of a download, else steps), now at `what`."""

    stage: Literal["download", "assemble", "start"]
    what: str
    done: int
    total: int


Report = Callable[[Progress], None]


def verify(artifact: Artifact, path: Path) -> None:
    """Raise `ChecksumError` unless `path` holds exactly the pinned bytes."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != artifact.sha256:
        raise ChecksumError(
            f"{artifact.coordinates}: sha256 is {digest}, artifacts.lock has {artifact.sha256}",
            hint=f"remove {path} and start again; if it stays so, the source of the download "
            "is not to be trusted",
        )


def fill(artifacts: Iterable[Artifact], cache: Path, report: Report) -> None:
    """Have every artifact verified in `cache`; download the ones that are missing.

    Raises `DownloadError` where that is not possible, `ChecksumError` for a file that is not the
    pinned one (in the cache, or as downloaded; the latter is not kept).
    """
    missing: list[Artifact] = []
    for artifact in artifacts:
        path = cache / artifact.path
        if path.exists():
            verify(artifact, path)
        else:
            missing.append(artifact)
    if missing:
        _download_all(missing, cache, report)


def _download_all(missing: list[Artifact], cache: Path, report: Report) -> None:
    cache.mkdir(parents=True, exist_ok=True)
    tally = _Tally()
    total = sum(artifact.size_bytes for artifact in missing)
    with (
        tempfile.TemporaryDirectory(prefix=".download-", dir=cache) as scratch,
        ThreadPoolExecutor(DOWNLOADS_IN_FLIGHT, thread_name_prefix="download") as pool,
    ):
        pending = {pool.submit(_download, one, Path(scratch), cache, tally) for one in missing}
        try:
            while pending:
                done, pending = wait(pending, timeout=REPORT_SECONDS, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
                report(Progress("download", tally.latest, min(tally.done, total), total))
        except BaseException:
            # Also when `report` raises, which is how a caller gives up.
            tally.cancelled = True
            pool.shutdown(wait=False, cancel_futures=True)
            raise


class _Tally:
    """What has arrived so far, over all threads; a cancelled one ends them at their next block."""

    def __init__(self) -> None:
        self.done = 0
        self.latest = ""
        self.cancelled = False
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def follow(self, filename: str, _size: int) -> Generator[Callable[[int], None]]:
        def update(count: int) -> None:
            if self.cancelled:
                raise InterruptedError("the download was cancelled")
            with self._lock:
                self.done += count
                self.latest = filename

        yield update


def _download(artifact: Artifact, scratch: Path, cache: Path, tally: _Tally) -> None:
    arrived = _fetch(artifact, scratch, cache, tally)
    verify(artifact, arrived)
    place = cache / artifact.path
    place.parent.mkdir(parents=True, exist_ok=True)
    # Readable by the user that root steps down to: the distribution is hard links to this file.
    arrived.chmod(0o644)
    arrived.replace(place)


def _fetch(artifact: Artifact, scratch: Path, cache: Path, tally: _Tally) -> Path:
    for attempt in range(1, DOWNLOAD_ATTEMPTS + 1):
        try:
            # A directory for each attempt: jgo takes a file that is there for whole.
            return _request(artifact, scratch / str(attempt), tally)
        # RuntimeError is jgo's "not found" and "checksum of the repository differs"; everything of
        # the network is an OSError.
        except (RuntimeError, OSError) as error:
            if attempt == DOWNLOAD_ATTEMPTS or tally.cancelled:
                raise DownloadError(
                    f"{artifact.coordinates} is not in the cache {cache} and cannot be "
                    f"downloaded: {error}",
                    hint="connect to the network (a proxy by HTTPS_PROXY), or let INDELIBLE_CACHE "
                    "name a cache that another machine has filled",
                ) from error
    raise AssertionError("the last attempt returns or raises")


def _request(artifact: Artifact, repository: Path, tally: _Tally) -> Path:
    # A quarter of a second to import, and only a first start downloads.
    from jgo.maven import MavenContext, PythonResolver  # noqa: PLC0415

    context = MavenContext(
        repo_cache=repository,
        resolver=PythonResolver(progress_callback=tally.follow),
        timeout=TIMEOUT_SECONDS,
    )
    group, name, packaging, version = artifact.coordinates.split(":")
    component = context.project(group, name).at_version(version)
    return component.artifact(packaging=packaging).resolve()
