// The painter of the puzzle, trained, in the page: its cue, its gates, and digits drawn by hand.

const SIDE = 20, AREA = SIDE * SIDE, MAPS = 24;

/** The input (3, 20, 20): two digits, and stripes in the corner, vertical for cue 0 and horizontal for cue 1. */
function puzzle(digits, cue) {
  const x = new Float32Array(3 * AREA);
  x.set(digits);
  for (let r = 16; r < SIDE; r++) for (let c = 16; c < SIDE; c++) x[2 * AREA + r * SIDE + c] = (cue ? r : c) % 2 ? 0 : 1;
  return x;
}

/**
 * A network of three layers, convolution, BatchNorm, ReLU, perhaps a gate, and a 1 × 1 convolution that paints.
 *
 * net: weights by PyTorch's names, behind a prefix such as "se.". fixed: gates in the place of its own, three times
 * (24). Gives back the picture (400) and the gates.
 */
function paint(x, net, prefix, fixed = []) {
  const gates = [], get = (name) => net[prefix + name];
  let y = x;
  for (let k = 0; k < 3; k++) {
    y = convolve(y, get(`${4 * k}.weight`), SIDE, SIDE);
    const [weight, bias, mean, variance] = ["weight", "bias", "running_mean", "running_var"].map((name) => get(`${4 * k + 1}.${name}`));
    for (let c = 0; c < MAPS; c++) {
      const factor = weight[c] / Math.sqrt(variance[c] + 1e-5), shift = bias[c] - mean[c] * factor;
      for (let i = c * AREA; i < (c + 1) * AREA; i++) y[i] = Math.max(y[i] * factor + shift, 0);
    }
    const [w1, w2, b1, b2] = ["linear1.weight", "linear2.weight", "linear1.bias", "linear2.bias"].map((name) => get(`${4 * k + 3}.${name}`));
    if (!w1) continue;
    gates.push(fixed[k] ? Float32Array.from(fixed[k]) : excite(squeeze(y, MAPS), w1, w2, b1, b2));
    y = rescale(y, gates[k]);
  }
  const last = get("12.weight"), picture = new Float32Array(AREA).fill(get("12.bias")[0]);
  for (let c = 0; c < MAPS; c++) for (let i = 0; i < AREA; i++) picture[i] += last[c] * y[c * AREA + i];
  return { picture, gates };
}

FIGURES.painter = (given, put, start) => {
  const { reach, kinds } = given.settings, count = given.digits.shape[0], channels = ["channel 1", "channel 2"];
  let state, gates = [];
  const digitsOf = ({ drawn, image }) =>
    Float32Array.from(drawn ?? given.digits.subarray(image * 2 * AREA, (image + 1) * 2 * AREA), (value) => value / 16);
  const other = () => paint(puzzle(digitsOf(state), 1 - state.cue), given, "se.").gates;

  const titles = [...channels, "cue", "with SE", "without SE"];
  const maps = titles.map((title) => ({ title, ...map(SIDE, SIDE) }));
  /** Ink at a place of a digit, 16 being white; half as much around it, as a pen would leave. */
  const ink = (channel, row, column, value) => {
    const drawn = state.drawn ? [...state.drawn] : [...given.digits.subarray(state.image * 2 * AREA, (state.image + 1) * 2 * AREA)];
    for (let r = row - 1; r <= row + 1; r++)
      for (let c = column - 1; c <= column + 1; c++) {
        if (Math.min(r, c) < 0 || Math.max(r, c) >= reach) continue;
        const at = channel * AREA + r * SIDE + c, here = r === row && c === column;
        drawn[at] = value ? Math.max(drawn[at], here ? 16 : r === row || c === column ? 6 : 0) : here ? 0 : drawn[at];
      }
    put({ drawn });
  };
  const places = channels.map(() => ({})); // where the pens are
  const pens = channels.map((title, channel) => {
    const { canvas } = maps[channel], pen = places[channel];
    drag(canvas, (x, y) => ink(channel, Math.floor(y * SIDE), Math.floor(x * SIDE), 1));
    const keys = control("div", { className: "live-pen", tabIndex: 0, role: "application", "aria-label": `pen on ${title}: arrows move it, space draws, delete rubs out` }, canvas);
    keys.addEventListener("keydown", (event) => {
      const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
      if (step) {
        pen.row = Math.min(Math.max(pen.row + step[0], 0), reach - 1);
        pen.column = Math.min(Math.max(pen.column + step[1], 0), reach - 1);
        put({ pen: [channel, pen.row, pen.column] });
      } else if (event.key === " " || event.key === "Delete") ink(channel, pen.row, pen.column, event.key === " ");
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
    keys.addEventListener("blur", () => put({ pen: null }));
    return keys;
  });

  const cue = choice("The stripes", { 0: "vertical: channel 1", 1: "horizontal: channel 2" }, (to) => put({ cue: Number(to) }));
  const sources = { own: "its own", other: "the other cue's", "layer 1": "…in layer 1 alone", "layer 2": "…in layer 2 alone", "layer 3": "…in layer 3 alone", hand: "set by hand" };
  const source = choice("Gates", sources, (to) => put({ source: to, hand: to === "hand" ? gates.map((all) => [...all]) : null }));
  const more = tick("show the gates", (to) => put({ gates: to }));
  const next = button("other digits", () => put({ image: (state.image + 1) % count, drawn: null }));
  const clears = channels.map((title, channel) => button(`clear ${title}`, () => {
    const drawn = state.drawn ? [...state.drawn] : [...given.digits.subarray(state.image * 2 * AREA, (state.image + 1) * 2 * AREA)];
    put({ drawn: drawn.fill(0, channel * AREA, (channel + 1) * AREA) });
  }));
  const byHand = (layer, index, value) => {
    const hand = (state.hand ?? gates).map((all) => [...all]);
    hand[layer][index] = value;
    put({ source: "hand", hand });
  };
  const choose = (layer, index) => put({ gate: [layer, index] });
  const select = control("select", { "aria-label": "gate" }, ...[0, 1, 2].flatMap((layer) =>
    Array.from({ length: MAPS }, (_, c) => h("option", { value: `${layer} ${c}` }, `layer ${layer + 1}, map ${c + 1}`))));
  select.addEventListener("change", () => choose(...select.value.split(" ").map(Number)));
  const value = slider("value of the gate", { min: 0, max: 1, step: 0.01, told: number, label: "value" }, (to) => byHand(...state.gate, to));
  const bars = [0, 1, 2].map((layer) => {
    const fills = Array.from({ length: MAPS }, () => h("div", { className: "live-fill" }));
    const chart = h("div", { className: "live-gates", role: "img" }, ...fills.map((fill) => h("div", {}, fill)));
    drag(chart, (x, y, event) => {
      if (event.type === "pointerdown") choose(layer, Math.floor(x * MAPS));
      byHand(layer, state.gate[1], Math.round(100 * (1 - y)) / 100);
    });
    return { fills, chart, element: h("figure", {}, h("figcaption", {}, `the ${MAPS} gates of layer ${layer + 1}`), chart) };
  });

  const panels = h("div", { className: "live-panels" }, ...bars.map(({ element }) => element));
  const single = h("div", { className: "live-controls" }, h("label", {}, "gate ", select), value.element);

  const update = (now) => {
    state = now;
    const x = puzzle(digitsOf(state), state.cue);
    if (!state.drawn && !state.pen) for (const place of places) Object.assign(place, { row: 6, column: 6 });
    const { source: from } = state, fixed = from === "own" ? [] : from === "hand" ? state.hand
      : other().map((all, layer) => ["other", `layer ${layer + 1}`].includes(from) && all);
    const withSe = paint(x, given, "se.", fixed), without = paint(x, given, "plain.");
    ({ gates } = withSe);
    const dot = (one, other) => one.reduce((sum, value, i) => sum + value * other[i], 0);
    const [first, second] = [0, 1].map((k) => x.subarray(k * AREA, (k + 1) * AREA));
    /** How much of each digit is in a picture, by least squares, in words. */
    const told = ({ picture }) => {
      const [aa, bb, ab] = [dot(first, first) + 1e-9, dot(second, second) + 1e-9, dot(first, second)];
      const [pa, pb] = [dot(first, picture), dot(second, picture)], area = aa * bb - ab * ab;
      const parts = [(pa * bb - pb * ab) / area, (pb * aa - pa * ab) / area], [less, more] = [Math.min(...parts), Math.max(...parts)];
      const what = more < 0.2 ? "next to nothing" : less > more / 2 ? "both digits, in grey" : `channel ${parts[0] > parts[1] ? 1 : 2}`;
      return `${what} (${parts.map((part, k) => `${number(100 * part, 0)} % of channel ${k + 1}`).join(", ")})`;
    };
    const [mine, plain] = [withSe, without].map(told);
    const kind = (channel) => (state.drawn ? "as you drew it" : `a ${kinds[state.image][channel]}`);
    const words = [...channels.map((title, channel) => `digit of ${title}, ${kind(channel)}`), `stripes, ${state.cue ? "horizontal" : "vertical"}`, `painted with SE: ${mine}`, `painted without SE: ${plain}`];
    const pictures = [first, second, x.subarray(2 * AREA), withSe.picture, without.picture];
    maps.forEach((each, k) => each.grey(pictures[k], words[k]));
    if (state.pen) {
      const [channel, row, column] = state.pen;
      Object.assign(maps[channel].context, { strokeStyle: "#e69f00", lineWidth: 1 }).strokeRect(column + 0.5 - 1, row + 0.5 - 1, 2, 2);
    }
    const [at, index] = state.gate;
    bars.forEach(({ fills, chart }, layer) => {
      fills.forEach((fill, c) => {
        fill.style.height = `${100 * gates[layer][c]}%`;
        fill.parentElement.classList.toggle("live-chosen", layer === at && c === index);
      });
      chart.setAttribute("aria-label", `gates of layer ${layer + 1}, from ${number(Math.min(...gates[layer]))} to ${number(Math.max(...gates[layer]))}`);
    });
    cue.set(state.cue); source.set(state.source); select.value = `${at} ${index}`; value.set(gates[at][index]);
    more.set(state.gates);
    for (const each of [source.element, panels, single]) each.hidden = !state.gates;
    const whose = from === "own" ? "" : from === "hand" ? " and gates set by hand" : " and the gates of the other cue" + (from === "other" ? "" : ` in ${from}`);
    const pen = state.pen && `channel ${state.pen[0] + 1}, row ${state.pen[1]}, column ${state.pen[2]}: ${number(x[state.pen[0] * AREA + state.pen[1] * SIDE + state.pen[2]])}`;
    return `The stripes name channel ${state.cue + 1}, ${kind(state.cue)}. With SE${whose} the picture shows ${mine}. Without SE it shows ${plain}.` +
      (pen ? ` Pen on ${pen} of white.` : "") +
      (state.gates ? ` Layer ${at + 1}, map ${index + 1}: gate ${number(gates[at][index])}.` : "");
  };
  const cards = maps.map(({ title, canvas }, k) => h("li", {}, h("strong", {}, title), k < 2 ? pens[k] : canvas));
  return {
    parts: [
      h("div", { className: "live-controls" }, cue.element, ...(start.gates ? [] : [more.element]), source.element),
      h("ul", { className: "live-cards live-five", "aria-label": "what goes in, and what is painted" }, ...cards),
      h("div", { className: "live-controls" }, next, ...clears),
      panels, single,
    ],
    update,
  };
};
