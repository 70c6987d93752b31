"""Metrics of keypoints by their names, and keypoints in other words."""
