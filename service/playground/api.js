/* The API as docs.json describes it. Swagger UI, in which requests can be tried, is a megabyte and a
   half: it comes when it is asked for. */

const make = (tag, ...children) => {
  const element = document.createElement(tag);
  element.append(...children);
  return element;
};

/* `code` in a line of Markdown. */
const inline = (text) =>
  text.split("`").map((part, i) => (i % 2 ? make("code", part) : part));

/* Paragraphs, indented code and lists: what the descriptions have of Markdown. */
function prose(text = "") {
  return text.split(/\n{2,}/).filter(Boolean).map((block) => {
    if (block.startsWith("    ")) return make("pre", block.replace(/^ {4}/gm, ""));
    if (!block.startsWith("* ")) return make("p", ...inline(block));
    const items = block.slice(2).split("\n* ");
    return make("ul", ...items.map((item) => make("li", ...inline(item))));
  });
}

const nameOf = (reference) => reference.split("/").pop();

/* What a schema takes, in a few words. */
function kind(schema) {
  if (schema.$ref) return nameOf(schema.$ref);
  const either = schema.anyOf ?? schema.oneOf;
  if (either) return either.map(kind).filter((one) => one !== "null").join(" or ");
  if (schema.enum) return schema.enum.length > 6 ? schema.type : schema.enum.join(", ");
  if (schema.const !== undefined) return String(schema.const);
  if (schema.type !== "array") return schema.format ?? schema.type ?? "anything";
  return schema.prefixItems ? `${schema.prefixItems.length} numbers` : `list of ${kind(schema.items)}`;
}

function table(names, rows) {
  const head = make("tr", ...names.map((name) => make("th", name)));
  const body = rows.map((cells) => make("tr", ...cells.map((cell) => make("td", ...[cell].flat()))));
  return make("table", make("thead", head), make("tbody", ...body));
}

function fields(schema) {
  const required = schema.required ?? [];
  const rows = Object.entries(schema.properties ?? {}).map(([name, field]) => [
    make("code", name),
    kind(field) + (required.includes(name) ? "" : ", optional"),
    inline(field.description ?? ""),
  ]);
  return rows.length ? [table(["field", "type", "meaning"], rows)] : [make("p", kind(schema))];
}

function example(form) {
  const first = Object.values(form.examples ?? {})[0];
  if (first?.value === undefined) return [];
  const { value } = first;
  return [make("pre", typeof value === "string" ? value : JSON.stringify(value, null, 2))];
}

function* operation({ description, parameters = [], requestBody, responses }) {
  yield* prose(description);
  if (parameters.length) {
    yield make("h3", "Parameters");
    const rows = parameters.map((row) => [
      make("code", row.name), `${row.in}, ${kind(row.schema)}`, inline(row.description ?? ""),
    ]);
    yield table(["name", "type", "meaning"], rows);
  }
  if (requestBody) {
    yield make("h3", "Body");
    yield* prose(requestBody.description);
    for (const [type, form] of Object.entries(requestBody.content)) {
      yield make("p", make("code", type), ` ${kind(form.schema)}`);
      yield* example(form);
    }
  }
  yield make("h3", "Replies");
  for (const [status, reply] of Object.entries(responses)) {
    const shapes = Object.values(reply.content ?? {}).map((form) => kind(form.schema));
    yield make("p", make("strong", status), ` ${shapes.join(", ")}`);
    yield* prose(reply.description);
    if (status === "200") for (const form of Object.values(reply.content)) yield* example(form);
  }
}

/* Filled when it is opened for the first time: most never are. */
function folded(summary, fill) {
  const details = make("details", make("summary", ...summary));
  details.addEventListener("toggle", () => details.append(make("div", ...fill())), { once: true });
  return details;
}

function show(api) {
  const parts = [...prose(api.info.description)];
  for (const { name, description } of api.tags) {
    parts.push(make("h2", description.replace(/\.$/, "")));
    for (const [path, methods] of Object.entries(api.paths))
      for (const [method, row] of Object.entries(methods))
        if (row.tags.includes(name)) {
          const summary = [make("b", method.toUpperCase()), " ", make("code", path), row.summary];
          parts.push(folded(summary, () => operation(row)));
        }
  }
  parts.push(make("h2", "Shapes"));
  for (const [name, schema] of Object.entries(api.components.schemas))
    parts.push(folded([make("code", name)], () => [...prose(schema.description), ...fields(schema)]));
  document.getElementById("operations").replaceChildren(...parts);
}

document.getElementById("try").addEventListener("click", ({ currentTarget: button }) => {
  button.disabled = true;
  const style = Object.assign(make("link"), { rel: "stylesheet", href: button.dataset.style });
  const script = Object.assign(make("script"), { src: button.dataset.script });
  script.addEventListener("load", () => {
    document.getElementById("operations").remove();
    button.remove();
    window.SwaggerUIBundle({
      url: "docs.json",
      dom_id: "#swagger",
      deepLinking: true,
      validatorUrl: null, // it is on a foreign host, which would learn this address
    });
  });
  script.addEventListener("error", () => (button.disabled = false));
  document.head.append(style, script);
});

fetch("docs.json")
  .then((reply) => reply.json())
  .then(show)
  .catch((error) => document.getElementById("operations").append(make("p", String(error))));
