// What an SE block costs: parameters, operations and hidden units, by r, C and the stage it stands in.

/** An SE block of C channels on maps of side × side, beside the bottleneck that it follows. */
function costs(channels, reduction, side) {
  const hidden = Math.floor(channels / reduction), area = side * side, weights = 2 * channels * hidden;
  const inner = channels / 4, bottleneck = 2 * channels * inner + 9 * inner * inner;
  return {
    hidden, parameters: weights, bottleneck,
    squeeze: channels * area, excitation: weights, rescale: channels * area, convolutions: bottleneck * area,
  };
}

FIGURES.cost = (given, put) => {
  const { stages, reductions, channels } = given.settings;
  const index = (all, value) => all.indexOf(value);
  const FIRST = 2, at = (n) => stages[n - FIRST]; // the paper's count: its stage 1 is the first convolution
  const stage = slider("stage", { min: FIRST, max: FIRST + stages.length - 1, step: 1, told: (n) => `${n}: ${at(n).side} × ${at(n).side}` }, (to) =>
    put({ stage: to, channels: at(to).channels }));
  const wide = slider("channels C", { min: 0, max: channels.length - 1, step: 1, told: (n) => whole(channels[n]) }, (to) => put({ channels: channels[to] }));
  const ratio = slider("reduction ratio r", { min: 0, max: reductions.length - 1, step: 1, told: (n) => String(reductions[n]) }, (to) => put({ reduction: reductions[to] }));
  const kinds = { parameters: "Parameters of", operations: "Operations of" };
  const rows = {
    parameters: { bottleneck: "the bottleneck's convolutions", parameters: "the SE block" },
    operations: { convolutions: "the bottleneck's convolutions", squeeze: "the squeeze", excitation: "the excitation", rescale: "the rescale" },
  };
  const lines = {};
  const tables = Object.entries(rows).map(([kind, parts]) => {
    const body = Object.entries(parts).map(([part, words]) => {
      const fill = h("div", { className: "live-fill" }), value = h("td");
      lines[part] = { fill, value, kind };
      return h("tr", {}, h("th", { scope: "row" }, words), h("td", { className: "live-wide" }, h("div", { className: "live-track", "aria-hidden": "true" }, fill)), value);
    });
    return h("table", { className: "live-costs" }, h("caption", {}, `${kinds[kind]} …`), h("tbody", {}, ...body));
  });
  const update = (state) => {
    const { side, blocks, channels: usual } = at(state.stage), found = costs(state.channels, state.reduction, side);
    const most = { parameters: Math.max(found.bottleneck, found.parameters), operations: found.convolutions };
    for (const [part, { fill, value, kind }] of Object.entries(lines)) {
      fill.style.width = `${100 * Math.min(1, found[part] / most[kind])}%`;
      value.textContent = whole(found[part]);
    }
    stage.set(state.stage); wide.set(index(channels, state.channels)); ratio.set(index(reductions, state.reduction));
    const more = 100 * found.parameters / found.bottleneck, work = found.squeeze + found.excitation + found.rescale;
    return `C = ${whole(state.channels)} and r = ${state.reduction} make ${whole(found.hidden)} hidden unit${found.hidden === 1 ? "" : "s"} and ` +
      `${whole(found.parameters)} parameters, ${number(more, 1)} % of what the bottleneck has. On maps of ${side} × ${side} the SE block's ` +
      `${whole(work)} operations, the squeeze's additions among them, are ${number(100 * work / found.convolutions, 2)} % of the convolutions'. ` +
      `Stage ${state.stage} of SE-ResNet-50, as the paper counts, has ${blocks} such blocks` +
      (state.channels === usual ? `: ${whole(blocks * found.parameters)} parameters.` : `, with ${whole(usual)} channels.`);
  };
  return { parts: [h("div", { className: "live-controls" }, stage.element, wide.element, ratio.element), ...tables], update };
};
