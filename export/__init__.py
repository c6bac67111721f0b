"""The stage that deploys encoders; installs as `ssah_tf.export`."""
