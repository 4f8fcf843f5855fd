"""What reads and runs a Dockerfile stands beside the tests."""
