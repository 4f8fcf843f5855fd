"""`python -m boxport_client` is the command `boxport`."""

from boxport_client.cli.entry import main

if __name__ == "__main__":
    main()
