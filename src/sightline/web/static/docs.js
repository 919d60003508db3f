// The REST surface for reading, made from /openapi.json; no outside service is asked.
import { el } from "/static/page/dom.js";

const place = document.getElementById("docs");

try {
  const schema = await (await fetch("/openapi.json")).json();
  const entries = Object.entries(schema.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => route(schema, path, method, operation)),
  );
  place.replaceChildren(el("p", {}, schema.info.description), example(), ...entries);
} catch {
  place.replaceChildren(el("p", { role: "alert" }, "The server does not answer."));
}

function example() {
  const line = `curl --data-binary @picture.jpg '${location.origin}/v1/predict?top=3'`;
  return el("pre", { class: "sl-code", tabIndex: 0 }, line);
}

function route(schema, path, method, operation) {
  const parts = [el("p", {}, operation.description || "")];
  const rows = (operation.parameters || []).map((one) =>
    el("li", {}, el("code", {}, one.name), ` (${one.in}) `, one.description || ""),
  );
  if (rows.length) parts.push(el("h3", {}, "Parameters"), el("ul", {}, ...rows));
  const body = Object.entries(operation.requestBody?.content || {});
  if (body.length) {
    parts.push(el("h3", {}, "Body"), el("p", {}, body.map(([kind]) => kind).join(", ")));
    const json = body.find(([kind]) => kind === "application/json");
    if (json) parts.push(el("pre", { class: "sl-code", tabIndex: 0 }, JSON.stringify(sample(schema, json[1].schema), null, 1)));
  }
  parts.push(el("h3", {}, "Answers"));
  for (const [status, answer] of Object.entries(operation.responses)) {
    const [kind, content] = Object.entries(answer.content || {})[0] || ["", {}];
    const shown = content.example ?? (content.schema ? sample(schema, content.schema) : undefined);
    const detail = shown === undefined || kind !== "application/json" ? null : el("pre", { class: "sl-code", tabIndex: 0 }, JSON.stringify(shown, null, 1));
    parts.push(el("details", {}, el("summary", {}, el("code", {}, status), ` ${answer.description || ""}`), detail));
  }
  const head = el("summary", {}, el("span", { class: `sl-method sl-${method}` }, method.toUpperCase()), " ", el("code", {}, path), ` ${operation.summary || ""}`);
  return el("details", { class: "sl-route" }, head, ...parts);
}

/** An example value for a schema. */
function sample(schema, shape, depth = 0) {
  if (!shape || depth > 6) return null;
  if (shape.$ref) return sample(schema, schema.components.schemas[shape.$ref.split("/").pop()], depth + 1);
  if (shape.examples?.length) return shape.examples[0];
  if (shape.default !== undefined) return shape.default;
  if (shape.enum) return shape.enum[0];
  if (shape.anyOf) return sample(schema, shape.anyOf[0], depth + 1);
  if (shape.properties)
    return Object.fromEntries(Object.entries(shape.properties).map(([name, one]) => [name, sample(schema, one, depth + 1)]));
  if (shape.type === "array") return [sample(schema, shape.items, depth + 1)];
  return { string: "text", number: 0.5, integer: 1, boolean: true, object: {} }[shape.type] ?? null;
}
