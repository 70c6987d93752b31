from .named_keypoint_metric import NamedKeypointMetric

__all__ = ['NamedKeypointMetric']
