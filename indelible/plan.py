"""What `indelible up` runs, and what it tells its children: pure."""

from dataclasses import dataclass
from typing import Final

from indelible.configuration import Configuration
from indelible.processes import Program
from webapi.settings import is_plain_loopback

HOST: Final = "127.0.0.1"
STOP_ORDER: Final = ("traffic", "example", "agent", "lifecycle", "web")
"""Who writes ends first, so that the agent has all of it to settle; readers come after."""
EXAMPLE_STOP_SECONDS: Final = 5.0
MARGIN_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Options:
    """What the operator chose on the command line."""

    example: bool
    fresh: bool
    yes: bool
    example_port: int
    as_json: bool


def programs(configuration: Configuration, options: Options) -> dict[str, Program]:
    """Return what is run, by name."""
    home, example = configuration.home, "examples.members"
    url = f"http://{HOST}:{options.example_port}"
    found = [
        Program(
            "example",
            (
                *("-m", example, "--port", str(options.example_port)),
                *("--audit-log", str(home / "events" / "members.log")),
                *("--database", str(home / "example" / "members.sqlite")),
                # The traffic says whose address it stands for, as a reverse proxy would.
                *("--trusted-proxies", "1"),
            ),
            EXAMPLE_STOP_SECONDS,
        ),
        Program("traffic", ("-m", f"{example}.traffic", "--url", url), EXAMPLE_STOP_SECONDS),
        Program(
            "agent",
            ("-m", "indelible", "agent"),
            configuration.agent.shutdown_seconds + MARGIN_SECONDS,
        ),
        Program(
            "lifecycle",
            ("-m", "indelible", "lifecycle", "run"),
            # It ends between two steps, and a request under way is not cut.
            configuration.connection.timeout_seconds + MARGIN_SECONDS,
        ),
        Program(
            "web",
            ("-m", "indelible", "web"),
            configuration.web.shutdown_seconds + MARGIN_SECONDS,
        ),
    ]
    return {program.name: program for program in found}


def environ_of(configuration: Configuration) -> dict[str, str]:
    """Return the settings that `up` decides about, for its children."""
    home = configuration.home
    own = str(home / "events" / "*.log")
    paths = configuration.agent.paths
    return {
        "INDELIBLE_HOME": str(home),
        "INDELIBLE_AGENT_PATHS": ",".join(paths if own in paths else (*paths, own)),
        "INDELIBLE_WEB_AUDIT_PATH": configuration.web.audit_path or str(home / "events/web.log"),
        # On this host there is no https, unless a proxy in front has another address.
        "INDELIBLE_WEB_COOKIE_SECURE": str(not is_plain_loopback(configuration.web)).lower(),
    }
