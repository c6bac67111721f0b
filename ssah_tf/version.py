"""The version of ssah-tf, importable without any dependency."""

__version__ = "0.1.0"
