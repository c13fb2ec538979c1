"""Words: names of categories, brands and things in, a catalogue that reads like a shop's out."""

from __future__ import annotations

import itertools

# category, its things, a usual price, days until it is used up (0: it is not)
CATEGORIES: tuple[tuple[str, tuple[str, ...], float, int], ...] = (
    ("Coffee", ("espresso beans", "filter coffee", "coffee capsules", "cold brew"), 12, 28),
    ("Dresses", ("wrap dress", "summer dress", "shirt dress", "evening dress"), 59, 0),
    ("Skin care", ("day cream", "serum", "cleansing foam", "night balm"), 24, 50),
    ("Headphones", ("earbuds", "over-ear headphones", "studio headphones"), 95, 0),
    ("Pet food", ("dry food", "wet food", "dental chews", "treats"), 21, 30),
    ("Lighting", ("table lamp", "floor lamp", "string lights", "pendant"), 48, 0),
    ("Trainers", ("running shoe", "court shoe", "trail shoe"), 84, 0),
    ("Cookware", ("saucepan", "cast-iron pan", "casserole", "wok"), 45, 0),
    ("Supplements", ("vitamin D", "omega 3", "magnesium", "protein powder"), 19, 45),
    ("Toys", ("puzzle", "building set", "plush bear", "wooden train"), 26, 0),
    ("Tea", ("green tea", "earl grey", "herbal infusion", "matcha"), 9, 40),
    ("Shirts", ("linen shirt", "oxford shirt", "polo", "flannel shirt"), 39, 0),
    ("Hair care", ("shampoo", "conditioner", "hair oil", "hair mask"), 13, 42),
    ("Garden", ("planter", "pruning shears", "watering can", "bird feeder"), 29, 0),
    ("Household", ("laundry liquid", "dish tablets", "surface cleaner"), 11, 35),
    ("Bags", ("tote bag", "backpack", "crossbody bag", "weekender"), 66, 0),
    ("Baby", ("nappies", "wet wipes", "baby lotion", "milk formula"), 18, 21),
    ("Stationery", ("notebook", "fountain pen", "desk planner", "sketchbook"), 15, 0),
    ("Bedding", ("duvet cover", "pillow", "linen sheet", "throw"), 54, 0),
    ("Snacks", ("dark chocolate", "roasted nuts", "fruit bars", "crackers"), 7, 25),
    ("Jewellery", ("necklace", "hoop earrings", "signet ring", "bracelet"), 72, 0),
    ("Cycling", ("helmet", "bike light", "saddle bag", "jersey"), 46, 0),
    ("Make-up", ("mascara", "lipstick", "foundation", "blusher"), 17, 70),
    ("Board games", ("card game", "strategy game", "party game"), 31, 0),
    ("Wine", ("red wine", "white wine", "sparkling wine", "rosé"), 14, 32),
    ("Knitwear", ("cardigan", "roll-neck", "merino jumper"), 69, 0),
    ("Tools", ("drill", "screwdriver set", "spirit level", "tool box"), 52, 0),
    ("Candles", ("scented candle", "pillar candle", "tea lights"), 16, 60),
    ("Camping", ("tent", "sleeping mat", "stove", "lantern"), 78, 0),
    ("Printer ink", ("black cartridge", "colour cartridge", "toner"), 33, 80),
    ("Yoga", ("yoga mat", "block", "leggings", "strap"), 34, 0),
    ("Books", ("novel", "cookbook", "biography", "travel guide"), 16, 0),
    ("Contact lenses", ("daily lenses", "monthly lenses", "lens solution"), 27, 30),
    ("Kitchen gadgets", ("kettle", "blender", "kitchen scale", "toaster"), 57, 0),
    ("Fragrance", ("eau de toilette", "eau de parfum", "body mist"), 64, 0),
    ("Wall art", ("print", "picture frame", "canvas", "wall clock"), 32, 0),
    ("Socks", ("ankle socks", "wool socks", "tights"), 10, 0),
    ("Phone cases", ("slim case", "leather case", "screen protector"), 22, 0),
    ("Swimwear", ("swimsuit", "swim shorts", "goggles"), 37, 0),
    ("Olive oil", ("extra virgin oil", "infused oil", "balsamic vinegar"), 13, 48),
)
ADJECTIVES = (
    "classic", "soft", "bright", "small", "large", "dark", "pure", "daily", "rich", "light",
    "royal", "wild", "fine", "plain", "bold", "quiet", "golden", "northern", "coastal", "vintage",
)  # fmt: skip
FIRST = ("Al", "Bel", "Cor", "Dan", "El", "Fjor", "Gar", "Hal", "Is", "Kel", "Lum", "Mar", "Nor",
         "Or", "Pel", "Quin", "Ros", "Sol", "Tor", "Val")  # fmt: skip
SECOND = ("a", "den", "ira", "ley", "mont", "na", "o", "ris", "sen", "ton", "vik", "well")
LAST = ("", " & Co", " Home", " Studio", " Goods", " Works", " Lab", " House", " Trading")
COUNTRIES = (
    ("United Kingdom", 0.42),
    ("Germany", 0.17),
    ("France", 0.13),
    ("Netherlands", 0.08),
    ("Ireland", 0.07),
    ("Spain", 0.05),
    ("Sweden", 0.04),
    ("Japan", 0.04),
)


def brands(n: int) -> list[str]:
    """Brand names, all different."""
    made = itertools.product(("", " II", " III"), LAST, SECOND, FIRST)
    names = [first + second + last + more for more, last, second, first in made]
    return [names[i * 7 % len(names)] for i in range(n)]


def title(brand: str, category: int, number: int) -> str:
    """What the catalogue calls the number-th product of a category."""
    things = CATEGORIES[category][1]
    adjective = ADJECTIVES[number // len(things) % len(ADJECTIVES)]
    edition = number // (len(things) * len(ADJECTIVES))
    return f"{brand} {adjective} {things[number % len(things)]}" + (
        f" no. {edition + 1}" if edition else ""
    )
