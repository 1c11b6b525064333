"""Reading settings: environment beats TOML file beats default, one frozen Struct a group.

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
from typing import Final, Literal, TypeVar, cast, get_args, get_origin

import msgspec
import structlog
from msgspec import Struct

from audit_events.small_file import read_small_file
from indexer.errors import SettingsError
from indexer.settings import Secret

GROUPS: Final = ("opensearch", "index", "lifecycle", "agent", "web", "stream", "node", "catalogue")
OTHER_VARIABLES: Final = ("INDELIBLE_HOME", "INDELIBLE_CONFIG", "INDELIBLE_CACHE")
TEST_PREFIX: Final = "INDELIBLE_TEST_"

T = TypeVar("T", bound=Struct)

_log = structlog.get_logger("indexer")


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
            document = tomllib.loads(read_small_file(Path(path)))
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


def expand(path: str) -> Path:
    """Return the path, with the home of a user for `~` or `~user`.

    Raises:
        ValueError: there is no such user.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise ValueError(f"there is no user {path.partition('/')[0]}") from None


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
        if _has_nul(value):
            # What opens a path says so of no setting, and without a cause that one could tell.
            self._fail(name, f"{label}: has a NUL character, which no setting may")
            return
        if isinstance(value, str) and not strict and _names(kind, tuple):
            value = [part.strip() for part in value.split(",") if part.strip()]
        try:
            self.values[name] = msgspec.convert(value, kind, strict=strict, dec_hook=_decode)
        except msgspec.ValidationError as error:
            examples = _examples(kind) if "matching regex" in str(error) else ()
            wrong = f"expected such as {examples[0]}" if examples else _lower(str(error))
            self._fail(name, f"{label}: {wrong}{_allowed(kind)}")

    def _take_file(self, name: str, label: str, value: object) -> None:
        try:
            text = _read_secret(expand(str(value)))
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
    text = read_small_file(path).rstrip("\r\n")
    if not text:
        raise ValueError("it is empty")
    return text


def _decode(kind: type, value: object) -> object:
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    if kind is Path and isinstance(value, str):
        return expand(value)
    raise TypeError("Expected text")


def _has_nul(value: object) -> bool:
    if isinstance(value, list):
        return any(map(_has_nul, cast("list[object]", value)))
    return isinstance(value, str) and "\0" in value


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


def _examples(annotation: object) -> tuple[object, ...]:
    """What a field looks like whose pattern nobody can read."""
    if isinstance(annotation, msgspec.Meta):
        return tuple(annotation.examples or ())
    return tuple(one for part in get_args(annotation) for one in _examples(part))


def _has_reader(variable: str) -> bool:
    beginnings = (TEST_PREFIX, *(f"INDELIBLE_{group.upper()}_" for group in GROUPS))
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
