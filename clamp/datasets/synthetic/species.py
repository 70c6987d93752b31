"""The ten species: proportions, colours and markings, under AP-10K's own category ids."""

from dataclasses import dataclass

COAT, PALE, DARK, HORN, EYE, MANE, FEET = range(7)  # materials: what a part of the body is covered with
CREAM, SOOT = (238, 228, 208), (38, 32, 30)  # RGB
_BAY = (118, 66, 36)


@dataclass(frozen=True)
class Species:
    """Proportions in shoulder-to-hip lengths, angles in degrees above the horizontal, colours in RGB."""

    name: str
    family: str
    category_id: int  # AP-10K's own
    leg: float  # length of the front leg
    torso: float  # radius of the chest
    waist: float  # radius of the belly over that of the chest
    limb: float  # radius of a leg at its elbow
    neck: tuple  # (length, angle, radius)
    head: tuple  # (skull radius, muzzle length, muzzle radius)
    ear: tuple  # (length, radius, angle)
    tail: tuple  # (length, radius at the root, radius at the tip, angle)
    pattern: str
    coats: tuple  # pairs (ground, marking), one of which an individual wears
    feet: tuple | None = None  # colour of the lower legs, None for the coat's
    hind: float = 1.0  # length of the hind leg over that of the front leg
    pale: float = 0.0  # how far the underside fades to CREAM
    horns: str = ''
    mane: bool = False
    tail_material: int = COAT
    tuft: int | None = None  # material of the tail's end, None for no tuft
    rests: bool = False  # also sits and lies down


# fmt: off
SPECIES = (
    Species(
        'cow', 'Bovidae', 5, leg=0.80, torso=0.33, waist=1.04, limb=0.085, horns='cow', tuft=MANE,
        neck=(0.40, 14, 0.19), head=(0.155, 0.27, 0.10), ear=(0.2, 0.05, 0), tail=(0.75, 0.035, 0.02, -84),
        pattern='patches', coats=((CREAM, SOOT), (CREAM, (128, 62, 30)), (SOOT, CREAM)),
    ),
    Species(
        'sheep', 'Bovidae', 6, leg=0.62, torso=0.37, waist=1.06, limb=0.06, horns='curl', feet=SOOT,
        neck=(0.30, 34, 0.18), head=(0.12, 0.21, 0.075), ear=(0.16, 0.04, -12), tail=(0.18, 0.07, 0.05, -70),
        pattern='wool', coats=((CREAM, SOOT), ((205, 196, 180), (214, 196, 170))),
    ),
    Species(
        'dog', 'Canidae', 8, leg=0.70, torso=0.23, waist=0.78, limb=0.065, rests=True,
        neck=(0.30, 48, 0.125), head=(0.135, 0.20, 0.068), ear=(0.17, 0.06, -62), tail=(0.5, 0.045, 0.02, 38),
        pattern='patches', coats=((CREAM, (120, 74, 40)), ((186, 134, 76), (216, 178, 126)), (SOOT, (176, 112, 58)),
                                  ((235, 235, 232), (60, 58, 60))),
    ),
    Species(
        'fox', 'Canidae', 9, leg=0.54, torso=0.19, waist=0.9, limb=0.045, feet=SOOT, pale=0.9, tuft=PALE, rests=True,
        neck=(0.26, 40, 0.12), head=(0.12, 0.19, 0.042), ear=(0.17, 0.07, 72), tail=(0.85, 0.06, 0.12, -24),
        pattern='plain', coats=(((206, 98, 34), (206, 98, 34)), ((178, 84, 44), (178, 84, 44))),
    ),
    Species(
        'cat', 'Felidae', 24, leg=0.47, torso=0.2, waist=0.95, limb=0.05, pale=0.5, rests=True,
        neck=(0.20, 45, 0.11), head=(0.145, 0.075, 0.062), ear=(0.13, 0.075, 68), tail=(0.8, 0.04, 0.03, 12),
        pattern='tabby', coats=(((150, 142, 132), (78, 72, 68)), ((224, 150, 78), (176, 92, 36)), (SOOT, SOOT),
                                ((236, 232, 226), (140, 134, 128))),
    ),
    Species(
        'tiger', 'Felidae', 32, leg=0.60, torso=0.25, waist=0.92, limb=0.085, pale=1.0, rests=True,
        neck=(0.28, 24, 0.17), head=(0.17, 0.13, 0.092), ear=(0.09, 0.06, 50), tail=(0.85, 0.05, 0.04, -36),
        pattern='tiger', coats=(((226, 138, 44), SOOT), ((206, 120, 48), SOOT)),
    ),
    Species(
        'horse', 'Equidae', 21, leg=0.96, hind=1.02, torso=0.29, waist=0.94, limb=0.075, mane=True, tail_material=MANE,
        neck=(0.62, 46, 0.14), head=(0.135, 0.36, 0.076), ear=(0.13, 0.035, 74), tail=(0.78, 0.06, 0.09, -74),
        pattern='plain', coats=((_BAY, _BAY), (SOOT, SOOT), ((196, 190, 184), (196, 190, 184)),
                                ((158, 84, 40), (158, 84, 40)), ((206, 164, 98), (206, 164, 98))),
    ),
    Species(
        'zebra', 'Equidae', 22, leg=0.84, torso=0.31, waist=1.0, limb=0.075, mane=True, tuft=MANE,
        neck=(0.50, 42, 0.15), head=(0.135, 0.31, 0.078), ear=(0.15, 0.045, 68), tail=(0.6, 0.035, 0.025, -78),
        pattern='zebra', coats=((CREAM, (30, 28, 30)), ((232, 230, 226), (44, 36, 34))),
    ),
    Species(
        'giraffe', 'Giraffidae', 33, leg=1.42, hind=0.88, torso=0.33, waist=0.8, limb=0.08, horns='knobs', tuft=MANE,
        neck=(1.45, 62, 0.12), head=(0.115, 0.29, 0.066), ear=(0.16, 0.045, 8), tail=(0.7, 0.03, 0.02, -84),
        pattern='cells', coats=(((232, 206, 150), (150, 88, 40)), ((236, 216, 172), (112, 62, 32))),
    ),
    Species(
        'deer', 'Cervidae', 17, leg=0.98, hind=1.03, torso=0.235, waist=0.86, limb=0.05, pale=0.7, horns='antlers',
        neck=(0.50, 54, 0.105), head=(0.105, 0.22, 0.055), ear=(0.2, 0.055, 32), tail=(0.18, 0.05, 0.03, -40),
        pattern='spots', coats=(((164, 104, 58), CREAM), ((134, 92, 60), CREAM), ((182, 122, 74), CREAM)),
    ),
)
# fmt: on
