// What every live figure shares. Python joins this file and one for each figure into a single module
// (seblock/live/__init__.py); so nothing here imports or exports, and everything can be read as it runs.

/** What a figure is, by its name: (given, put, start) => {parts, update}; see `render` at the end of this file. */
const FIGURES = {};

// ---- numbers: the same as in seblock.functional and seblock.photos ------------------------------------------

/** A safetensors file as a DataView: {settings, and by name typed arrays with .shape}. */
function unpack(view) {
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength).slice(); // aligned from here on
  const start = 8 + Number(new DataView(bytes.buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, start)));
  const kinds = { F32: Float32Array, U8: Uint8Array };
  const given = { settings: JSON.parse(header.__metadata__.settings) };
  delete header.__metadata__;
  for (const [name, { dtype, shape, data_offsets: [from, to] }] of Object.entries(header))
    given[name] = Object.assign(new kinds[dtype](bytes.slice(start + from, start + to).buffer), { shape });
  return given;
}

/** v ∗ x that keeps the size: x (I, h, w), v (O, I, 3, 3) -> (O, h, w). Around x zeros, or its border repeated. */
function convolve(x, v, h, w, repeat = false) {
  const inputs = x.length / (h * w), outputs = v.length / inputs / 9;
  const stride = w + 2, plane = (h + 2) * stride, padded = new Float32Array(inputs * plane);
  for (let i = 0; i < inputs; i++)
    for (let r = repeat ? -1 : 0; r < h + (repeat ? 1 : 0); r++) {
      const from = (i * h + Math.min(Math.max(r, 0), h - 1)) * w, to = i * plane + (r + 1) * stride + 1;
      padded.set(x.subarray(from, from + w), to);
      if (repeat) { padded[to - 1] = x[from]; padded[to + w] = x[from + w - 1]; }
    }
  const y = new Float32Array(outputs * h * w);
  for (let o = 0; o < outputs; o++)
    for (let i = 0; i < inputs; i++) {
      const [v0, v1, v2, v3, v4, v5, v6, v7, v8] = v.subarray((o * inputs + i) * 9, (o * inputs + i) * 9 + 9);
      for (let r = 0; r < h; r++) {
        // The window slides: six of its nine numbers are still at hand from one position to the next.
        let above = i * plane + r * stride, level = above + stride, below = level + stride;
        let a0 = padded[above++], a1 = padded[above++], b0 = padded[level++], b1 = padded[level++];
        let c0 = padded[below++], c1 = padded[below++];
        for (let at = (o * h + r) * w, end = at + w; at < end; at++) {
          const a2 = padded[above++], b2 = padded[level++], c2 = padded[below++];
          y[at] += v0 * a0 + v1 * a1 + v2 * a2 + v3 * b0 + v4 * b1 + v5 * b2 + v6 * c0 + v7 * c1 + v8 * c2;
          a0 = a1; a1 = a2; b0 = b1; b1 = b2; c0 = c1; c1 = c2;
        }
      }
    }
  return y;
}

/** z, the mean of each map: (C, …) -> (C). */
function squeeze(u, channels) {
  const size = u.length / channels, z = new Float32Array(channels);
  for (let c = 0; c < channels; c++) {
    let sum = 0;
    for (let i = c * size; i < (c + 1) * size; i++) sum += u[i];
    z[c] = sum / size;
  }
  return z;
}

/** W z + b. */
function linear(weight, z, bias) {
  return Float32Array.from({ length: weight.length / z.length }, (_, o) =>
    z.reduce((sum, value, i) => sum + weight[o * z.length + i] * value, bias ? bias[o] : 0));
}

/** s = σ(W₂ δ(W₁ z + b₁) + b₂). */
function excite(z, w1, w2, b1, b2) {
  const hidden = linear(w1, z, b1).map((a) => Math.max(a, 0));
  return linear(w2, hidden, b2).map((a) => 1 / (1 + Math.exp(-a)));
}

/** x̃ = s · u: (C, …), (C) -> (C, …). */
function rescale(u, s) {
  const size = u.length / s.length, gated = new Float32Array(u.length);
  for (let c = 0; c < s.length; c++) for (let i = c * size; i < (c + 1) * size; i++) gated[i] = u[i] * s[c];
  return gated;
}

/** The pixels of a picture file (Blob), 0 to 1, as (3, h, w); what sticks out to the sides is cut off. */
async function pixels(file, h, w) {
  const bitmap = await createImageBitmap(file, { colorSpaceConversion: "none" });
  const scale = Math.max(w / bitmap.width, h / bitmap.height);
  const context = Object.assign(document.createElement("canvas"), { width: w, height: h })
    .getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  const [width, height] = [bitmap.width * scale, bitmap.height * scale];
  context.drawImage(bitmap, (w - width) / 2, (h - height) / 2, width, height);
  const { data } = context.getImageData(0, 0, w, h);
  return Float32Array.from({ length: 3 * h * w }, (_, i) => data[4 * (i % (h * w)) + Math.floor(i / (h * w))] / 255);
}

// ---- words --------------------------------------------------------------------------------------------------

/** 0.50, −0.07: as the notebooks print it. */
const number = (value, digits = 2) => value.toFixed(digits).replace(/^-(?=[0.]*[1-9])/, "−").replace(/^-/, "");
const whole = (value) => Math.round(value).toLocaleString("en");
const lower = (digit) => String.fromCharCode(0x2080 + digit);

// ---- elements -----------------------------------------------------------------------------------------------

/** An element with properties, attributes (all that is no property) and children. */
function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties))
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** An element that takes keys. The attribute keeps JupyterLab's own away: arrows would move to the next cell. */
const control = (tag, properties, ...children) => h(tag, { ...properties, "data-lm-suppress-shortcuts": "true" }, ...children);

/** A labelled slider; `told` says a value in words. */
function slider(name, { min, max, step, told, label = name }, on) {
  const words = h("span", { className: "live-value", "aria-hidden": "true" });
  const input = control("input", { type: "range", min, max, step, "aria-label": name });
  const set = (to) => {
    input.value = to;
    words.textContent = told(Number(to));
    input.setAttribute("aria-valuetext", words.textContent);
  };
  input.addEventListener("input", () => { set(input.value); on(Number(input.value)); });
  return { element: h("label", { className: "live-slider" }, h("span", { "aria-hidden": "true" }, label), input, words), input, set };
}

/** A box to tick. */
function tick(name, on) {
  const input = control("input", { type: "checkbox" });
  input.addEventListener("change", () => on(input.checked));
  return { element: h("label", {}, input, " ", name), set: (to) => { input.checked = to; } };
}

/** One of several, {key: text}, as radio buttons under a common name. */
function choice(name, options, on) {
  const group = `live-${Math.random().toString(36).slice(2)}`;
  const inputs = Object.keys(options).map((value) => control("input", { type: "radio", name: group, value }));
  for (const input of inputs) input.addEventListener("change", () => on(input.value));
  const labels = inputs.map((input) => h("label", {}, input, " ", options[input.value]));
  return {
    element: h("fieldset", {}, h("legend", {}, name), ...labels),
    set: (to) => { for (const input of inputs) input.checked = input.value === String(to); },
    allow: (value, may) => { inputs.find((input) => input.value === value).disabled = !may; },
  };
}

function button(name, on) {
  const element = control("button", { type: "button" }, name);
  element.addEventListener("click", on);
  return element;
}

/** A canvas for one map or photo, in pixels of its own; the style sheet makes it larger. */
function map(height, width) {
  const canvas = h("canvas", { height, width, role: "img" });
  const context = canvas.getContext("2d"), image = context.createImageData(width, height), size = height * width;
  const put = (words) => { context.putImageData(image, 0, 0); canvas.setAttribute("aria-label", words); };
  const all = new Uint32Array(image.data.buffer); // red, green, blue and opacity of a pixel in one number
  image.data.fill(255);
  return {
    canvas, context,
    /** Grey: black 0, white 1; `factor` times the values. */
    grey(values, words, factor = 1) {
      for (let i = 0; i < size; i++) {
        const grey = 255.5 * Math.min(Math.max(values[i] * factor, 0), 1);
        all[i] = 0xff000000 | ((grey | 0) * 0x10101);
      }
      put(words);
    },
    /** Red, green and blue, (3, height, width). */
    photo(values, words) {
      for (let i = 0; i < size; i++) for (let k = 0; k < 3; k++) image.data[4 * i + k] = 255 * values[k * size + i];
      put(words);
    },
    /** Orange above zero, white at it, purple below; full colour at 1. */
    signed(values, words) {
      for (let i = 0; i < size; i++) {
        const a = Math.min(Math.abs(values[i]), 1), full = values[i] > 0 ? [179, 88, 6] : [84, 39, 136];
        for (let k = 0; k < 3; k++) image.data[4 * i + k] = 255 + a * (full[k] - 255);
      }
      put(words);
    },
  };
}

/**
 * Call on(x, y, event), each from 0 to 1, wherever a pressed mouse, pen or finger is on an element.
 *
 * scrolls: a finger that goes up or down moves the page, for elements that fill a phone; one that taps or goes to the
 * side is meant for the element.
 */
function drag(element, on, scrolls = false) {
  let from = null; // where a finger came down that may yet scroll
  const tell = (event) => {
    const box = element.getBoundingClientRect();
    const inside = (part) => Math.min(Math.max(part, 0), 1 - 1e-9);
    on(inside((event.clientX - box.left) / box.width), inside((event.clientY - box.top) / box.height), event);
  };
  element.classList.add(scrolls ? "live-pan" : "live-drag");
  element.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    element.setPointerCapture(event.pointerId);
    from = scrolls && event.pointerType === "touch" ? event.clientX : null;
    if (from === null) tell(event);
  });
  element.addEventListener("pointermove", (event) => {
    if (!element.hasPointerCapture(event.pointerId) || (from !== null && Math.abs(event.clientX - from) < 6)) return;
    from = null;
    tell(event);
  });
  element.addEventListener("pointerup", (event) => { if (from !== null) tell(event); });
}

// ---- a figure in its place ----------------------------------------------------------------------------------

/** How long after the last movement a figure says what is seen, in milliseconds. */
const SETTLED = 200;

/**
 * anywidget's call in a notebook, and page.js's on the web page. What it returns ends the figure.
 *
 * A figure gets what Python packed, `put`, which changes the state, and the state that it starts in. It gives back
 * its parts, buttons to go beside "Reset", and `update(state)`, which draws, sets the controls, and returns one
 * sentence, or more, about what is seen.
 */
async function render({ model, el }) {
  const given = unpack(model.get("data"));
  const { figure, label, value } = given.settings;
  const start = { ...value, ...model.get("value") }, state = structuredClone(start);
  const status = h("p", { className: "live-status", role: "status" });
  let frame = 0, wait = 0, sentence = "";
  const draw = () => { frame = 0; sentence = view.update(state); };
  const drawNow = () => { if (frame) { cancelAnimationFrame(frame); draw(); } };
  const settle = () => {
    wait = 0;
    drawNow();
    status.textContent = sentence;
    root.setAttribute("aria-busy", "false");
    model.set("value", structuredClone(state));
    model.save_changes();
  };
  const put = (changes) => {
    Object.assign(state, changes);
    root.setAttribute("aria-busy", "true");
    frame ||= requestAnimationFrame(draw);
    clearTimeout(wait);
    wait = setTimeout(settle, SETTLED);
  };
  const told = () => { // Python, or another view of the same figure, has set the state
    Object.assign(state, model.get("value"));
    draw();
    status.textContent = sentence;
  };
  const view = await FIGURES[figure](given, put, start);
  const reset = button("Reset", () => put(structuredClone(start)));
  const root = h("div", { className: `live live-${figure}`, role: "group", "aria-label": label }, ...view.parts, status, h("div", { className: "live-controls" }, ...(view.buttons ?? []), reset));
  root.state = state; // for tests, and for whoever looks with the browser's tools
  // A slider moves on from where it stands, so what is about to be drawn is drawn before a key or a press reaches it.
  for (const kind of ["keydown", "pointerdown"]) root.addEventListener(kind, drawNow, { capture: true });
  draw();
  status.textContent = sentence;
  el.append(root);
  model.on("change:value", told);
  return () => { model.off("change:value", told); clearTimeout(wait); cancelAnimationFrame(frame); };
}
