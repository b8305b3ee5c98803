//! Has npm build the pages where Node is present, and writes down what of them goes into the binary.
//!
//! Owns the cache `node_modules/.cache/tally-pages`, under a lock: two builds at once make the pages once. Without Node, or
//! where npm fails, there is a warning in place of pages, and the build goes on.

use std::env;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A page's folder here, and the constant that holds it.
const PAGES: [(&str, &str); 2] = [("viewer", "VIEWER"), ("ops", "OPS")];
/// Below a package: what is made of it, and what no page is made of.
const NOT_SOURCES: [&str; 6] = ["dist", "node_modules", "docs", "coverage", "test", "README.md"];
/// The encodings that are made beforehand, by the ending of the file.
const ENCODINGS: [(&str, &str); 2] = [("gzip", "gz"), ("brotli", "br")];

fn main() {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where the package is"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo says where output goes"));
    watch(&here);
    let built = out.join("pages");
    let problem = build(&here, &built).err();
    let mut code = String::new();
    for (page, name) in PAGES {
        let absent = match (&problem, built.join(page).join("index.html").is_file()) {
            (Some(problem), _) => Some(problem.clone()),
            (None, true) => None,
            (None, false) => Some(why_not(&built, page)),
        };
        if let Some(why) = &absent {
            println!("cargo::warning=the page `{page}` is not built in: {why}");
        }
        code += &constant(name, absent.as_deref(), &built.join(page));
    }
    fs::write(out.join("pages.rs"), code).expect("OUT_DIR can be written to");
}

/// Names everything that the pages are made of, so that cargo runs this again when it changes.
fn watch(here: &Path) {
    println!("cargo::rerun-if-env-changed=PATH");
    for file in ["build.rs", "embed.mjs", "package.json", "package-lock.json"] {
        // A file that is missing would have cargo run this every time.
        if here.join(file).is_file() {
            println!("cargo::rerun-if-changed={file}");
        }
    }
    for package in ["client", "viewer", "ops"] {
        let entries = fs::read_dir(here.join(package)).into_iter().flatten().flatten();
        for entry in entries {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if !name.starts_with('.') && !NOT_SOURCES.contains(&name.as_ref()) {
                println!("cargo::rerun-if-changed={package}/{name}");
            }
        }
    }
}

/// Makes the pages, or takes them from the cache, and puts them into `built`. The error is a sentence for people.
fn build(here: &Path, built: &Path) -> Result<(), String> {
    let said = |what: &str, error: &io::Error| format!("{what}: {error}");
    fs::remove_dir_all(built).or_else(ignore_absent).map_err(|error| said("cannot empty OUT_DIR", &error))?;
    let version = Command::new("node").arg("--version").output();
    if !version.is_ok_and(|output| output.status.success()) {
        return Err("Node.js was not found; the pages need Node.js 20.19 or newer, with npm".to_owned());
    }
    let modules = here.join("node_modules");
    fs::create_dir_all(&modules).map_err(|error| said("cannot create node_modules", &error))?;
    // Not inside node_modules, which npm may delete and make anew meanwhile.
    let lock =
        File::create(here.join(".pages.lock")).map_err(|error| said("cannot create .pages.lock", &error))?;
    lock.lock().map_err(|error| said("cannot lock .pages.lock", &error))?;
    let output = Command::new("node").arg("embed.mjs").arg(built).current_dir(here).output();
    let output = output.map_err(|error| said("cannot run node", &error))?;
    if output.status.success() {
        return Ok(());
    }
    let printed = String::from_utf8_lossy(&output.stderr);
    let last = printed.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("embed.mjs failed");
    Err(last.trim().to_owned())
}

fn ignore_absent(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

/// What `embed.mjs` left in the place of a page.
fn why_not(built: &Path, page: &str) -> String {
    let why = fs::read_to_string(built.join(page).join("absent.txt"));
    why.map_or_else(|_| format!("there is no package {page}"), |why| why.trim().to_owned())
}

/// One `pub static` with the files of one page.
fn constant(name: &str, absent: Option<&str>, folder: &Path) -> String {
    let mut files = Vec::new();
    if absent.is_none() {
        walk(folder, folder, &mut files);
        files.sort();
    }
    let mut code =
        format!("pub static {name}: crate::Pages = crate::Pages {{ absent: {absent:?}, assets: &[\n");
    for path in &files {
        let whole = folder.join(path);
        let bytes = fs::read(&whole).expect("a file that was just listed can be read");
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        let is_hashed = path.starts_with("assets/");
        let tag = format!("W/\"{:016x}\"", hasher.finish());
        let content_type = content_type(path);
        write!(
            code,
            "crate::Asset {{ path: {path:?}, content_type: {content_type:?}, tag: {tag:?}, is_hashed: {is_hashed}, \
             plain: include_bytes!({whole:?}), "
        )
        .expect("a String takes everything");
        for (field, ending) in ENCODINGS {
            let packed = folder.join(format!("{path}.{ending}"));
            if packed.is_file() {
                write!(code, "{field}: Some(include_bytes!({packed:?})), ")
                    .expect("a String takes everything");
            } else {
                write!(code, "{field}: None, ").expect("a String takes everything");
            }
        }
        code += "},\n";
    }
    code + "] };\n"
}

/// Files below `folder` relative to `root`, without their packed forms.
fn walk(root: &Path, folder: &Path, files: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            walk(root, &path, files);
            continue;
        }
        let is_packed =
            ENCODINGS.iter().any(|(_, ending)| path.extension().is_some_and(|own| own == *ending));
        if !is_packed {
            let relative = path.strip_prefix(root).expect("the walk began at the root");
            files.push(relative.to_string_lossy().replace('\\', "/"));
        }
    }
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("woff2") => "font/woff2",
        Some("json" | "map") => "application/json",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
