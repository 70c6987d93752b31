"""Files of other programs: poses in the formats that analysis reads, and labels of DeepLabCut and SLEAP to train on."""

from .export import FORMATS, Source, check_formats, export
from .tracks import Tracks, read_tracks

__all__ = ['FORMATS', 'Source', 'Tracks', 'check_formats', 'export', 'read_tracks']
