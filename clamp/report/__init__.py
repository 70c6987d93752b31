"""A report on a tested model, or on two, as a page: what is right, what is wrong, and how sure that is.

``collect`` tests a model, ``analysis`` asks ``average_precision`` and ``errors``, ``page`` writes.
"""
