"""Settings: the environment beats the TOML file beats the default, one frozen Struct a group.

`INDELIBLE_<GROUP>_<FIELD>` is `field` of `[group]` in the file that `INDELIBLE_CONFIG` names. A
list is comma separated in the environment; an empty variable counts as not set, as compose files
leave them. A `Secret` may also stand in a file of its own (`password_file`, `…_PASSWORD_FILE`): one
that others may write is refused, one that others may read is warned about (containers mount
secrets like that, so it cannot be refused). Everything that is wrong is reported at once.
"""

import difflib
import stat
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar, cast, get_args, get_origin

import msgspec
import structlog
from msgspec import Meta, Struct
from typing_extensions import override

from indexer.errors import SettingsError

GROUPS: Final = ("opensearch", "index", "lifecycle", "agent", "web", "node")
OTHER_VARIABLES: Final = ("INDELIBLE_HOME", "INDELIBLE_CONFIG", "INDELIBLE_CACHE")
OTHER_PREFIXES: Final = ("INDELIBLE_NODE_", "INDELIBLE_TEST_")

T = TypeVar("T", bound=Struct)

_log = structlog.get_logger("indexer")


class Secret:
    """A text that shows as `***` wherever it is printed; `reveal()` is the only way to it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself, for the one call that needs it."""
        return self._text

    @override
    def __repr__(self) -> str:
        return "***"

    @override
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    @override
    def __hash__(self) -> int:
        return hash(self._text)


class ConnectionSettings(Struct, frozen=True, kw_only=True):
    """Group `opensearch`: where the cluster is, and who each role is there."""

    url: Annotated[
        str,
        Meta(
            pattern=r"^https?://[^\s,/?#@]+(/[^\s,?#]*)?(,https?://[^\s,/?#@]+(/[^\s,?#]*)?)*$",
            description="URL of the cluster; several nodes comma separated",
        ),
    ] = "https://127.0.0.1:9250"
    ca_file: Annotated[
        Path | None, Meta(description="CA that signed the cluster's certificate; else the system's")
    ] = None
    username: Annotated[str | None, Meta(description="User for roles without one of their own")] = (
        None
    )
    password: Annotated[Secret | None, Meta(description="Password of `username`")] = None
    writer_username: Annotated[str | None, Meta(description="User that the agent writes as")] = None
    writer_password: Annotated[Secret | None, Meta(description="Password of the writer")] = None
    reader_username: Annotated[str | None, Meta(description="User that the API reads as")] = None
    reader_password: Annotated[Secret | None, Meta(description="Password of the reader")] = None
    lifecycle_username: Annotated[
        str | None, Meta(description="User that installs templates and looks after partitions")
    ] = None
    lifecycle_password: Annotated[
        Secret | None, Meta(description="Password of the lifecycle user")
    ] = None
    client_cert_file: Annotated[
        Path | None, Meta(description="Client certificate, where the cluster asks for one")
    ] = None
    client_key_file: Annotated[
        Path | None, Meta(description="Key of the client certificate, if not in the same file")
    ] = None
    timeout_seconds: Annotated[
        float,
        Meta(
            gt=0,
            le=3600,
            description="How long one request may take; less than `agent.shutdown_seconds`, as a"
            " request under way is not cut when the agent stops",
        ),
    ] = 15
    http_compress: Annotated[bool, Meta(description="Compress what is sent (gzip)")] = False

    def __post_init__(self) -> None:
        """Refuse half a credential: it would be sent as no credential at all."""
        for prefix in ("", "writer_", "reader_", "lifecycle_"):
            name, word = getattr(self, f"{prefix}username"), getattr(self, f"{prefix}password")
            if (name is None) != (word is None):
                given, absent = (
                    ("username", "password") if word is None else ("password", "username")
                )
                raise ValueError(f"{prefix}{given} needs {prefix}{absent}")
        if self.client_key_file and not self.client_cert_file:
            raise ValueError("client_key_file needs client_cert_file")


class IndexSettings(Struct, frozen=True, kw_only=True):
    """Group `index`: how events are laid into indices."""

    prefix: Annotated[
        str,
        Meta(
            pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$",
            max_length=64,
            description="First part of the name of every index and template",
        ),
    ] = "audit"
    partition: Annotated[
        Literal["month", "day"],
        Meta(description="What one index holds: a month or a day of events"),
    ] = "month"
    retention_days: Annotated[
        int,
        Meta(
            ge=1,
            le=36_500,
            description="Events older than this are not taken any more; a partition is deleted when"
            " all of it is",
        ),
    ] = 400
    seal_days: Annotated[
        int,
        Meta(
            ge=1,
            le=36_500,
            description="This long after its end a partition is sealed; a later event goes to"
            " `<prefix>-late-…`",
        ),
    ] = 7
    replicas: Annotated[
        int, Meta(ge=0, le=10, description="Copies of each index besides the first")
    ] = 1
    refresh_interval_seconds: Annotated[
        int, Meta(ge=1, le=3600, description="After how long a stored event can be found")
    ] = 1
    future_hours: Annotated[
        int, Meta(ge=0, le=8784, description="How far ahead of this clock an event may be")
    ] = 24

    def __post_init__(self) -> None:
        """Refuse a prefix under which another prefix's patterns would match (`audit-events-*`)."""
        words = self.prefix.split("-")
        if {"events", "late"} & set(words):
            raise ValueError("prefix must not contain the words events or late")
        if any(word.startswith("journal") for word in words):
            raise ValueError("prefix must not contain a word that begins with journal")


class LifecycleSettings(Struct, frozen=True, kw_only=True):
    """Group `lifecycle`: how partitions are sealed, kept elsewhere and deleted."""

    mode: Annotated[
        Literal["auto", "worm", "ism"],
        Meta(
            description="Who deletes: `worm` only `indelible lifecycle`, with the admin"
            " certificate; `ism` the ISM plugin; `auto` by what the cluster reports"
        ),
    ] = "auto"
    snapshot_repository: Annotated[
        Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]*$")] | None,
        Meta(description="Repository into which a partition is copied before it is deleted"),
    ] = None
    archive_path: Annotated[
        Path | None,
        Meta(description="Directory of that repository, where it is a filesystem of the cluster"),
    ] = None
    interval_seconds: Annotated[
        float, Meta(gt=0, le=86_400, description="How often the partitions are looked at")
    ] = 300
    lease_seconds: Annotated[
        float,
        Meta(ge=5, le=3600, description="How long a leader that died keeps others from its place"),
    ] = 60
    merge_segments: Annotated[
        int, Meta(ge=1, le=50, description="Into how many segments a sealed partition is merged")
    ] = 1
    restored_days: Annotated[
        int, Meta(ge=1, le=36_500, description="How long a restored partition stays")
    ] = 30
    admin_cert_file: Annotated[
        Path | None,
        Meta(description="Admin certificate, which alone deletes what `immutable_indices` covers"),
    ] = None
    admin_key_file: Annotated[
        Path | None, Meta(description="Key of the admin certificate, if not in the same file")
    ] = None

    def __post_init__(self) -> None:
        """Refuse what has no sense without another."""
        if self.admin_key_file and not self.admin_cert_file:
            raise ValueError("admin_key_file needs admin_cert_file")
        if self.archive_path and not self.snapshot_repository:
            raise ValueError("archive_path needs snapshot_repository")


def read_document(environ: Mapping[str, str]) -> Mapping[str, object]:
    """The TOML document that INDELIBLE_CONFIG names, `{}` without one.

    Also checks what no single group can: groups that nobody reads, in the file or the environment.

    Raises:
        SettingsError: an unreadable file, and every unknown group with the nearest known one; its
            `document` is what was read, so that the groups can be checked as well.
    """
    problems = [
        f"{name}: no such setting{_nearest_variable(name)}"
        for name in sorted(environ)
        if name.startswith("INDELIBLE_") and not _has_reader(name)
    ]
    document: dict[str, object] = {}
    path = environ.get("INDELIBLE_CONFIG")
    if path:
        try:
            document = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            problems.append(f"INDELIBLE_CONFIG: cannot read {path}: {_cause(error)}")
    problems += [
        f"[{group}]: no such group{_nearest(group, GROUPS)}"
        for group in document
        if group not in GROUPS
    ]
    if problems:
        raise SettingsError(tuple(problems), document)
    return document


class SettingsReading:
    """Several groups read one after the other, and everything that is wrong with any of them.

    Args:
        environ: variables of the process.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.problems: list[str] = []
        self.document: Mapping[str, object] = {}
        try:
            self.document = read_document(environ)
        except SettingsError as error:
            self.problems.extend(error.problems)
            self.document = error.document

    def group(self, group: str, shape: type[T]) -> T | None:
        """One group (see `read_group`); None where something is wrong with it."""
        try:
            return read_group(group, shape, environ=self.environ, document=self.document)
        except SettingsError as error:
            self.problems.extend(error.problems)
            return None

    def error(self) -> SettingsError:
        """The error that tells of all of it."""
        return SettingsError(tuple(self.problems), self.document)


def read_group(
    group: str, shape: type[T], *, environ: Mapping[str, str], document: Mapping[str, object]
) -> T:
    """One group of settings in the `shape` of a frozen, keyword-only msgspec Struct.

    Raises:
        SettingsError: everything that is wrong with this group, unknown names with the nearest.
    """
    reading = _Reading(group, shape)
    section = document.get(group, {})
    if isinstance(section, Mapping):
        reading.take_document(cast("Mapping[str, object]", section))
    else:
        reading.problems.append(f"[{group}]: expected a table")
    reading.take_environment(environ)
    reading.check_required()
    if not reading.problems:
        try:
            return shape(**reading.values)
        except ValueError as error:
            reading.problems.append(f"[{group}]: {error}")
    raise SettingsError(tuple(reading.problems))


class _Reading:
    """What was found so far for one group: values that are right, problems with the others."""

    def __init__(self, group: str, shape: type[Struct]) -> None:
        self.group = group
        self.fields = {field.name: field for field in msgspec.structs.fields(shape)}
        self.values: dict[str, object] = {}
        self.problems: list[str] = []
        self._failed: set[str] = set()

    def take_document(self, section: Mapping[str, object]) -> None:
        """Take the keys of the `[group]` table."""
        labels = {key: f"[{self.group}] {key}" for key in section}
        self._take(dict(section), labels, strict=True)

    def take_environment(self, environ: Mapping[str, str]) -> None:
        """Take the variables of this group; they replace what the document said."""
        prefix = f"INDELIBLE_{self.group.upper()}_"
        given = {
            name.removeprefix(prefix).lower(): value
            for name, value in environ.items()
            if name.startswith(prefix) and value != ""
        }
        labels = {key: prefix + key.upper() for key in given}
        self._take(dict(given), labels, strict=False)

    def check_required(self) -> None:
        """A field without a default and without a value is a problem."""
        for name, field in self.fields.items():
            if field.required and name not in self.values and name not in self._failed:
                variable = f"INDELIBLE_{self.group.upper()}_{name.upper()}"
                self.problems.append(f"{variable}: required, and not set")

    def _take(
        self, given: Mapping[str, object], labels: Mapping[str, str], *, strict: bool
    ) -> None:
        for key in sorted(given):
            label, name = labels[key], key.removesuffix("_file")
            if key in self.fields:
                self._convert(key, label, given[key], strict=strict)
            elif name != key and name in self.fields and _names(self.fields[name].type, Secret):
                if name in given:
                    self._fail(name, f"{label}: given beside {labels[name]}, give one of them")
                else:
                    self._take_file(name, label, given[key])
            else:
                self.problems.append(f"{label}: no such setting{_nearest(key, self.fields)}")

    def _convert(self, name: str, label: str, value: object, *, strict: bool) -> None:
        kind = self.fields[name].type
        if isinstance(value, str) and not strict and _names(kind, tuple):
            value = [part.strip() for part in value.split(",") if part.strip()]
        try:
            self.values[name] = msgspec.convert(value, kind, strict=strict, dec_hook=_decode)
        except msgspec.ValidationError as error:
            self._fail(name, f"{label}: {_lower(str(error))}{_allowed(kind)}")

    def _take_file(self, name: str, label: str, value: object) -> None:
        try:
            text = _read_secret(Path(str(value)).expanduser())
        except (OSError, ValueError) as error:
            self._fail(name, f"{label}: cannot use {value}: {_cause(error)}")
        else:
            self.values[name] = Secret(text)

    def _fail(self, name: str, problem: str) -> None:
        self._failed.add(name)
        self.problems.append(problem)


def _read_secret(path: Path) -> str:
    mode = path.stat().st_mode
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ValueError("others may write it, so it is not a secret; chmod 600")
    if mode & stat.S_IROTH:
        _log.warning("secret_file_readable_by_others", path=str(path), hint="chmod 600")
    text = path.read_text(encoding="utf-8").rstrip("\r\n")
    if not text:
        raise ValueError("it is empty")
    return text


def _decode(kind: type, value: object) -> object:
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    if kind is Path and isinstance(value, str):
        return Path(value).expanduser()
    raise TypeError("Expected text")


def _names(annotation: object, wanted: type) -> bool:
    """Whether a type is `wanted`, or has it in a union, a list or an Annotated."""
    return (
        annotation is wanted
        or get_origin(annotation) is wanted
        or any(_names(part, wanted) for part in get_args(annotation))
    )


def _allowed(annotation: object) -> str:
    if get_origin(annotation) is Literal:
        return f", expected {' or '.join(str(value) for value in get_args(annotation))}"
    parts = [_allowed(part) for part in get_args(annotation)]
    return "".join(parts)


def _has_reader(variable: str) -> bool:
    beginnings = tuple(f"INDELIBLE_{group.upper()}_" for group in GROUPS) + OTHER_PREFIXES
    return variable in OTHER_VARIABLES or variable.startswith(beginnings)


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f", did you mean {near[0]}?" if near else ""


def _nearest_variable(variable: str) -> str:
    group, _, field = variable.removeprefix("INDELIBLE_").partition("_")
    near = difflib.get_close_matches(group.lower(), GROUPS, n=1)
    known = [*OTHER_VARIABLES, *(f"INDELIBLE_{one.upper()}_{field}" for one in near)]
    return _nearest(variable, known)


def _cause(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
