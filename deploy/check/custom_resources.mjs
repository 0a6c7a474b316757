// Validate custom resources (JSON list on stdin) against the schemas of their operators; print what is wrong.
// The first argument: the folder node_modules.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const packages = {
  "keda.sh": "@kubernetes-models/keda",
  "monitoring.coreos.com": "@kubernetes-models/prometheus-operator",
  "cert-manager.io": "@kubernetes-models/cert-manager",
};
// The schemas let unknown fields pass, which a cluster then drops without a word: each field's name has to stand in the types.
const FREE = new Set(["metadata", "selector", "behavior", "labels", "annotations"]);
function unknownFields(value, known, path) {
  if (Array.isArray(value)) return value.flatMap((each) => unknownFields(each, known, path));
  if (value === null || typeof value !== "object") return [];
  return Object.entries(value).flatMap(([key, inner]) => [
    ...(known.has(key) ? [] : [`${path}.${key}`]),
    ...(FREE.has(key) ? [] : unknownFields(inner, known, `${path}.${key}`)),
  ]);
}

for (const object of JSON.parse(readFileSync(0, "utf-8"))) {
  const what = `${object.kind}/${object.metadata?.name}`;
  const [group, version] = object.apiVersion.split("/");
  if (!(group in packages)) {
    console.log(`${what}: no schema of ${object.apiVersion} is known here`);
    continue;
  }
  const folder = `${process.argv[2]}/${packages[group]}/${group}/${version}`;
  const module = `${folder}/index.js`;
  const models = existsSync(module) ? await import(pathToFileURL(module).href) : {};
  if (!(object.kind in models)) {
    console.log(`${what}: ${object.apiVersion} has no ${object.kind}`);
    continue;
  }
  try {
    new models[object.kind](object).validate();
  } catch (error) {
    console.log(`${what}: ${error.message}`);
  }
  const types = readdirSync(folder).filter((name) => name.endsWith(".d.ts"));
  const text = types.map((name) => readFileSync(`${folder}/${name}`, "utf-8")).join("\n");
  const known = new Set([...text.matchAll(/"(\w+)"\??:/g)].map((found) => found[1]));
  for (const field of unknownFields(object.spec, known, "spec")) {
    console.log(`${what}: ${field} is no field of ${object.apiVersion}`);
  }
}
