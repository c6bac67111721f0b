"""From image files to codes: the encoder at run time, records of files, shards of them."""
