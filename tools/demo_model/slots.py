"""Fillers for the slots of the corpus templates: names, literals, words, and a little rewording.

A slot is written `<list>` or, where a template needs two different ones, `<list1>` and `<list2>`. Every
occurrence of one slot in a row gets the same text, and no two slots of a row share a text. Not a template
language: no conditions, no nesting.
"""

import random
import re
from collections.abc import Callable

Filler = Callable[[random.Random], str]

SLOT = re.compile(r"<([a-z]+)([0-9]?)>")

NAMES: dict[str, str] = {
    "list": "items values numbers nums data lst my_list a b xs names words scores prices rows results "
    "elements x y l li arr seq ages points records users tokens lines letters ids entries "
    "queue temps marks cities colors",
    "str": "s text string line word name msg message sentence my_string st title label query raw "
    "content phrase token t city comment header body answer",
    "dict": "d my_dict data config counts scores params mapping options table lookup info settings "
    "record person totals index cache headers ages prices stock user",
    "set": "s1 s2 seen a b unique tags left right ids allowed blocked colors known group1 group2 "
    "members primes",
    "num": "n x y num value total count number price size ratio i k amount score width height age "
    "limit offset",
    "obj": "obj item node user car account book order person client app session page task doc event",
    "func": "f func key_func process transform score parse clean load convert callback handler check compute",
    "file": "f fh fp file handle src out infile",
    "date": "d day date start end today when birthday deadline moment dt t created",
    "match": "m match found result hit",
}


def listed(text: str) -> list[str]:
    """Return the words of a text."""
    return text.split()


WORDS = listed("""
apple pear plum grape lemon melon cherry banana orange peach red green blue black white yellow purple brown
silver gold cat dog bird fish horse sheep lion tiger bear wolf fox mouse snake frog duck goose paris london
rome oslo berlin tokyo cairo lima madrid vienna alice bob carol dave erin frank grace henry irene jack karen
leo mary nina oscar paul name age city country email phone street color size weight height price total count
status level score rank title code type kind user owner group team member role admin guest order item
product stock sale cost tax rate profit month year day hour minute second week start end first last next
left right top bottom north south east west table chair desk lamp door window wall floor roof garden kitchen
house tower bridge road river lake ocean mountain island forest field stone metal wood glass paper cloth
wool silk salt sugar bread butter cheese milk water coffee tea music song dance movie book letter page
chapter story poem note list map plan game ball goal race match point error warning info debug trace report
record entry log draft final temp backup archive cache index key value node edge graph tree leaf root branch
path link label tag token word line text block file folder image photo video audio spring summer autumn
winter monday friday sunday june july august rain snow wind storm cloud sun moon star planet engine wheel
motor pump valve sensor signal cable switch button screen camera printer scanner server client host port
alpha beta gamma delta sigma omega zeta theta kappa lambda_ north_side user_id first_name last_name
file_name item_id account action address agenda agent airport album alley amount anchor angle animal answer
antenna apron archer area arm army arrow artist asset atlas atom aunt author avenue award axle baby badge
bag baker balance balcony ballot bamboo band bank banner barn barrel basket bath battery beach beacon bean
beard beast bed bee belief bell belt bench berry bid bike bill biscuit blanket blend blossom board boat body
bolt bond bone bonus boot border bottle boundary bow bowl box boy brain brake brand breeze brick bride brief
broom brother brush bubble bucket budget bug bulb bullet bundle burger bus bush buyer cabin cake call camel
camp canal candle candy cannon canvas cap captain car card cargo carpet carrot cart case castle caterer cave
ceiling cell cellar center chain champion channel charge chart chef chess chest chicken chief child chimney
choice choir cinema circle citizen claim class clerk cliff clinic clock clone coach coal coast coat coin
collar column comb comet comma company compass concert cook copper copy corn corner couch council counter
county couple course court cousin cover cow crab craft crane crayon cream credit crew crop crowd crown
crystal cube cup curtain curve customer cycle dancer danger data dealer debt decade deck deer degree dentist
depot depth desert design detail device diary diet digit dinner direction disk display distance ditch doctor
dollar dolphin donor dot double dragon drama drawer dream dress drink driver drum dust eagle ear earth echo
editor effect egg elbow elder election elephant elevator emblem emperor employee engineer entrance envelope
episode equipment escape estate event evening exam example exit expert export eye fabric face fact factor
factory fairy falcon family fan farm farmer father fault feast feather fee fence ferry fever fiber fiction
figure filter finger fire flag flame flash fleet flight flock flood flour flower fog food foot fork formula
fortune fossil fountain frame friend fruit fuel fur gallery garage garlic gate gender giant gift girl
glacier glove glue goat golf grain grammar grass gravel guard guide guitar gum habit hail hair hall hammer
hand handle harbor hat hawk head heart heat helmet hero highway hill hint history hobby hole holiday honey
hook hope horn hospital hotel hunter ice icon idea inbox income infant injury ink insect intro invoice iron
jacket jail jar jewel job joke journal journey judge juice jungle junior jury kettle kid kidney king kiss
kit kitten knee knife knight knot labor ladder lady lane laptop laser law lawn lawyer layout leader leather
lecture leg lesson lever liberty library license lid light lily limb lime linen lip liquid loan lobby lock
lottery lunch machine magnet maid mail manager maple marble margin market mask mass master matter meadow
meal medal memory mentor menu merchant message meter method mile mill miner mirror mission mixer mode module
moment money monkey monster mood morning mosque mother mouth mud museum mushroom nail napkin nation nature
neck needle neighbor nephew nest net network news night noise nose novel number nurse nut oak object office
oil onion opera option orbit orchard organ origin oven owl oxygen package paint palace palm panda panel
panic parade parcel parent park parrot partner party passport pasta patch patient patrol pattern pause
payment pea peak pearl pen pencil pension people pepper period person phase phrase piano picnic picture
piece pig pigeon pill pillow pilot pin pine pipe pitch pizza place plane plate platform player plot pocket
poet pole police pond pony pool poster pot potato powder prayer present priest prince prison prize problem
process profile program project proof pupil purse puzzle queen quest quiz rabbit rack radar radio rail
rainbow ram ranch rat ratio razor reader reason recipe region rent reply rescue result reward rhythm ribbon
rice ride ring ripple rival robot rock rocket rod rope rose round route ruby rug rule saddle sail salad
salary salmon sample sand sauce scale scarf scene school science scissors scooter script seal season seat
secret sector seed series session shadow shark shelf shell sheriff shift ship shirt shoe shop shore shoulder
shovel shower sibling sign silence singer sink sister site skill skin skirt sky sled sleeve slice slope
smoke snack snail soap soccer sock sofa soil soldier son soup source space spark speaker speech speed spider
spike spirit spoon sport spot squad square stack stadium staff stage stair stamp stand statue steam steel
stem stick stool store stove stranger straw string stripe student studio style subject suit sunset supper
surface surgeon swamp swan sweater swim sword symbol system tail tailor talent tank tape target task taste
teacher temple tennis tent term test theater theme theory thief thread throat throne thumb ticket tide
timber time tire toast toe tomato tone tongue tool tooth topic torch tour towel town toy track trade traffic
trail train trap tray treasure treaty trial tribe trick trip trophy truck trumpet trunk tube tulip tunnel
turkey turtle tutor twin uncle uniform union unit vacation valley van vase vault vehicle vein vendor verse
vessel vest victim village violin virus visit visitor voice volcano volume vote voter voyage wage wagon
waiter wallet walnut war wardrobe wave wax weapon weather web wedding weed whale wheat whistle widow width
wife wine wing winner wire wizard woman work worker world worm wound wrist writer yacht yard yarn yogurt
youth zebra zipper zoo
""")

ADJECTIVES = listed("""
old new big small fast slow clean dirty raw final draft extra main local remote public hidden sorted
merged daily weekly open closed active idle full empty long short cold warm broken valid upper lower
inner outer max min best worst
""")

EXTENSIONS = ["txt", "csv", "json", "log", "md", "dat", "xml", "py", "ini", "html", "yaml"]
ONSETS = listed("""
b c d f g h j k l m n p r s t v w z br cr dr fl gr pl sk sn st tr th ch qu
""")
VOWELS = ["a", "e", "i", "o", "u", "a", "e", "i", "o", "ee", "oo", "ai"]
CODAS = ("", "", "", "n", "r", "s", "t", "x", "l", "m", "k", "b", "sh", "ck", "nd", "zz")
SEPARATORS = ["','", "';'", "'-'", "' '", "':'", "'|'", "'/'", "'_'", "'.'", "'#'", "'+'", "', '", "' - '"]


def invented(rng: random.Random) -> str:
    """Return a pronounceable word that is in no dictionary, such as `zorvak`."""
    count = rng.choice((1, 2, 2, 3))
    return "".join(rng.choice(ONSETS) + rng.choice(VOWELS) + rng.choice(CODAS) for _ in range(count)) or "zo"


def word(rng: random.Random) -> str:
    """Return a plain word, invented one time in four."""
    return invented(rng) if rng.random() < 0.25 else rng.choice(WORDS)


def identifier(rng: random.Random) -> str:
    """Return a made-up variable name of one or two words."""
    match rng.randrange(8):
        case 0:
            return f"{rng.choice(ADJECTIVES)}_{word(rng)}"
        case 1:
            return f"{word(rng)}_{word(rng)}"
        case 2:
            return f"{word(rng)}{rng.randrange(1, 10)}"
        case 3 | 4:
            return word(rng) + "s"
        case 5 | 6:
            return word(rng)
        case _:
            return rng.choice("abcdefghijklmnopqrstuvwxyz")


def _name(kind: str) -> Filler:
    pool = NAMES[kind].split()

    def fill(rng: random.Random) -> str:
        return identifier(rng) if rng.random() < 0.6 else rng.choice(pool)

    return fill


def _integer(rng: random.Random) -> str:
    return str(
        rng.choice((rng.randrange(2, 13), rng.randrange(2, 100), rng.choice((100, 200, 255, 256, 500, 1000))))
    )


def _quoted(rng: random.Random) -> str:
    match rng.randrange(16):
        case 0:
            return f"'{word(rng)} {word(rng)}'"
        case 1:
            return f"'{word(rng).capitalize()}'"
        case 2:
            return f"'*.{rng.choice(EXTENSIONS)}'"
        case 3:
            return f"'{word(rng)}{rng.choice('*?!-+=')}{word(rng)}'"
        case _:
            return f"'{word(rng)}'"


def _camel(rng: random.Random) -> str:
    return "".join(part.capitalize() for part in identifier(rng).split("_"))


def _file(rng: random.Random) -> str:
    stem = word(rng) if rng.random() < 0.7 else f"{word(rng)}_{rng.choice(ADJECTIVES)}"
    return f"'{stem}.{rng.choice(EXTENSIONS)}'"


def _date(rng: random.Random) -> str:
    return f"'{rng.randrange(1990, 2030)}-{rng.randrange(1, 13):02d}-{rng.randrange(1, 29):02d}'"


FILLERS: dict[str, Filler] = {
    **{kind: _name(kind) for kind in NAMES},
    "int": _integer,
    "small": lambda rng: str(rng.randrange(2, 10)),
    "float": lambda rng: f"{rng.randrange(0, 20)}.{rng.randrange(1, 10)}",
    "word": _quoted,
    "key": _quoted,
    "sep": lambda rng: rng.choice(SEPARATORS),
    "char": lambda rng: f"'{rng.choice('abcdefghijklmnopqrstuvwxyz')}'",
    "filename": _file,
    "ext": lambda rng: f"'.{rng.choice(EXTENSIONS)}'",
    "dir": lambda rng: f"'{word(rng)}'" if rng.random() < 0.6 else f"'/{word(rng)}/{word(rng)}'",
    "iso": _date,
    "attr": identifier,
    "cls": _camel,
    "var": identifier,
}

# One of each group may stand for another where the sense allows; whole words outside backticks and quotes.
SYNONYMS: tuple[tuple[str, ...], ...] = (
    ("elements", "items", "entries", "members"),
    ("get", "return", "find", "give", "fetch"),
    ("remove", "delete", "drop", "strip out"),
    ("create", "make", "build"),
    ("check if", "test whether", "check whether", "see if", "find out if", "tell whether"),
    ("convert", "turn", "change", "transform"),
    ("string", "text"),
    ("dictionary", "dict"),
    ("each", "every"),
    ("all", "all of", "all the"),
    ("largest", "biggest", "greatest"),
    ("smallest", "lowest"),
    ("first", "leading"),
    ("greater than", "larger than", "bigger than", "above", "more than"),
    ("less than", "smaller than", "below", "under"),
    ("number of", "count of"),
    ("in the list", "of the list", "in list"),
    ("print", "show", "display"),
    ("join", "concatenate", "combine"),
    ("compute", "calculate", "work out"),
    ("the", ""),
)
_WORD_GROUPS = {term: group for group in SYNONYMS for term in group if term}
_TERM = re.compile(r"\b(?:" + "|".join(sorted(map(re.escape, _WORD_GROUPS), key=len, reverse=True)) + r")\b")
_PROTECTED = re.compile(r"`[^`]*`|'[^']*'|\"[^\"]*\"")


def reword(text: str, rng: random.Random, share: float = 0.25) -> str:
    """Replace some plain words by synonyms; names in backticks and quoted literals stay as they are."""

    def swap(match: re.Match[str]) -> str:
        term = match.group()
        return rng.choice(_WORD_GROUPS[term]) if rng.random() < share else term

    parts, position = [], 0
    for found in _PROTECTED.finditer(text):
        parts += [_TERM.sub(swap, text[position : found.start()]), found.group()]
        position = found.end()
    parts.append(_TERM.sub(swap, text[position:]))
    return re.sub(r"  +", " ", "".join(parts)).strip()


def draw(templates: tuple[str, ...], rng: random.Random) -> dict[str, str]:
    """Choose a text for every slot that occurs in the templates, all different."""
    chosen: dict[str, str] = {}
    for template in templates:
        for found in SLOT.finditer(template):
            slot, kind = found.group(), found.group(1)
            if slot in chosen or kind not in FILLERS:
                continue
            text = FILLERS[kind](rng)
            while text in chosen.values():
                text = FILLERS[kind](rng)
            chosen[slot] = text
    return chosen


def fill(template: str, chosen: dict[str, str]) -> str:
    """Put the chosen texts into a template; an angle bracket that is no known slot stays."""
    return SLOT.sub(lambda found: chosen.get(found.group(), found.group()), template)
