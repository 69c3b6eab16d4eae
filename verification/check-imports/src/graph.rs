//! Which file imports from which other.

use crate::imports::imports_of;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A module's path below the crate's root: `["error", "kind"]`.
pub type ModulePath = Vec<String>;

/// The files of one package's `src` and the imports between them.
#[derive(Debug)]
pub struct Graph {
    /// Each file with its module.
    pub files: BTreeMap<PathBuf, ModulePath>,
    /// Each import, from the importing file to the imported one.
    pub edges: BTreeSet<(PathBuf, PathBuf)>,
    /// Imports of an item at the crate's root, each with the item: `use crate::Offset`.
    pub through_root: BTreeSet<(PathBuf, String)>,
}

impl Graph {
    /// Reads all files below `src`, except those whose name `skip` accepts.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, or that is not Rust.
    pub fn read(src: &Path, skip: &dyn Fn(&Path) -> bool) -> io::Result<Self> {
        let mut files = BTreeMap::new();
        collect(src, src, &mut files)?;
        files.retain(|file, _| !skip(file));
        let modules: BTreeMap<ModulePath, PathBuf> =
            files.iter().map(|(file, module)| (module.clone(), file.clone())).collect();
        let mut graph = Self { files, edges: BTreeSet::new(), through_root: BTreeSet::new() };
        for (file, module) in &graph.files {
            let text = fs::read_to_string(src.join(file))?;
            let parsed = syn::parse_file(&text).map_err(|error| {
                io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", file.display()))
            })?;
            for path in imports_of(&parsed, module) {
                let Some((target, length)) = longest_module(&modules, &path) else { continue };
                if length == 0 {
                    if let (Some(item), false) = (path.first(), module.is_empty()) {
                        graph.through_root.insert((file.clone(), item.clone()));
                    }
                } else if target != file {
                    graph.edges.insert((file.clone(), target.clone()));
                }
            }
        }
        Ok(graph)
    }

    /// A circle of imports, as the files along it, if there is one.
    #[must_use]
    pub fn cycle(&self) -> Option<Vec<PathBuf>> {
        let mut done = BTreeSet::new();
        self.files.keys().find_map(|start| self.search(start, &mut Vec::new(), &mut done))
    }

    fn search<'a>(
        &'a self,
        file: &'a Path,
        path: &mut Vec<&'a Path>,
        done: &mut BTreeSet<&'a Path>,
    ) -> Option<Vec<PathBuf>> {
        if let Some(at) = path.iter().position(|seen| *seen == file) {
            return Some(path[at..].iter().map(|file| file.to_path_buf()).collect());
        }
        if done.contains(file) {
            return None;
        }
        path.push(file);
        let found = self
            .edges
            .iter()
            .filter(|(from, _)| from == file)
            .find_map(|(_, to)| self.search(to, path, done));
        path.pop();
        done.insert(file);
        found
    }
}

/// The file of the longest prefix of `path` that is a module, and the length of that prefix.
fn longest_module<'m>(
    modules: &'m BTreeMap<ModulePath, PathBuf>,
    path: &[String],
) -> Option<(&'m PathBuf, usize)> {
    (0..=path.len()).rev().find_map(|length| modules.get(&path[..length].to_vec()).map(|file| (file, length)))
}

fn collect(src: &Path, folder: &Path, files: &mut BTreeMap<PathBuf, ModulePath>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(src, &path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let file = path.strip_prefix(src).unwrap_or(&path).to_path_buf();
            let mut module: ModulePath = file
                .with_extension("")
                .components()
                .map(|part| part.as_os_str().to_string_lossy().into_owned())
                .collect();
            if module.last().is_some_and(|last| matches!(last.as_str(), "mod" | "lib" | "main")) {
                module.pop();
            }
            files.insert(file, module);
        }
    }
    Ok(())
}
