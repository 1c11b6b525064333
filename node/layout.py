"""Where everything of a node lies, and as whom it runs.

The home belongs to the operator: cache, certificate authority, credentials. The place has what the
server itself touches. They are one directory, unless root runs the node: OpenSearch refuses to run
as root, so it runs as another user, and where that user cannot reach the home (a directory on the
way has mode 0700), the place is below `/var/lib/indelible`, and the home's file `place` says so.
"""

import hashlib
import os
import pwd
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from node.config import NodeConfig
from node.errors import HomeError, NodeError

SHARED_STATE = Path("/var/lib/indelible")
PLACE_RECORD = "place"
STEP_DOWN_USERS = ("indelible", "opensearch", "nobody")
_MAY_PASS = 0o111
_OWNER_ENTERS, _GROUP_ENTERS, _OTHERS_ENTER = 0o100, 0o010, 0o001


@dataclass(frozen=True, slots=True)
class User:
    """An account of the operating system."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of one node; nothing here exists before `start`."""

    home: Path
    place: Path
    cache: Path
    node_name: str

    @property
    def authority(self) -> Path:
        """Certificates and keys that only the operator reads."""
        return self.home / "authority"

    @property
    def credentials(self) -> Path:
        """The users' passwords, mode 0600."""
        return self.home / "credentials.json"

    @property
    def nodes(self) -> Path:
        """The nodes of this home."""
        return self.place / "nodes"

    @property
    def initialised(self) -> Path:
        """Made when a node has served its users for the first time: its data know the passwords."""
        return self.place / "initialised"

    @property
    def archive(self) -> Path:
        """OpenSearch's `path.repo`: snapshots may be kept here; one directory for all the nodes."""
        return self.place / "archive"

    @property
    def node(self) -> Path:
        """What belongs to this node alone."""
        return self.nodes / self.node_name

    @property
    def record(self) -> Path:
        """The configuration that the node was last started with."""
        return self.node / "node.json"

    @property
    def config(self) -> Path:
        """OpenSearch's `path.conf`."""
        return self.node / "config"

    @property
    def data(self) -> Path:
        """OpenSearch's `path.data`."""
        return self.node / "data"

    @property
    def logs(self) -> Path:
        """OpenSearch's `path.logs`."""
        return self.node / "logs"

    @property
    def temporary(self) -> Path:
        """Scratch space of the server's process."""
        return self.node / "tmp"

    @property
    def server_log(self) -> Path:
        """What OpenSearch logs."""
        return self.logs / "server.log"

    @property
    def console_log(self) -> Path:
        """What the Java machine says for itself; overwritten by each start.

        Not among the server's own files: root opens it, and must not follow a link of another user.
        """
        return self.node / "console.log"

    @property
    def argument(self) -> str:
        """The argument of the server's command line that no other process has."""
        return f"-Dopensearch.path.conf={self.config}"


def step_down_user(names: Sequence[str] = STEP_DOWN_USERS) -> User | None:
    """Return the user to run the server as, or None for the present one (who is not root)."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    for name in names:
        if name in known and known[name].pw_uid != 0:
            return User(name, known[name].pw_uid, known[name].pw_gid)
    raise NodeError(
        f"OpenSearch does not run as root, and none of the users {', '.join(names)} exists",
        hint="make one: useradd --system --home-dir /nonexistent indelible",
    )


def server_uids() -> frozenset[int]:
    """Return as whom a server of this user may run, by now or by an earlier choice."""
    own = os.geteuid()
    if own != 0:
        return frozenset({own})
    return frozenset(entry.pw_uid for entry in pwd.getpwall() if entry.pw_name in STEP_DOWN_USERS)


def reachable(path: Path, user: User) -> bool:
    """Tell whether `user` may enter `path` (an existing one or where it would be made)."""
    return all(_may_enter(one.stat(), user) for one in (path, *path.parents) if one.exists())


def _may_enter(stat: os.stat_result, user: User) -> bool:
    if stat.st_uid == user.uid:
        return bool(stat.st_mode & _OWNER_ENTERS)
    if stat.st_gid == user.gid:
        return bool(stat.st_mode & _GROUP_ENTERS)
    return bool(stat.st_mode & _OTHERS_ENTER)


def check_home(home: Path) -> None:
    """Raise `HomeError` unless `home` is this user's, or can be made."""
    nearest = next(one for one in (home, *home.parents) if one.exists())
    owner = nearest.stat().st_uid
    if nearest == home and owner != os.geteuid():
        raise HomeError(
            f"{home} belongs to {_name(owner)}, and this is {_name(os.geteuid())}",
            hint=f"run as {_name(owner)}, or choose another home: INDELIBLE_HOME",
        )
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise HomeError(
            f"{home}: {_name(os.geteuid())} cannot write {nearest}",
            hint="choose another home: INDELIBLE_HOME",
        )


def _name(uid: int) -> str:
    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"uid {uid}"


def find_layout(config: NodeConfig) -> Layout:
    """Return the paths of `config`, deciding about the place where that is not yet decided."""
    home = config.home.absolute()
    place = read_place(home) or choose_place(home, step_down_user())
    return Layout(home, place, config.cache or home / "cache", config.node_name)


def read_place(home: Path) -> Path | None:
    """Return the place that the home has recorded, None before it has.

    Only the one directory that `choose_place` can have chosen is believed: what is below a place
    gets removed, and a torn or edited record (`Path("")` is the current directory) could name any.

    Raises:
        HomeError: the record names anything else.
    """
    record = home / PLACE_RECORD
    try:
        text = record.read_text("utf-8").strip()
    except FileNotFoundError:
        return None
    if text != str(_shared_place(home)):
        raise HomeError(
            f"{record} does not name the place of {home}: {text!r}",
            hint=f"it must read {_shared_place(home)}; mend the file, or choose another home",
        )
    return _shared_place(home)


def make_place(place: Path) -> None:
    """Make a place below `/var/lib/indelible`; whatever the umask, others may pass through."""
    for directory in (place.parent, place):
        directory.mkdir(exist_ok=True)
        directory.chmod(directory.stat().st_mode | _MAY_PASS)


def choose_place(home: Path, user: User | None) -> Path:
    """Return where the server's own files lie for `home`."""
    if user is None or reachable(home, user):
        return home
    return _shared_place(home)


def _shared_place(home: Path) -> Path:
    return SHARED_STATE / hashlib.sha256(os.fsencode(home)).hexdigest()[:16]
