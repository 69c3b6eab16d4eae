use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::sync::lock;
use async_trait::async_trait;
use std::fs::{self, File};
use std::future::Future;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

/// Where a reader's checkpoint is kept from one run of an application to the next: one position of one reader.
///
/// A reader that is given one by [`ReaderBuilder::checkpoint_store`](crate::ReaderBuilder::checkpoint_store)
/// starts from what it holds, and saves what the application acknowledges. To be exact to the record, keep
/// the checkpoint where the results go, in the same transaction; a store of one's own can do that.
#[async_trait]
pub trait CheckpointStore: Send + Sync + 'static {
    /// The checkpoint that was saved last, or `None` where none ever was.
    ///
    /// # Errors
    ///
    /// When it cannot be told whether there is one, or what is there is none.
    async fn load(&self) -> io::Result<Option<Checkpoint>>;

    /// Keeps `checkpoint` in place of the one before. Once this returns, a crash does not lose it; a crash
    /// before leaves the one or the other, nothing in between.
    ///
    /// # Errors
    ///
    /// When it cannot be kept. The one before is still there.
    async fn save(&self, checkpoint: &Checkpoint) -> io::Result<()>;
}

#[async_trait]
impl<S: CheckpointStore + ?Sized> CheckpointStore for Arc<S> {
    async fn load(&self) -> io::Result<Option<Checkpoint>> {
        (**self).load().await
    }

    async fn save(&self, checkpoint: &Checkpoint) -> io::Result<()> {
        (**self).save(checkpoint).await
    }
}

/// A checkpoint in a file of its own, replaced atomically: written beside it, synced, and renamed.
///
/// The file holds the checkpoint's text form and a line feed. Each operation runs on a thread of its own,
/// since a disk may take its time: no executor is blocked. Of saves that overlap the last one begun wins.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use durable_streams::{Checkpoint, CheckpointStore, FileCheckpointStore};
///
/// # let directory = std::env::temp_dir().join(format!("checkpoint-{}", std::process::id()));
/// # std::fs::create_dir_all(&directory)?;
/// # futures_lite::future::block_on(async {
/// let store = FileCheckpointStore::new(directory.join("orders.checkpoint"));
/// assert_eq!(store.load().await?, None);
/// let checkpoint: Checkpoint = "0001_0042,m17".parse()?;
/// store.save(&checkpoint).await?;
/// assert_eq!(store.load().await?, Some(checkpoint));
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # std::fs::remove_dir_all(&directory)?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct FileCheckpointStore(Arc<Place>);

#[derive(Debug)]
struct Place {
    path: PathBuf,
    /// Saves that were begun.
    begun: AtomicU64,
    /// The last save that is on disk, of those begun.
    done: Mutex<u64>,
}

impl FileCheckpointStore {
    /// A store in the file at `path`, whose directory has to exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(Arc::new(Place { path: path.into(), begun: AtomicU64::new(0), done: Mutex::new(0) }))
    }

    /// The file's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }
}

#[async_trait]
impl CheckpointStore for FileCheckpointStore {
    async fn load(&self) -> io::Result<Option<Checkpoint>> {
        let place = self.0.clone();
        off_thread(move || place.load().map_err(|error| place.name(&error)))?.await
    }

    async fn save(&self, checkpoint: &Checkpoint) -> io::Result<()> {
        let (place, text) = (self.0.clone(), format!("{checkpoint}\n"));
        let number = place.begun.fetch_add(1, Ordering::Relaxed) + 1;
        off_thread(move || place.save(number, text.as_bytes()).map_err(|error| place.name(&error)))?.await
    }
}

impl Place {
    fn load(&self) -> io::Result<Option<Checkpoint>> {
        let text = match fs::read_to_string(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text?,
        };
        let checkpoint = text.trim_end().parse();
        Ok(Some(checkpoint.map_err(|error: Error| io::Error::new(io::ErrorKind::InvalidData, error))?))
    }

    /// The error with the file that it is about, which the operating system does not say.
    fn name(&self, error: &io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("{}: {error}", self.path.display()))
    }

    fn save(&self, number: u64, text: &[u8]) -> io::Result<()> {
        let mut done = lock(&self.done);
        if *done > number {
            return Ok(());
        }
        let (beside, file) = self.create_beside()?;
        let written = write_synced(file, text).and_then(|()| fs::rename(&beside, &self.path));
        if let Err(error) = written {
            // What remains of it is in nobody's way; the failure that counts is the first.
            drop(fs::remove_file(&beside));
            return Err(error);
        }
        sync_directory(&self.path)?;
        *done = number;
        Ok(())
    }

    /// A file beside the checkpoint's that is this save's alone: other stores may save to the same checkpoint, in this
    /// process, or in one of the same number in another container.
    fn create_beside(&self) -> io::Result<(PathBuf, File)> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let mut name = self.path.file_name().unwrap_or_default().to_owned();
            name.push(format!(".{}.{number}.new", std::process::id()));
            let beside = self.path.with_file_name(name);
            match File::create_new(&beside) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                file => return Ok((beside, file?)),
            }
        }
    }
}

fn write_synced(mut file: File, text: &[u8]) -> io::Result<()> {
    file.write_all(text)?;
    file.sync_all()
}

/// Makes a rename survive a crash of the machine.
#[cfg(unix)]
fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

/// Elsewhere a directory cannot be opened, and the file system orders its own operations.
#[cfg(not(unix))]
fn sync_directory(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// Runs `work` on a thread of its own: runtimes differ in how they take blocking work, threads do not.
fn off_thread<O: Send + 'static>(
    work: impl FnOnce() -> io::Result<O> + Send + 'static,
) -> io::Result<Outcome<O>> {
    let outcome = Outcome(Arc::new(Mutex::new(Slot { result: None, waker: None })));
    let report = Report(outcome.0.clone());
    std::thread::Builder::new().name("checkpoint".into()).spawn(move || report.give(work()))?;
    Ok(outcome)
}

struct Slot<O> {
    result: Option<io::Result<O>>,
    waker: Option<Waker>,
}

struct Outcome<O>(Arc<Mutex<Slot<O>>>);

impl<O> Future for Outcome<O> {
    type Output = io::Result<O>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<O>> {
        let mut slot = lock(&self.0);
        match slot.result.take() {
            Some(result) => Poll::Ready(result),
            None => {
                slot.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

struct Report<O>(Arc<Mutex<Slot<O>>>);

impl<O> Report<O> {
    fn give(&self, result: io::Result<O>) {
        let waker = {
            let mut slot = lock(&self.0);
            slot.result = Some(result);
            slot.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::block_on;

    fn scratch(name: &str) -> PathBuf {
        let directory = std::env::temp_dir().join(format!("checkpoints-{name}-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        directory
    }

    #[test]
    fn keeps_the_last_one_and_nothing_beside_it() {
        let directory = scratch("last");
        let store = FileCheckpointStore::new(directory.join("reader"));
        assert_eq!(block_on(store.load()).unwrap(), None);
        for text in ["-1", "0_42,b7", "0_43"] {
            let checkpoint: Checkpoint = text.parse().unwrap();
            block_on(store.save(&checkpoint)).unwrap();
            assert_eq!(block_on(store.load()).unwrap(), Some(checkpoint));
        }
        assert_eq!(fs::read_to_string(store.path()).unwrap(), "0_43\n");
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn an_older_save_never_replaces_a_newer_one() {
        let directory = scratch("order");
        let place = FileCheckpointStore::new(directory.join("reader")).0;
        place.save(2, b"0_2\n").unwrap();
        place.save(1, b"0_1\n").unwrap();
        assert_eq!(place.load().unwrap(), Some("0_2".parse().unwrap()));
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn what_cannot_be_read_or_written_is_an_error() {
        let directory = scratch("broken");
        let store = FileCheckpointStore::new(directory.join("reader"));
        fs::write(store.path(), "a,b,c").unwrap();
        let error = block_on(store.load()).unwrap_err();
        assert!(error.to_string().contains("reader"), "{error}");
        let nowhere = FileCheckpointStore::new(directory.join("missing").join("reader"));
        let error = block_on(nowhere.save(&"0_1".parse().unwrap())).unwrap_err();
        assert!(error.kind() == io::ErrorKind::NotFound && error.to_string().contains("missing"), "{error}");
        let error = block_on(FileCheckpointStore::new(&directory).load()).unwrap_err().to_string();
        assert!(error.contains(&directory.display().to_string()), "{error}");
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn two_stores_of_one_file_never_leave_half_of_anything() {
        let directory = scratch("two");
        let texts = ["0_1".to_owned(), format!("0_{}", "2".repeat(3000))];
        let path = directory.join("reader");
        fs::write(&path, &texts[0]).unwrap();
        std::thread::scope(|scope| {
            for text in &texts {
                let store = FileCheckpointStore::new(&path);
                scope.spawn(move || {
                    let checkpoint = text.parse().unwrap();
                    (0..50).for_each(|_| block_on(store.save(&checkpoint)).unwrap());
                });
            }
            let store = FileCheckpointStore::new(&path);
            for _ in 0..200 {
                let loaded = block_on(store.load()).unwrap().unwrap().to_string();
                assert!(texts.contains(&loaded), "{loaded}");
            }
        });
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn what_a_crash_left_is_in_nobodys_way() {
        let directory = scratch("left");
        let store = FileCheckpointStore::new(directory.join("reader"));
        let pid = std::process::id();
        let left: Vec<_> =
            (0..1000).map(|number| directory.join(format!("reader.{pid}.{number}.new"))).collect();
        left.iter().for_each(|path| fs::write(path, "0_").unwrap());
        block_on(store.save(&"0_7".parse().unwrap())).unwrap();
        assert_eq!(block_on(store.load()).unwrap(), Some("0_7".parse().unwrap()));
        assert!(left.iter().all(|path| fs::read_to_string(path).unwrap() == "0_"));
        fs::remove_dir_all(directory).unwrap();
    }
}
