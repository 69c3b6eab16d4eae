//! A copy of the workspace, to break.

use crate::list::Mutation;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is not needed to build, or is built.
const LEFT_OUT: [&str; 4] = ["target", ".git", "fuzz", "node_modules"];

pub(crate) struct Tree {
    root: PathBuf,
    target: PathBuf,
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

fn original(file: &str) -> String {
    let path = workspace().join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files that a mutation changes, as it leaves them.
pub(crate) fn mutated(mutation: &Mutation) -> BTreeMap<&'static str, String> {
    let mut files = BTreeMap::new();
    for (file, find, replace) in mutation.edits {
        let text = files.entry(*file).or_insert_with(|| original(file));
        let times = text.matches(find).count();
        assert_eq!(times, 1, "{}: {find:?} is {times} times in {file}", mutation.name);
        *text = text.replace(find, replace);
    }
    files
}

impl Tree {
    pub(crate) fn copy() -> Self {
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from);
        let base = target.join("mutations");
        let root = base.join("tree");
        if root.exists() {
            fs::remove_dir_all(&root).unwrap();
        }
        copy(&workspace(), &root).unwrap();
        Self { root, target: base.join("build") }
    }

    pub(crate) fn mutate(&self, mutation: &Mutation) {
        for (file, text) in mutated(mutation) {
            fs::write(self.root.join(file), text).unwrap();
        }
    }

    pub(crate) fn restore(&self, mutation: &Mutation) {
        for (file, ..) in mutation.edits {
            fs::write(self.root.join(file), original(file)).unwrap();
        }
    }

    /// The first failure among so many seeds.
    pub(crate) fn explore(&self, seeds: u64) -> io::Result<Option<String>> {
        self.build()?;
        let seeds = seeds.to_string();
        Ok(self.run(&["--stop", "--seeds", &seeds]))
    }

    /// The failure of one seed.
    pub(crate) fn replay(&self, seed: u64) -> Option<String> {
        self.build().unwrap();
        let seed = seed.to_string();
        self.run(&["--stop", "--seeds", "1", "--first", &seed])
    }

    fn build(&self) -> io::Result<()> {
        let output = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--release", "--package", "explore", "--target-dir"])
            .arg(&self.target)
            .current_dir(&self.root)
            // Built more often than run.
            .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
            .env("CARGO_PROFILE_RELEASE_DEBUG", "false")
            .env("CARGO_INCREMENTAL", "1")
            .env("RUSTFLAGS", "--cap-lints allow")
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "the mutation does not compile:\n{said}");
        Ok(())
    }

    fn run(&self, arguments: &[&str]) -> Option<String> {
        let output = Command::new(self.target.join("release/explore")).args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        said.lines().find(|line| line.starts_with("seed ")).map(|line| line.chars().take(160).collect())
    }
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if LEFT_OUT.iter().any(|left_out| name == *left_out) {
            continue;
        }
        let target = to.join(&name);
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
