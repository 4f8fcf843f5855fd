"""`python -m service.bulk`: answer millions of photos, on this machine or on a Ray cluster.

Nothing that needs Ray is imported before the arguments are read.
"""

import argparse
import os

from service.terminal import positive_integer

HELP = """\
Run a model of the store on many photos, without a server.

  python -m service.bulk --input photos/ --output found.parquet
  python -m service.bulk --input photos/ --output found.json --score-threshold 0.5
  python -m service.bulk --input s3://shop/photos --output s3://shop/found.parquet \\
      --model efficientdet_lite0_voc/1 --address head.example:6379
  python -m service.bulk --input images.parquet --column image --output classes.parquet \\
      --model efficientnet_lite0_imagenet --top-k 3
  python -m service.bulk --input pets/ --output breeds.parquet --label dog --label cat \\
      --then efficientnet_lite0_imagenet

The input is a folder of photos, with the folders below it, or Parquet files with
a photo a row. The output is a folder of Parquet files, a row a photo; or, if its
name ends in .json, one COCO file, with such a folder beside it. A photo that
cannot be answered is a row with its error.

Interrupted, killed or out of disk: the same command continues. It does not redo
what has been done, and refuses other photos, another model or other parameters
than those that the output was begun with.

The BOXPORT_ settings are those of the service: BOXPORT_MODEL_STORE,
BOXPORT_EXECUTION_PROVIDERS and the rest (python -m service settings).
"""

INSTALL = "pip install --group bulk"


def main() -> None:
    arguments = _parser().parse_args()
    try:
        from service.bulk.command import run
    except ModuleNotFoundError as error:
        raise SystemExit(f"boxport: bulk jobs need {error.name}: {INSTALL}") from None
    run(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m service.bulk",
        description=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_job(parser.add_argument_group("the job"))
    _add_parameters(parser.add_argument_group("parameters, as in a request"))
    _add_machines(parser.add_argument_group("machines"))
    return parser


def _add_job(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--input", required=True, metavar="URI", help="a folder or Parquet file, or s3://…"
    )
    group.add_argument(
        "--output", required=True, metavar="URI", help="a folder, or a file named *.json"
    )
    group.add_argument(
        "--model", metavar="NAME", help="or name/version; default: the store's best detector"
    )
    group.add_argument(
        "--column",
        metavar="NAME",
        help="of Parquet: photos as bytes or as paths; default: image, bytes or path",
    )


def _add_parameters(group: "argparse._ArgumentGroup") -> None:
    group.add_argument("--score-threshold", type=float, metavar="X")
    group.add_argument("--iou-threshold", type=float, metavar="X")
    group.add_argument("--class-agnostic", action="store_true", default=None)
    group.add_argument("--max-detections", type=int, metavar="N")
    group.add_argument(
        "--label", action="append", dest="labels", metavar="NAME", help="may be repeated"
    )
    group.add_argument("--top-k", type=int, metavar="N", help="of a classifier")
    group.add_argument(
        "--novelty",
        action="store_true",
        default=None,
        help="how novel each photo is, of a model with a companion",
    )
    group.add_argument("--then", metavar="NAME", help="a classifier that is run on each box")
    group.add_argument(
        "--region",
        action="append",
        dest="regions",
        metavar="LEFT,TOP,RIGHT,BOTTOM",
        help="of each photo, in pixels, in place of the whole; may be repeated",
    )
    group.add_argument(
        "--region-padding", type=float, metavar="X", help="context of a box, a share of its sides"
    )
    group.add_argument("--region-resize", metavar="model|warp")


def _add_machines(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--address",
        default=os.environ.get("RAY_ADDRESS"),
        metavar="HOST:PORT",
        help="of a Ray cluster; default: RAY_ADDRESS, and without it this machine alone",
    )
    group.add_argument(
        "--actor-cpus",
        type=positive_integer,
        metavar="N",
        help="processors of an actor; default: the threads of a run, with a GPU its share",
    )
    group.add_argument(
        "--actor-gpus",
        type=float,
        metavar="X",
        help="GPUs of an actor, such as 0.5; default: 1 if the model runs on GPUs, else 0",
    )
    group.add_argument(
        "--max-actors", type=positive_integer, metavar="N", help="default: as many as fit"
    )


if __name__ == "__main__":
    main()
