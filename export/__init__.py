"""The stage that deploys encoders; installs as `ssah_tf.export`.

This version exports nothing yet: the encoder of a run is `model.keras`, which
`keras.saving.load_model` opens after `import ssah_tf.models`.
"""
