"""What other libraries would print of the codes that an evaluation has left."""

from ssah_tf.data import ImageSet
from ssah_tf.metrics.other_libraries import LIBRARIES, map_as
from ssah_tf.system.errors import RunError
from ssah_tf.system.text import plain_console
from ssah_tf.training.report.galleries import Evaluated
from ssah_tf.training.run import Run
from ssah_tf.training.with_labels import CUTOFFS


def print_as(run: Run, images: ImageSet | None, name: str) -> None:
    """Print mAP of a run's codes as another library has it; six places, as others are compared.

    Args:
        run: An evaluated run.
        images: Its images that are there.
        name: Of `LIBRARIES`.

    Raises:
        RunError: The name is unknown, the run is not evaluated, or its images have no labels.
    """
    if name not in LIBRARIES:
        raise RunError(f"--as: received {name!r}, expected list, {', '.join(LIBRARIES)}")
    if run.metrics()["retrieval"] is None:
        raise RunError(f"{run.folder}: no image has a label, so there is no mAP")
    space, library = Evaluated.of(run, images).space, LIBRARIES[name]
    found = map_as(
        library,
        space.query_codes,
        space.query_labels,
        space.database_codes,
        space.database_labels,
        space.bits,
        [k for k in CUTOFFS if k < len(space.database_codes)],
    )
    console = plain_console()
    for k, (low, high) in found.items():
        value = f"{low:.6f} to {high:.6f}" if library.ties == "any" else f"{low:.6f}"
        console.print(f"{'mAP@' + str(k or 'all'):<10}{value}", soft_wrap=True)
    console.print(f"{name}: {library.call}.", soft_wrap=True)
    console.print(f"Here {library.words()}.", soft_wrap=True)
