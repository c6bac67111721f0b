import keras
import numpy as np
import pytest

from ssah_tf.models import CompetencePace, SchedulePace


def rho_after(pace, losses):
    values = []
    for loss in losses:
        pace.step(keras.ops.convert_to_tensor(float(loss)))
        values.append(float(pace.rho.numpy()))
    return values


def test_schedule_by_hand():
    """0.1 to 0.5 in 4 steps: 0.1 a step, then no further."""
    pace = SchedulePace(4, start=0.1, end=0.5)
    assert float(pace.rho.numpy()) == pytest.approx(0.1)
    np.testing.assert_allclose(rho_after(pace, [1] * 6), [0.2, 0.3, 0.4, 0.5, 0.5, 0.5], rtol=1e-6)


def test_fixed_rho():
    pace = SchedulePace(0, start=0.1, end=0.3)
    np.testing.assert_allclose(rho_after(pace, [1, 1]), [0.3, 0.3], rtol=1e-6)


def test_competence_rises_only_when_the_level_is_mastered():
    """No momentum, a level lasts 2 steps: the reference is the loss at its second step.

    Losses 9, 8 (reference 8, asks for 4), 7, 5, 4 -> rise; 6, 4 (reference 4, asks for 2), 3,
    2 -> rise, cut at the end 0.25.
    """
    pace = CompetencePace(0.1, mastery=0.5, wait=2, momentum=0.0, start=0.1, end=0.25)
    values = rho_after(pace, [9, 8, 7, 5, 4, 6, 4, 3, 2])
    expected = [0.1, 0.1, 0.1, 0.1, 0.2, 0.2, 0.2, 0.2, 0.25]
    np.testing.assert_allclose(values, expected, rtol=1e-6)


def test_competence_stays_while_h_net_does_not_learn():
    pace = CompetencePace(wait=2, start=0.1, end=0.5)
    assert set(np.round(rho_after(pace, [1.0] * 20), 6)) == {0.1}


def test_moving_average_by_hand():
    """Momentum 0.5: 4, then (4 + 2) / 2 = 3, then (3 + 1) / 2 = 2."""
    pace = CompetencePace(momentum=0.5, wait=9)
    rho_after(pace, [4, 2, 1])
    assert float(pace.average.numpy()) == 2


@pytest.mark.parametrize("wrong", [{"start": 0.6, "end": 0.5}, {"end": 1.1}, {"start": -0.1}])
def test_refuses(wrong):
    with pytest.raises(ValueError, match="Received"):
        SchedulePace(5, **wrong)
