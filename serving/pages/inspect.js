// The page works without this script: it only makes links and forms answer without a reload.
"use strict";
(() => {
  const wide = (selector) => document.querySelector(selector);
  let last = 0;

  async function show(url, { push = true, focus = null } = {}) {
    const turn = ++last;
    document.documentElement.classList.add("busy");
    try {
      const response = await fetch(url, { headers: { accept: "text/html" } });
      const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
      const [now, next] = [wide(".shop"), fresh.querySelector(".shop")];
      if (turn !== last) return;
      if (!now || !next) return void location.assign(url);
      const active = document.activeElement;
      const kept = active && active.id ? active : null;
      const scrolled = wide(".people")?.scrollTop ?? 0;
      const typed = kept?.id === "q" ? kept.value : null;
      now.replaceWith(document.adoptNode(next));
      document.title = fresh.title;
      const facts = fresh.querySelector(".facts");
      if (facts) wide(".facts")?.replaceWith(document.adoptNode(facts));
      if (wide(".people")) wide(".people").scrollTop = scrolled;
      if (push) history.pushState(null, "", url);
      ready();
      const target = document.getElementById(focus ?? kept?.id ?? "");
      if (target) {
        if (typed !== null) {
          target.value = typed;
          target.setSelectionRange(typed.length, typed.length);
        }
        target.focus({ preventScroll: target.id !== "similar" });
        if (target.id === "similar") target.scrollIntoView({ block: "nearest" });
      }
    } catch {
      location.assign(url);
    } finally {
      if (turn === last) document.documentElement.classList.remove("busy");
    }
  }

  function address(form) {
    const fields = [...new FormData(form)].filter(([, value]) => value !== "");
    return "/inspect?" + new URLSearchParams(fields);
  }

  function ready() {
    for (const button of document.querySelectorAll("[data-copy]")) button.hidden = false;
  }

  document.addEventListener("click", async (event) => {
    const copy = event.target.closest("[data-copy]");
    if (copy) {
      try {
        await navigator.clipboard.writeText(`curl '${location.origin}${copy.dataset.copy}'`);
        copy.textContent = "Copied";
      } catch {
        copy.textContent = "No clipboard here";
      }
      return;
    }
    const link = event.target.closest("a[data-swap]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    const similar = link.matches(".title") ? "similar" : null;
    const person = link.closest(".people, .stranger") ? "main" : null;
    await show(link.href, { focus: similar ?? person });
    if (person && matchMedia("(max-width: 60rem)").matches) wide("#main")?.scrollIntoView();
  });

  document.addEventListener("submit", (event) => {
    if (!event.target.matches("form[data-live]")) return;
    event.preventDefault();
    show(address(event.target));
  });

  document.addEventListener("change", (event) => {
    const form = event.target.closest("select") && event.target.closest("form[data-live]");
    if (form) show(address(form));
  });

  let pause;
  document.addEventListener("input", (event) => {
    if (event.target.id !== "q") return;
    clearTimeout(pause);
    pause = setTimeout(() => show(address(event.target.form), { push: false }), 160);
  });

  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches("input, select, textarea");
    const rows = [...document.querySelectorAll(".people a")];
    const place = rows.indexOf(document.activeElement);
    if (event.key === "/" && !typing) {
      event.preventDefault();
      wide("#q")?.focus();
    } else if (event.key === "Escape" && wide(".similar .close")) {
      wide(".similar .close").click();
    } else if (event.key === "ArrowDown" && (place >= 0 || event.target.id === "q")) {
      event.preventDefault();
      rows[Math.min(place + 1, rows.length - 1)]?.focus();
    } else if (event.key === "ArrowUp" && place >= 0) {
      event.preventDefault();
      (place ? rows[place - 1] : wide("#q"))?.focus();
    }
  });

  addEventListener("popstate", () => show(location.href, { push: false }));
  ready();
})();
