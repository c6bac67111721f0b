"""The shapes of what the service answers, for its description."""

from pydantic import BaseModel, Field

from ssah_tf.serve.label_journal import Action, Mark

#: Photos of one step, at most: a region of the map may have many.
MANY = 100_000


class Mistake(BaseModel):
    """Why a request was not answered."""

    error: str = Field(description="One line.")


class PhotoAnswer(BaseModel):
    """A photo of the index."""

    id: int
    path: str = Field(description="Relative to the folder that was indexed.")
    labels: list[str]
    taken: str = Field(
        description="When, such as `2024-05-03T12:33:10+02:00`: what the clock said there, with "
        'its offset from UTC if that is known; "" if nothing is.'
    )
    taken_from: str = Field(
        description='What says so: `exif`, the time of the `file`, or `none`; "" if the index '
        "has no dates yet."
    )
    camera: str = Field(description='Its model, "" if it is not known.')
    second_pictures: str = Field(
        description='What is behind the picture or beside it, such as `gain map, video`; "" for '
        "nothing."
    )
    thumbnail: str = Field(description="Address of its thumbnail.")
    image: str = Field(description="Address of the whole picture.")


class MonthAnswer(BaseModel):
    """A month."""

    month: str = Field(description='Such as `2024-05`; "" for no date.')
    photos: int = Field(description="Photos that were taken then.")


class FolderAnswer(BaseModel):
    """A folder that holds photos."""

    folder: str = Field(description='As in `path` of a photo; "" for the indexed one.')
    photos: int = Field(description="Photos in it, not counting those in folders below.")
    cover: PhotoAnswer = Field(description="The newest one.")


class Place(BaseModel):
    """Where a photo was taken."""

    latitude: float | None = Field(description="Degrees, north of the equator.")
    longitude: float | None = Field(description="Degrees, east of Greenwich.")


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
    damaged: str = Field(
        description="What is missing in an image that was read as far as it goes, a line; "
        '"" for a whole one.'
    )
    preview: str = Field(
        description="Address that holds the image as a picture, upright; "
        '"" unless `preview` asks for it.'
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
    originals: bool = Field(description="Whether `/photos/{id}/original` sends files.")
    show_place: bool = Field(description="Whether `/photos/{id}/place` is answered.")
    encode_in_browser: bool = Field(
        description="Whether the search page codes pictures itself, with the file of `/encoder`."
    )


class Said(BaseModel):
    """What a person says of photos."""

    photos: list[int] = Field(min_length=1, max_length=MANY, description="Their numbers.")
    action: Action = Field(
        description="Give a label and take all others away, `add` or `remove` one, `reject` one "
        "that was believed, `skip` the photo, be `unsure`, or `clear` what was said."
    )
    label: str = Field(
        "", max_length=1000, description="For `label`, `add`, `remove` and `reject`."
    )


class Learn(BaseModel):
    """What to begin."""

    train: bool = Field(description="Whether to train and measure; or else only to suggest.")


class Correct(BaseModel):
    """What is believed and is to be looked at."""

    label: str = Field(max_length=1000, description='The class; "" for the suggested photos again.')
    doubtful: bool = Field(
        False, description="Whether the most doubtful photos come first; or else the surest."
    )


class Which(BaseModel):
    """Which photos to describe."""

    photos: list[int] = Field(max_length=500, description="Their numbers.")


class TaskProgress(BaseModel):
    """How far learning is."""

    what: str = Field(description='Its part; "" if nothing goes on.')
    done: int
    total: int = Field(description="0 if it is not known.")


class LabellingProgress(BaseModel):
    """Whether a page shows what is so."""

    revision: int = Field(description="Another one: ask for the state.")
    progress: TaskProgress


class LabelledPhoto(BaseModel):
    """A photo that is shown."""

    id: int
    path: str = Field(description="Relative to the folder.")
    labels: list[str]
    mark: Mark = Field(description="What was said instead of a label.")
    rejected: list[str] = Field(description="Classes that it is not of.")
    probability: float | None = Field(
        description="How probable the class that is looked at is; `null` for suggested photos."
    )
    thumbnail: str
    image: str


class LabelClass(BaseModel):
    """A class."""

    name: str
    photos: int = Field(description="Photos with this label.")


class BelievedClass(BaseModel):
    """A class that photos are believed to be of."""

    name: str
    photos: int = Field(description="Photos of which nothing was said yet.")


class WeakClass(BaseModel):
    """A class, as photos of it were found that played no part in training."""

    name: str
    map: float
    queries: int


class Forecast(BaseModel):
    """What more labels would bring, by the learning curve so far."""

    labels: int = Field(description="So many more photos with a label.")
    gain: float = Field(description="What that would add to mAP, the median.")
    low: float = Field(description="Lower end of its 95 % range.")
    high: float


class Measured(BaseModel):
    """What a training was measured with: on labelled photos that it did not see."""

    labelled: int = Field(description="Photos with a label.")
    classes: int
    queries: int = Field(description="Photos that were held out; 0 if there are too few labels.")
    map: float | None = Field(description="Mean average precision, tie-aware.")
    low: float | None = Field(description="Lower end of its 95 % interval.")
    high: float | None
    weak: list[WeakClass] = Field(description="Those of the lowest, the lowest first.")
    changed: int | None = Field(
        description="Photos without a label that are believed to be of another class than before."
    )
    seconds: float
    forecast: list[Forecast] = Field([], description="Empty if it cannot be said yet.")


class MapCluster(BaseModel):
    """Photos that are alike."""

    photos: int
    example: LabelledPhoto = Field(description="One that stands for them.")


class PhotoMap(BaseModel):
    """A place for each photo, so that alike ones lie near each other."""

    key: str = Field(description="Another one: another map.")
    x: list[int] = Field(description="Of each photo, by number: 0 to 65,535, from left to right.")
    y: list[int] = Field(description="Likewise, from top to bottom.")
    cluster: list[int] = Field(description="Number of the cluster of each photo.")
    clusters: list[MapCluster] = Field(description="The largest one first.")


class MapLabels(BaseModel):
    """What was said of the photos on the map."""

    revision: int
    classes: list[str]
    first: list[tuple[int, int]] = Field(
        description="Number of a photo, and of its first label among the classes."
    )
    marked: list[int] = Field(description="Photos that were skipped, or not sure.")


class LabellingState(LabellingProgress):
    """What a page of labelling shows."""

    error: str = Field(description='Why learning failed, "" if it did not.')
    photos: int
    labelled: int
    marked: int = Field(description="Skipped, or not sure.")
    moved: int = Field(description="Photos that have a label under a path that is gone.")
    steps: int = Field(description="That can be undone.")
    classes: list[LabelClass]
    groups: list[list[LabelledPhoto]] = Field(description="What is shown, alike photos together.")
    correcting: str = Field(
        description='The class whose believed photos are shown; "" if the suggested ones are.'
    )
    believed: list[BelievedClass]
    map: str = Field(description='Key of the map; "" if there is none yet.')
    map_lacks: int = Field(description="Photos that came later than the map.")
    no_map: str = Field(description='Why no map can be made; "" if one can.')
    measured: list[Measured] = Field(description="Each training, the newest last.")
    token: bool = Field(description="Whether a token is needed.")
    duplicates: bool = Field(description="Whether the page of duplicates is at `/review`.")
