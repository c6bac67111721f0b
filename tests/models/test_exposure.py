import tensorflow as tf

from ssah_tf.models.exposure import expose


def exposed(value, **change):
    images = tf.fill([400, 4, 4, 3], float(value))
    out = expose(images, tf.constant([1, 2]), **{"gain": 0.0, "offset": 0.0, **change}).numpy()
    assert (out == out[:, :1, :1, :1]).all()  # one change an image
    return out[:, 0, 0, 0]


def test_exposure():
    """Grey 100, 400 images: the factor within 1 +- .5, then the addition within +- 25.5."""
    values = exposed(100, gain=0.5)
    assert 50 <= values.min() < 55
    assert 145 < values.max() <= 150
    values = exposed(100, offset=0.1)
    assert 74 <= values.min() < 78
    assert 122 < values.max() <= 126
    assert (exposed(100) == 100).all()


def test_exposure_stays_in_range():
    for value, side in ((255, 1), (0, -1)):
        change = exposed(value, gain=0.5, offset=0.2) - value
        assert (side * change <= 0).all()
        assert (change == 0).sum() > 0
