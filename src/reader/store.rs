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

/// Keeps the checkpoint of one reader between runs of an application.
///
/// A reader with a store ([`ReaderBuilder::checkpoint_store`](crate::ReaderBuilder::checkpoint_store)) starts from its
/// checkpoint, and saves the checkpoints that the application acknowledges. To process each record exactly once, save the
/// checkpoint in the same transaction as the results: implement this trait for the database.
#[async_trait]
pub trait CheckpointStore: Send + Sync + 'static {
    /// The checkpoint that was saved last, or `None` if none was.
    ///
    /// # Errors
    ///
    /// If the store cannot be read, or its content is not a checkpoint.
    async fn load(&self) -> io::Result<Option<Checkpoint>>;

    /// Replaces the saved checkpoint. Once this has returned, a crash does not lose it. A crash before that leaves the old
    /// one or the new one.
    ///
    /// # Errors
    ///
    /// If it cannot be saved. The old one is still there.
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

/// A checkpoint in a file, replaced atomically: written to a temporary file, synced, and renamed.
///
/// If the path is a symbolic link, the file that it leads to is replaced, and the link stays. Where the file system cannot sync
/// a directory, as some network file systems cannot, the checkpoint survives a crash of the program but not surely one of
/// the computer.
///
/// The file holds the checkpoint's text form and a line feed. Each operation runs on a thread of its own, so that a slow disk
/// blocks no executor. If saves overlap, the one that began last wins.
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
pub struct FileCheckpointStore(Arc<CheckpointFile>);

#[derive(Debug)]
struct CheckpointFile {
    path: PathBuf,
    /// How many saves have begun. Each has its number from here.
    begun: AtomicU64,
    /// The highest number of a save that is on disk. Locked for the whole of a save, so that they do not overlap.
    done: Mutex<u64>,
}

impl FileCheckpointStore {
    /// A store in the file at `path`. Its directory has to exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(Arc::new(CheckpointFile { path: path.into(), begun: AtomicU64::new(0), done: Mutex::new(0) }))
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
        let file = self.0.clone();
        run_on_thread(move || file.load().map_err(|error| file.with_path(&error)))?.await
    }

    async fn save(&self, checkpoint: &Checkpoint) -> io::Result<()> {
        let (file, text) = (self.0.clone(), format!("{checkpoint}\n"));
        let number = file.begun.fetch_add(1, Ordering::Relaxed) + 1;
        run_on_thread(move || file.save(number, text.as_bytes()).map_err(|error| file.with_path(&error)))?
            .await
    }
}

impl CheckpointFile {
    fn load(&self) -> io::Result<Option<Checkpoint>> {
        let text = match fs::read_to_string(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text?,
        };
        let checkpoint = text.trim_end().parse();
        Ok(Some(checkpoint.map_err(|error: Error| io::Error::new(io::ErrorKind::InvalidData, error))?))
    }

    /// The error with the file's path, which the operating system does not give.
    fn with_path(&self, error: &io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("{}: {error}", self.path.display()))
    }

    fn save(&self, number: u64, text: &[u8]) -> io::Result<()> {
        let mut done = lock(&self.done);
        if *done > number {
            return Ok(());
        }
        let path = follow_links(&self.path)?;
        let (temporary, file) = create_temporary(&path)?;
        let written = write_synced(file, text).and_then(|()| fs::rename(&temporary, &path));
        if let Err(error) = written {
            // If the temporary file cannot be removed, it does no harm. The first failure is the one to report.
            drop(fs::remove_file(&temporary));
            return Err(error);
        }
        // The file is in place: only a crash of the computer could still lose it.
        unless_unsupported(sync_directory(&path))?;
        *done = number;
        Ok(())
    }
}

/// As many links are followed as Linux follows.
const MAX_LINKS: usize = 40;

/// The path that `path` leads to: a rename would replace a symbolic link itself.
fn follow_links(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        // An error means that it is no link, or is not there yet.
        let Ok(target) = fs::read_link(&path) else { return Ok(path) };
        // A relative target is relative to the link. An absolute one replaces all of the path.
        path = path.parent().unwrap_or(Path::new("")).join(target);
    }
    Err(io::Error::other("the path leads through too many symbolic links"))
}

/// Creates a temporary file beside `path` for one save alone. Other stores may save to the same checkpoint: in this process, or
/// in another container with the same process id.
fn create_temporary(path: &Path) -> io::Result<(PathBuf, File)> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.{number}.new", std::process::id()));
        let temporary = path.with_file_name(name);
        match File::create_new(&temporary) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            file => return Ok((temporary, file?)),
        }
    }
}

/// Ignores that the file system does not sync directories, or not for this user. An error of the disk is another thing.
fn unless_unsupported(synced: io::Result<()>) -> io::Result<()> {
    use io::ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
    match synced {
        Err(error) if matches!(error.kind(), InvalidInput | Unsupported | PermissionDenied) => Ok(()),
        synced => synced,
    }
}

fn write_synced(mut file: File, text: &[u8]) -> io::Result<()> {
    file.write_all(text)?;
    file.sync_all()
}

/// Makes a rename survive a crash of the computer.
#[cfg(unix)]
fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

/// Other systems cannot open a directory, and their file systems order renames themselves.
#[cfg(not(unix))]
fn sync_directory(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// Runs `work` on a thread of its own. Runtimes differ in how they run blocking work; threads are the same on all.
fn run_on_thread<O: Send + 'static>(
    work: impl FnOnce() -> io::Result<O> + Send + 'static,
) -> io::Result<ThreadResult<O>> {
    let result = ThreadResult(Arc::new(Mutex::new(Slot { result: None, waker: None })));
    let sender = ResultSender(result.0.clone());
    std::thread::Builder::new().name("checkpoint".into()).spawn(move || sender.send(work()))?;
    Ok(result)
}

/// The result of the thread, and who waits for it.
struct Slot<O> {
    result: Option<io::Result<O>>,
    waker: Option<Waker>,
}

struct ThreadResult<O>(Arc<Mutex<Slot<O>>>);

impl<O> Future for ThreadResult<O> {
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

struct ResultSender<O>(Arc<Mutex<Slot<O>>>);

impl<O> ResultSender<O> {
    fn send(&self, result: io::Result<O>) {
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
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    fn scratch(name: &str) -> PathBuf {
        let directory = std::env::temp_dir().join(format!("checkpoints-{name}-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        directory
    }

    #[test]
    fn save_replaces_the_checkpoint_and_leaves_no_temporary_file() {
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
    fn older_save_does_not_replace_newer_one() {
        let directory = scratch("order");
        let file = FileCheckpointStore::new(directory.join("reader")).0;
        file.save(2, b"0_2\n").unwrap();
        file.save(1, b"0_1\n").unwrap();
        assert_eq!(file.load().unwrap(), Some("0_2".parse().unwrap()));
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn unreadable_or_unwritable_file_is_an_error_with_its_path() {
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

    #[cfg(unix)]
    #[test]
    fn symbolic_link_stays_and_its_target_is_replaced() {
        let directory = scratch("link");
        fs::create_dir(directory.join("data")).unwrap();
        let link = directory.join("reader");
        std::os::unix::fs::symlink("second", &link).unwrap();
        std::os::unix::fs::symlink("data/checkpoint", directory.join("second")).unwrap();
        let store = FileCheckpointStore::new(&link);
        // The target does not exist before the first save.
        for text in ["0_1", "0_2"] {
            block_on(store.save(&text.parse().unwrap())).unwrap();
            assert_eq!(fs::read_to_string(directory.join("data/checkpoint")).unwrap(), format!("{text}\n"));
            assert_eq!(block_on(store.load()).unwrap(), Some(text.parse().unwrap()));
            assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        }
        assert_eq!(fs::read_dir(directory.join("data")).unwrap().count(), 1);
        // A circle of links leads nowhere.
        std::os::unix::fs::symlink("circle", directory.join("circle")).unwrap();
        let circle = FileCheckpointStore::new(directory.join("circle"));
        assert!(block_on(circle.save(&"0_1".parse().unwrap())).is_err());
        fs::remove_dir_all(directory).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn directory_that_cannot_be_synced_is_no_error_but_a_broken_disk_is() {
        let (eio, eacces, einval, eopnotsupp_on_linux) = (5, 13, 22, 95);
        let ignored = |code| unless_unsupported(Err(io::Error::from_raw_os_error(code))).is_ok();
        assert!(ignored(einval) && ignored(eacces) && !ignored(eio));
        assert!(cfg!(not(target_os = "linux")) || ignored(eopnotsupp_on_linux));
    }

    #[test]
    fn overlapping_saves_of_two_stores_leave_a_whole_checkpoint() {
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
    fn temporary_files_of_a_crashed_process_are_ignored() {
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

    #[test]
    fn failed_save_does_not_make_an_older_one_a_success() {
        let directory = scratch("failed");
        let file = FileCheckpointStore::new(directory.join("later").join("reader")).0;
        assert!(file.save(2, b"0_2\n").is_err());
        fs::create_dir(directory.join("later")).unwrap();
        file.save(1, b"0_1\n").unwrap();
        assert_eq!(file.load().unwrap(), Some("0_1".parse().unwrap()));
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn save_that_cannot_replace_its_path_leaves_no_temporary_file() {
        let directory = scratch("directory");
        let path = directory.join("reader");
        fs::create_dir_all(path.join("content")).unwrap();
        assert!(block_on(FileCheckpointStore::new(&path).save(&"0_1".parse().unwrap())).is_err());
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
        fs::remove_dir_all(directory).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn directory_of_the_path_is_synced() {
        // A bare file name is in the current directory.
        sync_directory(Path::new("reader")).unwrap();
        let missing = std::env::temp_dir().join("missing-directory").join("reader");
        assert_eq!(sync_directory(&missing).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn result_of_the_thread_wakes_the_last_task_that_polled() {
        let mut result = ThreadResult(Arc::new(Mutex::new(Slot { result: None, waker: None })));
        let sender = ResultSender(result.0.clone());
        let (first, last) = (Arc::new(Wakes::default()), Arc::new(Wakes::default()));
        for task in [&first, &last] {
            let waker = Waker::from(task.clone());
            assert!(Pin::new(&mut result).poll(&mut Context::from_waker(&waker)).is_pending());
        }
        sender.send(Ok(7));
        assert_eq!((first.0.load(Ordering::Relaxed), last.0.load(Ordering::Relaxed)), (0, 1));
        assert_eq!(block_on(result).unwrap(), 7);
    }

    struct Memory(Mutex<Option<Checkpoint>>);

    #[async_trait]
    impl CheckpointStore for Memory {
        async fn load(&self) -> io::Result<Option<Checkpoint>> {
            Ok(lock(&self.0).clone())
        }

        async fn save(&self, checkpoint: &Checkpoint) -> io::Result<()> {
            *lock(&self.0) = Some(checkpoint.clone());
            Ok(())
        }
    }

    #[test]
    fn shared_store_loads_from_and_saves_to_the_store_in_it() {
        async fn load(store: impl CheckpointStore) -> io::Result<Option<Checkpoint>> {
            store.load().await
        }

        async fn save(store: impl CheckpointStore, text: &str) -> io::Result<()> {
            store.save(&text.parse().unwrap()).await
        }

        let store = Arc::new(Memory(Mutex::new(Some("0_1".parse().unwrap()))));
        assert_eq!(block_on(load(store.clone())).unwrap(), Some("0_1".parse().unwrap()));
        block_on(save(store.clone(), "0_2")).unwrap();
        assert_eq!(*lock(&store.0), Some("0_2".parse().unwrap()));
        // As the builder keeps it.
        let shared: Arc<dyn CheckpointStore> = store.clone();
        block_on(save(shared.clone(), "0_3")).unwrap();
        assert_eq!(block_on(load(shared)).unwrap(), Some("0_3".parse().unwrap()));
    }
}
