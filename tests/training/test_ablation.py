"""What `ssah ablation` prints of the rows that it trained."""

import pytest

from ssah_tf.training import ablation, tables


@pytest.fixture
def rows_of(tmp_path, monkeypatch):
    """An ablation without training: a row has its value, and each seed adds its own."""
    base = {"none": 0.70, "random": 0.75, "learned": 0.76}
    # The full method is above random deformation by .01 less this.
    luck = [0.0, 0.002, -0.002, 0.001, -0.001]

    def one(recipe, folder):
        value = base[recipe.adversary.kind] + 0.01 * recipe.seed
        value -= luck[recipe.seed] if recipe.adversary.kind == "learned" else 0
        retrieval = {"map_tie_aware": value}
        return {"retrieval": retrieval, "training_seconds": 1.0, "protocol": "P"}

    monkeypatch.setattr(ablation, "one", one)
    monkeypatch.setenv("COLUMNS", "200")
    return lambda seeds: ablation.ablate("fashion", tmp_path, tuple(range(seeds)))


def below(heading, capsys):
    """The printed lines below a heading."""
    lines = capsys.readouterr().out.splitlines()
    return lines[next(k for k, line in enumerate(lines) if line.startswith(heading)) :]


def test_differences_are_paired_and_have_an_interval(rows_of, capsys):
    """Seeds differ by .04, which both rows share; deviation sqrt(10e-6 / 4), t = 2.776."""
    tables.print_stored_rows(rows_of(5))
    lines = [" ".join(line.split()) for line in below("full method less", capsys)]
    assert (
        "random deformation +0.0100 ± 0.0016 +0.0080 to +0.0120 +0.010 +0.008 +0.012 +0.009 +0.011"
    ) in lines
    assert any(line.startswith("supervised only +0.0600 ± ") for line in lines)


def test_three_seeds_have_no_interval(rows_of, capsys):
    tables.print_stored_rows(rows_of(3))
    lines = [" ".join(line.split()) for line in below("full method less", capsys)]
    assert ("random deformation +0.0100 ± 0.0020 from 5 seeds on +0.010 +0.008 +0.012") in lines


def test_stored_rows_have_their_differences(capsys, monkeypatch):
    """By hand: .7667 - .7734, .7638 - .7605, .7525 - .7575."""
    monkeypatch.setenv("COLUMNS", "200")
    tables.print_stored_rows(tables.stored_rows(tables.load_recipe("fashion")))
    out = " ".join(" ".join(below("full method less", capsys)).split())
    assert "random deformation -0.0028 ± 0.0054" in out
    assert "-0.007 +0.003 -0.005" in out
