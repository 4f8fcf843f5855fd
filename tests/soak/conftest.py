"""Keeps Hypothesis' files out of the repository."""

import tempfile

from hypothesis import configuration

configuration.set_hypothesis_home_dir(tempfile.mkdtemp(prefix="hypothesis-"))
