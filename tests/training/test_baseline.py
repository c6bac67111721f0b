"""PCA, rotation, signs."""

import sys

import numpy as np
import pytest
from PIL import Image

from ssah_tf.training.evaluate import load_encoder
from ssah_tf.training.itq import itq
from ssah_tf.training.run import Run


def test_itq_keeps_neighbours_and_loses_less_than_pca(rng):
    """Directions are orthonormal; signs are nearer to the rotated values than to PCA's own."""
    basis = rng.normal(size=(40, 40)) * np.linspace(3, 0.1, 40)[:, None]
    features = rng.normal(size=(2000, 40)) @ basis + 5
    directions, mean = itq(features, 16)
    np.testing.assert_allclose(mean, features.mean(axis=0), atol=1e-4)
    np.testing.assert_allclose(directions.T @ directions, np.eye(16), atol=1e-4)
    _, vectors = np.linalg.eigh(np.cov(features.T))
    principal = vectors[:, ::-1][:, :16]
    # The same subspace.
    np.testing.assert_allclose(principal @ principal.T, directions @ directions.T, atol=1e-3)
    centred = features - mean

    def lost(turned):
        scale = np.abs(turned).mean()
        return ((turned - scale * np.sign(turned)) ** 2).mean()

    assert lost(centred @ directions) < lost(centred @ principal)


def test_more_bits_than_directions(rng):
    features = rng.normal(size=(100, 5)) @ rng.normal(size=(5, 30))
    assert itq(features, 5)[0].shape == (30, 5)
    with pytest.raises(ValueError, match="6 bits need as many directions; the features have 5"):
        itq(features, 6)


def test_command_line(tmp_path, monkeypatch, capsys):
    """A folder becomes a run with numbers, a report and an encoder like any other."""
    from ssah_tf import cli

    rng = np.random.default_rng(0)
    for k in range(60):
        path = tmp_path / "photos" / "ab"[k % 2] / f"{k}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        colour = np.array([(255, 60, 30), (20, 90, 255)][k % 2])
        pixels = np.clip(colour + rng.normal(0, 40, (40, 40, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(path)

    def ssah(*words):
        monkeypatch.setattr(sys, "argv", ["ssah", *map(str, words)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        return caught.value.code, capsys.readouterr()

    run = tmp_path / "run"
    words = ["baseline", "--data", tmp_path / "photos", "--output", run]
    words += ["--set", "data.image_size=32", "--set", "model.bits=12"]
    code, said = ssah(*words, "--set", "data.validation_per_class=2")
    assert code == 0, said.err
    value = float(said.out.split("mAP@all, tie-aware")[1].split()[0])
    assert value > 0.8  # colours are easy, even for signs of what ImageNet taught
    assert (run / "report.html").is_file()
    assert load_encoder(Run(run)).bits == 12
    code, said = ssah(*words[:3], "--output", tmp_path / "many", "--set", "model.bits=300")
    assert code == 1
    assert "bits need as many directions" in said.err
    code, said = ssah(*words[:3], "--output", tmp_path / "small", "--set", "data.image_size=28")
    assert code == 1
    assert "EfficientNetLite0 takes images of 32 px or more" in said.err
