"""Makes the demo data: drawn animals in AP-10K's layout, for a first run before any download.

    python tools/make_demo_data.py
    python tools/make_demo_data.py --video 500 --out data/demo_video    # two animals that cross, and who is where

An AP-10K config reads it by ``data_root='data/demo/'`` alone.
"""

import argparse
import os
from pathlib import Path

from clamp.command_line import at_least, errors_in_one_line


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', type=Path, default=Path('data/demo'), help='the folder to fill')
    parser.add_argument('--num-train', type=at_least(1), default=1200, help='training images')
    parser.add_argument('--num-val', type=at_least(1), default=300, help='validation images')
    parser.add_argument('--seed', type=at_least(0), default=0, help='another seed, other animals')
    parser.add_argument(
        '--workers', type=at_least(1), default=os.cpu_count(), help='processes that draw; one per core if not given'
    )
    parser.add_argument(
        '--video',
        type=at_least(1),
        metavar='FRAMES',
        help='draw a video instead, OUT/walk.mp4 and its truth, walk.json',
    )
    parser.add_argument('--force', action='store_true', help='replace demo data that is already there')
    return parser.parse_args(argv)


if __name__ == '__main__':
    parse_args()  # --help and wrong arguments end here, before the imports that take seconds

from clamp.datasets.synthetic import generate_dataset, write_video


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    with errors_in_one_line():
        if args.video:
            truth = write_video(args.out / 'walk.mp4', args.seed, args.video)
            print(f'{args.video} frames and the truth of them are in {truth.with_suffix(".mp4")} and {truth}')
            return
        made = generate_dataset(args.out, args.num_train, args.num_val, args.seed, args.force, args.workers)
    if made:
        print(f'{args.num_train} training and {args.num_val} validation images are in {args.out}')
    else:
        print(f'{args.out} already holds this data set; --force makes it again')


if __name__ == '__main__':
    main()
