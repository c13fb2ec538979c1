// The shopper: who shops and what is clicked in, events of hers and changes of the page out.
import { regulars } from "./regulars.js";
import { h, product, remember } from "./lists.js";

const kept = (name, otherwise) => JSON.parse(sessionStorage.getItem(name)) ?? otherwise;
const keep = (name, value) => sessionStorage.setItem(name, JSON.stringify(value));
const carts = kept("carts", {});
const session_id = kept("session", crypto.randomUUID());
keep("session", session_id);

export const sold = new Set(kept("sold", []));
export const bought = new Set(); // by this shopper, since the page was opened
export const visitor = () => ({ customer_id: "cookie:" + crypto.randomUUID(), stage: null, products: 0 });
export const shopper = { who: kept("who", null), explain: false };
export const shop = regulars("", { session_id });
export const cart = () => (carts[shop.customer] ??= []);

// What the page does for the shopper; set by storefront.js.
export const page = { tell: null, refresh: null, show: null, go: null, dress: null, stocked: null };

export function become(who) {
  if (who.customer_id !== shop.customer) bought.clear();
  shopper.who = who;
  shop.customer = who.customer_id;
  keep("who", who);
  page.dress?.();
}

export async function buy(id, { channel = "web", order_id = crypto.randomUUID(), quiet = false } = {}) {
  const one = product(id);
  const live = channel === "live" ? { live_session_id: "demo-broadcast" } : {};
  shop.event("purchase", id, { quantity: 1, unit_price: one.price ?? undefined, order_id, channel, ...live });
  bought.add(id);
  if (cart().includes(id)) take(id);
  if (shopper.who.products === 0 && shopper.who.stage === null)
    become({ ...shopper.who, stage: "new", products: 1 });
  if (!quiet) page.tell(`Bought ${one.title}.`, await page.refresh());
}

export async function add(id) {
  shop.event("add_to_cart", id, { quantity: 1, unit_price: product(id).price ?? undefined });
  if (!cart().includes(id)) cart().push(id);
  keep("carts", carts);
  page.tell(`${product(id).title} is in the cart.`, await page.refresh());
}

function take(id) {
  carts[shop.customer] = cart().filter((one) => one !== id);
  keep("carts", carts);
}

export async function remove(id) {
  shop.event("remove_from_cart", id);
  take(id);
  await page.show({ focus: false });
}

export async function checkout() {
  const ids = [...cart()];
  const order_id = crypto.randomUUID();
  for (const id of ids) await buy(id, { order_id, quiet: true });
  await page.go("/?view=again");
  page.tell(`Thank you. ${ids.length === 1 ? "One product is" : ids.length + " products are"} on the way.`);
}

export async function stock(id, quantity) {
  const body = JSON.stringify({ items: [{ product_id: id, quantity }] });
  const response = await fetch("/v1/stock", {
    method: "PUT",
    headers: { "content-type": "application/json" },
    body,
  });
  if (!response.ok) return page.tell(`Stock was refused: ${(await response.json()).detail}`);
  quantity ? sold.delete(id) : sold.add(id);
  keep("sold", [...sold]);
  remember([{ ...product(id), available: quantity > 0 }]);
  const text = quantity ? `${product(id).title} is back.` : `${product(id).title} is sold out, everywhere.`;
  page.tell(text, await page.stocked(id));
}

export const acts = (one) => [
  h(
    "button.add",
    { type: "button", "aria-label": `Add to cart: ${one.title}`, onclick: () => add(one.product_id) },
    "Add",
  ),
  h(
    "button.buy",
    { type: "button", "aria-label": `Buy now: ${one.title}`, onclick: () => buy(one.product_id) },
    "Buy",
  ),
];
