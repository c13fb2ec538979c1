"""Words: a retention record in, what its reader must know first, in sentences and amounts, out."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

Record = dict[str, Any]
LIST = "regulars activate --out wake.csv"


def headline(record: Record) -> str:
    """The answer in a sentence."""
    n, slips = record["regulars"], record["slipping"]["customers"]
    regulars = _are(n, "regular", f"Of {record['customers']:,} customers")
    return f"{regulars} today; {slips:,} more {'is' if slips == 1 else 'are'} slipping away."


def answers(record: Record) -> dict[str, str]:
    """A line for each question, in the order in which a retention lead asks them."""
    found = {"Regulars": _regulars(record), "Slipping": _slipping(record)}
    found["Worth"] = _worth(record)
    found["Ahead"] = expected(record, "90")
    found["Tomorrow morning"] = tomorrow(record)
    return found


def expected(record: Record, days: str) -> str:
    """How many orders are expected within some days, and how far off that may be."""
    one = record["ahead"]["days"][days]
    said = (
        f"About {rough(one['orders']):,.0f} orders from today's customers in the next {days} days"
    )
    if one["value"] is not None:
        said += f", worth about {money(record, rough(one['value']))}"
    if one["low"] is None:
        return f"{said}."
    said += f"; {rough(one['low']):,.0f} to {rough(one['high']):,.0f} orders"
    if one["value_low"] is not None:
        ends = (money(record, rough(one[f"value_{end}"])) for end in ("low", "high"))
        said += f" and {' to '.join(ends)}"
    return f"{said}, going by how far off this was before."


def rough(value: float) -> float:
    """Three digits that matter: a forecast knows no more."""
    return float(f"{value:.3g}")


def tomorrow(record: Record) -> str:
    """What to do, with the command."""
    found = record["list"]
    if found is None:
        return f"No list is made yet. Run `{LIST}`: it names whom to wake, why and with what."
    if found["old"]:
        return f"The list of {found['campaign']} is too old to be sent. Run `{LIST}` for a new one."
    n, held = found["counts"]["contact"], found["counts"]["holdout"]
    if not n:
        return (
            f"Nobody is worth a contact by the list of {found['campaign']}: `regulars activate` "
            "says why."
        )
    return (
        f"Contact the {n:,} customers on the list of {found['campaign']} (`{LIST}` writes it) by "
        f"{day(found['valid_until'])}. {held:,} others are held out at random; leave them in "
        "peace, they are how the effect is measured."
    )


def money(record: Record, value: float | None) -> str:
    """An amount in the shop's currency."""
    if value is None:
        return "–"
    amount = f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.2f}"
    return f"{amount} {record['currency']}".strip()


def day(moment: str) -> str:
    """`3 December 2025`."""
    found = datetime.fromisoformat(moment)
    return f"{found.day} {found:%B %Y}"


def month(text: str) -> str:
    """`Dec 2025` of `2025-12`."""
    return f"{date.fromisoformat(f'{text}-01'):%b %Y}"


def between(one: Record) -> str:
    """A difference of shares with its interval: `+2.1 points (0.3 to 3.9)`."""
    difference, low, high = (100 * one[key] for key in ("difference", "low", "high"))
    return f"{difference:+.1f} points ({low:+.1f} to {high:+.1f})"


def _regulars(record: Record) -> str:
    share = record["regulars"] / max(1, record["customers"])
    said = (
        f"{record['regulars']:,} ({share:.0%}) have come back at least once and are in time by "
        "their own rhythm."
    )
    months = record["months"]
    if len(months) > 1:
        now, before = months[-1]["stages"]["active"], months[-2]["stages"]["active"]
        what = f"{abs(now - before):,} {'more' if now > before else 'fewer'} active"
        same = "as many active" if now == before else what
        said += (
            f" There are {same} customers than at the beginning of {month(months[-1]['month'])}."
        )
    return said.replace("as many active customers than", "as many active customers as")


def _slipping(record: Record) -> str:
    parts = {one["stage"]: one["customers"] for one in record["stages"]}
    return (
        f"{record['slipping']['customers']:,} are later than their own rhythm says: "
        f"{parts['cooling']:,} cooling, {parts['at_risk']:,} at risk. {parts['lapsed']:,} have "
        "lapsed already."
    )


def _worth(record: Record) -> str:
    one = record["slipping"]
    if one["brought"] is None:
        return "Not known: the events have no prices."
    return (
        f"Those slipping brought {money(record, one['brought'])} in the year up to their last "
        f"order. {money(record, one['at_risk'])} of it is at risk: it is more than what is "
        "expected of them in the coming year."
    )


def _are(n: int, what: str, of: str) -> str:
    return f"{of} {n:,} {'is a ' + what if n == 1 else 'are ' + what + 's'}"
