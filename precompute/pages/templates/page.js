"use strict";

const all = (selector, above = document) => [...above.querySelectorAll(selector)];

// Light or dark: as the system has it, until the switch is pressed. This comes before the page is drawn.

const system = matchMedia("(prefers-color-scheme: dark)");
const stored = { // a page that is opened as a file may be refused any storage
  get() { try { return localStorage.getItem("theme"); } catch { return null; } },
  set(name) { try { localStorage.setItem("theme", name); } catch { /* it holds for this visit alone */ } },
};

function setTheme(name) {
  document.documentElement.dataset.theme = name;
  const button = document.getElementById("theme");
  button?.setAttribute("aria-pressed", String(name === "dark"));
}

const followSystem = () => setTheme(stored.get() || (system.matches ? "dark" : "light"));
followSystem();
system.addEventListener("change", followSystem);

function startTheme() {
  followSystem();
  document.getElementById("theme").addEventListener("click", () => {
    setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
    stored.set(document.documentElement.dataset.theme);
  });
}

// The section that is read is marked in the list of sections.

function startSections() {
  const links = new Map(all("nav a").map((link) => [link.hash.slice(1), link]));
  const watcher = new IntersectionObserver((entries) => {
    const read = entries.find(({ isIntersecting }) => isIntersecting);
    if (!read) return;
    for (const [id, link] of links) {
      if (id === read.target.id) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  }, { rootMargin: "-20% 0px -75% 0px" });
  all("main section").forEach((section) => watcher.observe(section));
}

function startCopying() {
  all("[data-copy]").forEach((button) => button.addEventListener("click", async () => {
    const code = button.parentElement.querySelector("code");
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    } catch { // where the clipboard is refused, the text is marked
      getSelection().selectAllChildren(code);
    }
  }));
}

// Galleries: filtered by split, class and a part of the key.

function startGallery(gallery) {
  const form = gallery.querySelector("form"), sources = all(".source", gallery);
  const chosen = (name) => form.elements[name]?.value ?? "";
  const fits = ({ split, key, classes }) => (!chosen("split") || split === chosen("split"))
    && (!chosen("class") || JSON.parse(classes).includes(chosen("class")))
    && key.toLowerCase().includes(chosen("source").toLowerCase());
  const more = gallery.querySelector(".more");
  let first = Number(gallery.dataset.first); // so many are seen until a filter is set or more are asked for
  const filter = () => {
    const room = chosen("split") || chosen("class") || chosen("source") ? sources.length : first;
    const fitting = sources.filter((source) => fits(source.dataset));
    for (const source of sources) source.hidden = true;
    for (const source of fitting.slice(0, room)) source.hidden = false;
    const shown = Math.min(fitting.length, room);
    more.hidden = fitting.length <= room;
    form.querySelector("output").textContent = `${shown} of ${sources.length} sources`;
    gallery.querySelector(".none").hidden = shown > 0;
    document.body.classList.toggle("no-overlays", form.elements.overlays?.checked === false);
  };
  for (const kind of ["input", "change"]) form.addEventListener(kind, filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  more.addEventListener("click", () => {
    first = sources.length;
    filter();
  });
  filter();
}

// One picture at a time, over the whole window.

function startViewer() {
  const viewer = document.getElementById("viewer");
  let place = 0, pictures = [];

  const step = (by) => {
    place = (place + by + pictures.length) % pictures.length;
    const button = pictures[place], source = button.closest(".source");
    for (const kind of ["photo", "overlay"]) {
      const from = button.querySelector(`.${kind}`), to = viewer.querySelector(`.${kind}`);
      to.hidden = !from;
      to.classList.toggle("enlarged", Boolean(from?.classList.contains("enlarged")));
      if (from) [to.src, to.alt] = [from.src, from.alt];
      else to.removeAttribute("src");
    }
    const remark = source.querySelector(".remark").textContent.trim();
    viewer.querySelector(".where").textContent = source.dataset.key;
    viewer.querySelector(".what").textContent = `${remark} · picture ${place + 1} of ${pictures.length}`;
    const caption = button.parentElement.querySelector("figcaption");
    viewer.querySelector(".more").replaceChildren(...[...caption.children].map((child) => child.cloneNode(true)));
  };
  const open = (button) => {
    pictures = all("button.stack", button.closest(".gallery")).filter((one) => !one.closest("[hidden]"));
    place = 0;
    step(pictures.indexOf(button));
    viewer.showModal();
  };
  document.addEventListener("click", ({ target }) => {
    const button = target.closest("button.stack, [data-step], [data-close]");
    if (button?.matches(".stack")) open(button);
    else if (button?.dataset.step) step(Number(button.dataset.step));
    else if (button) viewer.close();
  });
  viewer.addEventListener("keydown", ({ key }) => {
    if (key === "ArrowLeft" || key === "ArrowRight") step(key === "ArrowLeft" ? -1 : 1);
  });
  viewer.addEventListener("close", () => pictures[place].focus());
}

document.addEventListener("DOMContentLoaded", () => {
  startTheme();
  startSections();
  startCopying();
  all(".gallery").forEach(startGallery);
  startViewer();
});
