"""`python -m ssah_tf.cli` is `ssah`."""

from ssah_tf.cli.app import main

main()
