"""The service's logger."""

import logging

# Below BentoML's own logger, for its handlers, its format and its level.
logger = logging.getLogger("bentoml.boxport")
