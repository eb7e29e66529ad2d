// The web page: a live figure in the place of its picture, as soon as the reader comes near. It stands for
// anywidget's model, without a kernel. Plain scripts, no modules and no fetch: a page that was opened from a
// folder may load the former alone.
(() => {
  const VERSION = "0"; // Python puts a new one here when anything changes, for browsers that keep old files
  const home = new URL(".", document.currentScript.src);
  const loaded = {};
  const script = (name) => loaded[name] ??= new Promise((done, failed) => {
    const src = `${new URL(name, home)}?v=${VERSION}`;
    document.head.append(Object.assign(document.createElement("script"), { src, onload: done, onerror: () => failed(new Error(src)) }));
  });
  const model = (state) => ({ get: (key) => state[key], set: (key, value) => { state[key] = value; }, save_changes() {}, on() {}, off() {} });

  async function enliven(image) {
    const told = (kind) => [...image.classList].find((word) => word.startsWith(kind))?.slice(kind.length);
    const name = told("live-is-"), start = told("live-start-") ?? "7b7d"; // {}
    try {
      await Promise.all([script("live.js"), script(`${name}.js`)]);
      const bytes = Uint8Array.from(atob(seblockData[name]), (sign) => sign.charCodeAt(0));
      const el = document.createElement("div");
      const value = JSON.parse(new TextDecoder().decode(Uint8Array.from(start.match(/../g), (pair) => parseInt(pair, 16))));
      await seblock.render({ model: model({ data: new DataView(bytes.buffer), value }), el });
      const place = image.closest("a") ?? image; // Sphinx links a picture to its file; a figure must not be in a link
      place.after(el);
      place.classList.add("live-off");
    } catch (error) {
      console.warn("A live figure could not be shown; its picture stays.", error);
    }
  }

  const near = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) if (isIntersecting) { near.unobserve(target); enliven(target); }
  }, { rootMargin: "1000px" });
  for (const image of document.querySelectorAll("img.live-figure")) near.observe(image);
})();
