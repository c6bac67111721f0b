"""Groups of duplicates, reviewed: what to keep, what to set aside, and the way back."""
