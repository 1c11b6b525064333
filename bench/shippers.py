r"""Other shippers, configured as a careful user would configure them for an audit log.

State is persisted, nothing is dropped when the sink is slow, bulk requests of up to 5,000 events,
`create` with the line's own id as `_id`, retries for ever. They run in the foreground with all
that they keep in one directory.

They are those of the system, or of a directory of unpacked packages (installed, the two of Debian
exclude each other):

    mkdir -p DIRECTORY && cd DIRECTORY
    apt-get download rsyslog rsyslog-elasticsearch libestr0 libfastjson4 liblognorm5 \
        syslog-ng-core syslog-ng-mod-http libivykis0 libnet1 libpcre3 libwrap0
    for package in *.deb; do dpkg-deb -x "$package" .; done
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.processes import Command

BATCH_EVENTS: Final = 5000
BATCH_BYTES: Final = 4 << 20
LIBRARIES: Final = (
    "usr/lib/x86_64-linux-gnu",
    "usr/lib/aarch64-linux-gnu",
    "lib/x86_64-linux-gnu",
    "lib/aarch64-linux-gnu",
    "usr/lib/syslog-ng",
)


@dataclass(frozen=True, slots=True)
class Shipper:
    """One shipper in one configuration."""

    name: str
    program: str
    install: str
    configure: Callable[[Path, int], str]
    """Its configuration, for a directory to work in (`logs/*.log` there) and the sink's port."""
    arguments: Callable[[Path, Path], list[str]]
    """Its arguments, for that directory and the root that it is installed under."""

    def command(self, work: Path, port: int, unpacked: Path) -> Command | None:
        """What to start, its configuration written; None if it is not installed."""
        root = find_root(self.program, unpacked)
        if root is None:
            return None
        (work / "state").mkdir(exist_ok=True)
        (work / "configuration").write_text(self.configure(work, port), "utf-8")
        program = shutil.which(self.program, path=search_path(root)) or self.program
        libraries = ":".join(str(root / folder) for folder in LIBRARIES)
        added = {"LD_LIBRARY_PATH": libraries} if root != Path("/") else {}
        return Command([program, *self.arguments(work, root)], added)


def search_path(root: Path) -> str:
    """The directories of programs under a root."""
    return os.pathsep.join(str(root / folder) for folder in ("usr/sbin", "sbin", "usr/bin", "bin"))


def find_root(program: str, unpacked: Path) -> Path | None:
    """The root that a program is installed under."""
    for root in (unpacked, Path("/")):
        if shutil.which(program, path=search_path(root)):
            return root
    return None


def _configure_rsyslog(work: Path, port: int) -> str:
    return f"""\
global(workDirectory="{work}/state" maxMessageSize="128k" internal.severity="warning")
module(load="imfile" mode="inotify")
module(load="mmjsonparse")
module(load="omelasticsearch")
template(name="line" type="string" string="%msg%")
template(name="index" type="string" string="audit-events-%$year%.%$month%")
template(name="id" type="string" string="%$!id%")
input(type="imfile" file="{work}/logs/*.log" tag="audit" ruleset="ship"
      reopenOnTruncate="on" persistStateInterval="10000" persistStateAfterSubmission="on")
ruleset(name="ship" queue.type="LinkedList" queue.filename="ship" queue.size="100000"
        queue.dequeueBatchSize="{BATCH_EVENTS}" queue.maxDiskSpace="4g" queue.saveOnShutdown="on"
        queue.timeoutEnqueue="600000" queue.timeoutShutdown="30000") {{
  action(type="mmjsonparse" cookie="")
  action(type="omelasticsearch" server="127.0.0.1" serverport="{port}" template="line"
         searchIndex="index" dynSearchIndex="on" searchType="" bulkid="id" dynbulkid="on"
         bulkmode="on" maxbytes="{BATCH_BYTES}" writeoperation="create"
         retryfailures="on" retryruleset="ship" action.resumeRetryCount="-1")
}}
"""


def _rsyslog_arguments(work: Path, root: Path) -> list[str]:
    modules = [str(path.parent) for path in sorted(root.glob("usr/lib/*/rsyslog/imfile.so"))] + [
        str(root / "usr/lib/rsyslog")
    ]
    configuration = ["-f", str(work / "configuration"), "-i", str(work / "pid")]
    return ["-n", *configuration, "-M", ":".join(modules)]


def _configure_syslog_ng(work: Path, port: int, *, queue: str) -> str:
    return f"""\
@version: 3.35
options {{ stats-freq(0); log-msg-size(131072); }};
source lines {{
  wildcard-file(base-dir("{work}/logs") filename-pattern("*.log") recursive(no) max-files(20)
                flags(no-parse) log-fetch-limit(1000) log-iw-size(400000));
}};
parser fields {{ json-parser(prefix(".json.")); }};
destination sink {{
  http(url("http://127.0.0.1:{port}/_bulk") method("POST")
       headers("content-type: application/x-ndjson") workers(2)
       batch-lines({BATCH_EVENTS}) batch-bytes({BATCH_BYTES}) batch-timeout(200) timeout(30)
       delimiter("\\n") body-suffix("\\n") retries(1000000)
       body("{{\\"create\\":{{\\"_index\\":\\"audit-events-${{YEAR}}.${{MONTH}}\\",\
\\"_id\\":\\"${{.json.id}}\\"}}}}\\n${{MSG}}")
       {queue});
}};
log {{ source(lines); parser(fields); destination(sink); flags(flow-control); }};
"""


def _configure_disk_buffer(work: Path, port: int) -> str:
    queue = f"""disk-buffer(reliable(yes) disk-buf-size(4294967296) mem-buf-size(67108864)
                   dir("{work}/state"))"""
    return _configure_syslog_ng(work, port, queue=queue)


def _configure_memory_queue(work: Path, port: int) -> str:
    return _configure_syslog_ng(work, port, queue="log-fifo-size(400000)")


def _syslog_ng_arguments(work: Path, root: Path) -> list[str]:
    state = work / "state"
    return [
        "--foreground", "--no-caps",
        "--cfgfile", str(work / "configuration"),
        "--persist-file", str(state / "persist"),
        "--pidfile", str(state / "pid"),
        "--control", str(state / "control"),
        "--module-path", ":".join(str(path) for path in sorted(root.glob("usr/lib/syslog-ng/*/"))),
    ]  # fmt: skip


RSYSLOG: Final = Shipper(
    name="rsyslog, disk-assisted queue",
    program="rsyslogd",
    install="apt-get install rsyslog rsyslog-elasticsearch",
    configure=_configure_rsyslog,
    arguments=_rsyslog_arguments,
)
SYSLOG_NG: Final = Shipper(
    name="syslog-ng, reliable disk buffer",
    program="syslog-ng",
    install="apt-get install syslog-ng-core syslog-ng-mod-http",
    configure=_configure_disk_buffer,
    arguments=_syslog_ng_arguments,
)
SYSLOG_NG_MEMORY: Final = Shipper(
    name="syslog-ng, memory queue",
    program=SYSLOG_NG.program,
    install=SYSLOG_NG.install,
    configure=_configure_memory_queue,
    arguments=_syslog_ng_arguments,
)
SHIPPERS: Final = (SYSLOG_NG, SYSLOG_NG_MEMORY, RSYSLOG)
