"""The hash layer on features of a backbone: PCA and ITQ, training, label propagation, refit."""
