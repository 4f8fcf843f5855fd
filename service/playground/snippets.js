/** The request whose answer the page shows, as code. */

/**
 * @typedef Request
 * @property root URL of the service, which ends with a slash
 * @property task "detect" or "classify"
 * @property file name of the photo's file
 * @property parameters by name, without those that are the model's own
 * @property needsKey whether the service needs one; it is never written out
 */

/** A command for a POSIX shell. */
export function asCurl({ root, task, file, parameters, needsKey }) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    for (const one of [value].flat()) query.append(name, one); // a region as its sides with commas
  }
  const url = `${root}v1/${task}${query.size ? `?${query}` : ""}`;
  return [
    `curl -s ${quoteForShell(url)}`,
    ...(needsKey ? ['-H "Authorization: Bearer $BOXPORT_API_KEY"'] : []),
    "-H 'Content-Type: application/octet-stream'",
    `--data-binary ${quoteForShell(`@${file}`)}`,
  ].join(" \\\n  ");
}

/** A script for the Python SDK, which finds the key in BOXPORT_API_KEY. */
export function asPython({ root, task, file, parameters, needsKey }) {
  const given = Object.entries(parameters).map(([name, value]) => `${name}=${asLiteral(value)}`);
  const call = [asLiteral(file), ...given].join(", ");
  const second = parameters.then ? " {detection.classifications[0].label}" : "";
  const [each, within, line] =
    task === "detect"
      ? ["detection", "", `{detection.label} {detection.score:.2f} {detection.box.xyxy}${second}`]
      : parameters.regions
        ? ["region", ".regions", "{region.box.xyxy} {region.best.label} {region.best.score:.2f}"]
        : ["found", "", "{found.label} {found.score:.2f}"];
  return [
    ...(needsKey ? ["# the key is that of the environment variable BOXPORT_API_KEY"] : []),
    "from boxport_client import Client",
    "",
    `with Client(${asLiteral(root.replace(/\/$/, ""))}) as client:`,
    `    result = client.${task}(${call})`,
    `    for ${each} in result${within}:`,
    `        print(f"${line}")`,
    "",
  ].join("\n");
}

/** The answer, as the service gives it to such a request. */
export function asJson(answer) {
  // a box on one line, as people read it
  return JSON.stringify(answer, null, 2).replace(/\[\s+(-?[\d.,\s-]+?)\s+\]/g, (_, numbers) => {
    return `[${numbers.split(/,\s+/).join(", ")}]`;
  });
}

function quoteForShell(text) {
  return /^[\w@./:=-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

/** JSON's strings, numbers and lists are Python's too; its booleans are not. */
function asLiteral(value) {
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `[${value.map(asLiteral).join(", ")}]`;
  return JSON.stringify(value);
}
