"""Licence texts become the right SPDX identifier, or none; credits are one line of plain text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.licenses import canonicalize_license_expression

from manifests.licenses import _CC_PORTS, CC0, PDM, UNKNOWN, UNSPLASH, US_GOV, License, attribution, demands, normalise

CC_CODES = ("BY", "BY-NC", "BY-NC-ND", "BY-NC-SA", "BY-ND", "BY-SA")
CC_IDS = [f"CC-{code}-{version}" for code in CC_CODES for version in ("1.0", "2.0", "2.5", "3.0", "4.0")]
PORTED_IDS = [f"CC-{code}-{port}".upper() for code, ports in _CC_PORTS.items() for port in ports]
GNU = ("GPL-1.0", "GPL-2.0", "GPL-3.0", "LGPL-2.0", "LGPL-2.1", "LGPL-3.0", "AGPL-3.0", "GFDL-1.2", "GFDL-1.3")
GNU_IDS = [f"{license_id}-{which}" for license_id in GNU for which in ("only", "or-later")]
OTHER_IDS = ["CC0-1.0", "Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause", "LAL-1.2", "LAL-1.3"]
REFS = ["LicenseRef-Unsplash", "LicenseRef-US-Gov", "LicenseRef-PDM", "LicenseRef-unknown"]


@pytest.mark.parametrize("spdx", CC_IDS + PORTED_IDS + GNU_IDS + OTHER_IDS)
def test_every_identifier_is_one_that_spdx_lists(spdx: str) -> None:
    assert canonicalize_license_expression(spdx) == spdx


@pytest.mark.parametrize("spdx", CC_IDS + PORTED_IDS + GNU_IDS + OTHER_IDS + REFS)
def test_identifier_name_and_address_all_lead_to_the_same_licence(spdx: str) -> None:
    known = normalise(spdx)
    assert known.spdx == spdx
    assert normalise(spdx.lower()) == known
    assert normalise(known.name) == known
    assert normalise(known.url) == known


@pytest.mark.parametrize(
    ("text", "spdx"),
    [
        ("CC BY-SA 4.0", "CC-BY-SA-4.0"),
        ("cc-by-4.0", "CC-BY-4.0"),
        ("  CC\u00a0BY 2.0 ", "CC-BY-2.0"),
        ("BY-NC 2.0", "CC-BY-NC-2.0"),
        ("CC BY-NC-SA 3.0 IGO", "CC-BY-NC-SA-3.0-IGO"),
        ("Attribution 4.0 International (CC BY 4.0)", "CC-BY-4.0"),
        ("Creative Commons Attribution-ShareAlike 3.0 Unported License", "CC-BY-SA-3.0"),
        ("Creative Commons Attribution Non Commercial No Derivatives 4.0 International", "CC-BY-NC-ND-4.0"),
        ("Attribution-NonCommercial-NoDerivs 2.0 Generic", "CC-BY-NC-ND-2.0"),
        ("http://creativecommons.org/licenses/by-nc/2.0/", "CC-BY-NC-2.0"),
        ("https://creativecommons.org/licenses/by/2.0/?ref=openverse", "CC-BY-2.0"),
        ("//www.creativecommons.org/licenses/by-sa/4.0/deed.zh_TW", "CC-BY-SA-4.0"),
        ("https://creativecommons.org/licenses/by/4.0/legalcode", "CC-BY-4.0"),
        ("https://creativecommons.org/licenses/by/3.0/us/deed.en", "CC-BY-3.0-US"),
        ("https://creativecommons.org/licenses/by-nd-nc/1.0/", "CC-BY-NC-ND-1.0"),
        ("GPL-2+", "GPL-2.0-or-later"),
        ("GPL-2", "GPL-2.0-only"),
        ("GPL-2.0+", "GPL-2.0-or-later"),
        ("GPL-3.0", "GPL-3.0-only"),
        ("GPLv3+", "GPL-3.0-or-later"),
        ("GNU General Public License v2 or later", "GPL-2.0-or-later"),
        ("GNU General Public License, version 3 or any later version", "GPL-3.0-or-later"),
        ("LGPL-2.1+", "LGPL-2.1-or-later"),
        ("GNU Free Documentation License 1.2 or later", "GFDL-1.2-or-later"),
        ("Expat", "MIT"),
        ("Apache License 2.0", "Apache-2.0"),
        ("Free Art License 1.3", "LAL-1.3"),
    ],
)
def test_what_sources_write(text: str, spdx: str) -> None:
    assert normalise(text).spdx == spdx


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("cc0", CC0),
        ("CC-0", CC0),
        ("CC0 1.0 Universal (CC0 1.0) Public Domain Dedication", CC0),
        ("Public Domain Dedication (CC0)", CC0),
        ("Creative Commons Zero v1.0 Universal", CC0),
        ("http://creativecommons.org/publicdomain/zero/1.0/deed.de", CC0),
        ("Public Domain Mark", PDM),
        ("Public Domain Mark 1.0 Universal", PDM),
        ("pdm", PDM),
        ("CC-PDM-1.0", PDM),
        ("United States Government Work", US_GOV),
        ("U.S. Government Works", US_GOV),
        ("http://www.usa.gov/copyright.shtml", US_GOV),
        ("Unsplash Licence", UNSPLASH),
    ],
)
def test_the_terms_without_a_licence_number(text: str, known: License) -> None:
    assert normalise(text) == known


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "as on Flickr (photo id in the name)",
        "All Rights Reserved",
        "No known copyright restrictions",
        "Public Domain",
        "CC",
        "CC BY",  # which version?
        "Creative Commons",
        "CC BY 4.5",
        "CC BY 2.1",
        "CC BY-SA-ND 4.0",
        "CC SA 4.0",
        "CC BY 4.0 or GPL-2+",
        "CC BY 4.0, CC BY-SA 4.0",
        "CC BY 4.0 (CC BY-SA 4.0)",
        "not CC BY 4.0",
        "CC BY 2.5 ES",  # a port without an identifier of its own
        "https://creativecommons.org/licenses/by/2.5/es/",
        "https://creativecommons.org.example.com/licenses/by/4.0/",
        "https://example.com/creativecommons.org/licenses/by/4.0/",
        "https://creativecommons.org/licenses/by/",
        "https://creativecommons.org/publicdomain/zero/2.0/",
        "GPL",
        "GPL-7",
        "GPL-2 or GPL-3",
        "4",
        "CC BY 4.0 " + " " * 400,
    ],
)
def test_nothing_is_guessed(text: str | None) -> None:
    assert normalise(text) == UNKNOWN


@given(st.text())
def test_any_text_has_an_answer(text: str) -> None:
    assert normalise(text).spdx


def test_attribution_names_title_author_licence_and_page() -> None:
    credit = attribution("Aitzgorri", "Aitzol Berasategi", normalise("CC-BY-4.0"), "https://example.org/1")
    assert credit == (
        '"Aitzgorri" by Aitzol Berasategi, CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/), '
        "https://example.org/1"
    )


def test_attribution_says_what_is_not_known() -> None:
    assert attribution(None, None, UNKNOWN, None) == "Untitled, author unknown, unknown license"
    assert attribution(" \n", "", CC0, "") == (
        "Untitled, author unknown, CC0 1.0 (https://creativecommons.org/publicdomain/zero/1.0/)"
    )


def test_attribution_of_a_hostile_title_is_one_line_in_one_direction() -> None:
    credit = attribution("a\r\nb\u2028c\x1b[31m\u202ed", "e\tf", CC0, None)
    assert credit.startswith('"a b c [31md" by e f, CC0 1.0')


@given(st.text(), st.text(), st.text())
def test_attribution_is_always_one_line(title: str, author: str, page_url: str) -> None:
    assert len(attribution(title, author, CC0, page_url).splitlines()) == 1


def test_what_a_licence_asks_for_puts_them_in_order() -> None:
    asked = [
        *("CC0-1.0", "LicenseRef-PDM", "LicenseRef-US-Gov"),
        *("CC-BY-4.0", "LicenseRef-Unsplash", "MIT", "CC-BY-3.0-AT"),
        *("CC-BY-SA-4.0", "CC-BY-ND-2.0", "GPL-2.0-or-later", "LAL-1.3", "GFDL-1.2-only"),
        *("CC-BY-NC-2.0", "CC-BY-NC-SA-3.0-DE", "CC-BY-NC-ND-4.0"),
        "LicenseRef-unknown",
    ]
    assert [demands(spdx) for spdx in asked] == [0] * 3 + [1] * 4 + [2] * 5 + [3] * 3 + [4]
