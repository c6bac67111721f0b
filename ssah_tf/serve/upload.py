"""The image in the body of a request."""

from fastapi import HTTPException, Request
from starlette.datastructures import UploadFile

#: Name of the field of a form.
FIELD = "image"


async def read_upload(request: Request) -> bytes:
    """The image in a request: the body itself, or the field `image` of a form.

    How much is read at most is seen to by the gate.

    Raises:
        HTTPException: There is none.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        async with request.form(max_files=1, max_fields=8) as form:
            field = form.get(FIELD)
            if not isinstance(field, UploadFile):
                raise HTTPException(422, f"the form has no file in a field called {FIELD!r}")
            content = await field.read()
    else:
        content = await request.body()
    if not content:
        raise HTTPException(422, "no image: send it as the body, or as the field 'image' of a form")
    return content
