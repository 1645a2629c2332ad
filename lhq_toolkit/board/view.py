"""What a leaderboard shows, whatever it is shown as: groups of comparable entries, their places, their columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks import leaderboard
from benchmarks.leaderboard import Row, infinity_comparable_by
from benchmarks.recipes import Recipe
from benchmarks.seeds import Entry, Spread, entries


@dataclass(frozen=True)
class Column:
    """A column of numbers. key: the row's column; lower: whether less is better, None where it is neither."""

    key: str
    title: str
    about: str
    error: str | None = None
    lower: bool | None = None

    def of(self, entry: Entry) -> Spread | None:
        return entry.over_seeds(self.key, self.error)


@dataclass(frozen=True)
class Group:
    """Entries whose distances may be compared, the nearest first.

    together: whether all infinity numbers among them may be compared too; if not, they are not ordered by these.
    """

    entries: tuple[Entry, ...]
    together: bool

    @property
    def row(self) -> Row:
        return self.entries[0].row

    @property
    def name(self) -> str:
        """What the distance is called."""
        return "fd" if self.row.fid is None else "FID"

    @property
    def comparable(self) -> bool:
        """Whether the entries say enough of themselves to have places."""
        return leaderboard.comparable_by(self.row) is not None and self.row.distance is not None

    @property
    def infinity_setups(self) -> list[str]:
        """What the infinity numbers are from: one line for all, or one for each model where they differ."""
        rows = [entry.row for entry in self.entries if entry.row.endless is not None]
        said = {f"{row.infinity_setup}, {row.sampling}": None for row in rows}
        if len(said) <= 1:
            return list(said)
        return [f"{row.model}: {row.infinity_setup}, {row.sampling}" for row in rows]

    def columns(self) -> list[Column]:
        """Those in which an entry has a number, in order."""
        every = (
            Column("distance", self.name, "distance of independent frames to the pictures", "fd_error", True),
            Column(
                "endless",
                f"infinity {self.name}",
                "distance of frames cut from panoramas",
                "infinity_fd_error",
                True if self.together else None,
            ),
            *COLUMNS,
        )
        return [one for one in every if any(one.of(entry) is not None for entry in self.entries)]


COLUMNS = (
    Column("images_seen", "images", "real images shown while it trained"),
    Column("train_hours", "hours", "of training, on the devices named"),
    Column("ms_per_image", "ms/image", "one image at a time", lower=True),
    Column("panorama_ms_per_frame", "ms/frame", "a panorama's frame, many at a time", lower=True),
    Column("images_per_s", "images/s", "at the best batch", lower=False),
    Column("gmac", "GMAC", "multiply-adds of one image, in thousand millions", lower=True),
    Column("total", "parameters", "of generator and discriminator"),
    Column("kid", "KID", "kernel distance on the same features", lower=True),
    Column("precision", "precision", "share of generated pictures that look real to the features", lower=False),
    Column("recall", "recall", "share of real pictures that are reached", lower=False),
    Column("seam", "seam", "step across borders of patches over that elsewhere; 1: none to be seen", lower=True),
    Column("repetition", "repetition", "how much more alike frames are at the period of the coordinates", lower=True),
    Column("noise_use", "noise use", "share of the picture that the spatial noise makes"),
)


def groups(rows: Sequence[Row], recipes: Mapping[str, Recipe] | None = None) -> list[Group]:
    """The latest row of every run, in groups of what may be compared."""
    found = []
    for some in leaderboard.ranked(leaderboard.latest(rows)):
        nearest = sorted(entries(some, recipes), key=_distance)
        setups = {infinity_comparable_by(row) for row in some if row.endless is not None}
        found.append(Group(tuple(nearest), len(setups) <= 1 and None not in setups))
    return found


def _distance(entry: Entry) -> float:
    spread = entry.over_seeds("distance")
    return float("inf") if spread is None else spread.mean


_TELLING: tuple[tuple[str, Callable[[object], str]], ...] = (  # what tells entries of one model apart, first to last
    ("anchor_distance", lambda value: f"d={value}"),
    ("patches", lambda value: f"{value} patches"),
    ("budget", str),
    ("seed", lambda value: f"seed {value}"),
    ("origin", str),
    ("device", lambda value: str(value)[:32]),
    ("recipe_hash", lambda value: f"recipe {str(value)[:8]}"),
)


def label(entry: Entry, among: Sequence[Entry]) -> str:
    """The model, with what tells it from others of that model among these."""
    row = entry.row
    rivals = [other.row for other in among if other is not entry and other.row.model == row.model]
    words = [row.model]
    for name, said in _TELLING:
        mine = getattr(row, name)
        if any(getattr(one, name) != mine for one in rivals):
            words.append(said(mine))
            rivals = [one for one in rivals if getattr(one, name) == mine]
    return ", ".join(words) + (f" ({len(entry.rows)} seeds)" if len(entry.rows) > 1 else "")


def measured_on(row: Row) -> str:
    """What the rows of a group share, in one line."""
    size = f"{row.resolution}x{row.resolution}"
    if row.n_real is None or row.n_generated is None:
        return f"{row.dataset}, {size}"
    subset = f"subset {row.subset or '-'} {row.subset_hash[:12]}"
    return f"{row.dataset}, {size}, {subset}: {row.n_real:,} real and {row.n_generated:,} generated pictures"


def features_of(row: Row) -> str:
    """The features, and whether their distance is called FID."""
    if row.fid is not None:
        return "2015 Inception"
    name, _, digest = (row.features or "no features").partition("@")
    return f"features {name} {digest[:8]} (not the Inception: no FID)"


def text_of(spread: Spread | None, digits: int = 4) -> str:
    """A number as it is shown: with its standard deviation over seeds, or for one seed its standard error."""
    if spread is None:
        return "-"
    beside = spread.deviation or spread.error  # a deviation of 0: the seeds share the number, as that of parameters
    return _short(spread.mean, digits) + (f" ± {_short(beside, 2)}" if beside is not None else "")


def _short(value: float, digits: int = 4) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.{digits}g}"
