//! The rules.

use crate::graph::Graph;
use crate::layers::{EXEMPT, layer_of};
use std::io;
use std::path::Path;

/// The violations of the library's own `src`: imports that do not point down, imports through the root, and a circle.
///
/// # Errors
///
/// A file that cannot be read or parsed.
pub fn check_library(src: &Path) -> io::Result<Vec<String>> {
    let graph = Graph::read(src, &|file| is_test_file(file))?;
    let mut violations = Vec::new();
    for (file, module) in &graph.files {
        let top = module.first().map_or("", String::as_str);
        if !EXEMPT.contains(&top) && layer_of(top).is_none() {
            violations.push(format!(
                "{}: the module `{top}` is in no layer; add it to layers.rs and ARCHITECTURE.md",
                file.display()
            ));
        }
    }
    for (from, to) in &graph.edges {
        let module =
            |file| graph.files.get(file).and_then(|module| module.first()).map_or("", String::as_str);
        let (upper, lower) = (module(from), module(to));
        if upper == lower || EXEMPT.contains(&upper) {
            continue;
        }
        if let (Some(above), Some(below)) = (layer_of(upper), layer_of(lower))
            && above >= below
        {
            violations.push(format!(
                "{} imports {}, which is not in a lower layer",
                from.display(),
                to.display()
            ));
        }
    }
    for (file, item) in &graph.through_root {
        violations.push(format!(
            "{} imports `{item}` through the root; import it from the module that defines it",
            file.display()
        ));
    }
    violations.extend(cycle_of(&graph));
    Ok(violations)
}

/// The circle among the files of another package's `src`, if there is one.
///
/// # Errors
///
/// A file that cannot be read or parsed.
pub fn check_package(src: &Path) -> io::Result<Vec<String>> {
    let graph = Graph::read(src, &is_test_file)?;
    Ok(cycle_of(&graph).into_iter().collect())
}

fn cycle_of(graph: &Graph) -> Option<String> {
    let cycle = graph.cycle()?;
    let names: Vec<String> =
        cycle.iter().chain(cycle.first()).map(|file| file.display().to_string()).collect();
    Some(format!("imports in a circle: {}", names.join(" -> ")))
}

/// Files that are compiled for tests only. They may import what they test.
fn is_test_file(file: &Path) -> bool {
    file.components().any(|part| {
        let part = part.as_os_str().to_string_lossy();
        matches!(part.trim_end_matches(".rs"), "tests" | "testing" | "reference")
    })
}
