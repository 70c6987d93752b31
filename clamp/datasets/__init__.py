from .loading import LoadTrainImage

__all__ = ['LoadTrainImage']
