"""Colours by code points (ITU-T H.273), as the chunk cICP of PNG and the box nclx have them."""

from ssah_tf.data.icc import rgb_profile
from ssah_tf.system.errors import ImageError

#: Colour primaries (ITU-T H.273): x and y of white, red, green and blue.
D65 = (0.3127, 0.329)
PRIMARIES = {
    1: (*D65, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06),
    4: (0.31, 0.316, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (*D65, 0.64, 0.33, 0.29, 0.6, 0.15, 0.06),
    6: (*D65, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07),
    7: (*D65, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07),
    9: (*D65, 0.708, 0.292, 0.17, 0.797, 0.131, 0.046),
    11: (0.314, 0.351, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
    12: (*D65, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
    22: (*D65, 0.63, 0.34, 0.295, 0.605, 0.155, 0.077),
}
#: Transfer functions: exponents, `None` the curve of sRGB. Browsers show those of video as
#: a screen does that follows BT.1886.
EXPONENTS = {1: 2.4, 4: 2.2, 5: 2.8, 6: 2.4, 8: 1.0, 11: 2.4, 13: None, 14: 2.4, 15: 2.4}
#: Those that need a mapping of brightness, or are rare.
REFUSED = {7: "SMPTE 240M", 12: "BT.1361", 16: "PQ (HDR)", 17: "SMPTE 428", 18: "HLG (HDR)"}


def coded_profile(primaries: int, transfer: int) -> bytes | None:
    """The profile of code points; `None` if one of them is not known.

    Raises:
        ImageError: They are known, and not converted here.
    """
    if primaries not in PRIMARIES:
        return None
    if transfer in REFUSED:
        raise ImageError(f"brightness coded as {REFUSED[transfer]} is not read")
    if transfer not in EXPONENTS:
        return None
    return rgb_profile(EXPONENTS[transfer], PRIMARIES[primaries])
