"""An index of photos behind HTTP: an API, and a page to search by picture (extra `serve`)."""
