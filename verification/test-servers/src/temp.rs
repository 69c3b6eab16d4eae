//! Directories that are removed with their owner.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};

/// A number that differs from process to process and from call to call.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// A new directory under the system's temporary directory; removed with everything in it when dropped.
#[derive(Debug)]
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    pub(crate) fn new() -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("durable-streams-test-{:016x}", random()));
        std::fs::create_dir(&path)
            .map_err(|e| io::Error::new(e.kind(), format!("cannot create {}: {e}", path.display())))?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            crate::tools::say(&format!("could not remove {}: {error}", self.0.display()));
        }
    }
}
