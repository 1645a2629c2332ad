"""Tags have one normal form, and a list file is either clean or refused with file and line."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.errors import SetupError
from manifests.tags import normalise_tag, normalise_tags, read_list


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("Hot-Air Balloon", "hotairballoon"),
        ("marine_explorer", "marineexplorer"),
        ("  35mm  ", "35mm"),
        ("geo:lat=47.5", "geolat475"),
        ("Straße", "strasse"),
        ("SCHÖN", "schön"),
        ("scho\u0308n", "schön"),  # the accent as a mark of its own
        ("ﬁeld", "field"),  # a ligature
        ("\uff2cake", "lake"),  # a full-width letter
        ("富士山", "富士山"),
        ("हिमालय", "हिमालय"),  # vowel signs belong to their letters
        ("❤️ 🏔️", ""),  # a variation selector alone is no tag
        ("1️⃣", "1"),
        ("---", ""),
        ("", ""),
    ],
)
def test_a_tag_is_letters_and_digits_case_folded(text: str, tag: str) -> None:
    assert normalise_tag(text) == tag


@given(st.text())
def test_normalising_twice_changes_nothing(text: str) -> None:
    tag = normalise_tag(text)
    assert normalise_tag(tag) == tag


def test_tags_are_deduplicated_in_order_without_empty_ones() -> None:
    assert normalise_tags(["Sea", "!", "Big Sur", "sea", "bigsur", "Cliff"]) == ("sea", "bigsur", "cliff")
    assert normalise_tags([]) == ()


def test_a_list_is_read_without_comments_and_blanks(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("\ufeff# heading\n\ncar\n  dog  \n# more\nschön\n", encoding="utf-8")
    assert read_list(path) == {"car", "dog", "schön"}


def test_every_bad_line_is_reported_with_file_and_number(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("car\nHot Air\n\ncar\n!!\n")
    with pytest.raises(SetupError) as error:
        read_list(path)
    text = str(error.value)
    assert text.startswith(f"{path}: line 2: 'Hot Air' is not in normalised form, write 'hotair'")
    assert "line 4: 'car' already stands in line 1" in text
    assert "line 5: '!!' is not in normalised form, it has no letter or digit" in text


def test_a_long_report_is_cut_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("A\n" * 8)
    with pytest.raises(SetupError, match=r"line 5: [^;]*; and 3 more$"):
        read_list(path)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"none\.txt: there is no such file"):
        read_list(tmp_path / "none.txt")
    (tmp_path / "latin1.txt").write_bytes(b"caf\xe9\n")
    with pytest.raises(SetupError, match=r"latin1\.txt cannot be read"):
        read_list(tmp_path / "latin1.txt")
