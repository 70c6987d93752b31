"""The manifest of a split: what it was made of and by, and the files that it names, as they are now."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from .splits import VERSION, dump, taxonomy


class SplitSource(NamedTuple):
    """An annotation file that a split was made of.

    Attributes:
        name (str): Its file name.
        expected (str): Its SHA-256 when the split was made.
        path (Path, optional): Where it is; None if it is not there.
        digest (str, optional): Its SHA-256 now.
    """

    name: str
    expected: str
    path: Path | None = None
    digest: str | None = None


def find_sources(manifest: dict, folders: Sequence[Path]) -> list[SplitSource]:
    """Return the sources of a manifest of ``tools/make_splits.py``, each in the first of the folders that has it."""
    found = []
    for source in manifest['sources']:
        path = next((each for folder in folders if (each := folder / source['file']).is_file()), None)
        digest = path and hashlib.sha256(path.read_bytes()).hexdigest()
        found.append(SplitSource(source['file'], source['sha256'], path, digest))
    return found


def manifest(protocol: str, options: dict, sources: dict[str, str], output: str, part: dict, report: dict) -> dict:
    """What makes a split's file checkable by anyone who has the source.

    Args:
        protocol (str): The name of the builder.
        options (dict): Its keyword arguments.
        sources (dict): SHA-256 of each source by its file name, in the builder's order.
        output (str): The file name of the split.
        part (dict): The split, as the builder returned it.
        report (dict): The builder's report.
    """
    taxa = taxonomy(part)
    animals = Counter(taxon.species for taxon in taxa.values())
    images = Counter(s for s, _ in {(taxa[ann['id']].species, ann['image_id']) for ann in part['annotations']})
    families: dict[str, set] = defaultdict(set)  # a fox may be one of Canidae, and a bat
    for taxon in taxa.values():
        families[taxon.species].add(taxon.family)
    return {
        'tool': 'tools/make_splits.py',
        'tool_version': VERSION,
        'protocol': protocol,
        'options': options,
        'sources': [{'file': name, 'sha256': digest} for name, digest in sources.items()],
        'output': {'file': output, 'sha256': hashlib.sha256(dump(part)).hexdigest()},
        'images': len(part['images']),
        'annotations': len(part['annotations']),
        'species': {
            species: {
                'family': ', '.join(sorted(filter(None, families[species]))) or None,
                'annotations': animals[species],
                'images': images[species],
            }
            for species in sorted(animals)
        },
        'report': report,
        'image_ids': [image['id'] for image in part['images']],
        'annotation_ids': [ann['id'] for ann in part['annotations']],
    }
