"""The command `boxport`. Needs the extra ``cli``."""
