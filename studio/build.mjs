// Builds the page into src/auteur/studio/static. With --check, compares it with what is there and writes nothing.
import { build } from "esbuild";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { gzipSync } from "node:zlib";
import { fileURLToPath } from "node:url";
import { dirname, join } from "node:path";

const here = dirname(fileURLToPath(import.meta.url));
const target = join(here, "..", "src", "auteur", "studio", "static");

const result = await build({
  entryPoints: { studio: join(here, "src", "main.ts"), style: join(here, "src", "style.css") },
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  charset: "utf8",
  legalComments: "none",
  outdir: target,
  write: false,
});
const files = new Map(result.outputFiles.map((file) => [file.path.endsWith(".css") ? "studio.css" : "studio.js", Buffer.from(file.contents)]));
for (const name of ["index.html", "icon.svg"]) files.set(name, await readFile(join(here, "src", name)));
const licence = await readFile(join(here, "node_modules", "wavesurfer.js", "LICENSE"), "utf8");
const { version } = JSON.parse(await readFile(join(here, "node_modules", "wavesurfer.js", "package.json"), "utf8"));
files.set("LICENSES.txt", Buffer.from(`studio.js contains wavesurfer.js ${version} under this licence:\n\n${licence.trim()}\n`));

let stale = 0;
let zipped = 0;
for (const [name, bytes] of files) {
  if (name !== "LICENSES.txt") zipped += gzipSync(bytes, { level: 9 }).length;
  const path = join(target, name);
  if (process.argv.includes("--check")) {
    const there = await readFile(path).catch(() => Buffer.alloc(0));
    if (!there.equals(bytes)) {
      console.error(`${path} is not what the sources give; run npm run build`);
      stale++;
    }
  } else {
    await mkdir(target, { recursive: true });
    await writeFile(path, bytes);
  }
}
console.log(`${[...files.keys()].join(", ")}: ${(zipped / 1000).toFixed(1)} kB with gzip`);
if (zipped > 100_000) {
  console.error("the page is over 100 kB with gzip");
  stale++;
}
process.exitCode = stale ? 1 : 0;
