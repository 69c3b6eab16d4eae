//! `check-imports [ROOT]`: checks the library and the other packages of the workspace at `ROOT` (default: here).

use check_imports::check::{check_library, check_package};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    let root = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| ".".into()));
    match check(&root) {
        Ok(violations) if violations.is_empty() => ExitCode::SUCCESS,
        Ok(violations) => {
            violations.iter().for_each(|violation| eprintln!("{violation}"));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("check-imports: {error}");
            ExitCode::FAILURE
        }
    }
}

fn check(root: &Path) -> io::Result<Vec<String>> {
    let mut violations = check_library(&root.join("src"))?;
    for group in ["adapters", "verification"] {
        for entry in std::fs::read_dir(root.join(group))? {
            let package = entry?.path();
            let src = package.join("src");
            if !src.is_dir() {
                continue;
            }
            let name = format!("{group}/{}", package.file_name().unwrap_or_default().to_string_lossy());
            let found = check_package(&src)?;
            violations.extend(found.into_iter().map(|violation| format!("{name}: {violation}")));
        }
    }
    Ok(violations)
}
