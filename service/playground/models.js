/** The models of the service, and the chooser of one. */

const TASKS = { detection: "Finds objects", classification: "Names the photo" };
const METRICS = { ap: "AP", ap50: "AP50", top1: "Top-1", top5: "Top-5" };
const ASKABLE = new Set(["ready", "evicted"]); // a request loads an evicted model

export function reference({ name, version }) {
  return `${name}/${version}`;
}

/**
 * Fill the chooser; returns the model that is chosen: the one of before if it is there still, else
 * the one that answers where none is named.
 */
export function showModels(select, models) {
  const askable = models.filter((model) => ASKABLE.has(model.status.state));
  const before = select.value;
  select.replaceChildren(
    ...Object.entries(TASKS).map(([task, words]) => {
      const group = document.createElement("optgroup");
      group.label = words;
      const found = askable.filter((model) => model.task === task);
      group.append(...found.map((model) => new Option(nameOf(model, found), reference(model))));
      return group;
    }),
  );
  select.disabled = askable.length === 0;
  const kept = askable.find((model) => reference(model) === before);
  const defaults = askable.filter((model) => model.status.is_default);
  const places = Object.keys(TASKS).map((task) => defaults.find((model) => model.task === task));
  const chosen = kept ?? places.find((model) => model !== undefined);
  if (chosen) select.value = reference(chosen);
  return askable.find((model) => reference(model) === select.value) ?? null;
}

/** Fill the chooser of the classifier that is run on each box; hidden where there is none. */
export function showClassifiers(control, select, models) {
  const found = models.filter(
    ({ task, status }) => task === "classification" && ASKABLE.has(status.state),
  );
  const before = select.value;
  select.replaceChildren(
    new Option("Nothing", ""),
    ...found.map((model) => new Option(nameOf(model, found), reference(model))),
  );
  if (found.some((model) => reference(model) === before)) select.value = before;
  control.hidden = found.length === 0;
}

/** With its version only where there are several. */
function nameOf(model, others) {
  const versions = others.filter(({ name }) => name === model.name).length;
  const name = versions > 1 ? `${model.name}, version ${model.version}` : model.name;
  return model.status.is_default ? `${name} (default)` : name;
}

/** What a person who chooses wants to know: [term, value] pairs. */
export function factsOf(model) {
  const { input, labels, precision, accuracy, status } = model;
  return [
    ["Knows", `${labels.length.toLocaleString("en")} labels`],
    ["Sees", `${input.width} × ${input.height} pixels`],
    ["Runs in", `${precision} on ${status.provider ?? "no processor yet"}`],
    ...Object.entries(accuracy?.metrics ?? {})
      .filter(([name]) => name in METRICS)
      .slice(0, 2)
      .map(([name, value]) => [METRICS[name], `${(value * 100).toFixed(1)}%`]),
    ...(accuracy ? [["Measured on", `${accuracy.images.toLocaleString("en")} photos`]] : []),
    ...(status.rollout ? [["On trial", trialOf(status.rollout)]] : []),
  ];
}

/** How a version does that is, or was, tried on live traffic. */
function trialOf({ mode, phase, share, compared, agreement, reason }) {
  const state = phase === "running" ? `at ${percent(share)}` : phase.replace("_", " ");
  const figures = agreement
    ? `, ${percent(agreement.value)} agreement on ${compared.toLocaleString("en")} photos`
    : "";
  return `${mode} ${state}${figures}${reason ? `: ${reason}` : ""}`;
}

function percent(share) {
  return `${+(share * 100).toFixed(1)}%`;
}

export function showFacts(list, model) {
  list.replaceChildren(
    ...factsOf(model).flatMap(([term, value]) => {
      const [dt, dd] = [document.createElement("dt"), document.createElement("dd")];
      dt.textContent = term;
      dd.textContent = value;
      return [dt, dd];
    }),
  );
}
