"""The command `ssah`."""
