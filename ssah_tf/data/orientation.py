"""The eight ways in which a picture can lie: of its pixels, and of its perceptual hash."""

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ssah_tf.data.perceptual_hash import LOWEST, SIDE

Uint8 = npt.NDArray[np.uint8]

#: Vertical and horizontal frequency behind each bit of a hash, and the bit where the two are
#: exchanged: the set of frequencies is symmetric.
DOWN, ACROSS = np.divmod(LOWEST, SIDE)
PLACE = {place: bit for bit, place in enumerate(LOWEST.tolist())}
EXCHANGED = np.array([PLACE[place] for place in (ACROSS * SIDE + DOWN).tolist()])


@dataclass(frozen=True)
class Orientation:
    """How a picture lies beside another of the same.

    Attributes:
        transposed: Rows and columns are exchanged, before the others.
        upside_down: The last row is the first.
        mirrored: The last column is the first.
    """

    transposed: bool = False
    upside_down: bool = False
    mirrored: bool = False

    @property
    def kind(self) -> str:
        """In a word: "mirrored" is left for right alone; all others but "upright" are "turned"."""
        if self.transposed or self.upside_down:
            return "turned"
        return "mirrored" if self.mirrored else "upright"

    def pixels(self, picture: Uint8) -> Uint8:
        """A picture `(height, width, 3)`, upright before, in this orientation."""
        if self.transposed:
            picture = picture.swapaxes(0, 1)
        steps = -1 if self.upside_down else 1, -1 if self.mirrored else 1
        return picture[:: steps[0], :: steps[1]]

    def hashes(self, hashes: Uint8) -> Uint8:
        """The perceptual hashes of pictures in this orientation, from those of the upright ones.

        A mirror changes the sign of odd frequencies, and to transpose exchanges the two. What that
        does to a bit is known but where a value is about 0, as all are of a flat picture.

        Args:
            hashes: uint8 `(n, BYTES)`.
        """
        bits = np.unpackbits(hashes, axis=1)
        if self.transposed:
            bits = bits[:, EXCHANGED]
        signs = self.upside_down * DOWN + self.mirrored * ACROSS
        return np.packbits(bits ^ (signs % 2).astype(np.uint8), axis=1)


UPRIGHT = Orientation()
#: All of them, the upright one first.
ORIENTATIONS = [Orientation(*way) for way in itertools.product((False, True), repeat=3)]


def to_standard(hashes: Uint8) -> npt.NDArray[np.bool_]:
    """By which mirrors each picture comes to a standard form: light above dark, left and right.

    Two pictures of the same come to one form, or to one that is the other transposed.

    Args:
        hashes: uint8 `(n, BYTES)`.

    Returns:
        Whether it is turned upside down, and whether it is mirrored; bool `(n, 2)`.
    """
    slowest = [PLACE[SIDE], PLACE[1]]
    return np.unpackbits(hashes, axis=1)[:, slowest] == 0


def between(one: npt.NDArray[np.bool_], others: npt.NDArray[np.bool_], transposed: bool) -> Uint8:
    """How a picture has to be turned to lie as others, if they have the standard form of it.

    Args:
        one: Its row of `to_standard`, `(2,)`.
        others: Theirs, `(n, 2)`.
        transposed: Whether the form of the others is the transposed one.

    Returns:
        Places in `ORIENTATIONS`, uint8 `(n,)`.
    """
    upside_down, mirrored = ((one[::-1] if transposed else one) ^ others).T
    return np.asarray(4 * transposed + 2 * upside_down + mirrored, np.uint8)
