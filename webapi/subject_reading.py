"""Reading from a request whose life is asked for."""

from msgspec import UNSET

from webapi.errors import ParameterError
from webapi.parameters import SUBJECT_ID, SUBJECT_TYPE, SUBJECT_USER_ID
from webapi.request_reading import RequestReading
from webapi.subject import Subject


def read_subject(reading: RequestReading) -> Subject:
    """Return who or what a request is about; what is wrong is noted in `reading`.

    Args:
        reading: of an address that takes `parameters.SUBJECT`.
    """
    user_id = reading.single(SUBJECT_USER_ID)
    resource_type, resource_id = reading.single(SUBJECT_TYPE), reading.single(SUBJECT_ID)
    given = [parameter.name for parameter in (SUBJECT_TYPE, SUBJECT_ID) if reading.given(parameter)]
    if reading.given(SUBJECT_USER_ID):
        for name in given:
            error = ParameterError("conflict", "goes without `targetUserId`: ask for one of them")
            reading.refuse(name, error)
    elif not given:
        reason = "say of what: `targetUserId`, or `resourceType` and `resourceId`"
        reading.refuse(SUBJECT_USER_ID.name, ParameterError("required", reason))
    elif len(given) == 1:
        (missing,) = {SUBJECT_TYPE.name, SUBJECT_ID.name} - set(given)
        reading.refuse(missing, ParameterError("required", f"goes together with `{given[0]}`"))
    return Subject(
        target_user_id=user_id or UNSET,
        resource_type=resource_type or UNSET,
        resource_id=resource_id or UNSET,
    )
