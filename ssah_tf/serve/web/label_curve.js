"use strict";
// The learning curve so far, and what more labels would bring: a plot, and the same in words.

const SVG = "http://www.w3.org/2000/svg";

function drawn(name, attributes, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** A gain or a loss of mAP. */
const gain = (value) => (value < 0 ? "−" : "+") + share(Math.abs(value));

/** What more labels would bring, in words; never a number without its range. */
function forecastText(forecast) {
  const last = forecast.at(-1);
  if (!last) return "What more labels would bring cannot be said yet: it takes three rounds of the same classes, each with other numbers of labels.";
  return `About ${number(last.labels, "more label")} would give ${gain(last.gain)} mAP (95 % range ${gain(last.low)} to ${gain(last.high)}).`;
}

/** The rounds that were measured, and the forecast after the newest one, as a figure; `null` without rounds. */
function curveOf(measured) {
  const rounds = measured.filter((round) => round.map !== null);
  if (!rounds.length) return null;
  const last = rounds.at(-1), forecast = last === measured.at(-1) ? last.forecast : [];
  const text = forecastText(forecast);
  return element("figure", { class: "curve" }, plot(rounds, forecast, text), element("figcaption", {}, text), inNumbers(rounds, forecast));
}

function plot(rounds, forecast, text) {
  const width = 264, height = 120, left = 30, bottom = 100, top = 8, right = 256;
  const last = rounds.at(-1);
  const most = Math.max(...rounds.map((round) => round.labelled), last.labelled + (forecast.at(-1)?.labels ?? 0), 1);
  const x = (labels) => (left + labels / most * (right - left)).toFixed(1);
  const y = (score) => (bottom - Math.min(1, Math.max(0, score)) * (bottom - top)).toFixed(1);
  const after = forecast.map((each) => ({ labels: last.labelled + each.labels, mean: last.map + each.gain, low: last.map + each.low, high: last.map + each.high }));
  const line = (pairs) => pairs.map(([labels, score]) => `${x(labels)},${y(score)}`).join(" ");
  const now = [last.labelled, last.map];
  return drawn("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `mAP after ${number(rounds.length, "round")}: ${rounds.map((round) => `${share(round.map)} with ${number(round.labelled, "label")}`).join(", ")}. ${text}` },
    ...[0, 0.5, 1].flatMap((score) => [
      drawn("line", { x1: left, x2: right, y1: y(score), y2: y(score), class: "axis" }),
      drawn("text", { x: left - 5, y: Number(y(score)) + 3.5, "text-anchor": "end" }, String(score).replace(/^0\./, ".")),
    ]),
    drawn("text", { x: x(last.labelled), y: bottom + 14, "text-anchor": last.labelled > most / 2 ? "end" : "middle" }, number(last.labelled, "label")),
    drawn("polygon", { class: "range", points: line([now, ...after.map(({ labels, high }) => [labels, high]), ...after.toReversed().map(({ labels, low }) => [labels, low])]) }),
    drawn("polyline", { class: "ahead", points: line([now, ...after.map(({ labels, mean }) => [labels, mean])]) }),
    drawn("polyline", { class: "so-far", points: line(rounds.map((round) => [round.labelled, round.map])) }),
    ...rounds.flatMap((round) => [
      drawn("line", { class: "interval", x1: x(round.labelled), x2: x(round.labelled), y1: y(round.low), y2: y(round.high) }),
      drawn("circle", { cx: x(round.labelled), cy: y(round.map), r: 3 }),
    ]));
}

function inNumbers(rounds, forecast) {
  const row = (...cells) => element("tr", {}, ...cells.map((cell, i) => element(i ? "td" : "th", i ? {} : { scope: "row" }, cell)));
  const table = (caption, head, rows) => element("table", {}, element("caption", {}, caption),
    element("thead", {}, element("tr", {}, ...head.map((cell) => element("th", { scope: "col" }, cell)))), element("tbody", {}, ...rows));
  const parts = [table("So far", ["labels", "mAP", "95 % interval"], rounds.map((round) => row(count(round.labelled), share(round.map), `${share(round.low)} to ${share(round.high)}`)))];
  if (forecast.length) parts.push(table("With more labels", ["more", "mAP", "95 % range"], forecast.map((each) => row(count(each.labels), gain(each.gain), `${gain(each.low)} to ${gain(each.high)}`))));
  return element("details", {}, element("summary", {}, "In numbers"), ...parts);
}
