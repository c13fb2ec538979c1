// The demo shop: an address in, its view out, and the frame around it. Everything it asks of
// Regulars goes through regulars.js, as any shop's page would.
import { behind, follow, watchFetch } from "./behind.js";
import { demo, h, href, priceIn, products } from "./lists.js";
import { become, cart, page, shop, shopper, sold, stock, visitor } from "./shopper.js";
import { about, surfaces, views } from "./views.js";

watchFetch();
const $ = (selector) => document.querySelector(selector);
const rich = (some) => some.reduce((best, one) => (one.products > best.products ? one : best));
let sections = [];

priceIn(about.currency);

function view() {
  const given = Object.fromEntries(new URLSearchParams(location.search));
  return { ...given, name: views[given.view] ? given.view : "home" };
}

async function show({ focus = true } = {}) {
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

// A product sold out or came back: its own page changes, and every list.
async function stocked(id) {
  strip();
  if (view().name === "product" && view().product === id) await show({ focus: false });
  return refresh();
}

async function strip() {
  const out = await products([...sold]);
  $("#strip").hidden = !out.length;
  $("#strip").replaceChildren(
    h("b", {}, "Sold out now"),
    ...out.map((one) =>
      h(
        "span",
        {},
        h("a", { href: href(one.product_id) }, one.title),
        " ",
        h(
          "button",
          {
            type: "button",
            "aria-label": `Bring back ${one.title}`,
            onclick: () => stock(one.product_id, 25),
          },
          "Bring back",
        ),
      ),
    ),
  );
}

function dress() {
  const visitor = shopper.who.stage === null && !shopper.who.products;
  $("#who b").textContent = shopper.who.customer_id.startsWith("cookie:")
    ? visitor
      ? "a new visitor"
      : "a new customer"
    : shopper.who.customer_id;
  $("#who .face").textContent = visitor ? "?" : shopper.who.customer_id.replace(/\D/g, "").slice(-2) || "♥";
  $("#who .face").dataset.stage = shopper.who.stage ?? "";
}

async function shopAs(who) {
  become(who);
  $("#people").close();
  await go("/");
}

async function choose(q = "", stage = "") {
  const dialog = $("#people");
  const found = await demo("customers", { q, stage });
  const rows = found.customers.map((one) =>
    h(
      "li",
      {},
      h(
        "button.person",
        { type: "button", onclick: () => shopAs(one) },
        h("b", {}, one.customer_id),
        h("i.badge", { "data-stage": one.stage ?? "" }, (one.stage ?? "no order yet").replace("_", " ")),
        h("span", {}, one.newest.length ? one.newest.join(", ") : "no history"),
      ),
    ),
  );
  const chips = Object.entries(found.stages).map(([name, n]) =>
    h(
      "button.chip",
      { type: "button", "aria-pressed": String(name === stage), onclick: () => choose(input.value, name) },
      `${name.replace("_", " ") || "all"} ${n.toLocaleString("en")}`,
    ),
  );
  const input = h("input", {
    id: "find",
    type: "search",
    value: q,
    placeholder: "an id, or part of one",
    autocomplete: "off",
    maxlength: "64",
  });
  input.addEventListener("input", () => {
    clearTimeout(choose.timer);
    choose.timer = setTimeout(() => choose(input.value, stage), 180);
  });
  const typing = document.activeElement?.id === "find";
  dialog.replaceChildren(
    h(
      "div.head",
      {},
      h("h2", { id: "people-title" }, "Shop as"),
      h("button", { type: "button", onclick: () => dialog.close() }, "Close"),
    ),
    h(
      "button.person.visitor",
      { type: "button", onclick: () => shopAs(visitor()) },
      h("b", {}, "A new visitor"),
      h("i.badge", {}, "unknown"),
      h("span", {}, "nothing is known: see how fast that changes"),
    ),
    h("label", { for: "find" }, "or as a customer"),
    input,
    h("div.chips", {}, chips),
    rows.length ? h("ul", {}, rows) : h("p.note", {}, "Nobody has such an id."),
  );
  if (!dialog.open) dialog.showModal();
  if (typing) {
    input.focus();
    input.setSelectionRange(q.length, q.length);
  }
}

$("#who").addEventListener("click", () => choose());
$("#people").addEventListener("click", (event) => {
  if (event.target === $("#people")) $("#people").close();
});
$(".search").addEventListener("submit", (event) => {
  event.preventDefault();
  const q = $("#q").value.trim();
  if (q) go("/?view=search&q=" + encodeURIComponent(q));
});
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href='/'], a[href^='/?']");
  if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey)
    return;
  event.preventDefault();
  const seen = link.closest("section.list"); // a click in a list reports itself, with its request_id
  const id = new URL(link.href).searchParams.get("product");
  if (id && !seen) shop.event("view_item", id);
  go(link.getAttribute("href"));
});
addEventListener("popstate", () => show());

Object.assign(page, { tell, refresh, show, go, dress, stocked });
behind($("#behind"), {
  onexplain: (wanted) => {
    shopper.explain = wanted;
    refresh();
  },
});
become(shopper.who ?? rich([visitor(), ...(await demo("customers", { stage: "active" })).customers]));
count();
strip();
if (view().name === "product") shop.event("view_item", view().product);
await show({ focus: false });
