"use strict";
// Draws openapi.json: every operation with its parameters, its answer, and a command to try it.

function kind(schema) {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.anyOf) return schema.anyOf.filter((each) => each.type !== "null").map(kind).join(" or ");
  if (schema.type === "array") return `list of ${kind(schema.items)}`;
  const { minimum: low, maximum: high } = schema;
  return (schema.type ?? "") + (low !== undefined && high < 1e6 ? `, ${low} to ${high}` : "");
}

const preset = (value) => (value === undefined || value === null || value.length === 0 ? "" : `; ${value} by default`);

/** Text with its `code` as such. */
function marked(text = "") {
  return text.split("`").map((part, i) => (i % 2 ? element("code", {}, part) : part));
}

/** An example of a shape, as nested plain values. */
function example(schema, schemas) {
  if (!schema) return null;
  if (schema.$ref) return example(schemas[schema.$ref.split("/").pop()], schemas);
  if (schema.anyOf) return example(schema.anyOf.find((each) => each.type !== "null"), schemas);
  if (schema.type === "array") return [example(schema.items, schemas)];
  if (schema.additionalProperties) return { beach: 12 };
  if (schema.properties) return Object.fromEntries(Object.entries(schema.properties).map(([name, each]) => [name, example(each, schemas)]));
  return { integer: 3, number: 0.5, boolean: true, string: "…" }[schema.type] ?? null;
}

function curl(method, path, operation) {
  const url = new URL(".", location).href.slice(0, -1) + path.replace("{id}", "3");
  const body = operation.requestBody ? " --data-binary @picture.jpg" : "";
  const output = operation.responses["200"]?.content?.["application/json"] || path === "/metrics" ? "" : " --output picture.jpg";
  return `curl${method === "post" && !body ? " -X POST" : ""}${body}${output} '${url}'`;
}

function draw(method, path, operation, schemas) {
  const parts = [];
  const parameters = operation.parameters ?? [];
  if (parameters.length) {
    const rows = parameters.map((each) => element("tr", {},
      element("td", {}, element("code", {}, each.name)),
      element("td", {}, kind(each.schema) + preset(each.schema.default)),
      element("td", {}, ...marked(each.description))));
    parts.push(element("h3", {}, "Parameters"), element("table", {}, element("tbody", {}, ...rows)));
  }
  parts.push(element("h3", {}, "Try it"), element("pre", { tabindex: 0 }, curl(method, path, operation)));
  const answer = operation.responses["200"]?.content?.["application/json"]?.schema;
  if (answer && Object.keys(answer).length) {
    parts.push(element("h3", {}, "Answer"), element("pre", { tabindex: 0 }, JSON.stringify(example(answer, schemas), null, 2)));
  }
  return element("details", { class: "operation" },
    element("summary", {}, element("span", { class: "method" }, method.toUpperCase()), element("code", {}, path), element("span", {}, operation.description ?? "")),
    ...parts);
}

fetch("openapi.json").then((answer) => {
  if (answer.status === 401) logIn();
  return answer.json();
}).then((api) => {
  const place = document.getElementById("docs"), groups = {};
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      (groups[operation.tags?.[0] ?? "more"] ??= []).push(draw(method, path, operation, api.components?.schemas ?? {}));
    }
  }
  const rules = 'A mistake is answered with a status from 400 to 499 and `{"error": "one line"}`; 429 and 503 say in `Retry-After` when to try again. Where the service has a token, send it as `Authorization: Bearer TOKEN`.';
  place.append(element("p", { class: "lead" }, ...marked(`${api.info.description}\n\n${rules}`)));
  for (const [name, operations] of Object.entries(groups)) place.append(element("h2", {}, name), ...operations);
  place.querySelector("details").open = true;
});
