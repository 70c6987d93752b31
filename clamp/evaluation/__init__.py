"""Metrics of keypoints by their names, of other data sets and of identities; keypoints in other words; bootstrap."""
