"""The report as one HTML page, which loads nothing else."""

import base64
from collections.abc import Sequence
from datetime import date

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from ..evaluation.bootstrap import draw_weights, estimate
from ..visualization import SIDE_COLOURS, keypoint_sides
from .analysis import Analysis, Truth, analyse, same_animals
from .average_precision import AREA_RANGES
from .calibration import Calibration
from .collect import Run
from .errors import CLOSE, EXACT, KINDS, UNLABELLED

HEADLINES = {
    'AP': 'AP',
    'AP50': 'AP at OKS 0.50',
    'AP75': 'AP at OKS 0.75',
    'APM': 'AP medium',
    'APL': 'AP large',
    'AR': 'AR',
}
FEW = 30  # images; a bootstrap of fewer says little
BINS = np.linspace(0, 1, 21)  # of the histogram of OKS


def render(runs: list[Run], gallery: int, resamples: int = 1000, seed: int = 0) -> str:
    """Analyse one run, or two on the same test set, and make the page.

    Args:
        runs (list[Run]): The run, and the one it is compared with.
        gallery (int): The most animals that the gallery shows; of more, it shows some evenly spread over OKS.
        resamples (int): Of the bootstrap. Defaults to 1000.
        seed (int): Of the bootstrap. Defaults to 0.

    Returns:
        str: HTML.

    Raises:
        ValueError: If the runs were tested on different animals.
    """
    runs = [runs[0], *(same_animals(runs[0], other) for other in runs[1:])]
    truth = Truth.of(runs[0])
    weights = draw_weights(len(runs[0].coco.imgs), resamples, seed)
    analyses = [analyse(run, truth, weights) for run in runs]
    template = Environment(
        loader=PackageLoader('clamp.report'),
        autoescape=select_autoescape(['html']),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    ).get_template('page.html')
    shown = spread_over(analyses[0].oks, gallery)
    return template.render(
        runs=runs,
        date=date.today().isoformat(),
        resamples=resamples,
        shown=len(shown),
        data=gallery_data(runs, analyses, truth, shown),
        **tables(runs, analyses, truth),
    )


def tables(runs: list[Run], analyses: list[Analysis], truth: Truth) -> dict:
    """The numbers of the page, as the template takes them."""
    return dict(
        num_animals=len(truth.annotation_ids),
        num_images=len(runs[0].coco.imgs),
        few=len(runs[0].coco.imgs) < FEW,
        kinds=KINDS,
        close=CLOSE,
        exact=EXACT,
        headlines=[_row(label, [a.scores[key] for a in analyses]) for key, label in HEADLINES.items()],
        errors=[
            _row(
                kind, [a.shares[:, index] for a in analyses], gains=[a.gains[kind] for a in analyses if kind in a.gains]
            )
            for index, kind in enumerate(KINDS)
        ],
        keypoints=_keypoint_rows(keypoint_names(runs[0]), analyses, truth),
        groups=dict(
            Species=_group_rows('species', truth.species, analyses),
            Family=_group_rows('families', truth.families, analyses),
            Size=_size_rows(analyses, truth),
        ),
        confidence=[_confidence(a.calibration) for a in analyses],
        histogram=[(np.histogram(a.oks[~np.isnan(a.oks)], BINS)[0] / len(a.oks)).tolist() for a in analyses],
    )


def keypoint_names(run: Run) -> list[str]:
    """The K names of the data set, in order."""
    return [run.metainfo['keypoint_id2name'][index] for index in range(run.metainfo['num_keypoints'])]


def _row(label: str, arrays: Sequence[np.ndarray], **extra) -> dict:
    """A line of a table: each run's estimate, and that of the difference of two."""
    difference = estimate(arrays[0] - arrays[1]) if len(arrays) == 2 else None
    return dict(label=label, values=[estimate(array) for array in arrays], difference=difference, **extra)


def _kind_shares(kinds: np.ndarray) -> list[float]:
    counts = np.bincount(kinds[kinds >= 0], minlength=len(KINDS))
    return (counts / max(counts.sum(), 1)).tolist()


def _keypoint_rows(names: list[str], analyses: list[Analysis], truth: Truth) -> list[dict]:
    return [
        _row(
            name,
            [a.keypoint_similarity[:, k] for a in analyses],
            number=int(truth.labelled[:, k].sum()),
            shares=[_kind_shares(a.kinds[:, k]) for a in analyses],
        )
        for k, name in enumerate(names)
    ]


def _group_rows(attribute: str, groups: np.ndarray, analyses: list[Analysis]) -> list[dict]:
    by_run = [getattr(a, attribute) for a in analyses]
    return [
        _group_row(str(name), [(scores[name]['AP'], scores[name]['AR']) for scores in by_run], groups == name, analyses)
        for name in np.unique(groups)
    ]


def _group_row(label: str, scores: list[tuple], members: np.ndarray, analyses: list[Analysis]) -> dict:
    """A line for the animals ``members`` (N,), bool; ``scores`` has each run's AP and AR, (1 + R,)."""
    aps, ars = zip(*scores)
    shares = [_kind_shares(a.kinds[members]) for a in analyses]
    return _row(label, aps, recalls=list(map(estimate, ars)), number=int(members.sum()), shares=shares)


def _confidence(calibration: Calibration) -> dict:
    return dict(
        error=estimate(calibration.error),
        auroc_right=calibration.auroc_right,
        auroc_labelled=calibration.auroc_labelled,
        bins=[
            dict(low=low, high=high, score=score, right=estimate(right))
            for low, high, score, right in zip(
                calibration.edges, calibration.edges[1:], calibration.scores, calibration.right.T
            )
        ],
    )


def _size_rows(analyses: list[Analysis], truth: Truth) -> list[dict]:
    rows = []
    for label in ('medium', 'large'):
        low, high = AREA_RANGES[label]
        members = (truth.areas >= low) & (truth.areas <= high)
        of_size = [[a.scores[f'{score}{label[0].upper()}'] for score in ('AP', 'AR')] for a in analyses]
        rows.append(_group_row(label, of_size, members, analyses))
    return rows


def spread_over(values: np.ndarray, number: int) -> np.ndarray:
    """Indices of at most ``number`` of the values (N,), evenly spread over their sorted order, in their own order."""
    order = np.argsort(values)
    return np.sort(order[np.linspace(0, len(order) - 1, min(number, len(order))).round().astype(int)])


def gallery_data(runs: list[Run], analyses: list[Analysis], truth: Truth, shown: np.ndarray) -> dict:
    """What the gallery draws. Places are (x, y) in thousandths of the picture, maps base64 of K x h x w bytes."""
    metainfo = runs[0].metainfo
    centre, size = runs[0].regions[:, None, 0], runs[0].regions[:, None, 1]  # (N, 1, 2)

    def places(points: np.ndarray, n: int) -> list[int]:
        return (((points[n] - centre[n]) / size[n] + 0.5) * 1000).round().astype(int).ravel().tolist()

    def prediction(run: Run, analysis: Analysis, n: int) -> dict:
        return dict(
            oks=None if np.isnan(analysis.oks[n]) else round(float(analysis.oks[n]), 4),
            places=places(run.keypoints, n),
            scores=(run.keypoint_scores[n] * 100).round().astype(int).tolist(),
            similarity=(analysis.similarity[n] * 100).round().astype(int).tolist(),
            kinds=[None if kind == UNLABELLED else KINDS[kind] for kind in analysis.kinds[n]],
            mapPlace=places(run.regions[:, :1] + run.regions[:, 1:] * [[-0.5], [0.5]], n),
            maps=base64.b64encode(run.maps[n].tobytes()).decode(),
        )

    return dict(
        keypoints=keypoint_names(runs[0]),
        kinds=KINDS,
        links=[list(map(int, link)) for link in metainfo['skeleton_links']],
        sides=keypoint_sides(metainfo),
        colours={side: f'rgb{colour}' for side, colour in SIDE_COLOURS.items()},
        aspect=float(size[0, 0, 0] / size[0, 0, 1]),
        runs=[dict(name=run.name, mapName=run.map_name, mapSize=run.maps.shape[:1:-1]) for run in runs],
        animals=[
            dict(
                id=truth.annotation_ids[n],
                file=truth.files[n],
                species=str(truth.species[n]),
                family=str(truth.families[n]),
                places=places(truth.keypoints, n),
                jpeg=base64.b64encode(runs[0].crops[n]).decode(),
                runs=[prediction(run, analysis, n) for run, analysis in zip(runs, analyses)],
            )
            for n in shown
        ],
    )
