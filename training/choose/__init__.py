"""Several recipes within a time: which are tried is planned, and validation chooses one."""
