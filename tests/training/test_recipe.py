import math

import pytest
import yaml

from ssah_tf.system.errors import RecipeError
from ssah_tf.training.recipe import RECIPES, Recipe, load_recipe

BUILT_IN = sorted(path.stem for path in RECIPES.glob("*.yaml"))


def refused(*overrides, name="fashion"):
    """The message with which a recipe is refused; always one line."""
    with pytest.raises(RecipeError) as caught:
        load_recipe(name, overrides)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


@pytest.fixture
def written(tmp_path):
    """Writes a recipe file and gives its path."""

    def write(text):
        path = tmp_path / "mine.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in(name):
    recipe = load_recipe(name)
    assert recipe.name == name
    assert load_recipe(RECIPES / f"{name}.yaml") == recipe
    first = (RECIPES / f"{name}.yaml").read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("# What")


@pytest.mark.parametrize(("name", "validation"), [("cub200", 3), ("dogs120", 5)])
def test_sets_of_the_fine_grained_recipe(name, validation):
    """Each name stands for the recipe with its own number of validation images."""
    recipe = load_recipe(name)
    assert (recipe.name, recipe.data.validation_per_class) == (name, validation)
    changes = (f"name={name}", f"data.validation_per_class={validation}")
    assert recipe == load_recipe("fine_grained", changes)
    assert load_recipe(name, ("data.validation_per_class=9",)).data.validation_per_class == 9


def test_fashion_trains_on_300_labels():
    recipe = load_recipe("fashion")
    assert recipe.data.source == "fashion"
    assert recipe.data.labelled_per_class == 30
    assert recipe.data.image_size == 28


def test_file_by_path(written, monkeypatch):
    path = written("name: mine\nseed: 7\nmodel: {bits: 16}\n")
    monkeypatch.chdir(path.parent)
    for given in (path, str(path), "mine.yaml", "./mine.yaml"):
        recipe = load_recipe(given)
        assert (recipe.name, recipe.seed, recipe.model.bits) == ("mine", 7, 16)
    assert recipe.train == load_recipe("fashion", ("train={}",)).train  # defaults


def test_no_such_recipe(tmp_path):
    for name in ("fashoin", str(tmp_path / "none.yaml"), str(tmp_path), "", "../recipes/fashion"):
        message = refused(name=name)
        assert message.startswith(f"no recipe {name!r}: built in are ")
        assert "fashion" in message


def test_round_trip(tmp_path):
    recipe = load_recipe(
        "fashion",
        (
            "data.labelled_per_class=all",
            "data.source=\"/photos/été 'x': 1\"",
            "model.options={width: 8}",
            "train.hnet.learning_rate=0.1",
            "adversary.scales=[2]",
        ),
    )
    path = tmp_path / "recipe.yaml"
    recipe.save(path)
    assert load_recipe(path) == recipe
    values = yaml.safe_load(path.read_text())
    assert values["model"]["options"] == {"width": 8}
    assert values["train"]["anet"]["name"] == "adam"  # defaults are written out


def test_overrides():
    recipe = load_recipe(
        "fashion",
        (
            "model.bits=64",
            "train.hnet.learning_rate=0.5",
            "seed=3",
            "data.flip=false",
            "adversary.scales=[0, 2]",
            "model.options.width=8",
            "data.labelled_per_class=all",
            "data.source=a=b",
            "model.bits=32",
        ),
    )
    assert recipe.model.bits == 32  # the last one wins
    assert recipe.train.hnet.learning_rate == 0.5
    assert recipe.seed == 3
    assert recipe.data.flip is False
    assert recipe.adversary.scales == [0, 2]
    assert recipe.model.options == {"width": 8}
    assert recipe.data.labelled_per_class == "all"
    assert recipe.data.source == "a=b"
    assert recipe.data.validation_per_class == 2  # from the file


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.bits", "--set model.bits: expected key=value"),
        ("=64", "--set =64: expected key=value"),
        ("", "expected key=value"),
        ("model.bits=[1", "'[1' is not a YAML value"),
        ("name.first=x", "'name' is not a section"),
        ("data.flip.x=1", "data.flip: input should be a valid boolean"),
        ("a..b=1", "unknown key 'a'"),
    ],
)
def test_bad_overrides(override, message):
    assert message in refused(override)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.hnet.learning_rat=0.1", "'train.hnet.learning_rat'; did you mean 'learning_rate'?"),
        ("train.anet.lerning_rate=0.1", "'train.anet.lerning_rate'; did you mean 'learning_rate'?"),
        ("modle.bits=4", "unknown key 'modle'; did you mean 'model'?"),
        ("model.bit=4", "unknown key 'model.bit'; did you mean 'bits'?"),
        ("data.zzz=4", "unknown key 'data.zzz'; valid keys: source, labels, exclude, "),
    ],
)
def test_unknown_key(override, message):
    assert message in refused(override)


RENAMED = [
    ("data.gain", "0.5", "data.contrast"),
    ("data.offset", "0.12", "data.brightness"),
    ("adversary.preference", "1.0", "adversary.score_scale"),
    ("pseudo_labels.spread", "0.0", "pseudo_labels.label_propagation"),
    ("train.hnet.trunk", "0.1", "train.hnet.backbone_lr_multiplier"),
]


@pytest.mark.parametrize(("old", "value", "new"), RENAMED)
def test_old_word_says_what_it_is_called_now(written, old, value, new):
    sentence = f"{old} is now called {new}"
    assert refused(f"{old}={value}") == f"--set {old}={value}: {sentence}"
    section, _, key = old.rpartition(".")
    assert refused(f"{section}={{{key}: {value}}}").endswith(f"fashion.yaml: {sentence}")
    nested = value
    for part in reversed(old.split(".")):
        nested = f"{{{part}: {nested}}}"
    path = written(f"{{name: x, {nested[1:]}")
    assert refused(name=path) == f"{path}: {sentence}"


def test_all_old_words_of_a_file_stand_in_one_line(written):
    path = written("name: x\ndata: {gain: 0.5, shift: 0.1, offset: 0.12}\n")
    assert refused(name=path) == (
        f"{path}: data.gain is now called data.contrast; data.offset is now called data.brightness"
    )


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "model.bits=many",
            "model.bits: input should be a valid integer, or 'auto', received 'many'",
        ),
        ("model.bits='64'", "model.bits: "),
        ("model.bits=64.0", "model.bits: "),
        ("model.bits=true", "model.bits: "),
        ("model.bits=", "model.bits: "),
        (
            "model.bits=0",
            "model.bits: input should be greater than or equal to 1, or 'auto', received 0",
        ),
        ("model.bits=1025", "model.bits: "),
        ("data.flip=1", "data.flip: "),
        ("data.source=3", "data.source: "),
        ("data.image_size=27", "data.image_size: "),
        ("data.shift=0.6", "data.shift: "),
        ("data.labelled_per_class=some", "data.labelled_per_class"),
        ("data.labelled_per_class=0", "data.labelled_per_class"),
        ("adversary.kind=evil", "'learned', 'random', 'plain' or 'none', received 'evil'"),
        ("adversary.scales=[3]", "adversary.scales.0: "),
        ("adversary.area=1", "adversary.area: "),
        ("loss.hard=-1", "loss.hard: "),
        ("loss.hard=.nan", "loss.hard: "),
        ("train.hnet.ema=1.0", "train.hnet.ema: "),
        ("train.hnet=adam", "train.hnet: "),
        ("model=convnet", "model: "),
        ("name=a/b", "name: "),
        ("name='..'", "name: "),
        ("name='a b'", "name: "),
        ('name="a\\n"', "name: "),
        ("seed=-1", "seed: "),
        ("seed=2147483648", "seed: "),
        ("pace.start=0.9", "pace.start 0.9 is above pace.end 0.5"),
    ],
)
def test_wrong_values(override, message):
    assert message in refused(override)


def test_nothing_to_train():
    assert "nothing to train" in refused("train.hnet_warmup=0", "train.joint=0")
    assert load_recipe("fashion", ("train.joint=0",)).train.joint == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a recipe is a YAML mapping, not NoneType"),
        ("- name: x", "a recipe is a YAML mapping, not list"),
        ("fashion", "a recipe is a YAML mapping, not str"),
        ("name: [x", "not a YAML file ("),
        ("name: x\n\tseed: 1", "not a YAML file ("),
        (b"name: \xff\xfe\x00", "not a YAML file ("),
        ("seed: 1", "the key 'name' is missing"),
        ("name: x\ndata:\n", "data: "),
        ("name: x\n1: 2\n", "1: "),
        ("name: x\ntrain: {hnet: {nam: sgd}}", "did you mean 'name'?"),
    ],
)
def test_bad_files(written, text, message):
    path = written(text)
    found = refused(name=path)
    assert found.startswith(f"{path}: ")
    assert message in found


@pytest.mark.parametrize(
    "value",
    [
        "!!python/object/apply:os.mkdir [{path}]",
        "!!python/name:os.system",
        "!!python/object/new:os.mkdir [{path}]",
    ],
)
def test_python_tags_are_refused(written, tmp_path, value):
    value = value.format(path=tmp_path / "made")
    assert "not a YAML" in refused(name=written(f"name: {value}\n"))
    assert "not a YAML" in refused(f"name={value}")
    assert not (tmp_path / "made").exists()


def test_sections_are_frozen():
    recipe = load_recipe("fashion")
    with pytest.raises(ValueError, match="frozen"):
        recipe.model.bits = 3


def test_defaults_are_valid():
    """Pydantic does not check defaults by itself."""
    recipe = Recipe(name="x")
    assert Recipe.model_validate(recipe.model_dump()) == recipe
    assert math.isclose(recipe.adversary.area, 1 / 3)


def test_numbers_with_an_exponent(written):
    """YAML 1.1, which PyYAML follows, reads 1e-3 as text."""
    assert (
        load_recipe("fashion", ("train.hnet.learning_rate=1e-3",)).train.hnet.learning_rate == 1e-3
    )
    path = written("name: x\ntrain: {hnet: {learning_rate: 5e-2, weight_decay: 1E-4}}\n")
    hnet = load_recipe(path).train.hnet
    assert (hnet.learning_rate, hnet.weight_decay) == (0.05, 1e-4)


@pytest.mark.parametrize("value", ["2024-99-99", "!!int abc"])
def test_values_that_yaml_cannot_make(written, value):
    assert "is not a YAML value" in refused(f"name={value}")
    assert "not a YAML file" in refused(name=written(f"name: {value}"))


def test_infinite_weight():
    assert "loss.hard: " in refused("loss.hard=.inf")


def test_duplicate_section(written):
    """PyYAML takes the last one without a word: half of the recipe would be lost."""
    path = written("name: x\nmodel: {bits: 8}\nmodel: {backbone: convnet}\n")
    assert "'model' comes twice" in refused(name=path)


def test_union_is_named_plainly():
    assert "data.labelled_per_class: " in refused("data.labelled_per_class=some")


def test_name_that_is_too_long():
    assert "no recipe" in refused(name="x" * 300)


def test_partly_given_optimizer_keeps_the_other_defaults():
    hnet = load_recipe("fashion", ("train.hnet.learning_rate=0.1",)).train.hnet
    assert (hnet.learning_rate, hnet.weight_decay, hnet.ema) == (0.1, 0.005, 0.99)
    anet = load_recipe("fashion", ("train.anet.learning_rate=0.1",)).train.anet
    assert (anet.name, anet.learning_rate, anet.cosine) == ("adam", 0.1, False)
