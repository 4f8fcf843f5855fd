"""`boxport classify`"""

from contextlib import ExitStack

import typer

from boxport_client.cli import _options as given
from boxport_client.cli._layouts import CLASSES, REGIONS
from boxport_client.cli._outputs import chosen_outputs
from boxport_client.cli._run import Run
from boxport_client.cli._settings import find_service
from boxport_client.cli._sources import find_sources


def classify(
    photos: given.Photos,
    model: given.Model = None,
    top_k: given.TopK = None,
    region: given.Regions = None,
    region_padding: given.RegionPadding = None,
    region_resize: given.RegionResize = None,
    novelty: given.Novelty = False,
    max_side: given.MaxSide = None,
    as_json: given.AsJson = False,
    csv: given.Csv = None,
    journal: given.Journal = None,
    url: given.Url = None,
    api_key: given.ApiKey = None,
    profile: given.Profile = None,
    ca_file: given.CaFile = None,
    timeout: given.Timeout = 30.0,
    retries: given.Retries = 3,
    concurrency: given.Concurrency = 4,
) -> None:
    """Classify photos, or regions of them, the best class first.

    A terminal gets a table, a pipe JSON lines: one object per photo, with
    "classifications", with --region "regions", or, if it failed, "error".

    \b
      boxport classify coffee.jpg
      boxport classify holiday/ --top-k 1 --csv classes.csv
      boxport classify parking.jpg --region 0,80,120,200 --region 120,80,240,200
      boxport classify 'archive/**/*.jpg' --max-side 640 --concurrency 8
      boxport classify holiday/ | jq -r '[.photo, .classifications[0].label] | @tsv'

    \b
    Exit status: 0 all photos were answered, 1 some failed, 2 wrong usage or
    setting, 3 the service cannot be reached or refuses, 130 interrupted.
    """
    service = find_service(url, api_key, profile, ca_file)
    sources = find_sources(photos)
    regions = given.read_regions(region)
    layout = CLASSES if regions is None else REGIONS
    with ExitStack() as stack:
        client = stack.enter_context(service.client(timeout, retries))
        outputs, with_table = chosen_outputs(stack, sources, layout, as_json, csv)
        run = Run(sources, layout, outputs, with_table)
        status = run.take(
            client.classify_many(
                [source.photo for source in sources],
                concurrency=concurrency,
                journal=journal,
                model=model,
                top_k=top_k,
                regions=regions,
                region_padding=region_padding,
                region_resize=region_resize,
                novelty=novelty or None,
                max_side=max_side,
            )
        )
    raise typer.Exit(status)
