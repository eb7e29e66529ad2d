// Gates of a real network: a line of text and its gates; a gate, and the lines that open and close it most.

/** The places of the `count` largest values and of the `count` smallest; among equals the first come first. */
function extremes(values, count) {
  const sorted = (sign) => [...values.keys()].sort((a, b) => sign * (values[a] - values[b])).slice(0, count);
  return { widest: sorted(-1), least: sorted(1) };
}

FIGURES.scanner = async (given, put) => {
  const { texts, changes, blocks, height, width, known } = given.settings;
  const EACH = 4, ACROSS = 32, FULL = 400; // lines a list, gates a row, per cent a bar
  const CELL = 12, EDGE = 3; // a gate's pixels, and room around all for the frame of a gate
  const upright = texts.length * changes.length, size = given.gates.shape[1];
  const starts = blocks.map((_, k) => blocks.slice(0, k).reduce((sum, n) => sum + n, 0));
  const sheet = await createImageBitmap(new Blob([given.lines]), { colorSpaceConversion: "none" });
  // cividis: dark blue, grey, yellow
  const colours = Array.from({ length: 101 }, (_, i) => {
    const [from, to] = i < 50 ? [[0, 34, 78], [124, 123, 120]] : [[124, 123, 120], [254, 232, 56]];
    return `rgb(${from.map((a, k) => a + (to[k] - a) * ((i % 50) / 50 || Number(i > 99))).join()})`;
  });
  const text = (n) => `“${texts[n % texts.length]}”`;
  const change = (n) => changes[Math.floor((n % upright) / texts.length)] + (n < upright ? "" : ", turned");
  const picture = () => h("canvas", { height, width, role: "img" });
  const draw = (canvas, n) => {
    canvas.classList.toggle("live-turned", n >= upright);
    canvas.setAttribute("aria-label", text(n));
    canvas.getContext("2d").drawImage(sheet, 0, height * (n % upright), width, height, 0, 0, width, height);
  };
  /** Show something for as long as a mouse or pen is above an element: on(event) says what, null for nothing. */
  const above = (element, on) => {
    for (const kind of ["pointerenter", "pointermove"])
      element.addEventListener(kind, (event) => { if (event.pointerType !== "touch") put({ over: on(event) }); });
    element.addEventListener("pointerleave", () => put({ over: null }));
  };

  const group = `live-${Math.random().toString(36).slice(2)}`;
  const thumbs = Array.from({ length: upright }, (_, line) => {
    const input = control("input", { type: "radio", name: group }), canvas = picture(), fill = h("div", { className: "live-fill" });
    const element = h("label", { className: "live-thumb" }, canvas, h("div", { className: "live-track" }, fill), input);
    input.addEventListener("change", () => put({ line }));
    above(element, () => ({ line }));
    draw(canvas, line);
    return { input, canvas, fill, element };
  });
  const turn = tick("turned by 180°", (to) => put({ turned: to }));
  const rows = changes.map((change, i) => h("div", { className: "live-row" }, h("span", { "aria-hidden": "true" }, change),
    ...thumbs.slice(i * texts.length, (i + 1) * texts.length).map(({ element }) => element)));

  const strips = blocks.map((count, k) => {
    const canvas = h("canvas", { width: ACROSS * CELL + 2 * EDGE, height: Math.ceil(count / ACROSS) * CELL + 2 * EDGE, role: "img" });
    const fill = h("div", { className: "live-fill" }), value = h("span", { className: "live-value" });
    const cell = (at, size) => Math.min(Math.max(Math.floor((at * size - EDGE) / CELL), 0), (size - 2 * EDGE) / CELL - 1);
    const pick = ({ offsetX, offsetY }) => {
      const row = cell(offsetY / canvas.offsetHeight, canvas.height), column = cell(offsetX / canvas.offsetWidth, canvas.width);
      const c = row * ACROSS + column;
      return c < count ? { block: k + 1, gate: c + 1 } : null;
    };
    canvas.addEventListener("click", (event) => put({ ...pick(event), over: null }));
    above(canvas, pick);
    const bar = h("div", { className: "live-track", "aria-hidden": "true" }, fill);
    return { canvas, fill, value, element: h("div", { className: "live-strip" }, h("span", {}, String(k + 1)), canvas, bar, value) };
  });

  const block = slider("SE block", { min: 1, max: blocks.length, step: 1, told: (k) => `${k}: ${blocks[k - 1]} gates` }, (to) => put({ block: to, gate: 1 }));
  const gate = slider("gate", { min: 1, max: blocks[0], step: 1, told: String }, (to) => put({ gate: to }));
  const jumps = known.map(([k, c]) => button(`block ${k}, gate ${c}`, () => put({ block: k, gate: c })));
  const lists = Object.entries({ widest: "open widest", least: "open least" }).map(([end, title]) => {
    const caption = h("p", { className: "live-note" }), now = [];
    const buttons = Array.from({ length: EACH }, (_, i) => {
      const canvas = picture(), told = h("span");
      const choose = () => ({ line: now[i] % upright, turned: now[i] >= upright });
      const element = control("button", { type: "button" }, canvas, told);
      element.addEventListener("click", () => put({ ...choose(), over: null }));
      above(element, choose);
      return { canvas, told, element };
    });
    const list = h("ul", {}, ...buttons.map(({ element }) => h("li", {}, element)));
    return { end, title, caption, now, buttons, element: h("div", {}, caption, list) };
  });

  const update = (state) => {
    const { line, turned, block: k, gate: c } = { ...state, ...state.over };
    const n = line + (turned ? upright : 0), away = given.moved.subarray(n * blocks.length, (n + 1) * blocks.length);
    const gateOf = (at) => given.gates[at * size + starts[k - 1] + c - 1];
    const values = Uint8Array.from({ length: 2 * upright }, (_, at) => gateOf(at)), found = extremes(values, EACH);
    const told = (at) => number(values[at] / 100);

    thumbs.forEach(({ input, canvas, fill, element }, i) => {
      const at = i + (turned ? upright : 0);
      canvas.classList.toggle("live-turned", turned);
      fill.style.width = `${values[at]}%`;
      input.checked = i === state.line;
      input.setAttribute("aria-label", `${text(at)}, ${change(at)}`);
      element.classList.toggle("live-chosen", i === line);
    });
    strips.forEach(({ canvas, fill, value }, b) => {
      const from = n * size + starts[b], own = given.gates.subarray(from, from + blocks[b]), context = canvas.getContext("2d");
      const corner = (i) => [EDGE + (i % ACROSS) * CELL, EDGE + Math.floor(i / ACROSS) * CELL];
      context.clearRect(0, 0, canvas.width, canvas.height);
      own.forEach((s, i) => { context.fillStyle = colours[s]; context.fillRect(...corner(i), CELL, CELL); });
      if (b === k - 1)
        for (const [strokeStyle, out] of [["white", -1], ["black", 1.5]]) {
          Object.assign(context, { strokeStyle, lineWidth: 3 });
          const [x, y] = corner(c - 1);
          context.strokeRect(x - out, y - out, CELL + 2 * out, CELL + 2 * out);
        }
      canvas.setAttribute("aria-label", `block ${b + 1}: ${own.length} gates, ${number(Math.min(...own) / 100)} to ${number(Math.max(...own) / 100)}`);
      fill.style.width = `${Math.min(100, 100 * away[b] / FULL)}%`;
      value.textContent = `${number(away[b], 0)} %`;
    });
    turn.set(turned); block.set(k); gate.input.max = blocks[k - 1]; gate.set(c);

    const ends = lists.map(({ end, title, caption, now, buttons }) => {
      now.splice(0, EACH, ...found[end]);
      buttons.forEach(({ canvas, told: words }, i) => { draw(canvas, now[i]); words.replaceChildren(h("strong", {}, told(now[i])), ` ${change(now[i])}`); });
      // Many gates are exactly 0 or 1 for many lines, of which the list shows the first.
      const last = values[now[EACH - 1]], equal = (all) => all.filter((at) => values[at] === last).length;
      const more = equal([...values.keys()]) - equal(now), others = more ? `, and ${more} more at ${told(now[EACH - 1])}` : "";
      caption.textContent = `block ${k}, gate ${c}: ${title}${others}`;
      const names = now.map(change), many = (name) => names.filter((each) => each === name).length;
      const counted = [...new Set(names)].map((name) => (many(name) > 1 ? `${many(name)} × ` : "") + `“${name}”`);
      return `${title}, ${told(now[0])} to ${told(now[EACH - 1])}, for ${counted.join(", ")}${others}`;
    });
    const p = given.answers[n], says = p > 0.5 ? `“turned”, ${number(100 * p, 0)} %` : `“upright”, ${number(100 - 100 * p, 0)} %`;
    const most = away.indexOf(Math.max(...away)), per = (value) => number(value, 0);
    return `${text(n)}, ${change(n)}: the network says ${says}, which is ${p > 0.5 === turned ? "right" : "wrong"}. ` + (away[most]
      ? `Its gates differ most in block ${most + 1} from those of the same words as they are: by ${per(away[most])} % of the way to another line’s. ` +
        `Block by block: ${[...away].map(per).join(", ")}. `
      : "The other lines with these words are compared with it. ") +
      `Block ${k}, gate ${c} is ${told(n)} here. It is ${ends.join("; ")}.`;
  };
  const fieldset = h("fieldset", { className: "live-lines" }, h("legend", {}, "Lines: point at one, click to keep it. Bars: the chosen gate"), turn.element, ...rows);
  const legend = h("p", { className: "live-note" }, "The line’s gates in nine blocks, dark blue shut, yellow open: point at one, click to keep it. Bars: how far they are from those of the same words as they are; mark: as far as another line’s");
  return {
    parts: [
      h("div", { className: "live-top" }, fieldset, h("div", {}, legend, ...strips.map(({ element }) => element),
        h("div", { className: "live-controls" }, block.element, gate.element, ...jumps))),
      h("div", { className: "live-ends" }, ...lists.map(({ element }) => element)),
    ],
    update,
  };
};
