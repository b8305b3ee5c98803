//! Builds the pages with npm and packs them, for build.rs: `node embed.mjs FOLDER` fills FOLDER with a folder per page.
//!
//! `node embed.mjs --install` only sees to it that node_modules is what the lock file says.
//!
//! The same sources are built once: what was made is kept in node_modules/.cache/tally-pages together with their hash.
//! The caller holds a lock. A page that cannot be built leaves `absent.txt` with the reason; the other goes on.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const HERE = dirname(fileURLToPath(import.meta.url));
const CACHE = join(HERE, "node_modules/.cache/tally-pages");
const PAGES = ["viewer", "ops"];
const NODE_MIN = [20, 19];
const NOT_SOURCES = new Set(["dist", "node_modules", "docs", "coverage", "test", "README.md"]);
/** Already packed by their formats. */
const PACKED = new Set([".png", ".woff2"]);
/** Below this a packed form saves nothing: it is one packet either way. */
const PACK_MIN_BYTES = 512;

const fail = (sentence) => {
  process.stderr.write(`${sentence}\n`);
  process.exit(1);
};

const npm = (args) => {
  const { status, error, stdout, stderr } = spawnSync("npm", args, { cwd: HERE, encoding: "utf8" });
  if (error) fail(`npm was not found; it comes with Node.js (${error.message})`);
  return { ok: status === 0, text: `${stdout}${stderr}` };
};

/** What a person should read of a long output: the first line that names an error, else the last one. */
const gist = (text) => {
  const lines = text.split("\n").filter((line) => line.trim() && !/^npm (error|warn|notice)/i.test(line));
  const told = lines.find((line) => /error/i.test(line)) ?? lines.at(-1) ?? text.trim().split("\n").at(-1);
  return (told ?? "").trim().slice(0, 300);
};

const read = (path) => JSON.parse(readFileSync(join(HERE, path), "utf8"));

/** Whether what is installed is what the lock file says. What other platforms need may be missing. */
const modulesFit = () => {
  if (!existsSync(join(HERE, "node_modules/.package-lock.json"))) return false;
  const wanted = Object.entries(read("package-lock.json").packages);
  const there = read("node_modules/.package-lock.json").packages;
  return wanted.every(([path, { version, link, optional, devOptional }]) => {
    if (!path.includes("node_modules/")) return true;
    return there[path] ? link || there[path].version === version : Boolean(optional || devOptional);
  });
};

function* filesOf(folder) {
  const entries = readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const { name, isDirectory } of entries.map((e) => ({ name: e.name, isDirectory: e.isDirectory() }))) {
    if (name.startsWith(".") || NOT_SOURCES.has(name)) continue;
    if (isDirectory) yield* filesOf(join(folder, name));
    else yield join(folder, name);
  }
}

const stampOf = () => {
  const hash = createHash("sha256").update(process.version);
  for (const file of ["package.json", "package-lock.json", "embed.mjs"]) hash.update(readFileSync(join(HERE, file)));
  for (const name of ["client", ...PAGES].filter((name) => existsSync(join(HERE, name)))) {
    for (const file of filesOf(join(HERE, name))) hash.update(`${file.slice(HERE.length)}\0`).update(readFileSync(file));
  }
  return hash.digest("hex");
};

const pack = (file) => {
  const bytes = readFileSync(file);
  if (bytes.length < PACK_MIN_BYTES || PACKED.has(extname(file))) return;
  const brotli = { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } };
  for (const [ending, packed] of [["gz", gzipSync(bytes, { level: 9 })], ["br", brotliCompressSync(bytes, brotli)]]) {
    if (packed.length < bytes.length) writeFileSync(`${file}.${ending}`, packed);
  }
};

const buildPage = (name, made) => {
  const into = join(made, name);
  mkdirSync(into, { recursive: true });
  const { ok, text } = npm(["run", "build", "--workspace", name]);
  if (!ok) {
    writeFileSync(join(into, "absent.txt"), `npm run build --workspace ${name}: ${gist(text)}`);
    return false;
  }
  cpSync(join(HERE, name, "dist"), into, { recursive: true });
  for (const file of [...filesOf(into)]) pack(file);
  return true;
};

const [major, minor] = process.versions.node.split(".").map(Number);
if (major < NODE_MIN[0] || (major === NODE_MIN[0] && minor < NODE_MIN[1])) {
  fail(`Node.js ${process.versions.node} is too old; the pages need ${NODE_MIN.join(".")} or newer`);
}
const install = () => {
  if (modulesFit()) return;
  const { ok, text } = npm(["ci", "--include=dev", "--no-audit", "--no-fund"]);
  if (!ok) fail(`npm ci failed: ${gist(text)}`);
};

const target = process.argv[2] ?? fail("give the folder to put the pages into");
if (!existsSync(join(HERE, "package-lock.json"))) fail("crates/browser/package-lock.json is missing");
if (target === "--install") {
  install();
  process.exit(0);
}
const stamp = stampOf();
const stampFile = join(CACHE, "stamp");
if (!existsSync(stampFile) || readFileSync(stampFile, "utf8") !== stamp) {
  install();
  const made = `${CACHE}.new`;
  rmSync(made, { recursive: true, force: true });
  mkdirSync(made, { recursive: true });
  const { workspaces } = read("package.json");
  const built = PAGES.filter((page) => workspaces.includes(page)).map((page) => buildPage(page, made));
  // What failed may have failed for reasons outside the sources: it is tried again.
  if (built.every(Boolean)) writeFileSync(join(made, "stamp"), stamp);
  rmSync(CACHE, { recursive: true, force: true });
  renameSync(made, CACHE);
}
cpSync(CACHE, target, { recursive: true });
