"""A Celery application as a team would write it: tests start real workers and a real beat on it.

Its broker is a directory (`CELERY_DIRECTORY`), its audit log the file `audit.jsonl` in there.
"""

import json
import os
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import structlog
from celery import Celery, Task  # type: ignore[import-untyped]  # ships no types
from kombu.transport import filesystem

import audit_events
from audit_events.integrations import celery as audit_celery

_HOME = Path(os.environ["CELERY_DIRECTORY"])
_QUEUE = _HOME / "queue"
_QUEUE.mkdir(parents=True, exist_ok=True)


def _put_whole(_channel: object, queue: str, payload: object, **_: object) -> None:
    """Give a message its name when it is whole; the library's own may be taken while it is empty.

    Then the worker ends with an error of JSON, and the message is lost (seen once in some hundred).
    """
    name = f"{round(time.monotonic() * 1000)}_{uuid.uuid4()}.{queue}.msg"
    begun = _HOME / f"{name}.begun"
    begun.write_text(json.dumps(payload))
    begun.rename(_QUEUE / name)


cast("Any", filesystem.Channel)._put = _put_whole  # there is no other place for it
audit_celery.connect()
audit_events.configure(_HOME / "audit.jsonl", service="members")
log = audit_events.get_logger()

application: Any = Celery("celery_members", broker="filesystem://")
application.conf.update(
    broker_transport_options={
        "data_folder_in": str(_QUEUE),
        "data_folder_out": str(_QUEUE),
        "control_folder": str(_HOME / "control"),
        "polling_interval": 0.05,
    },
    result_backend=f"file://{_HOME}",
    beat_schedule={"nightly": {"task": "expire", "schedule": 0.5, "args": ("nightly",)}},
    beat_schedule_filename=str(_HOME / "schedule"),
    broker_connection_retry_on_startup=True,
    worker_hijack_root_logger=False,
)


_task: Callable[..., Callable[[Callable[..., object]], Any]] = application.task


def _record(name: str) -> None:
    log.info("member.invited", resource={"type": "task", "id": name}, context={"pid": os.getpid()})


@_task(name="invite")
def invite(name: str) -> str:
    _record(name)
    return name


@_task(name="invite_twice", bind=True, default_retry_delay=0, max_retries=1)
def invite_twice(self: Any, name: str) -> None:
    """Fail once, be retried, and publish another task from the retry."""
    _record(f"{name} {self.request.retries}")
    if not self.request.retries:
        raise cast("Task", self).retry()
    invite.delay(f"{name} nested")


@_task(name="fail")
def fail(name: str) -> None:
    _record(name)
    raise RuntimeError(name)


@_task(name="leak")
def leak(name: str) -> None:
    """Bind another actor and leave it bound: the next task must not see it."""
    _record(name)
    structlog.contextvars.bind_contextvars(organization_id="org_leaked", actor={"type": "service"})
    raise RuntimeError(name)


@_task(name="gather")
def gather(names: list[str], name: str) -> None:
    _record(f"{name} of {len(names)}")


@_task(name="expire")
def expire(name: str) -> None:
    log.info(
        "member.removed",
        organization_id="org_acme",
        resource={"type": "task", "id": name},
        context={"pid": os.getpid()},
    )


@_task(name="describe")
def describe(name: str) -> None:
    """Tell what is bound, as an event that names its own actor."""
    bound = structlog.contextvars.get_contextvars()
    log.info(
        "member.removed",
        organization_id="org_acme",
        actor={"type": "system"},
        resource={"type": "task", "id": name},
        context={"bound": sorted(bound)},
    )
