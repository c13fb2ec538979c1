// The demo shop: clicks in, events and lists out. Everything it asks of Regulars goes through
// regulars.js, as any shop's page would.
import { regulars } from "./regulars.js";
import { picture } from "./pictures.js";
import { behind, follow, watchFetch } from "./behind.js";
import { card, h, href, list, price, priceIn, product, products, remember } from "./lists.js";

watchFetch();
const $ = (selector) => document.querySelector(selector);
const kept = (name, otherwise) => JSON.parse(sessionStorage.getItem(name)) ?? otherwise;
const keep = (name, value) => sessionStorage.setItem(name, JSON.stringify(value));
const demo = async (path, query) => (await fetch(`/demo/${path}?` + new URLSearchParams(query))).json();

const visitor = () => ({ customer_id: "cookie:" + crypto.randomUUID(), stage: null, products: 0 });
const rich = (some) => some.reduce((best, one) => (one.products > best.products ? one : best));

const about = await demo("shop");
let who = kept("who") ?? rich([visitor(), ...(await demo("customers", { stage: "active" })).customers]);
const shop = regulars("", { customer: who.customer_id, session_id: kept("session") });
let explain = false;
let sections = [];
let ticking;
const sold = new Set(kept("sold", []));
const carts = kept("carts", {});
const bought = new Set(); // by this shopper, since the page was opened
const cart = () => (carts[shop.customer] ??= []);
const options = (more) => ({ ...more, ...(explain && { explain: true }) });

// ---- what a shopper does

async function buy(id, { channel = "web", order_id = crypto.randomUUID(), quiet = false } = {}) {
  const one = product(id);
  const live = channel === "live" ? { live_session_id: "demo-broadcast" } : {};
  shop.event("purchase", id, { quantity: 1, unit_price: one.price ?? undefined, order_id, channel, ...live });
  bought.add(id);
  if (cart().includes(id)) take(id);
  if (who.products === 0 && who.stage === null) became();
  if (!quiet) tell(`Bought ${one.title}.`, await refresh());
}

function became() {
  who = { ...who, stage: "new", products: 1 };
  keep("who", who);
  face();
}

async function add(id) {
  shop.event("add_to_cart", id, { quantity: 1, unit_price: product(id).price ?? undefined });
  if (!cart().includes(id)) cart().push(id);
  keep("carts", carts);
  count();
  tell(`${product(id).title} is in the cart.`, await refresh());
}

function take(id) {
  carts[shop.customer] = cart().filter((one) => one !== id);
  keep("carts", carts);
  count();
}

async function remove(id) {
  shop.event("remove_from_cart", id);
  take(id);
  await show({ focus: false });
}

async function checkout() {
  const ids = [...cart()];
  const order_id = crypto.randomUUID();
  for (const id of ids) await buy(id, { order_id, quiet: true });
  await go("/?view=again");
  tell(`Thank you. ${ids.length === 1 ? "One product is" : ids.length + " products are"} on the way.`);
}

async function stock(id, quantity) {
  const body = JSON.stringify({ items: [{ product_id: id, quantity }] });
  const response = await fetch("/v1/stock", { method: "PUT", headers: { "content-type": "application/json" }, body });
  if (!response.ok) return tell(`Stock was refused: ${(await response.json()).detail}`);
  quantity ? sold.delete(id) : sold.add(id);
  keep("sold", [...sold]);
  remember([{ ...product(id), available: quantity > 0 }]);
  strip();
  if (view().name === "product" && view().product === id) await show({ focus: false });
  tell(quantity ? `${product(id).title} is back.` : `${product(id).title} is sold out, everywhere.`, await refresh());
}

const acts = (one) => [
  h("button.add", { type: "button", "aria-label": `Add to cart: ${one.title}`, onclick: () => add(one.product_id) }, "Add"),
  h("button.buy", { type: "button", "aria-label": `Buy now: ${one.title}`, onclick: () => buy(one.product_id) }, "Buy"),
];

// ---- what is shown

const lists = {
  home: (category) => list({ name: "home", title: category ? `${category} for you` : "Picked for you", places: 8, acts, watch: shop.watch,
    empty: "Nothing in this category is for sale now.",
    ask: () => shop.recommend("home", options({ n: 8, seen: "drop", substitutes: true, ...(category && { filter: `category="${category.replace(/["\\]/g, "\\$&")}"` }) })) }),
  again: (n, more) => list({ name: "buy_again", title: "Buy again", note: "due first; what you bought just now stands at the end", badge: (id) => bought.has(id) && "bought just now", places: n, acts, watch: shop.watch, small: true,
    empty: "What you buy stands here from the next moment on.", ask: async () => {
      const answer = await shop.recommend("buy_again", options({ n }));
      return { ...answer, items: answer.items.filter((item) => item.source === "again") }; // not what fills the list up
    }, ...more }),
  back: (n) => list({ name: "win_back", title: "Chosen for your return", places: n, acts, watch: shop.watch, small: true, ask: () => shop.recommend("win_back", options({ n })) }),
  beside: (id) => list({ name: "product", title: "Goes well with it", places: 3, acts, watch: shop.watch, small: true, ask: () => shop.recommend("product", options({ product: id, n: 3 })) }),
  alike: (id, out, above) => list({ name: "similar", title: out ? "In its place" : "More like this", places: 6, acts, watch: shop.watch, small: true,
    empty: "The model finds none alike.", ask: async () => {
      const answer = await above?.asked;
      return shop.similar(id, options({ n: 6, ...(answer?.items.length && { exclude: answer.items.map((item) => item.product_id) }) }));
    } }),
  cart: () => list({ name: "cart", title: cart().length ? "Goes with your cart" : "After what you looked at", places: 4, acts, watch: shop.watch, ask: () => shop.recommend("cart", options({ n: 4, ...(cart().length && { cart: cart() }) })) }),
  nothing: () => list({ name: "search_empty", title: "You may like these instead", places: 4, acts, watch: shop.watch, ask: () => shop.recommend("search_empty", options({ n: 8 })) }),
};
const surfaces = { home: "home", again: "buy_again", cart: "cart", product: "product", live: "live", search: "search_empty" };

const views = {
  async home({ category }) {
    const lapsing = ["cooling", "at_risk", "lapsed"].includes(who.stage);
    const chips = [["", "Everything"], ...about.categories.map((name) => [name, name])].map(([name, text]) =>
      h("a.chip", { href: name ? "/?category=" + encodeURIComponent(name) : "/", "aria-current": name === (category ?? "") ? "true" : null }, text));
    const back = lapsing && !category ? h("div.welcome", {}, h("p.kicker", {}, "Good to see you again"), h("p", {}, "It has been a while. These are for you, some known, some new:"), lists.back(3)) : null;
    const home = lists.home(category);
    const told = h("p", {}, "You are new here, so these are the shop’s favourites. Open a product, put one into the cart: the lists follow you at once.");
    const hello = who.stage === null && !category ? h("div.hello", {}, h("h1", {}, "Welcome. Have a look around."), told) : h("h1.unseen", {}, "Home");
    home.answered = (answer) => {
      if (!answer.fallback) told.textContent = "Nobody trained anything in between: these follow from what you looked at a moment ago.";
    };
    return [hello, back, h("nav.chips", { "aria-label": "Categories" }, chips), home, ...(who.products && !category ? [lists.again(3)] : [])];
  },

  async product({ product: id }) {
    const [one] = await products([id]);
    if (!one) return [h("div.hello", {}, h("h1", {}, "There is no such product"), h("p", {}, h("a", { href: "/" }, "Back to the shop")))];
    const [out, beside] = [!one.available, lists.beside(id)];
    const buttons = out ? h("p.out", {}, "Sold out just now") : h("div.acts", {},
      h("button.add", { type: "button", onclick: () => add(id) }, "Add to cart"), h("button.buy", { type: "button", onclick: () => buy(id) }, "Buy now"));
    const shelfwork = h("div.keeper", {}, h("p", {}, h("b", {}, "Shopkeeper"), out ? " The last one is gone: no list shows it." : " Try it: the product leaves every list at once, without training anything."),
      h("button", { type: "button", onclick: () => stock(id, out ? 25 : 0) }, out ? "Bring it back" : "Sell out now"));
    return [h("article.one", {}, h("div.frame", {}, picture(one.title, one.category)), h("div.told", {},
      h("p.facts", {}, [one.brand, one.category].filter(Boolean).join(" · ")), h("h1", {}, one.title), h("p.price", {}, price(one.price)), buttons, shelfwork)),
      ...(out ? [lists.alike(id, true)] : [beside, lists.alike(id, false, beside)])];
  },

  async cart() {
    const lines = await products(cart());
    const sum = lines.reduce((all, one) => all + (one.price ?? 0), 0);
    const rows = lines.map((one) => h("li.line", {}, h("a.cover", { href: href(one.product_id) }, picture(one.title, one.category), h("span", {}, one.title)),
      !one.available && h("span.out", {}, "sold out"),
      h("span.price", {}, price(one.price)), h("button", { type: "button", "aria-label": `Remove ${one.title}`, onclick: () => remove(one.product_id) }, "Remove")));
    return [h("h1", {}, "Your cart"), lines.length ? h("div.cart", {}, h("ul", {}, rows), h("p.sum", {}, h("span", {}, "Together ", h("b", {}, price(sum))),
      h("button.buy", { type: "button", onclick: checkout }, "Buy everything"))) : h("p.note", {}, "It is empty. Put something in, and see what goes with it."), lists.cart()];
  },

  async again() {
    return [h("h1", {}, "Buy again"), lists.again(60, { title: "Yours", small: false, places: 8 })];
  },

  async live() {
    const stage = h("div.stage", { "aria-live": "off" });
    const next = list({ name: "live", title: "Next in this broadcast", note: "ranked for you, from what you did this minute", small: true, places: 4, watch: shop.watch,
      acts: (one) => [h("button.buy", { type: "button", "aria-label": `Buy live: ${one.title}`, onclick: () => buy(one.product_id, { channel: "live" }) }, "Buy live")],
      ask: () => shop.recommend("live", options({ n: 8, channel: "live" })) });
    const ask = next.refresh;
    let place = 0, paused = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const air = () => {
      const items = next.answer?.items ?? [];
      const one = items.length && product(items[place % items.length].product_id);
      if (!one) return;
      const pause = h("button", { type: "button", onclick: () => { paused = !paused; air(); stage.querySelector("button:last-child").focus(); } }, paused ? "Let it run" : "Pause");
      stage.replaceChildren(h("div.screen", {}, h("span.onair", {}, "Live"), picture(one.title, one.category)),
        h("div.told", {}, h("p.facts", {}, "On air now"), h("h2", {}, one.title), h("p.why", {}, items[place % items.length].reason), h("p.price", {}, price(one.price)),
          h("div.acts", {}, h("button.buy", { type: "button", onclick: () => buy(one.product_id, { channel: "live" }) }, "Buy live"), h("button.add", { type: "button", onclick: () => add(one.product_id) }, "Add to cart"), pause)));
    };
    next.refresh = async () => { const change = await ask(); place = 0; air(); return change; };
    ticking = setInterval(() => { if (!paused && !document.hidden && !stage.contains(document.activeElement)) { place += 1; air(); } }, 7000);
    return [h("h1", {}, "Live"), stage, next];
  },

  async search({ q }) {
    const found = await demo("products", { q });
    remember(found.products);
    const cards = found.products.map((one) => card(one, { acts, heading: "h2" }));
    return [h("h1", {}, found.total ? `${found.total.toLocaleString("en")} for “${q}”` : `Nothing found for “${q}”`),
      ...(found.total ? [h("ul.cards", { "aria-label": "Found" }, cards)] : [lists.nothing()])];
  },
};

// ---- the page around it

priceIn(about.currency);

function view() {
  const given = Object.fromEntries(new URLSearchParams(location.search));
  return { ...given, name: views[given.view] ? given.view : "home" };
}

async function show({ focus = true } = {}) {
  clearInterval(ticking);
  $("#main").setAttribute("aria-busy", "true");
  const now = view();
  follow(surfaces[now.name]);
  for (const link of document.querySelectorAll("nav a[data-view]")) {
    link.toggleAttribute("aria-current", link.dataset.view === now.name);
    if (link.dataset.view === now.name) link.setAttribute("aria-current", "page");
  }
  if (now.name !== "search") $("#q").value = "";
  const parts = (await views[now.name](now)).filter(Boolean);
  $("#main").replaceChildren(...parts);
  document.title = `${$("#main h1")?.textContent ?? "Home"} · Regulars demo shop`;
  sections = [...document.querySelectorAll("#main section.list")];
  if (focus) {
    scrollTo({ top: 0, behavior: "instant" });
    $("#main").focus({ preventScroll: true });
  }
  await refresh();
  $("#main").setAttribute("aria-busy", "false");
}

// Ask for every list anew. Gives what changed in the first that had something to change.
async function refresh() {
  const changes = await Promise.all(sections.map((section) => section.refresh()));
  count();
  const place = changes.findIndex((change) => change && change.left.length + change.came.length);
  return place < 0 ? null : { ...changes[place], title: sections[place].querySelector("h2").textContent };
}

async function go(url) {
  $("#said").classList.remove("on");
  history.pushState(null, "", url);
  await show();
}

function tell(text, change) {
  const more = change ? ` “${change.title}”: ${change.left.length} left, ${change.came.length} came.` : "";
  $("#said").textContent = text + more;
  $("#said").classList.add("on");
  clearTimeout(tell.timer);
  tell.timer = setTimeout(() => $("#said").classList.remove("on"), 5000);
}

function count() {
  const n = cart().length;
  $("#count").hidden = !n;
  $("#count").textContent = n ? String(n) : "";
}

async function strip() {
  const out = await products([...sold]);
  $("#strip").hidden = !out.length;
  $("#strip").replaceChildren(h("b", {}, "Sold out now"), ...out.map((one) => h("span", {}, h("a", { href: href(one.product_id) }, one.title), " ",
    h("button", { type: "button", "aria-label": `Bring back ${one.title}`, onclick: () => stock(one.product_id, 25) }, "Bring back"))));
}

function face() {
  const visitor = who.stage === null && !who.products;
  $("#who b").textContent = who.customer_id.startsWith("cookie:") ? (visitor ? "a new visitor" : "a new customer") : who.customer_id;
  $("#who .face").textContent = visitor ? "?" : who.customer_id.replace(/\D/g, "").slice(-2) || "♥";
  $("#who .face").dataset.stage = who.stage ?? "";
}

async function become(one) {
  who = one;
  keep("who", who);
  shop.customer = one.customer_id;
  bought.clear();
  $("#people").close();
  face();
  await go("/");
}

async function choose(q = "", stage = "") {
  const dialog = $("#people");
  const found = await demo("customers", { q, stage });
  const rows = found.customers.map((one) => h("li", {}, h("button.person", { type: "button", onclick: () => become(one) },
    h("b", {}, one.customer_id), h("i.badge", { "data-stage": one.stage ?? "" }, (one.stage ?? "no order yet").replace("_", " ")),
    h("span", {}, one.newest.length ? one.newest.join(", ") : "no history"))));
  const chips = Object.entries(found.stages).map(([name, n]) => h("button.chip", { type: "button", "aria-pressed": String(name === stage), onclick: () => choose(input.value, name) }, `${name.replace("_", " ") || "all"} ${n.toLocaleString("en")}`));
  const input = h("input", { id: "find", type: "search", value: q, placeholder: "an id, or part of one", autocomplete: "off", maxlength: "64" });
  input.addEventListener("input", () => { clearTimeout(choose.timer); choose.timer = setTimeout(() => choose(input.value, stage), 180); });
  const typing = document.activeElement?.id === "find";
  dialog.replaceChildren(
    h("div.head", {}, h("h2", { id: "people-title" }, "Shop as"), h("button", { type: "button", onclick: () => dialog.close() }, "Close")),
    h("button.person.visitor", { type: "button", onclick: () => become(visitor()) },
      h("b", {}, "A new visitor"), h("i.badge", {}, "unknown"), h("span", {}, "nothing is known: see how fast that changes")),
    h("label", { for: "find" }, "or as a customer"), input, h("div.chips", {}, chips),
    rows.length ? h("ul", {}, rows) : h("p.note", {}, "Nobody has such an id."));
  if (!dialog.open) dialog.showModal();
  if (typing) { input.focus(); input.setSelectionRange(q.length, q.length); }
}

$("#who").addEventListener("click", () => choose());
$("#people").addEventListener("click", (event) => { if (event.target === $("#people")) $("#people").close(); });
$(".search").addEventListener("submit", (event) => {
  event.preventDefault();
  const q = $("#q").value.trim();
  if (q) go("/?view=search&q=" + encodeURIComponent(q));
});
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href^='/']");
  if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || link.matches(".brand[target]")) return;
  event.preventDefault();
  const seen = link.closest("section.list"); // a click in a list reports itself, with its request_id
  const id = new URL(link.href).searchParams.get("product");
  if (id && !seen) shop.event("view_item", id);
  go(link.getAttribute("href"));
});
addEventListener("popstate", () => show());

keep("who", who);
keep("session", kept("session") ?? crypto.randomUUID());
behind($("#behind"), { explain, onexplain: (wanted) => { explain = wanted; refresh(); } });
face();
count();
strip();
if (view().name === "product") shop.event("view_item", view().product);
await show({ focus: false });
