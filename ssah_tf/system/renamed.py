"""Words that were replaced: what a recipe key or an option is called now."""

#: Keys of recipes.
KEYS = {
    "data.gain": "data.contrast",
    "data.offset": "data.brightness",
    "adversary.preference": "adversary.score_scale",
    "pseudo_labels.spread": "pseudo_labels.label_propagation",
    "train.hnet.trunk": "train.hnet.backbone_lr_multiplier",
}

#: Options of layers, by class.
OPTIONS = {
    "EfficientNetLite0": {"frozen": "frozen_stages"},
    "KerasApplication": {"frozen": "trainable, whose values mean the opposite"},
}


def renamed_keys(values: object, prefix: str = "") -> list[str]:
    """One sentence for each key of a recipe that has another name now.

    Args:
        values: The recipe as nested mappings, not yet checked.
        prefix: Name of the section that `values` is, with a dot at its end.

    Returns:
        For example `["data.gain is now called data.contrast"]`.
    """
    if not isinstance(values, dict):
        return []
    found = []
    for key, value in values.items():
        name = f"{prefix}{key}"
        if name in KEYS:
            found.append(f"{name} is now called {KEYS[name]}")
        found += renamed_keys(value, f"{name}.")
    return found


def renamed_option(of: str, option: str) -> str | None:
    """What an option of a class is called now, as a sentence; `None` if it was not renamed."""
    now = OPTIONS.get(of, {}).get(option)
    return now and f"the option {option} of {of} is now called {now}"
