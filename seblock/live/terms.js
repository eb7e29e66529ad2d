// A sum of terms: one number of a map, and the three times nine products that it is made of.

/** The products of a filter v (3, 3, 3) with the window around (row, column) of x (3, h, w), the border repeated. */
function products(x, v, h, w, row, column) {
  const inside = (i, n) => Math.min(Math.max(i, 0), n - 1);
  return Array.from({ length: 27 }, (_, k) => {
    const [s, i, j] = [Math.floor(k / 9), Math.floor(k / 3) % 3, k % 3];
    const pixel = x[(s * h + inside(row + i - 1, h)) * w + inside(column + j - 1, w)];
    return { pixel, weight: v[k], product: pixel * v[k] };
  });
}

FIGURES.terms = async (given, put) => {
  const { names, height, width, places } = given.settings;
  const x = await pixels(new Blob([given.temple]), height, width), size = height * width;
  const u = convolve(x, given.v, height, width, true);
  const photo = map(height, width), result = map(height, width);
  for (const { canvas } of [photo, result])
    drag(canvas, (across, down) => put({ row: Math.floor(down * height), column: Math.floor(across * width) }), true);

  const picker = control("select", { "aria-label": "filter" }, ...names.map((name, c) => h("option", { value: c }, `${c + 1}: ${name}`)));
  picker.addEventListener("change", () => put({ filter: Number(picker.value) }));
  const row = slider("row", { min: 0, max: height - 1, step: 1, told: String }, (to) => put({ row: to }));
  const column = slider("column", { min: 0, max: width - 1, step: 1, told: String }, (to) => put({ column: to }));
  const jumps = Object.entries(places).map(([name, [i, j]]) => button(`the ${name}`, () => put({ row: i, column: j })));

  const panels = ["red", "green", "blue"].map((colour) => {
    const cells = Array.from({ length: 9 }, () => h("td"));
    const rows = [0, 3, 6].map((k) => h("tr", {}, ...cells.slice(k, k + 3)));
    const sum = h("p", { className: "live-sum" });
    const table = h("table", {}, h("caption", {}, `${colour}: pixel × weight`), h("tbody", {}, ...rows));
    return { colour, cells, sum, element: h("div", {}, table, sum) };
  });
  const total = h("p", { className: "live-sum" });

  const mark = ({ context }, i, j) => { // a frame around the 3 × 3 pixels, seen on light and on dark
    for (const [colour, lineWidth] of [["white", 5], ["black", 2]]) {
      Object.assign(context, { strokeStyle: colour, lineWidth });
      context.strokeRect(j - 4.5, i - 4.5, 10, 10);
    }
  };
  const signed = (value) => (value > 0 && number(value) !== "0.00" ? "+" : "") + number(value);
  const update = ({ filter, row: i, column: j }) => {
    const v = given.v.subarray(27 * filter, 27 * (filter + 1)), all = products(x, v, height, width, i, j);
    const sums = [0, 1, 2].map((s) => all.slice(9 * s, 9 * s + 9).reduce((sum, { product }) => sum + product, 0));
    const made = sums[0] + sums[1] + sums[2];
    panels.forEach(({ colour, cells, sum }, s) => {
      cells.forEach((cell, k) => {
        const { pixel, weight, product } = all[9 * s + k], strength = Math.min(Math.abs(product) * 2, 0.5);
        cell.replaceChildren(h("span", {}, number(pixel)), h("span", {}, `× ${number(weight)}`), h("strong", {}, signed(product)));
        cell.style.background = `rgba(${product > 0 ? "230, 159, 0" : "125, 90, 190"}, ${strength})`;
      });
      sum.textContent = `term of ${colour}: ${signed(sums[s])}`;
    });
    total.textContent = `${sums.map(signed).join(" ")} = ${signed(made)}`.replace(/ ([+−])(?=\d+\.\d+ )/g, " $1 ");
    photo.photo(x, `the temple, with a frame at row ${i}, column ${j}`);
    result.signed(u.subarray(filter * size, (filter + 1) * size), `map of ${names[filter]}, with the same frame`);
    mark(photo, i, j); mark(result, i, j);
    picker.value = filter; row.set(i); column.set(j);
    const left = Math.abs(made) < 0.1 && Math.max(...sums.map(Math.abs)) > 0.3 ? "they cancel" : Math.abs(made) < 0.1 ? "hardly anything is there" : "something stays";
    return `“${names[filter]}” at row ${i}, column ${j}, counted from 0: the terms are red ${signed(sums[0])}, ` +
      `green ${signed(sums[1])}, blue ${signed(sums[2])}. Added up they make ${signed(made)}: ${left}.`;
  };
  const told = (title, { canvas }) => h("figure", {}, canvas, h("figcaption", {}, title));
  return {
    parts: [
      h("div", { className: "live-pair" }, told("the photo: point anywhere", photo), told("the map: orange above zero, purple below", result)),
      h("div", { className: "live-controls" }, h("label", {}, "filter ", picker), row.element, column.element, ...jumps),
      total, h("div", { className: "live-panels" }, ...panels.map(({ element }) => element)),
    ],
    update,
  };
};
