"""How well the animals of videos keep their identities: ID switches and IDF1, against the truth.

python tools/make_demo_data.py --video 500 --out data/demo_video
python tools/predict.py MODEL data/demo_video/walk.mp4 --boxes data/demo_video/walk.json --track --out tracks
python tools/evaluate_tracks.py data/demo_video/walk.json tracks/predictions.json
"""

import argparse
import json
import sys
from collections import Counter, defaultdict
from pathlib import Path

from clamp.command_line import errors_in_one_line


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('truth', help='COCO file: its images are frames (frame, from 0), its annotations have track_id')
    parser.add_argument('predictions', help='predictions.json of tools/predict.py --track')
    return parser.parse_args(argv)


if __name__ == '__main__':
    parse_args()  # --help and wrong arguments end here, before the imports that take seconds

from clamp.datasets.coco import read_boxes
from clamp.evaluation.identities import Seen, identity_scores

Videos = dict[str, dict[int, Seen]]  # frames by the names of the videos


def read_truth(path: str) -> Videos:
    """Return the true animals.

    Raises:
        FileNotFoundError, ValueError: If the file cannot be read, or an entry lacks frame or track_id.
    """
    coco = read_boxes(path)
    places = {image['id']: (image['file_name'], image.get('frame')) for image in coco['images']}
    if lacking := [name for name, frame in places.values() if frame is None]:
        raise ValueError(f'{path}: an image {lacking[0]} has no frame, the number of a frame of a video, from 0.')
    videos: Videos = defaultdict(lambda: defaultdict(Seen))
    for name, frame in places.values():
        videos[name][frame] = Seen()
    for annotation in coco['annotations']:
        if 'track_id' not in annotation:
            raise ValueError(f'{path}: annotation {annotation.get("id")} has no track_id, the identity of its animal.')
        _add(videos, *places[annotation['image_id']], annotation)
    return videos


def read_predictions(path: str) -> Videos:
    """Return the animals that were found.

    Raises:
        FileNotFoundError: If the file is not there.
        ValueError: If it is of another kind, or its animals have no identities.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'The predictions {path} are not there (from {Path.cwd()}).')
    videos: Videos = defaultdict(lambda: defaultdict(Seen))
    try:
        for result in json.loads(Path(path).read_bytes()):
            if result['frame'] is not None:
                _add(videos, result['file_name'], result['frame'], result)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f'{path} is not what tools/predict.py --track writes of videos: {error!r}') from error
    return videos


def match_videos(truth: Videos, found: Videos) -> dict[str, str]:
    """Return what each video of the truth is called among the predictions: one name ends with the other's path.

    Raises:
        ValueError: If a name may be that of several, or no video is in both.
    """
    names = {name: name for name in truth if name in found}
    for name in truth.keys() - names.keys():
        parts = Path(name).parts
        ends = {other: min(len(parts), len(Path(other).parts)) for other in found.keys() - truth.keys()}
        alike = sorted(other for other, end in ends.items() if Path(other).parts[-end:] == parts[-end:])
        if len(alike) > 1:
            raise ValueError(f'{name} of the truth may be {" or ".join(alike)} of the predictions: rename one of them.')
        if alike:
            names[name] = alike[0]
    if not names:
        raise ValueError(f'No video is in both: {", ".join(truth)} in the truth, {", ".join(found)} predicted.')
    if twice := [one for one, count in Counter(names.values()).items() if count > 1]:
        raise ValueError(f'{twice[0]} of the predictions may be several videos of the truth: rename them.')
    return names


def _add(videos: Videos, name: str, frame: int, animal: dict) -> None:
    videos[name][frame].identities.append(animal['track_id'])
    videos[name][frame].boxes.append(animal['bbox'])


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    with errors_in_one_line():
        truth, found = read_truth(args.truth), read_predictions(args.predictions)
        names = match_videos(truth, found)
    for name in truth:  # in a video that is not among those found, no animal was
        frames, poses = sorted(truth[name]), found[names.get(name, name)]
        scores = identity_scores([truth[name][frame] for frame in frames], [poses[frame] for frame in frames])
        print(
            f'{name}: {scores["switches"]} switches, IDF1 {scores["IDF1"]:.3f}; {scores["animals"]} animals in '
            f'{len(frames)} frames, {scores["found"]} found with {scores["identities"]} identities'
        )
    if others := sorted(found.keys() - set(names.values())):
        print(f'not in the truth: {", ".join(others)}', file=sys.stderr)


if __name__ == '__main__':
    main()
