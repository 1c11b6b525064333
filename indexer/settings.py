"""Settings: one frozen Struct a group, which says what each field means."""

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct
from typing_extensions import override


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
            examples=["https://opensearch.example:9200"],
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
    tokens_username: Annotated[
        str | None,
        Meta(description="User that keeps the API tokens; without one, there are none"),
    ] = None
    tokens_password: Annotated[
        Secret | None, Meta(description="Password of the user of API tokens")
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
        for prefix in ("", "writer_", "reader_", "lifecycle_", "tokens_"):
            name, word = getattr(self, f"{prefix}username"), getattr(self, f"{prefix}password")
            if (name is None) != (word is None):
                given, absent = (
                    ("username", "password") if word is None else ("password", "username")
                )
                raise ValueError(f"{prefix}{given} needs {prefix}{absent}")
        if self.client_key_file and not self.client_cert_file:
            raise ValueError("client_key_file needs client_cert_file")


Codec = Literal["best_compression", "default", "zstd", "zstd_no_dict"]


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
    codec: Annotated[
        Codec,
        Meta(
            description="How new partitions keep their events: `best_compression` is smallest;"
            " `zstd` is as small and read more quickly, but needs the plugin"
            " opensearch-custom-codecs on every node that ever opens them, as does `zstd_no_dict`;"
            " `default` takes twice the disk and is read three times as quickly"
        ),
    ] = "best_compression"
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
        if "verify" in words:
            raise ValueError("prefix must not contain the word verify")


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
    signing_key_file: Annotated[
        Path | None,
        Meta(
            description="Private key (Ed25519, PEM) that the heads of sealed partitions are signed"
            " with; `indelible head key` makes one"
        ),
    ] = None
    heads_file: Annotated[
        Path | None,
        Meta(description="File to which each signed head is appended, to be carried off this host"),
    ] = None
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
