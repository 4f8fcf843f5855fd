"""The commands of `python -m export`; a file for each.

What takes long to import, PyTorch above all, is imported when a command runs: `--help` is for
people who wait.
"""
