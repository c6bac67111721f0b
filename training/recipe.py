"""Recipes: YAML files that say everything about a training, checked before it starts."""

import difflib
from pathlib import Path
from typing import get_args

import yaml
from pydantic import ValidationError

from ssah_tf.system.errors import RecipeError
from ssah_tf.system.renamed import KEYS, renamed_keys
from ssah_tf.training.recipe_sections import Recipe, Section
from ssah_tf.training.yaml_loader import Loader

#: Folder of the recipes that come with the product.
RECIPES = Path(__file__).parent / "recipes"

#: Further names of a built-in recipe, each with the overrides that it stands for.
ALIASES = {
    "cub200": ("fine_grained", ("name=cub200",)),
    "dogs120": ("fine_grained", ("name=dogs120", "data.validation_per_class=5")),
}


def load_recipe(name: str | Path, overrides: tuple[str, ...] = ()) -> Recipe:
    """Read a recipe.

    Args:
        name: Name of a built-in recipe or one of `ALIASES`, or path of a YAML file.
        overrides: `key.key=value` each, the value in YAML; they win over the file. A backbone that
            they name with a preset or a file takes images of its own size, unless they name one.

    Returns:
        The checked recipe.

    Raises:
        RecipeError: No such recipe, not YAML, an unknown key, a wrong type or value. One line.
    """
    path, of_name = find_recipe(name)
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Loader)
    except Exception as error:  # on odd tags PyYAML raises almost anything
        raise RecipeError(f"{path}: not a YAML file ({' '.join(str(error).split())})") from None
    if not isinstance(values, dict):
        raise RecipeError(f"{path}: a recipe is a YAML mapping, not {type(values).__name__}")
    before = backbone_of(values)
    for override in (*of_name, *overrides):
        apply_override(values, override)
    after = backbone_of(values)
    sized = any(override.startswith("data.image_size=") for override in overrides)
    if after != before and ":" in after and not sized:
        apply_override(values, "data.image_size=auto")  # that of the file was for its own backbone
    renamed = renamed_keys(values)
    if renamed:
        raise RecipeError(f"{path}: {'; '.join(renamed)}")
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise RecipeError(f"{path}: {explain(error)}") from None


def backbone_of(values: dict) -> str:
    """The backbone that a recipe names, "" if it names none."""
    model = values.get("model")
    return str(model.get("backbone", "")) if isinstance(model, dict) else ""


def find_recipe(name: str | Path) -> tuple[Path, tuple[str, ...]]:
    """Find a recipe.

    Args:
        name: Name of a built-in recipe or one of `ALIASES`, or path of a YAML file.

    Returns:
        Path of its file, and the overrides that a name of `ALIASES` stands for.

    Raises:
        RecipeError: There is none.
    """
    file_name, overrides = ALIASES.get(str(name), (name, ()))
    built_in = RECIPES / f"{file_name}.yaml"
    try:
        if "/" not in str(name) and built_in.is_file():
            return built_in, overrides
        if Path(name).is_file():
            return Path(name), ()
    except OSError:
        pass  # no file can have such a name
    names = ", ".join(sorted({*ALIASES, *(path.stem for path in RECIPES.glob("*.yaml"))}))
    raise RecipeError(f"no recipe {str(name)!r}: built in are {names}, or give a YAML file")


def apply_override(values: dict, override: str) -> None:
    """Set one `key.key=value` in nested mappings."""
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise RecipeError(f"--set {override}: expected key=value, for example --set model.bits=64")
    if key in KEYS:
        raise RecipeError(f"--set {override}: {key} is now called {KEYS[key]}")
    try:
        value = yaml.load(text, Loader)
    except Exception:  # on odd tags PyYAML raises almost anything
        raise RecipeError(f"--set {override}: {text!r} is not a YAML value") from None
    *parents, last = key.split(".")
    for parent in parents:
        values = values.setdefault(parent, {})
        if not isinstance(values, dict):
            raise RecipeError(f"--set {override}: {parent!r} is not a section")
    values[last] = value


def explain(error: ValidationError) -> str:
    """The first complaint of pydantic as one line; for an unknown key, the nearest valid one."""
    first, *others = error.errors()
    place = [str(part) for part in first["loc"]] or ["recipe"]
    choice = ""
    if place[-1] == "constrained-int":  # pydantic adds the member of the union: a number or a word
        place.pop()
        here = [e for e in others if e["loc"][:-1] == first["loc"][:-1]]
        words = [e["ctx"]["expected"] for e in here if e["type"] == "literal_error"]
        choice = "".join(f", or {word}" for word in words)
    key = ".".join(place)
    if first["type"] == "extra_forbidden":
        valid = list(section_at(place[:-1]).model_fields)
        near = difflib.get_close_matches(place[-1], valid, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"valid keys: {', '.join(valid)}"
        return f"unknown key {key!r}; {hint}"
    if first["type"] == "missing":
        return f"the key {key!r} is missing"
    if first["type"] == "value_error":
        return str(first["ctx"]["error"])
    shortened = repr(first["input"])[:200]
    return f"{key}: {first['msg'].lower()}{choice}, received {shortened}"


def section_at(place: list[str]) -> type[Section]:
    """The section that holds a key."""
    section: type[Section] = Recipe
    for name in place:
        annotation = section.model_fields[name].annotation
        candidates = [annotation, *get_args(annotation)]
        section = next(c for c in candidates if isinstance(c, type) and issubclass(c, Section))
    return section
