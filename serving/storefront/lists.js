// Lists: a question in, its products drawn out; asked again, what stayed moves and what came shows.
import { picture } from "./pictures.js";

export const calm = matchMedia("(prefers-reduced-motion: reduce)");

// An element: its name with classes, what it has, what is in it. Text is only ever text.
export function h(name, given = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const element = document.createElement(tag);
  if (classes.length) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(given)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== undefined && value !== null && value !== false)
      element.setAttribute(key, value === true ? "" : value);
  }
  element.append(
    ...children.flat().filter((child) => child !== null && child !== undefined && child !== false),
  );
  return element;
}

// What only the demo has: its own catalogue and customers.
export const demo = async (path, query) =>
  (await fetch(`/demo/${path}?` + new URLSearchParams(query))).json();

// What the shop knows of its own products, asked once each.
const known = new Map();

export async function products(ids) {
  const missing = [...new Set(ids)].filter((id) => !known.has(id));
  for (let i = 0; i < missing.length; i += 50) {
    const part = missing
      .slice(i, i + 50)
      .map(encodeURIComponent)
      .join(",");
    const found = await (await fetch("/demo/products?ids=" + part)).json();
    remember(found.products ?? []);
  }
  return ids.map((id) => known.get(id)).filter(Boolean);
}

export function remember(some) {
  for (const one of some) known.set(one.product_id, one);
}

export const product = (id) => known.get(id);
export const href = (id) => "/?view=product&product=" + encodeURIComponent(id);

let currency = "";
export const priceIn = (said) => {
  currency = said;
};
export function price(value) {
  if (value === null || value === undefined) return "";
  const number = value.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
  return currency ? `${number} ${currency}` : number;
}

// One product as a card. `item` is the answer's, absent in a search; `acts` are its buttons.
export function card(one, { item, acts, badge, heading = "h3" }) {
  const facts = [one.brand, one.category].filter(Boolean).join(" · ");
  const why =
    item && h("p.why", { "data-source": item.source }, item.substitute_for ? instead(item) : item.reason);
  return h(
    "li.card",
    { "data-id": one.product_id },
    h(
      "a.cover",
      { href: href(one.product_id), "data-view": "product" },
      picture(one.title, one.category),
      h(heading, {}, one.title),
    ),
    h("p.facts", {}, facts || one.product_id),
    why,
    badge && h("span.now", {}, badge),
    h("div.foot", {}, h("span.price", {}, price(one.price)), h("div.acts", {}, acts(one))),
  );
}

const instead = (item) =>
  `in place of ${product(item.substitute_for)?.title ?? item.substitute_for}, which is sold out`;

// A section that asks for itself. `ask` gives an answer; `watch` reports what is seen and clicked.
// `refresh` gives the products that left and came since the last time, or null the first time.
export function list({
  title,
  note,
  name,
  ask,
  acts,
  watch,
  badge = () => null,
  small = false,
  empty = "Nothing to show here yet.",
  places = 4,
}) {
  const cards = h(small ? "ul.cards.small" : "ul.cards", { "aria-label": title });
  const about = h("p.note", {}, note ?? "");
  const section = h(
    "section.list",
    { "data-list": name, "aria-busy": "true" },
    h("div.head", {}, h("h2", {}, title), about),
    cards,
  );
  cards.append(
    ...Array.from({ length: places }, () => h("li.card.waiting", { "aria-hidden": "true" }, h("div.blank"))),
  );
  let before = null;
  let turn = 0;

  section.refresh = async () => {
    const mine = ++turn;
    section.setAttribute("aria-busy", "true");
    const answer = await (section.asked = ask());
    await products(answer.items.flatMap((item) => [item.product_id, item.substitute_for].filter(Boolean)));
    if (mine !== turn) return null;
    const now = answer.items.filter((item) => product(item.product_id));
    const ids = now.map((item) => item.product_id);
    const places = new Map([...cards.children].map((li) => [li.dataset.id, li.getBoundingClientRect()]));
    const focused = cards.contains(document.activeElement) ? focus(document.activeElement) : null;
    const made = now.map((item) => {
      const li = card(product(item.product_id), { item, acts, badge: badge(item.product_id) });
      watch(li, item, answer);
      return li;
    });
    cards.replaceChildren(
      ...(made.length
        ? made
        : [h("li.none", {}, answer.error ? "The server did not answer: " + said(answer.error) : empty)]),
    );
    section.setAttribute("aria-busy", "false");
    section.answer = answer;
    section.answered?.(answer);
    about.textContent = answer.error ? "" : (answer.fallback && fallback[name]) || note || "";
    if (before) move(made, places, before);
    if (focused) back(cards, focused);
    const change = before && {
      left: before.filter((id) => !ids.includes(id)),
      came: ids.filter((id) => !before.includes(id)),
    };
    before = ids;
    return change;
  };
  return section;
}

const fallback = {
  home: "popular in the shop: nothing is known of you yet, and the first click changes that",
};
const said = (error) => error.detail ?? error.message ?? String(error);

function move(made, places, before) {
  for (const li of made) {
    const old = places.get(li.dataset.id);
    if (!before.includes(li.dataset.id)) li.classList.add("fresh");
    if (calm.matches || !li.animate) continue;
    if (!old) {
      li.animate(
        [
          { opacity: 0, transform: "scale(.96)" },
          { opacity: 1, transform: "none" },
        ],
        { duration: 260, easing: "ease-out" },
      );
      continue;
    }
    const here = li.getBoundingClientRect();
    const [x, y] = [old.left - here.left, old.top - here.top];
    if (x || y)
      li.animate([{ transform: `translate(${x}px, ${y}px)` }, { transform: "none" }], {
        duration: 320,
        easing: "cubic-bezier(.2,.8,.2,1)",
      });
  }
}

// Where the focus stood: on which of a card's controls, and in which place the card.
function focus(element) {
  const li = element.closest("li");
  return {
    id: li.dataset.id,
    place: [...li.parentNode.children].indexOf(li),
    control: [...li.querySelectorAll("a, button")].indexOf(element),
  };
}

function back(cards, { id, place, control }) {
  const li =
    [...cards.children].find((one) => one.dataset.id === id) ??
    cards.children[Math.min(place, cards.children.length - 1)];
  const controls = li?.querySelectorAll("a, button") ?? [];
  (controls[control] ?? controls[0])?.focus({ preventScroll: true });
}
