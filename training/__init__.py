"""The stage that trains and evaluates; installs as `ssah_tf.training`. Needs the extra `train`."""
