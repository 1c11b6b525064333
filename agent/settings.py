"""Group `agent`: what the agent follows, how it batches, and when it lets go."""

import os
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from indexer.settings_reading import expand


class AgentSettings(Struct, frozen=True, kw_only=True):
    """Group `agent`: what is followed, how it is batched, and when it is let go."""

    paths: Annotated[
        tuple[str, ...],
        Meta(
            description="Globs of the files to follow, `**` too; links are followed, to whatever"
            " the agent's user may read; default: `events/*.log` at home"
        ),
    ] = ()
    state_directory: Annotated[
        str,
        Meta(description="Where checkpoint, dead letter and status lie; default: `agent` at home"),
    ] = ""
    batch_bytes: Annotated[
        int, Meta(ge=65_536, le=64 << 20, description="A batch is sent at this many bytes")
    ] = 2 << 20
    batch_events: Annotated[
        int, Meta(ge=1, le=100_000, description="A batch is sent at this many events")
    ] = 5000
    flush_interval_seconds: Annotated[
        float, Meta(ge=0, le=60, description="A batch is sent at this age, however small")
    ] = 0.2
    poll_interval_seconds: Annotated[
        float,
        Meta(gt=0, le=3600, description="How often all globs are looked at, events or no events"),
    ] = 1.0
    requests_in_flight: Annotated[
        int, Meta(ge=1, le=64, description="Bulk requests that may be unanswered at a time")
    ] = 2
    max_line_bytes: Annotated[
        int, Meta(ge=1024, le=64 << 20, description="A longer line goes to the dead letter")
    ] = 65_536
    rotated_grace_seconds: Annotated[
        float,
        Meta(ge=0, le=86_400, description="How long a file that was rotated away is read on"),
    ] = 120.0
    shutdown_seconds: Annotated[
        float, Meta(ge=0, le=3600, description="How long SIGTERM waits for what is in flight")
    ] = 20.0
    check_chain: Annotated[
        bool, Meta(description="Verify the hash of each line, besides its `seq`")
    ] = False
    monitor_host: Annotated[
        str,
        Meta(min_length=1, description="Address on which `/metrics`, `/healthz`, `/readyz` are"),
    ] = "127.0.0.1"
    monitor_port: Annotated[int, Meta(ge=0, le=65_535, description="Port of these; 0 is none")] = 0

    def __post_init__(self) -> None:
        """Refuse the home of a user that is none."""
        try:
            expand(self.state_directory)
        except ValueError as error:
            raise ValueError(f"state_directory: {error}") from None


def absolute(settings: AgentSettings) -> AgentSettings:
    """The same settings, independent of the working directory and of whose home it is."""
    return msgspec.structs.replace(
        settings,
        paths=tuple(os.path.abspath(os.path.expanduser(path)) for path in settings.paths),  # noqa: PTH100, PTH111  # `Path` knows no `**/`
        state_directory=str(expand(settings.state_directory).absolute()),
    )
