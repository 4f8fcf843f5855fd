"""What a shell completes that only the service knows."""

import typer

from boxport_client.cli.settings import find_service

PATIENCE_SECONDS = 0.5


def model_names(context: typer.Context, incomplete: str) -> list[str]:
    """The names of the service's models; none if it does not answer at once."""
    given = context.params
    try:
        service = find_service(given.get("url"), given.get("api_key"), given.get("profile"))
        with service.client(timeout=PATIENCE_SECONDS, retries=0) as client:
            names = {model.name for model in client.models()}
    except Exception:  # whatever it is, a shell that completes is no place to say it
        return []
    return sorted(name for name in names if name.startswith(incomplete))
