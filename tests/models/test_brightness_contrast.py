import tensorflow as tf

from ssah_tf.models.brightness_contrast import random_brightness_contrast


def changed(value, contrast=0.0, brightness=0.0):
    images = tf.fill([400, 4, 4, 3], float(value))
    out = random_brightness_contrast(images, tf.constant([1, 2]), contrast, brightness).numpy()
    assert (out == out[:, :1, :1, :1]).all()  # one change an image
    return out[:, 0, 0, 0]


def test_each_image_changes_within_the_bounds():
    """Grey 100, 400 images: the factor within 1 +- .5, then the addition within +- 25.5."""
    values = changed(100, contrast=0.5)
    assert 50 <= values.min() < 55
    assert 145 < values.max() <= 150
    values = changed(100, brightness=0.1)
    assert 74 <= values.min() < 78
    assert 122 < values.max() <= 126
    assert (changed(100) == 100).all()


def test_pixels_stay_in_range():
    for value, side in ((255, 1), (0, -1)):
        change = changed(value, contrast=0.5, brightness=0.2) - value
        assert (side * change <= 0).all()
        assert (change == 0).sum() > 0
