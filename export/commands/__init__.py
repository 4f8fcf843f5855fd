"""What `python -m export` can be told to do; a file for each command."""
