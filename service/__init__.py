"""The torch-free runtime: decode, batch, run, answer."""
