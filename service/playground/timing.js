/** Where the time of an answer went. */

const STAGES = { decode: "Decode", queue: "Queue", inference: "Inference", network: "Network" };

/** @param roundTrip milliseconds from the request to the answer, as the page saw it */
export function showTiming({ card, total, trip, bar, stages }, timing, roundTrip) {
  const network = Math.max(0, roundTrip - timing.total);
  const parts = { ...timing, network };
  card.hidden = false;
  total.textContent = `${round(timing.total)} ms`;
  trip.textContent = `in the service, ${round(roundTrip)} ms there and back`;
  bar.replaceChildren(...Object.keys(STAGES).map((stage) => segment(stage, parts[stage])));
  stages.replaceChildren(
    ...Object.entries(STAGES).map(([stage, name]) => {
      const row = document.createElement("li");
      row.dataset.stage = stage;
      row.textContent = `${name} ${round(parts[stage])} ms`;
      return row;
    }),
  );
}

function segment(stage, milliseconds) {
  const part = document.createElement("span");
  part.dataset.stage = stage;
  part.style.setProperty("--share", milliseconds);
  return part;
}

function round(milliseconds) {
  return milliseconds < 10 ? milliseconds.toFixed(1) : String(Math.round(milliseconds));
}
