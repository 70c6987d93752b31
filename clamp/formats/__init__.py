"""Files of other programs: poses in the formats that analysis reads, and labels of DeepLabCut and SLEAP to train on."""

from .export import FORMATS, Source, check_formats, export

__all__ = ['FORMATS', 'Source', 'check_formats', 'export']
