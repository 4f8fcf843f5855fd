"""`python -m boxport_client` is the command `boxport`."""

from boxport_client.cli import main

if __name__ == "__main__":
    main()
