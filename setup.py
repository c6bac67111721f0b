"""Packages of ssah-tf; the metadata is in pyproject.toml.

The two stages that a person runs stand at the top of the repository and install inside the
library, so that no generic name (`training`, `export`) lands in site-packages.
"""

from setuptools import find_packages, setup

STAGES = {"ssah_tf.training": "training", "ssah_tf.export": "export"}

packages = find_packages(include=["ssah_tf", "ssah_tf.*"])
for name, folder in STAGES.items():
    packages += [name, *(f"{name}.{part}" for part in find_packages(folder))]

setup(
    packages=packages,
    package_dir=STAGES,
)
