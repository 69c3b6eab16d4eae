//! Small source trees with planted violations.

use check_imports::check::{check_library, check_package};
use std::fs;
use std::path::PathBuf;

/// A source tree in a folder of its own, removed at the end.
struct Tree(PathBuf);

impl Tree {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let root = std::env::temp_dir().join(format!("check-imports-{}-{name}", std::process::id()));
        for (file, text) in files {
            let path = root.join(file);
            fs::create_dir_all(path.parent().unwrap_or(&root)).expect("the folder can be created");
            fs::write(path, text).expect("the file can be written");
        }
        Self(root)
    }

    fn violations(&self) -> Vec<String> {
        check_library(&self.0).expect("the tree can be read")
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn planted_cycle_within_a_module_is_reported_with_its_files() {
    let tree = Tree::new(
        "cycle",
        &[
            ("lib.rs", "mod reader;"),
            ("reader/mod.rs", "mod a; mod b; mod c;"),
            ("reader/a.rs", "use super::b::B; pub struct A(B);"),
            ("reader/b.rs", "use crate::reader::c::C; pub struct B(C);"),
            ("reader/c.rs", "pub struct C; fn f() { let _ = crate::reader::a::g(); }"),
        ],
    );
    assert_eq!(
        tree.violations(),
        ["imports in a circle: reader/a.rs -> reader/b.rs -> reader/c.rs -> reader/a.rs"]
    );
    assert_eq!(check_package(&tree.0).unwrap().len(), 1);
}

#[test]
fn upward_import_is_reported_with_both_files() {
    let tree = Tree::new(
        "upward",
        &[
            ("lib.rs", "mod client; mod stream;"),
            ("client/mod.rs", "mod handle;"),
            ("client/handle.rs", "use crate::stream::handle::Stream; pub struct Client(Stream);"),
            ("stream/mod.rs", "pub(crate) mod handle;"),
            ("stream/handle.rs", "pub struct Stream;"),
        ],
    );
    assert_eq!(
        tree.violations(),
        ["client/handle.rs imports stream/handle.rs, which is not in a lower layer"]
    );
}

#[test]
fn import_between_modules_of_one_layer_is_reported() {
    let tree = Tree::new(
        "sideways",
        &[
            ("lib.rs", "mod reader; mod producer;"),
            ("reader/mod.rs", "pub struct Action;"),
            ("producer/mod.rs", "type Handler = fn() -> crate::reader::Action;"),
        ],
    );
    assert_eq!(tree.violations(), ["producer/mod.rs imports reader/mod.rs, which is not in a lower layer"]);
}

#[test]
fn nested_use_tree_over_several_lines_is_understood() {
    let tree = Tree::new(
        "nested",
        &[
            ("lib.rs", "mod error; mod offset; mod retry;"),
            ("retry.rs", "use crate::{\n    error::{\n        Error,\n    },\n    offset::Offset as O,\n};"),
            ("error.rs", "pub struct Error;"),
            (
                "offset.rs",
                "// use crate::retry::Retry;\n/// See `crate::retry::Retry`.\npub struct Offset; const TEXT: &str = \"crate::retry::Retry\";",
            ),
        ],
    );
    assert_eq!(tree.violations(), [""; 0]);
}

#[test]
fn import_in_a_macro_is_found() {
    let tree = Tree::new(
        "macro",
        &[
            ("lib.rs", "mod error; mod offset;"),
            ("offset.rs", "fn f() { assert!(matches!(g(), crate::error::Error::Config)); }"),
            ("error.rs", "pub enum Error { Config }"),
        ],
    );
    assert_eq!(tree.violations(), ["offset.rs imports error.rs, which is not in a lower layer"]);
}

#[test]
fn import_in_a_test_module_is_allowed() {
    let tree = Tree::new(
        "tests",
        &[
            ("lib.rs", "mod error; mod offset;"),
            (
                "offset.rs",
                "#[cfg(test)]\nmod tests { use crate::error::Error; }\n#[cfg(all(test, unix))]\nuse crate::error::Error;",
            ),
            ("error.rs", "pub struct Error;"),
        ],
    );
    assert_eq!(tree.violations(), [""; 0]);
}

#[test]
fn import_through_the_root_is_reported_with_the_item() {
    let tree = Tree::new(
        "root",
        &[
            ("lib.rs", "mod offset; mod error; pub use offset::Offset;"),
            ("offset.rs", "pub struct Offset;"),
            ("error.rs", "use crate::Offset;"),
        ],
    );
    assert_eq!(
        tree.violations(),
        ["error.rs imports `Offset` through the root; import it from the module that defines it"]
    );
}

#[test]
fn module_outside_the_layers_is_reported() {
    let tree = Tree::new("unknown", &[("lib.rs", "mod helpers;"), ("helpers.rs", "")]);
    assert_eq!(
        tree.violations(),
        ["helpers.rs: the module `helpers` is in no layer; add it to layers.rs and ARCHITECTURE.md"]
    );
}
