// Views: what is looked at in, the page's parts out; each list asks for itself.
import { picture } from "./pictures.js";
import { calm, card, demo, h, href, list, price, product, products, remember } from "./lists.js";
import { lists, options } from "./sections.js";
import { acts, add, buy, cart, checkout, remove, shop, shopper, stock } from "./shopper.js";

export const about = await demo("shop");
let broadcast;

export const surfaces = {
  home: "home",
  again: "buy_again",
  cart: "cart",
  product: "product",
  live: "live",
  search: "search_empty",
};

export const views = {
  async home({ category }) {
    const lapsing = ["cooling", "at_risk", "lapsed"].includes(shopper.who.stage);
    const chips = [["", "Everything"], ...about.categories.map((name) => [name, name])].map(([name, text]) =>
      h(
        "a.chip",
        {
          href: name ? "/?category=" + encodeURIComponent(name) : "/",
          "aria-current": name === (category ?? "") ? "true" : null,
        },
        text,
      ),
    );
    const back =
      lapsing && !category
        ? h(
            "div.welcome",
            {},
            h("p.kicker", {}, "Good to see you again"),
            h("p", {}, "It has been a while. These are for you, some known, some new:"),
            lists.back(3),
          )
        : null;
    const home = lists.home(category);
    const told = h(
      "p",
      {},
      "You are new here, so these are the shop’s favourites. Open a product, put one into the cart: the lists follow you at once.",
    );
    const hello =
      shopper.who.stage === null && !category
        ? h("div.hello", {}, h("h1", {}, "Welcome. Have a look around."), told)
        : h("h1.unseen", {}, "Home");
    home.answered = (answer) => {
      if (!answer.fallback)
        told.textContent =
          "Nobody trained anything in between: these follow from what you looked at a moment ago.";
    };
    return [
      hello,
      back,
      h("nav.chips", { "aria-label": "Categories" }, chips),
      home,
      ...(shopper.who.products && !category ? [lists.again(3)] : []),
    ];
  },

  async product({ product: id }) {
    const [one] = await products([id]);
    if (!one)
      return [
        h(
          "div.hello",
          {},
          h("h1", {}, "There is no such product"),
          h("p", {}, h("a", { href: "/" }, "Back to the shop")),
        ),
      ];
    const [out, beside] = [!one.available, lists.beside(id)];
    const buttons = out
      ? h("p.out", {}, "Sold out just now")
      : h(
          "div.acts",
          {},
          h("button.add", { type: "button", onclick: () => add(id) }, "Add to cart"),
          h("button.buy", { type: "button", onclick: () => buy(id) }, "Buy now"),
        );
    const shelfwork = h(
      "div.keeper",
      {},
      h(
        "p",
        {},
        h("b", {}, "Shopkeeper"),
        out
          ? " The last one is gone: no list shows it."
          : " Try it: the product leaves every list at once, without training anything.",
      ),
      h(
        "button",
        { type: "button", onclick: () => stock(id, out ? 25 : 0) },
        out ? "Bring it back" : "Sell out now",
      ),
    );
    return [
      h(
        "article.one",
        {},
        h("div.frame", {}, picture(one.title, one.category)),
        h(
          "div.told",
          {},
          h("p.facts", {}, [one.brand, one.category].filter(Boolean).join(" · ")),
          h("h1", {}, one.title),
          h("p.price", {}, price(one.price)),
          buttons,
          shelfwork,
        ),
      ),
      ...(out ? [lists.alike(id, true)] : [beside, lists.alike(id, false, beside)]),
    ];
  },

  async cart() {
    const lines = await products(cart());
    const sum = lines.reduce((all, one) => all + (one.price ?? 0), 0);
    const rows = lines.map((one) =>
      h(
        "li.line",
        {},
        h(
          "a.cover",
          { href: href(one.product_id) },
          picture(one.title, one.category),
          h("span", {}, one.title),
        ),
        !one.available && h("span.out", {}, "sold out"),
        h("span.price", {}, price(one.price)),
        h(
          "button",
          { type: "button", "aria-label": `Remove ${one.title}`, onclick: () => remove(one.product_id) },
          "Remove",
        ),
      ),
    );
    return [
      h("h1", {}, "Your cart"),
      lines.length
        ? h(
            "div.cart",
            {},
            h("ul", {}, rows),
            h(
              "p.sum",
              {},
              h("span", {}, "Together ", h("b", {}, price(sum))),
              h("button.buy", { type: "button", onclick: checkout }, "Buy everything"),
            ),
          )
        : h("p.note", {}, "It is empty. Put something in, and see what goes with it."),
      lists.cart(),
    ];
  },

  async again() {
    return [h("h1", {}, "Buy again"), lists.again(60, { title: "Yours", small: false, places: 8 })];
  },

  async live() {
    const stage = h("div.stage", { "aria-live": "off" });
    const next = list({
      name: "live",
      title: "Next in this broadcast",
      note: "ranked for you, from what you did this minute",
      small: true,
      places: 4,
      watch: shop.watch,
      acts: (one) => [
        h(
          "button.buy",
          {
            type: "button",
            "aria-label": `Buy live: ${one.title}`,
            onclick: () => buy(one.product_id, { channel: "live" }),
          },
          "Buy live",
        ),
      ],
      ask: () => shop.recommend("live", options({ n: 8, channel: "live" })),
    });
    const ask = next.refresh;
    let place = 0,
      paused = calm.matches;
    const air = () => {
      const items = next.answer?.items ?? [];
      const one = items.length && product(items[place % items.length].product_id);
      if (!one) return;
      const pause = h(
        "button",
        {
          type: "button",
          onclick: () => {
            paused = !paused;
            air();
            stage.querySelector("button:last-child").focus();
          },
        },
        paused ? "Let it run" : "Pause",
      );
      stage.replaceChildren(
        h("div.screen", {}, h("span.onair", {}, "Live"), picture(one.title, one.category)),
        h(
          "div.told",
          {},
          h("p.facts", {}, "On air now"),
          h("h2", {}, one.title),
          h("p.why", {}, items[place % items.length].reason),
          h("p.price", {}, price(one.price)),
          h(
            "div.acts",
            {},
            h(
              "button.buy",
              { type: "button", onclick: () => buy(one.product_id, { channel: "live" }) },
              "Buy live",
            ),
            h("button.add", { type: "button", onclick: () => add(one.product_id) }, "Add to cart"),
            pause,
          ),
        ),
      );
    };
    next.refresh = async () => {
      const change = await ask();
      place = 0;
      air();
      return change;
    };
    clearInterval(broadcast);
    broadcast = setInterval(() => {
      if (!stage.isConnected) clearInterval(broadcast);
      else if (!paused && !document.hidden && !stage.contains(document.activeElement)) {
        place += 1;
        air();
      }
    }, 7000);
    return [h("h1", {}, "Live"), stage, next];
  },

  async search({ q }) {
    const found = await demo("products", { q });
    remember(found.products);
    const cards = found.products.map((one) => card(one, { acts, heading: "h2" }));
    return [
      h(
        "h1",
        {},
        found.total ? `${found.total.toLocaleString("en")} for “${q}”` : `Nothing found for “${q}”`,
      ),
      ...(found.total ? [h("ul.cards", { "aria-label": "Found" }, cards)] : [lists.nothing()]),
    ];
  },
};
