// Bundles what the browser gets into dist/: scripts and styles by esbuild, and the icons that are used as one sprite.
// File names carry a hash of their content, so that they can be cached for ever; manifest.json says which is which.
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "..", "..", "..");
const source = join(here, "src");
const out = join(here, "dist");
const keepMilliseconds = 24 * 60 * 60 * 1000;
const icons = join(root, "node_modules", "@tabler", "icons", "icons");

// Where an icon is named: `icon("...")` and the macros that take one, `icon_name="..."`, a channel's `icon="..."`.
const iconUse = /\b(?:icon(?:_button|_name)?|empty_state)(?:\(|=|"?:\s*)\s*["']([a-z0-9-]+)["']/g;

async function* walk(folder, endings) {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      if (entry.name !== "dist" && entry.name !== "__pycache__") yield* walk(path, endings);
    } else if (endings.some((ending) => entry.name.endsWith(ending))) {
      yield path;
    }
  }
}

async function usedIcons() {
  const names = new Set();
  for (const folder of ["templates", "channels", "inbox"]) {
    for await (const path of walk(join(root, folder), [".html", ".ts", ".py"])) {
      for (const [, name] of (await readFile(path, "utf8")).matchAll(iconUse)) names.add(name);
    }
  }
  return [...names].sort();
}

async function sprite(names) {
  const symbols = [];
  for (const name of names) {
    let svg;
    try {
      svg = await readFile(join(icons, "outline", `${name}.svg`), "utf8");
    } catch {
      throw new Error(`There is no icon "${name}" in @tabler/icons; see tabler.io/icons for the names.`);
    }
    const inner = svg.slice(svg.indexOf(">") + 1, svg.lastIndexOf("</svg>")).replace(/\s+/g, " ").trim();
    symbols.push(`<symbol id="${name}" viewBox="0 0 24 24">${inner}</symbol>`);
  }
  return `<svg xmlns="http://www.w3.org/2000/svg">${symbols.join("")}</svg>`;
}

const hashed = (name, text) => {
  const hash = createHash("sha256").update(text).digest("hex").slice(0, 10);
  return name.replace(/(\.[a-z]+)$/, `-${hash}$1`);
};

await mkdir(out, { recursive: true });

const files = {};
const result = await build({
  entryPoints: [join(source, "app.ts"), join(source, "app.css")],
  outdir: out,
  bundle: true,
  minify: true,
  sourcemap: true,
  metafile: true,
  format: "esm",
  target: ["chrome123", "firefox121", "safari17.5"],
  loader: { ".woff2": "file" },
  entryNames: "[name]-[hash]",
  assetNames: "[name]-[hash]",
  logLevel: "warning",
});
for (const [path, output] of Object.entries(result.metafile.outputs)) {
  if (!output.entryPoint) continue;
  const name = relative(source, join(process.cwd(), output.entryPoint)).replace(/\.ts$/, ".js");
  files[name] = relative(out, join(process.cwd(), path));
}

const symbols = await sprite(await usedIcons());
files["icons.svg"] = hashed("icons.svg", symbols);
await writeFile(join(out, files["icons.svg"]), symbols);

const mark = await readFile(join(source, "mark.svg"), "utf8");
files["mark.svg"] = hashed("mark.svg", mark);
await writeFile(join(out, files["mark.svg"]), mark);

const version = createHash("sha256").update(JSON.stringify(files)).digest("hex").slice(0, 12);
await writeFile(join(out, "manifest.json.new"), `${JSON.stringify({ version, files }, null, 2)}\n`);
await rename(join(out, "manifest.json.new"), join(out, "manifest.json"));

// A server that is running goes on with the files it started with; only what is old enough is swept.
const built = new Set(Object.keys(result.metafile.outputs).map((path) => relative(out, join(process.cwd(), path))));
for (const name of [...Object.values(files), "manifest.json"]) built.add(name);
for (const name of await readdir(out)) {
  const path = join(out, name);
  if (!built.has(name) && Date.now() - (await stat(path)).mtimeMs > keepMilliseconds) await rm(path, { force: true });
}
