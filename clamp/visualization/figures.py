from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import IO

import cv2
import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from mmpose.structures import PoseDataSample

from .poses import crop_animal, labelled_keypoints

COLOUR_MAP = 'viridis'  # perceptually uniform, and readable in grey and by the colour-blind
SINGLE_COLUMN, DOUBLE_COLUMN = 3.25, 6.9  # widths of figures in CVPR's two columns, in inches
CROP_SIZE = 384  # of an animal in a figure, in pixels
# text stays text in PDF (Type 42) and SVG, as publishers ask
STYLE = {
    'font.size': 7,
    'axes.titlesize': 7,
    'axes.linewidth': 0.5,
    'hatch.linewidth': 0.4,
    'pdf.fonttype': 42,
    'svg.fonttype': 'none',
    'text.parse_math': False,  # a name may hold a dollar sign
}


def overlay_score_map(
    image: np.ndarray, score_map: np.ndarray, norm: Normalize, is_heatmap: bool = False
) -> np.ndarray:
    """Lay a score map, upsampled bilinearly, over the image in grey.

    Args:
        image (np.ndarray): (height, width, 3), uint8, RGB.
        score_map (np.ndarray): (H, W), over the whole image.
        norm (Normalize): What values the ends of the colour map stand for.
        is_heatmap (bool): Whether a cell's value is that of its first pixel, as targets of heatmaps are drawn, and not
            of all that it covers. Defaults to False.

    Returns:
        np.ndarray: (height, width, 3), uint8, RGB.
    """
    size = image.shape[1::-1]
    if is_heatmap:
        scales = np.diag(np.divide(size, score_map.shape[::-1]))
        upsampled = cv2.warpAffine(score_map, np.c_[scales, [0, 0]], size, borderMode=cv2.BORDER_REPLICATE)
    else:
        upsampled = cv2.resize(score_map, size, interpolation=cv2.INTER_LINEAR)
    colours = 255 * colormaps[COLOUR_MAP](norm(upsampled))[..., :3]
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None]
    return (0.65 * colours + 0.35 * grey).round().astype(np.uint8)


@rc_context(STYLE)
def plot_similarity(panels: dict[str, np.ndarray], names: Sequence[str]) -> Figure:
    """Plot similarities of image features and prompts (the paper's Figure 3).

    Args:
        panels (dict[str, np.ndarray]): A title, and what stands under it: (K, K), cosine in [-1, 1], features in rows,
            prompts in columns, NaN for what is not labelled, which is hatched.
        names (Sequence[str]): The K names.
    """
    width = SINGLE_COLUMN if len(panels) == 1 else DOUBLE_COLUMN
    figure = Figure((width, width / len(panels) + 0.35), layout='compressed')
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    values = np.stack(list(panels.values()))
    norm = Normalize(np.nanmin(values), np.nanmax(values))
    for axis, (title, matrix) in zip(axes, panels.items()):
        drawn = axis.imshow(matrix, norm=norm, cmap=COLOUR_MAP, interpolation='nearest')
        axis.patch.set(hatch='//////', edgecolor='0.7', facecolor='white')
        axis.set(title=title, xlabel='prompt', xticks=range(len(names)), yticks=range(len(names)))
        axis.set_xticklabels(names, rotation=90)
        axis.set_yticklabels(names)
        axis.tick_params(length=0, labelsize=6)
    axes[0].set_ylabel('image feature at the keypoint')
    figure.colorbar(drawn, ax=axes, label='cosine similarity', fraction=0.05, pad=0.01)
    if np.isnan(values).any():
        patch = Patch(facecolor='white', edgecolor='0.7', hatch='//////', label='not labelled')
        figure.legend(handles=[patch], loc='lower left', frameon=False)
    return figure


@rc_context(STYLE)
def plot_score_maps(
    samples: Sequence[PoseDataSample],
    score_maps: np.ndarray,
    names: Sequence[str],
    chosen: Sequence[int] | None = None,
    label: str = 'cosine similarity',
    are_heatmaps: bool = False,
) -> Figure:
    """Plot score maps over the animals, one row an animal, or several of six panels (the paper's Figure 4).

    Args:
        samples (Sequence[PoseDataSample]): B samples, as :func:`crop_animal` takes them, with their ground truth: a
            ring is where a labelled keypoint is.
        score_maps (np.ndarray): (B, K, H, W).
        names (Sequence[str]): The K names.
        chosen (Sequence[int], optional): Which keypoints to show. Defaults to None, all of them.
        label (str): What the colours mean. Defaults to ``'cosine similarity'``.
        are_heatmaps (bool): As ``is_heatmap`` of :func:`overlay_score_map`. Defaults to False.
    """
    chosen = list(range(len(names))) if chosen is None else list(chosen)
    columns = min(1 + len(chosen), 6)
    rows = -(-(1 + len(chosen)) // columns)  # of an animal
    width = SINGLE_COLUMN if columns < 4 else DOUBLE_COLUMN
    panel = (width - 0.6) / columns
    figure = Figure((width, len(samples) * rows * (panel + (0.2 if rows > 1 else 0.03)) + 0.2), layout='compressed')
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0.01, hspace=0.01)
    axes = figure.subplots(len(samples) * rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    norm = Normalize(score_maps[:, chosen].min(), score_maps[:, chosen].max())
    for number, (sample, maps) in enumerate(zip(samples, score_maps)):
        crop, matrix = crop_animal(sample, CROP_SIZE)
        points, labelled = cv2.transform(sample.gt_instances.keypoints, matrix)[0], labelled_keypoints(sample)
        first, *others = axes[number * rows : (number + 1) * rows].flat
        first.imshow(crop)
        for axis, keypoint in zip(others, chosen):
            axis.imshow(overlay_score_map(crop, maps[keypoint], norm, are_heatmaps))
            if labelled[keypoint]:
                axis.plot(*points[keypoint], 'o', mfc='none', mec='white', ms=6, mew=1)
            if rows > 1 or number == 0:
                axis.set_title(names[keypoint], pad=2)
    figure.colorbar(ScalarMappable(norm, COLOUR_MAP), ax=axes, label=label, fraction=0.03, pad=0.01, aspect=30)
    return figure


@rc_context(STYLE)
def plot_poses(rows: dict[str, list[np.ndarray]], captions: dict[str, list[str]], columns: int = 6) -> Figure:
    """Plot images in labelled rows: the same animals by several methods (the paper's Figures 5 and 6).

    Args:
        rows (dict[str, list[np.ndarray]]): For each row's label, N images (height, width, 3), uint8, RGB.
        captions (dict[str, list[str]]): For a row's label, what stands under its N images. Rows may lack.
        columns (int): Images side by side; more go into a further block of rows. Defaults to 6.
    """
    number = len(next(iter(rows.values())))
    columns = min(number, columns)
    blocks = -(-number // columns)
    width = SINGLE_COLUMN if columns < 4 else DOUBLE_COLUMN
    height = blocks * (len(rows) * (width - 0.2) / columns + 0.14 * len(captions))
    figure = Figure((width, height), layout='compressed')
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0.01, hspace=0.01)
    axes = figure.subplots(blocks * len(rows), columns, squeeze=False)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    for line, (label, images) in enumerate(rows.items()):
        for index, image in enumerate(images):
            axis = axes[index // columns * len(rows) + line, index % columns]
            axis.imshow(image)
            axis.set_xlabel(captions[label][index] if label in captions else '', labelpad=1)
            axis.set_ylabel(label if index % columns == 0 else '')
    return figure


@rc_context(STYLE)
def save_figure(figure: Figure, file: str | Path | IO, dpi: int = 300, **kwargs) -> None:
    """Write a figure, cut to what is drawn, as PDF, SVG, PNG or JPEG, which the ending of the file's name says."""
    figure.savefig(file, dpi=dpi, bbox_inches='tight', pad_inches=0.01, **kwargs)


def figure_to_image(figure: Figure) -> np.ndarray:
    """Return a figure, cut to what is drawn, as an image (height, width, 3), uint8, RGB."""
    save_figure(figure, file := BytesIO(), dpi=200, format='png')
    return cv2.imdecode(np.frombuffer(file.getvalue(), np.uint8), cv2.IMREAD_COLOR)[..., ::-1].copy()
