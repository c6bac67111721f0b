"""What knows no image: errors, files, locks, memory, text."""
