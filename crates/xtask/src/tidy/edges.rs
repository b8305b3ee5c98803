//! Which crate of the workspace may depend on which; the pure core on almost nothing.

use toml::{Table, Value};

use super::Finding;
use super::tree::{File, Tree};

/// The whole graph. A crate that is not in it is a finding: a new crate states its place first.
const EDGES: &[(&str, &[&str])] = &[
    ("crates/protocol", &[]),
    ("crates/fanout", &["tally-protocol"]),
    ("crates/backplane", &["tally-protocol"]),
    ("crates/client", &["tally-protocol"]),
    ("crates/producer", &["tally-backplane", "tally-protocol"]),
    ("crates/browser", &[]),
    ("crates/gateway", &["tally-fanout", "tally-backplane", "tally-browser", "tally-protocol"]),
    ("crates/tally", &["tally-gateway", "tally-producer", "tally-client"]),
    ("crates/xtask", &[]),
    ("loadtest", &["tally-producer", "tally-client", "tally-protocol"]),
];

/// The pure core's folder, and all that it may depend on.
const CORE: &str = "crates/fanout";
const CORE_DEPENDENCIES: &[&str] = &["tally-protocol", "bytes"];

/// Crates of the workspace depend on each other along [`EDGES`] only; what tests use is free.
pub(super) fn crate_edges(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, folder) in manifests(tree) {
        let Some((_, allowed)) = EDGES.iter().find(|(from, _)| *from == folder) else {
            findings.push(Finding::of_file(
                &file.path,
                "the crate has no place in the graph (EDGES in edges.rs)",
            ));
            continue;
        };
        let names = match dependencies(&file.text) {
            Ok(names) => names,
            Err(problem) => {
                findings.push(Finding::of_file(&file.path, problem));
                continue;
            }
        };
        let ours = names.iter().filter(|name| name.starts_with("tally"));
        let extra = ours.filter(|name| !allowed.contains(&name.as_str()));
        findings.extend(extra.map(|name| Finding::of_file(&file.path, format!("may not depend on {name}"))));
    }
    findings
}

/// The pure core's list of dependencies is the proof of its purity.
pub(super) fn core_dependencies(tree: &Tree) -> Vec<Finding> {
    let Some(file) = tree.find(&format!("{CORE}/Cargo.toml")) else { return Vec::new() };
    let names = dependencies(&file.text).unwrap_or_default();
    let foreign = names.iter().filter(|name| !CORE_DEPENDENCIES.contains(&name.as_str()));
    foreign
        .filter(|name| !name.starts_with("tally"))
        .map(|name| Finding::of_file(&file.path, format!("the pure core may not depend on {name}")))
        .collect()
}

fn manifests(tree: &Tree) -> impl Iterator<Item = (&File, &str)> {
    tree.files().filter_map(|file| {
        let folder = file.path.strip_suffix("/Cargo.toml")?;
        let of_workspace =
            folder == "loadtest" || folder.strip_prefix("crates/").is_some_and(|name| !name.contains('/'));
        of_workspace.then_some((file, folder))
    })
}

/// Package names below `[dependencies]`, `[build-dependencies]` and their per-target forms.
fn dependencies(manifest: &str) -> Result<Vec<String>, String> {
    let manifest: Table = manifest.parse().map_err(|error| format!("is not TOML: {error}"))?;
    let targets = manifest.get("target").and_then(Value::as_table);
    let per_target = targets.into_iter().flat_map(Table::values).filter_map(Value::as_table);
    let mut names = Vec::new();
    for holder in per_target.chain([&manifest]) {
        for list in ["dependencies", "build-dependencies"] {
            let entries = holder.get(list).and_then(Value::as_table).into_iter().flatten();
            names.extend(entries.map(|(name, entry)| package_name(name, entry)));
        }
    }
    Ok(names)
}

/// The key, unless the entry renames another package to it.
fn package_name(key: &str, entry: &Value) -> String {
    entry.get("package").and_then(Value::as_str).unwrap_or(key).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(rule: fn(&Tree) -> Vec<Finding>, path: &str, manifest: &str) -> Vec<String> {
        rule(&Tree::of(&[(path, manifest)])).into_iter().map(|finding| finding.problem).collect()
    }

    #[test]
    fn an_edge_of_the_graph_passes_and_any_other_is_found() {
        let manifest = "[dependencies]\ntally-protocol.workspace = true\ntally-gateway.workspace = true\nserde = \"1\"\n";
        assert_eq!(
            problems(crate_edges, "crates/client/Cargo.toml", manifest),
            ["may not depend on tally-gateway"]
        );
    }

    #[test]
    fn dev_dependencies_are_free() {
        let manifest = "[dev-dependencies]\ntally-gateway.workspace = true\n";
        assert_eq!(problems(crate_edges, "crates/client/Cargo.toml", manifest), [""; 0]);
    }

    #[test]
    fn renamed_build_and_per_target_dependencies_are_seen() {
        let manifest = "[dependencies]\ng = { package = \"tally-gateway\", path = \"../gateway\" }\n\
                        [build-dependencies]\ntally-browser = \"1\"\n\
                        [target.'cfg(unix)'.dependencies]\ntally-cli = \"1\"\n";
        let mut found = problems(crate_edges, "crates/protocol/Cargo.toml", manifest);
        found.sort();
        let expected = [
            "may not depend on tally-browser",
            "may not depend on tally-cli",
            "may not depend on tally-gateway",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_crate_without_a_place_is_found() {
        assert_eq!(problems(crate_edges, "crates/extra/Cargo.toml", "").len(), 1);
        assert_eq!(problems(crate_edges, "fuzz/Cargo.toml", "").len(), 0);
    }

    #[test]
    fn the_core_may_not_grow_dependencies() {
        let manifest = "[dependencies]\nbytes.workspace = true\ntally-protocol.workspace = true\ntokio.workspace = true\n";
        assert_eq!(
            problems(core_dependencies, "crates/fanout/Cargo.toml", manifest),
            ["the pure core may not depend on tokio"]
        );
    }
}
