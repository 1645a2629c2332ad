"""The shipped tag list: 320 tags in groups, none a plain landscape word, all the plainly unwanted ones."""

from manifests.tags import BLACKLIST, normalise_tags, read_list


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


LANDSCAPE = _words("""
    mountain mountains hill hills valley canyon plateau mesa cliff cliffs peak summit ridge slope landscape landscapes
    scenery nature outdoors outdoor wilderness countryside rural land sea ocean lake lakes river rivers stream
    waterfall waterfalls water coast coastline shore shoreline beach island islands cove bay fjord glacier ice
    iceberg snow winter spring summer autumn fall volcano lava desert dune dunes sand rock rocks stone boulder
    pebble soil grass meadow field fields prairie steppe tundra moor forest woods tree trees pine fir larch birch
    oak leaf leaves fern moss ivy flower flowers plant plants sky cloud clouds cumulus fog mist smog rain storm
    lightning rainbow sunrise sunset dawn dusk twilight horizon sun sunlight light shadow reflection moon fullmoon
    stars night milkyway galaxy space universe aurora northernlights astrophotography longexposure panorama aerial
    drone hdr road path trail highway bridge hut cabin house barn farm village lighthouse beacon tower castle
    church ruins windmill windturbine pier dock dam canal harbor boat boats ship sailing shipwreck tent camping
    hiking climbing travel vacation tourism nationalpark park garden vineyard wine orchard fruit tea animal animals
    wildlife bird birds sheep cow cows horse goat deer bear eagle wolf fox seal swan penguin whale turtle fish
    turkey jordan china crane rose iris bath reading orange blue green red white black golden colorful art fineart
    photography canon nikon sony iphone camera film architecture building bench fence gravel wheel hat bag flag
    skyline background wallpaper texture abstract subway cathedral curtain paintbrush van monument olympics bed
    table key family friends
""")

UNWANTED = _words("""
    person people man woman girl child portrait selfie wedding fashion dog cat kitten car truck bus motorcycle train
    airplane helicopter airport skyscraper cityscape office restaurant interior furniture bedroom kitchen food coffee
    pizza cake computer laptop smartphone television guitar football basketball concert party painting drawing
    illustration logo screenshot text blackandwhite bw monochrome sepia macro closeup studio product
""")


def test_it_holds_exactly_320_distinct_normalised_tags() -> None:
    tags = read_list(BLACKLIST)  # refuses what is not normalised or stands twice
    assert len(tags) == 320
    assert set(normalise_tags(tags)) == tags


def test_every_tag_stands_in_a_group_under_a_heading() -> None:
    groups = [block.splitlines() for block in BLACKLIST.read_text(encoding="utf-8").strip().split("\n\n")][1:]
    assert len(groups) >= 16
    for heading, *tags in groups:
        assert heading.startswith("# ")
        assert len(tags) >= 5
        assert not [tag for tag in tags if tag.startswith("#")]


def test_words_that_a_landscape_carries_are_not_on_it() -> None:
    assert len(LANDSCAPE) >= 80
    assert sorted(read_list(BLACKLIST) & LANDSCAPE) == []


def test_words_that_are_surely_unwanted_are_on_it() -> None:
    assert len(UNWANTED) >= 40
    assert sorted(UNWANTED - read_list(BLACKLIST)) == []
