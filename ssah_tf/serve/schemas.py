"""The shapes of what the service answers, for its description."""

from pydantic import BaseModel, Field


class Mistake(BaseModel):
    """Why a request was not answered."""

    error: str = Field(description="One line.")


class PhotoAnswer(BaseModel):
    """A photo of the index."""

    id: int
    path: str = Field(description="Relative to the folder that was indexed.")
    labels: list[str]
    thumbnail: str = Field(description="Address of its thumbnail.")
    image: str = Field(description="Address of the whole picture.")


class Neighbour(PhotoAnswer):
    """A photo and how far it is."""

    distance: int = Field(description="Bits in which the codes differ.")


class Asked(BaseModel):
    """What was searched for."""

    code: str = Field(description="Hexadecimal.")
    appearance: str = Field(description='Its appearance code, hexadecimal; "" for none.')
    photo: PhotoAnswer | None = Field(description="The photo of the index, if it is one.")
    labels: list[str] = Field(
        description="Labels that `label_like` matches; the first is the one that was searched for."
    )


class SearchAnswer(BaseModel):
    """What was found."""

    model_id: str
    bits: int
    photos: int = Field(description="Photos in the index.")
    query: Asked
    neighbours: list[Neighbour] = Field(
        description="By distance, appearance and id, or as `order` says."
    )


class Code(BaseModel):
    """The code of an image."""

    code: str = Field(description="Hexadecimal.")
    appearance: str = Field(description='The appearance code, hexadecimal; "" for none.')
    bits: int
    model_id: str = Field(description="Codes of two ids must not be compared.")


class Health(BaseModel):
    """Whether the service works."""

    status: str
    model_id: str | None = None
    photos: int | None = None
    missing: int | None = None


class About(BaseModel):
    """What is served, and the limits."""

    version: str
    model_id: str
    bits: int
    appearance_bits: int = Field(description="0 for an encoder without appearance codes.")
    photos: int
    missing: int = Field(description="Photos that are kept, but not found: see `ssah index`.")
    labels: dict[str, int] = Field(description="Label -> number of photos.")
    max_k: int
    max_upload: int = Field(description="Bytes.")
    token: bool = Field(description="Whether a token is needed.")
