"""A small FastAPI application: who is signed in gives members another role."""

from typing import Annotated

from fastapi import Depends, FastAPI, Header, HTTPException

from tests.apps.directory import User, change_role_async, find_user

app = FastAPI()


def sign_in(authorization: Annotated[str, Header()] = "") -> User:
    user = find_user(authorization)
    if user is None:
        raise HTTPException(401)
    return user


@app.patch("/members/{member_id}", dependencies=[Depends(sign_in)])
async def patch_member(member_id: str, role: str) -> str:
    await change_role_async(member_id, role)
    return f"{member_id} is {role}"
