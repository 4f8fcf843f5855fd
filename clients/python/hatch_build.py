"""The package's URLs: the repository that a workflow builds it from, as GitHub names it."""

import os
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


class RepositoryUrls(MetadataHookInterface):
    """Elsewhere there are none: a copy does not know where it is from."""

    def update(self, metadata: dict[str, Any]) -> None:
        metadata["urls"] = {}
        server, repository = map(os.environ.get, ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY"))
        if server and repository:
            home = f"{server}/{repository}"
            metadata["urls"] = {
                "Homepage": home,
                "Documentation": f"{home}/blob/main/clients/python/README.md",
                "Changelog": f"{home}/blob/main/docs/CHANGELOG.md",
                "Issues": f"{home}/issues",
            }
