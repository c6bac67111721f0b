"""Which photos a person should label next."""
