"""Data: the one reader of annotation files, faster transforms, crops, splits, the audit, the generated animals."""
