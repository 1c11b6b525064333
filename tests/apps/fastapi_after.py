"""A small FastAPI application: who is signed in gives members another role."""

from typing import Annotated

from fastapi import Depends, FastAPI, Header, HTTPException

import audit_events.integrations.asgi
from tests.apps.directory import User, change_role_async, find_user

app = FastAPI()
log = audit_events.configure("audit.log", service="members")
app.add_middleware(audit_events.integrations.asgi.AuditMiddleware)


def sign_in(authorization: Annotated[str, Header()] = "") -> User:
    user = find_user(authorization)
    if user is None:
        raise HTTPException(401)
    audit_events.bind_actor({"type": "user", "id": user.id}, organization_id=user.org)
    return user


@app.patch("/members/{member_id}", dependencies=[Depends(sign_in)])
async def patch_member(member_id: str, role: str) -> str:
    await change_role_async(member_id, role)
    log.info("member.role_changed", target_user={"id": member_id}, context={"new": {"role": role}})
    return f"{member_id} is {role}"
