// Sections: one list for each surface of Regulars, as this shop asks for it.
import { list } from "./lists.js";
import { acts, bought, cart, shop, shopper } from "./shopper.js";

// What every question of this shop bears.
export const options = (more) => ({ ...more, ...(shopper.explain && { explain: true }) });

export const lists = {
  home: (category) =>
    list({
      name: "home",
      title: category ? `${category} for you` : "Picked for you",
      places: 8,
      acts,
      watch: shop.watch,
      empty: "Nothing in this category is for sale now.",
      ask: () =>
        shop.recommend(
          "home",
          options({
            n: 8,
            seen: "drop",
            substitutes: true,
            ...(category && { filter: `category="${category.replace(/["\\]/g, "\\$&")}"` }),
          }),
        ),
    }),
  again: (n, more) =>
    list({
      name: "buy_again",
      title: "Buy again",
      note: "due first; what you bought just now stands at the end",
      badge: (id) => bought.has(id) && "bought just now",
      places: n,
      acts,
      watch: shop.watch,
      small: true,
      empty: "What you buy stands here from the next moment on.",
      ask: async () => {
        const answer = await shop.recommend("buy_again", options({ n }));
        return { ...answer, items: answer.items.filter((item) => item.source === "again") }; // not what fills the list up
      },
      ...more,
    }),
  back: (n) =>
    list({
      name: "win_back",
      title: "Chosen for your return",
      places: n,
      acts,
      watch: shop.watch,
      small: true,
      ask: () => shop.recommend("win_back", options({ n })),
    }),
  beside: (id) =>
    list({
      name: "product",
      title: "Goes well with it",
      places: 3,
      acts,
      watch: shop.watch,
      small: true,
      ask: () => shop.recommend("product", options({ product: id, n: 3 })),
    }),
  alike: (id, out, above) =>
    list({
      name: "similar",
      title: out ? "In its place" : "More like this",
      places: 6,
      acts,
      watch: shop.watch,
      small: true,
      empty: "The model finds none alike.",
      ask: async () => {
        const answer = await above?.asked;
        return shop.similar(
          id,
          options({
            n: 6,
            ...(answer?.items.length && { exclude: answer.items.map((item) => item.product_id) }),
          }),
        );
      },
    }),
  cart: () =>
    list({
      name: "cart",
      title: cart().length ? "Goes with your cart" : "After what you looked at",
      places: 4,
      acts,
      watch: shop.watch,
      ask: () => shop.recommend("cart", options({ n: 4, ...(cart().length && { cart: cart() }) })),
    }),
  nothing: () =>
    list({
      name: "search_empty",
      title: "You may like these instead",
      places: 4,
      acts,
      watch: shop.watch,
      ask: () => shop.recommend("search_empty", options({ n: 8 })),
    }),
};
