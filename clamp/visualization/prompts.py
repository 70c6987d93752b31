import cv2
import numpy as np
import torch
import torch.nn.functional as F
from mmpose.structures.bbox import get_warp_matrix
from torch import nn

from ..models.feature_contrastive_loss import sample_features
from .poses import labelled_keypoints


@torch.no_grad()
def view_prompts(model: nn.Module, batch: dict, learned_upsample: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Look at what the prompts of a model find in the animals of a batch.

    Args:
        model (nn.Module): A CLAMP in evaluation mode.
        batch (dict): B samples of a test pipeline with their ground truth, collated.
        learned_upsample (bool): Whether score maps go through the deconvolutions of ``loss_spatial``. They are no
            cosines then, but heatmaps. Defaults to False.

    Returns:
        tuple[np.ndarray, np.ndarray]: Of the K names that the head is asked for, which are the test set's, score maps
        (B, K, H, W), cosine in [-1, 1] (eq. 3-4), or (B, K, H', W') if upsampled, and the similarity (B, K, K), cosine
        in [-1, 1], of the image feature at each true keypoint (row) and each prompt (column), which is eq. 6-8 without
        the temperature; NaN where one of the two is not labelled.

    Raises:
        ValueError: If the model has no prompts, or no learned upsampling where it is asked for.
    """
    check_prompts(model.head, learned_upsample)
    data = model.data_preprocessor(batch, False)
    feats = model.extract_feat(data['inputs'])
    score_map, text_embeds = model.head.compute_score_map(feats, model.head.asked_names)
    points, labelled = [], []
    for sample in data['data_samples']:
        meta = sample.metainfo
        matrix = get_warp_matrix(meta['input_center'], meta['input_scale'], 0, meta['input_size'])
        points.append((cv2.transform(sample.gt_instances.keypoints, matrix)[0] + 0.5) / meta['input_size'])
        labelled.append(labelled_keypoints(sample) & ((points[-1] >= 0) & (points[-1] <= 1)).all(1))
    features = sample_features(feats[1], torch.as_tensor(np.stack(points), device=score_map.device))  # (B, K, D)
    similarity = F.normalize(features, dim=-1) @ F.normalize(text_embeds, dim=-1).transpose(1, 2)  # (B, K, K)
    labelled = np.stack(labelled)
    pairs = labelled[:, :, None] & labelled[:, None]
    score_map = model.head.upsample((score_map,)) if learned_upsample else score_map
    return score_map.float().cpu().numpy(), np.where(pairs, similarity.float().cpu().numpy(), np.nan)


def mean_similarity(similarity: np.ndarray) -> np.ndarray:
    """Average similarities (N, K, K) over where they are known; NaN where they never are. Returns (K, K)."""
    known = ~np.isnan(similarity)
    return np.where(known.any(0), np.nansum(similarity, axis=0) / np.maximum(known.sum(0), 1), np.nan)


def check_prompts(head: nn.Module, learned_upsample: bool = False) -> None:
    """Check that a head has score maps.

    Raises:
        ValueError: If it has none, or no learned upsampling where it is asked for.
    """
    if not hasattr(head, 'compute_score_map'):
        raise ValueError(f'{type(head).__name__} has no prompts, hence no score maps. Use a config of CLAMP.')
    if learned_upsample and head.upsample is None:
        raise ValueError('This model was trained without a learned upsampling of its score map: take the bilinear one.')
    if learned_upsample and head.asked_names != head.prompt_learner.keypoint_names:
        raise ValueError(
            'The learned upsampling is of the names trained on alone: take the bilinear one for test_names.'
        )
