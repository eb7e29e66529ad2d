// The SE block on a photo: six maps, their means z, the gates s, the rescaled maps.

/** Places 0 … n - 1 in an order that looks random and is always the same. */
function shuffled(n) {
  const order = Uint32Array.from({ length: n }, (_, i) => i);
  let seed = 1;
  for (let i = n - 1; i > 0; i--) {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    const j = Math.floor((seed / 2 ** 32) * (i + 1)), kept = order[i];
    order[i] = order[j];
    order[j] = kept;
  }
  return order;
}

/** A photo (3, h, w) in a light `tint`, with a blue patch {left, top, height, width}, its pixels in an `order`. */
function changed(photo, h, w, tint, patch, order) {
  const x = new Float32Array(photo.length), size = h * w;
  for (let k = 0; k < 3; k++) {
    const factor = [1 - tint, 1, 1 + tint][k];
    for (let i = k * size; i < (k + 1) * size; i++) x[i] = Math.min(photo[i] * factor, 1);
    for (let r = 0; patch && r < patch.height; r++) {
      const from = k * size + (patch.top + r) * w + patch.left;
      x.fill(k === 2 ? 1 : 0, from, from + patch.width);
    }
  }
  if (!order) return x;
  const moved = new Float32Array(x.length);
  for (let from = 0; from < x.length; from += size) for (let i = 0; i < size; i++) moved[from + i] = x[from + order[i]];
  return moved;
}

/** U and z of a photo: the filters' maps, cut off below zero, and their means. */
function features(x, v, h, w) {
  const u = convolve(x, v, h, w, true);
  for (let i = 0; i < u.length; i++) if (u[i] < 0) u[i] = 0;
  return { u, z: squeeze(u, v.length / 27) };
}

FIGURES.block = async (given, put, start) => {
  const { names, height, width, patch: [tall, wide] } = given.settings;
  const RED = names.indexOf("red"), BLUE = names.indexOf("blue"), size = height * width;
  const photos = {};
  for (const name of ["temple", "flower"]) photos[name] = await pixels(new Blob([given[name]]), height, width);
  const order = shuffled(size);

  const photo = map(height, width);
  drag(photo.canvas, (x, y) => put({
    patch: true,
    left: Math.round(Math.min(Math.max(x * width - wide / 2, 0), width - wide)),
    top: Math.round(Math.min(Math.max(y * height - tall / 2, 0), height - tall)),
  }), true);
  let broken = "";
  const file = control("input", { type: "file", accept: "image/*", "aria-label": "a picture of your own, read here and sent nowhere" });
  file.addEventListener("change", async () => {
    if (!file.files[0]) return;
    try {
      photos.own = await pixels(file.files[0], height, width);
      broken = "";
    } catch {
      broken = ` ${file.files[0].name} could not be read as a picture.`;
    }
    put({ photo: photos.own ? "own" : "temple" });
  });
  const source = choice("Photo", { temple: "temple", flower: "flower", own: "your own" }, (to) => put({ photo: to }));
  const light = (t) => (t === 0 ? "0.00" : `${number(t)} ${t > 0 ? "bluer" : "warmer"}`);
  const tint = slider("light", { min: -0.3, max: 0.3, step: 0.01, told: light }, (to) => put({ tint: to }));
  const patch = tick("a blue patch: drag it", (to) => put({ patch: to }));
  const left = slider("patch from the left", { min: 0, max: width - wide, step: 1, told: (n) => `${n} px`, label: "from the left" }, (to) => put({ left: to, patch: true }));
  const top = slider("patch from the top", { min: 0, max: height - tall, step: 1, told: (n) => `${n} px`, label: "from the top" }, (to) => put({ top: to, patch: true }));
  const scramble = tick("scramble the pixels", (to) => put({ scramble: to }));
  const more = tick("show the gates and what they make of the maps", (to) => put({ gates: to }));
  const free = button("let the block set its gates", () => put({ hand: names.map(() => null) }));

  let hand = [];
  const cards = names.map((name, c) => {
    const u = map(height, width), gated = map(height, width);
    const fill = h("div", { className: "live-fill" }), z = h("span", {});
    const gate = slider(`s${lower(c + 1)}, gate of ${name}`, { min: 0, max: 1, step: 0.01, told: number, label: `s${lower(c + 1)}` }, (to) =>
      put({ hand: hand.map((value, k) => (k === c ? to : value)) }));
    const bar = h("div", { className: "live-bar" }, h("span", {}, `z${lower(c + 1)}`), h("div", { className: "live-track", "aria-hidden": "true" }, fill), z);
    return { u, gated, fill, z, gate, card: h("li", {}, h("strong", {}, name), u.canvas, bar, gate.element, gated.canvas) };
  });
  const list = h("ul", { className: "live-cards" }, ...cards.map(({ card }) => card));

  let seen = "", x, u, z;
  const asItIs = {}; // z of each photo that nothing was done to
  const update = (state) => {
    ({ hand } = state);
    const name = photos[state.photo] ? state.photo : "temple";
    if (asItIs[name]?.photo !== photos[name])
      asItIs[name] = { photo: photos[name], z: features(photos[name], given.v, height, width).z };
    const now = JSON.stringify([name, state.tint, state.patch && [state.left, state.top], state.scramble]);
    if (now !== seen || name === "own") {
      const place = state.patch && { left: state.left, top: state.top, height: tall, width: wide };
      x = changed(photos[name], height, width, state.tint, place, state.scramble && order);
      ({ u, z } = features(x, given.v, height, width));
      seen = now;
      cards.forEach((card, c) => card.u.grey(u.subarray(c * size, (c + 1) * size), `map of ${names[c]}, mean ${number(z[c])}`));
    }
    const own = excite(z, given.w1, given.w2), s = own.map((value, c) => hand[c] ?? value);
    cards.forEach((card, c) => {
      card.fill.style.width = `${Math.min(100, 100 * z[c] / 0.6)}%`;
      card.z.textContent = number(z[c]);
      card.gate.set(s[c]);
      card.card.classList.toggle("live-hand", hand[c] !== null);
      card.gated.grey(u.subarray(c * size, (c + 1) * size), `map of ${names[c]} times its gate ${number(s[c])}`, s[c]);
    });
    const done = [
      state.tint && `${state.tint > 0 ? "bluer" : "warmer"} light, ${number(state.tint)}`,
      state.patch && `a blue patch ${state.left} pixels from the left and ${state.top} from the top`,
      state.scramble && "its pixels scrambled",
    ].filter(Boolean);
    const what = `${name === "own" ? "Your picture" : `The ${name}`}${done.length ? ` with ${done.join(", ")}` : " as it is"}`;
    photo.photo(x, what);
    source.set(name); source.allow("own", Boolean(photos.own)); tint.set(state.tint); patch.set(state.patch); photo.canvas.style.touchAction = state.patch ? "none" : ""; left.set(state.left); top.set(state.top); scramble.set(state.scramble);
    free.disabled = hand.every((value) => value === null);
    more.set(state.gates);
    for (const each of [free, ...cards.flatMap(({ gate, gated }) => [gate.element, gated.canvas])]) each.hidden = !state.gates;
    list.classList.toggle("live-three", !state.gates);
    list.setAttribute("aria-label", `six channels: map, its mean z${state.gates ? ", its gate s, rescaled map" : ""}`);

    const all = (values) => names.map((n, c) => `${n} ${number(values[c])}`).join(", ");
    const before = asItIs[name].z, factor = names.map((n, c) => [n, z[c] / before[c]]);
    const moved = factor.filter(([, times]) => Math.abs(times - 1) > 0.1).map(([n, times]) => `${n} × ${number(times, 1)}`);
    const means = `Means: ${all(z)}.` + (done.length ? ` Against the photo as it is: ${moved.length ? moved.join(", ") : "no mean has moved by a tenth"}.` : "");
    if (!state.gates) return `${what}. ${means}${broken}`;
    const [much, less] = z[BLUE] > z[RED] ? [BLUE, RED] : [RED, BLUE];
    const deed = own[less] < 0.1 ? "closes" : own[less] < 0.45 ? "turns down" : "hardly touches";
    const byHand = names.filter((_, c) => hand[c] !== null);
    return `${what}: there is more ${names[much]} (${number(z[much])}) than ${names[less]} (${number(z[less])}), so by itself the ` +
      `block ${deed} “${names[less]}”. ${means} Gates: ${all(s)}.` + (byHand.length ? ` Set by hand: ${byHand.join(", ")}.` : "") + broken;
  };
  const controls = h("div", { className: "live-controls" }, source.element, tint.element, patch.element, scramble.element, left.element, top.element, ...(start.gates ? [] : [more.element]));
  source.element.append(file);
  return { parts: [h("div", { className: "live-top" }, photo.canvas, controls), list], buttons: [free], update };
};
