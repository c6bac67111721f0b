"""Which profiles are sRGB, whoever wrote them, and profiles made from a few numbers."""

import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from ssah_tf.data.icc import COLORANTS, adapted, is_srgb, rgb_profile, tags

SRGB = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)


def test_forms_of_srgb(profiles):
    found = {name for name, profile in profiles.items() if is_srgb(profile)}
    assert found == {name for name in profiles if name.startswith("srgb")}
    made = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert is_srgb(made)


def test_damaged_profiles_are_none(profiles):
    good = profiles["srgb table 1024"]
    for size in (0, 10, 131, 140, 200, len(good) - 1500):
        assert not is_srgb(good[:size])
    assert not is_srgb(good[:36] + b"acsq" + good[40:])
    assert not is_srgb(good[:128] + b"\xff\xff\xff\xff" + good[132:])
    rng = np.random.default_rng(0)
    for _ in range(300):  # no exception
        damaged = np.frombuffer(good, np.uint8).copy()
        damaged[rng.integers(0, 400, 5)] = rng.integers(0, 256, 5)
        is_srgb(damaged.tobytes())


def test_made_profiles():
    for gamma, chromaticities in ((None, None), (2.2, None), (1.0, SRGB), (None, SRGB)):
        profile = rgb_profile(gamma, chromaticities)
        assert {b"rXYZ", b"gTRC", b"wtpt"} <= set(tags(profile))
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))  # Little CMS takes it
        assert opened.profile.xcolor_space == "RGB "
        assert is_srgb(profile) == (gamma is None)
    assert rgb_profile(1e6) is None
    assert rgb_profile(None, (0.3, 0.0, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)) is None
    assert rgb_profile(None, (0.3, 0.3) * 4) is None


def test_adapted_colorants():
    """Bradford's adaptation of sRGB's primaries gives the colorants of everybody's files."""
    np.testing.assert_allclose(adapted(SRGB), COLORANTS, atol=40)
    white = np.sum(adapted(SRGB), axis=0) / 65536
    np.testing.assert_allclose(white, [0.9642, 1, 0.8249], atol=1e-3)


@pytest.mark.parametrize("name", ["srgb table 1024", "srgb table 64", "srgb formula"])
def test_what_counts_as_srgb_changes_no_level_by_more_than_one(profiles, name):
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    converted = ImageCms.profileToProfile(
        Image.fromarray(pixels),
        ImageCms.ImageCmsProfile(io.BytesIO(profiles[name])),
        ImageCms.createProfile("sRGB"),
    )
    assert np.abs(np.asarray(converted).astype(int) - pixels).max() <= 1
