"""The checks of a dashboard stand beside the tests."""
