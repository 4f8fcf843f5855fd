"""Packages in lower precision, each measured against the float32 package that it is made from."""
