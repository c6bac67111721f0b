"""YAML that is data alone, and means what it says."""

import re

import yaml

#: Levels of a YAML file that may be nested; a recipe has four.
MAX_DEPTH = 20


class Loader(yaml.SafeLoader):
    """Safe YAML in which 1e-3 is a number, and a key that comes twice an error.

    Aliases are refused, since a page of them can stand for more values than fit into memory, and
    so is nesting much deeper than a recipe's.
    """

    depth = 0

    def compose_node(self, parent, index):
        """Build a node from the next events."""
        if self.check_event(yaml.AliasEvent) or self.depth > MAX_DEPTH:
            what = "nested too deeply" if self.depth > MAX_DEPTH else "aliases are not supported"
            raise yaml.composer.ComposerError(None, None, what, self.peek_event().start_mark)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node, deep=False):
        """Build a mapping; PyYAML alone would keep the last of two equal keys."""
        seen = set()
        for key, _ in node.value:
            if str(key.value) in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} comes twice", key.start_mark
                )
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)
