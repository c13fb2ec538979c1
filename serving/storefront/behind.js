// Behind: every request of the page in, the last ones with their raw answers out.
import { h } from "./lists.js";

const KEPT = 6;
const TOKEN = /("(?:\\.|[^"\\])*")(\s*:)?|(-?\d[\d.eE+-]*|true|false|null)|[^"\d\-tfn]+|./g;
const MARKED = ["source", "reason", "arm", "experiment", "substitute_for"];
const calls = [];
let chosen = null;
let pinned = false;
let wanted = "home";
let pane;

// Watches `fetch`, so that regulars.js stays as any shop would use it.
export function watchFetch() {
  const real = window.fetch.bind(window);
  window.fetch = async (url, init = {}) => {
    if (!String(url).startsWith("/v1/")) return real(url, init);
    const call = {
      method: init.method ?? "GET",
      path: String(url),
      sent: init.body,
      began: performance.now(),
    };
    const response = await real(url, init);
    const timed = performance.getEntriesByName(new URL(url, location.href).href).at(-1);
    call.ms = timed?.requestStart ? timed.responseStart - timed.requestStart : performance.now() - call.began;
    call.status = response.status;
    call.body = await response.clone().text();
    add(call);
    return response;
  };
}

function add(call) {
  calls.unshift(call);
  calls.length = Math.min(calls.length, KEPT);
  if (!calls.includes(chosen)) pinned = false;
  if (!pinned && (name(call) === wanted || !calls.includes(chosen))) chosen = call;
  clearTimeout(add.later);
  add.later = setTimeout(draw, 60); // once for the lists of one view
}

// The shopper did something: answers for this surface are shown as they come.
export function follow(surface) {
  [pinned, wanted] = [false, surface];
}

export function behind(element, { onexplain }) {
  pane = element;
  const open = h(
    "button.handle",
    {
      type: "button",
      "aria-expanded": "false",
      "aria-controls": "answer",
      onclick: () => {
        const wide = pane.classList.toggle("open");
        open.setAttribute("aria-expanded", String(wide));
      },
    },
    h("span", {}, "What the server said"),
    h("b", { id: "last" }, ""),
  );
  const box = h("input", { type: "checkbox", onchange: () => onexplain(box.checked) });
  pane.replaceChildren(
    open,
    h(
      "div.inside",
      { id: "answer" },
      h("h2", {}, "What the server said"),
      h("div.calls", { role: "group", "aria-label": "The last requests" }),
      h("div.shown"),
      h("label.explain", {}, box, h("span", {}, "ask for the parts of each score")),
    ),
  );
  draw();
}

function draw() {
  if (!pane) return;
  const [bar, shown, last] = [
    pane.querySelector(".calls"),
    pane.querySelector(".shown"),
    pane.querySelector("#last"),
  ];
  if (!calls.length) {
    shown.replaceChildren(
      h("p.note", {}, "Every request that this page makes is shown here, with the answer as it came."),
    );
    return;
  }
  last.textContent = `${name(chosen)} · ${ms(chosen)}`;
  bar.replaceChildren(
    ...calls.map((call) =>
      h(
        "button.call",
        {
          type: "button",
          "aria-pressed": String(call === chosen),
          onclick: () => {
            [chosen, pinned] = [call, true];
            draw();
            bar.querySelector("[aria-pressed=true]")?.focus();
          },
        },
        name(call),
        h("i", {}, ms(call)),
      ),
    ),
  );
  const answer = parsed(chosen.body);
  shown.replaceChildren(
    h(
      "p.ask",
      {},
      h("b", {}, chosen.method),
      " ",
      h("code", {}, decodeURIComponent(chosen.path)),
      copy(chosen),
    ),
    h(
      "p.facts",
      {},
      h("b", { class: chosen.status < 400 ? "good" : "bad" }, String(chosen.status)),
      ` in ${ms(chosen)} from request to answer · ${chosen.body.length.toLocaleString("en")} bytes`,
    ),
    summary(answer),
    ...(chosen.sent
      ? [h("h3", {}, "sent"), json(parsed(chosen.sent), "What was sent"), h("h3", {}, "answered")]
      : []),
    json(answer, "The answer"),
  );
}

const ms = (call) => `${call.ms < 10 ? call.ms.toFixed(1) : Math.round(call.ms)} ms`;

function name(call) {
  if (call.method !== "GET") return call.path.split("/").pop();
  const [path, query] = call.path.split("?");
  return path.endsWith("/similar") ? "similar" : (new URLSearchParams(query).get("surface") ?? "home");
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

// What the answer is made of, in a line before its bytes.
function summary(answer) {
  if (!answer?.items) return h("p.mix");
  const counts = new Map();
  for (const { source } of answer.items) counts.set(source, (counts.get(source) ?? 0) + 1);
  const tests = (answer.experiments ?? []).map(({ experiment, arm }) =>
    h("span.tag.arm", {}, `${experiment}: ${arm}`),
  );
  const notes = (answer.warnings ?? []).map(({ code, detail }) =>
    h("span.tag.warning", { title: detail }, code),
  );
  return h(
    "p.mix",
    {},
    [...counts].map(([source, n]) => h("span.tag", { "data-source": source }, `${source} × ${n}`)),
    tests,
    notes,
  );
}

function copy(call) {
  const button = h(
    "button.copy",
    {
      type: "button",
      onclick: async () => {
        const sent = call.sent
          ? ` -X ${call.method} -H 'content-type: application/json' -d '${call.sent.replaceAll("'", "'\\''")}'`
          : "";
        try {
          await navigator.clipboard.writeText(`curl '${location.origin}${call.path}'${sent}`);
          button.textContent = "Copied";
        } catch {
          button.textContent = "No clipboard";
        }
      },
    },
    "Copy as curl",
  );
  return button;
}

function json(value, label) {
  const text = typeof value === "string" ? value : JSON.stringify(value, null, 1);
  const parts = [];
  let key = "";
  for (const [all, string, colon, plain] of text.matchAll(TOKEN)) {
    if (string && colon) {
      key = string.slice(1, -1);
      parts.push(h("span.key", {}, string), colon);
    } else if (string) {
      const kind = MARKED.includes(key)
        ? "mark"
        : key === "code" || key === "detail"
          ? "mark.warning"
          : "span.string";
      parts.push(h(kind, key === "source" ? { "data-source": string.slice(1, -1) } : {}, string));
    } else if (plain) parts.push(h("span.value", {}, plain));
    else parts.push(all);
  }
  return h("pre.json", { tabindex: "0", "aria-label": label }, h("code", {}, parts));
}
