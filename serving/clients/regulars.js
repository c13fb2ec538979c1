// Regulars: ranked products in, views and clicks out; stores nothing, never throws
const id = () => crypto.randomUUID?.() ?? Date.now() + "-" + Math.random();
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

export function regulars(url, { customer, key, channel = "web", session_id = id(), timeout = 3e3 } = {}) {
	const headers = { "content-type": "application/json" }, led = {}; // by product
	if (key) headers.authorization = "Bearer " + key;
	let queue = [], sending, timer;

	async function call(path, init, end = Date.now() + timeout, again) {
		const signal = AbortSignal.timeout(end - Date.now());
		const answer = await fetch(url + "/v1/" + path, { headers, signal, ...init });
		const wait = (answer.headers.get("retry-after") ?? 1) * 1e3 + Math.random() * 200;
		if (again || ![429, 503].includes(answer.status) || !(Date.now() + wait < end)) return answer;
		await sleep(wait);
		return call(path, init, end, true);
	}

	async function ask(path, id, what, query) {
		try {
			await Promise.race([flush(), sleep(timeout / 3)]);
			path += `/${encodeURIComponent(id)}/${what}?` + new URLSearchParams(query);
			const answer = await call(path), body = await answer.json();
			if (answer.ok) return body;
			throw body;
		} catch (error) {
			return { items: [], fallback: true, error };
		}
	}

	const post = (events) =>
		call("events", { method: "POST", keepalive: true, body: JSON.stringify({ events }) })
			.then((answer) => answer.status, () => 500);

	const later = (ms) => (clearTimeout(timer), timer = setTimeout(flush, ms));
	const flush = () => sending ??= (async () => {
		while (queue[0]) {
			const some = queue.slice(0, 50), status = await post(some);
			if (status == 429 || status > 499) return later(5e3);
			queue = queue.filter((event) => !some.includes(event));
		}
	})().finally(() => sending = null);

	function event(event_type, product_id, more) {
		queue = [...queue.slice(-499), {
			event_id: id(), event_type, customer_id: shop.customer, product_id,
			channel, session_id, request_id: led[product_id], ...more,
		}];
		later(300);
	}

	function watch(element, { product_id }, { request_id }) {
		let pause;
		const seen = new IntersectionObserver((entries) => {
			clearTimeout(pause);
			if (entries.pop().intersectionRatio >= .5) pause = setTimeout(() => {
				seen.disconnect();
				event("view_item_list", product_id, { request_id });
			}, 1e3);
		}, { threshold: .5 });
		seen.observe(element);
		element.addEventListener("click", ({ target }) => {
			led[product_id] = request_id;
			if (target.closest("a")) event("view_item", product_id);
		}, true);
	}

	addEventListener("pagehide", () => queue[0] && post(queue.slice(-50)));
	const shop = {
		customer: customer ?? "cookie:" + id(), event, watch, flush,
		recommend: (surface = "home", query) => ask("customers", shop.customer, "recommendations", { surface, ...query }),
		similar: (product, query) => ask("products", product, "similar", query),
	};
	return shop;
}
