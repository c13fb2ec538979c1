"""Words of other systems in, ours out: names of event types and of channels."""

from __future__ import annotations

from features.schemas import CHANNELS, EVENT_TYPES

IGNORE = "ignore"  # an own alias to this word sends its rows to quarantine as filtered_out

# One spelling for a word: `Detail-page view` is `detail_page_view`. In Python and in SQL.
PLAIN_SQL = "translate(lower({0}), ' -./', '____')"


def plain(word: str) -> str:
    """One spelling for a word: lower case, underscores."""
    return word.strip().lower().translate(str.maketrans(" -./", "____"))


def _table(words: tuple[str, ...], *lines: str) -> dict[str, str]:
    named = {word: word for word in words}
    for line in lines:
        word, aliases = line.split(":")
        named |= {plain(alias): word for alias in aliases.split(",")}
    return named


EVENT_TYPE_WORDS = _table(
    EVENT_TYPES,
    # Google Retail; a page without a product will be no_product
    "view_item: detail-page-view",
    "view_item_list: home-page-view, category-page-view, search, promotion-offered",
    "add_to_cart: add-to-cart",
    "remove_from_cart: remove-from-cart",
    "purchase: purchase-complete",
    # Amazon Personalize
    "view_item: View, Click",
    "add_to_cart: AddToCart",
    "remove_from_cart: RemoveFromCart",
    "add_to_wishlist: AddToWishlist",
    "purchase: Purchase",
    # Recombee
    "view_item: detail view",
    "add_to_cart: cart addition",
    "add_to_wishlist: bookmark",
    "purchase: purchase",
    # what shops call them
    "view_item: pageview, page view, product view, product viewed, item view",
    "view_item_list: impression, item list, product list viewed",
    "add_to_cart: cart, basket, product added",
    "remove_from_cart: cart removal, product removed",
    "add_to_wishlist: wishlist, favourite, favorite, like",
    "purchase: buy, order, sale, transaction, order completed",
    "refund: return, returned, cancellation, order refunded",
)
CHANNEL_WORDS = _table(
    CHANNELS,
    "web: website, online, desktop, browser, mobile web",
    "app: ios, android, mobile app",
    "store: shop, pos, till, retail, offline, in-store",
    "call_center: call centre, phone, telephone",
    "live: livestream, live stream, broadcast",
    "email: e-mail, mail, newsletter",
    "marketplace: market place",
    "other: unknown",
)
