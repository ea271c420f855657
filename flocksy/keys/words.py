"""Words for numbers that people compare or dictate: one word for each byte.

256 short words of daily life. No two begin with the same three letters or differ by fewer than
three changes of letters, so that a slip of the tongue or of the finger is seen and not taken for
another word. The order is part of the format: what one screen shows, another must read.
"""

from __future__ import annotations

_TEXT = """
    acorn admiral agenda album almond amber anchor apple apron arctic aspen atlas autumn
    avenue badger bagpipe balcony bamboo banjo barrel basket beacon bedroom beehive
    bicycle blossom bobcat bonfire border bottle bridge bronze buffalo bulldog butter
    cabbage cactus camera candle captain carpet cedar chalk cherry chimney circus cloud
    coconut coffee comet copper coral cottage coyote cricket crystal cushion cypress daisy
    dancer desert diamond dolphin domino donkey dragon driver drummer dynamo eagle earring
    easel echo eclipse elbow emerald engine equator escape evening fabric farmer feather
    fiddle filter flower forest freckle frigate funnel furnace galaxy garden gazelle
    geyser giant ginger giraffe glacier globe gorilla gravel grocery guitar heaven helmet
    hickory highway holiday horizon hotel hurdle hydrant iceberg igloo indigo insect
    island ivory jaguar jasmine jelly jewel jigsaw journal juggler jupiter kayak kidney
    kingdom kitchen knight koala lagoon lantern lasagne laundry lava lawyer lemon leopard
    library linen lizard lobster locket lotus lunch lyric machine magnet mammoth marble
    meadow mermaid meteor mineral mirror mitten mohair morning muffin museum napkin nature
    needle nephew nickel nomad nugget nutmeg oasis ocean octopus olive onion opera orange
    orbit orchard ostrich oxygen painter palace pancake parrot pastry peacock pebble
    pelican pencil perfume petal pickle pigeon pilgrim pirate planet plumber pony popcorn
    postman potato prairie pretzel pudding pumpkin puppet puzzle pyramid quarry queen
    quilt rabbit raccoon radish rainbow recipe ribbon robin rodeo rubber sandal scarf
    school sketch smoke snail soccer sphinx stream sugar sunset syrup tailor tavern teapot
    tennis toast topaz tropic tulip tuxedo uncle vacuum valley violin voyage waffle walnut
    window wolf yacht zebra zigzag zodiac
"""

WORDS: tuple[str, ...] = tuple(_TEXT.split())

_NUMBERS = {word: number for number, word in enumerate(WORDS)}
_BEGINNINGS = {word[:3]: number for number, word in enumerate(WORDS)}


def words_of(data: bytes) -> tuple[str, ...]:
    """One word for each byte."""
    return tuple(WORDS[byte] for byte in data)


def bytes_of(text: str) -> bytes:
    """The bytes that words stand for; capitals, and what stands between words, do not matter.

    A word may be cut after its third letter. ValueError, naming the word, for one that is none.
    """
    found = bytearray()
    for word in "".join(c if c.isalpha() else " " for c in text).lower().split():
        number = _NUMBERS.get(word)
        if number is None and len(word) >= 3:
            candidate = _BEGINNINGS.get(word[:3])
            if candidate is not None and WORDS[candidate].startswith(word):
                number = candidate
        if number is None:
            raise ValueError(f"{word[:20]!r} is none of the words")
        found.append(number)
    return bytes(found)
