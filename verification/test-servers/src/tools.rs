//! Programs that tests run but that this workspace does not build: installed once, under the target directory.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const RUST_SERVER_VERSION: &str = "0.1.5";
const RUST_SERVER_OVERRIDE: &str = "DURABLE_STREAMS_SERVER_BIN";
const NODE_SERVER_VERSION: &str = "0.3.7";

/// Tells the person at the terminal. Not `eprintln!`, which the test harness holds back until a test has ended.
pub(crate) fn say(message: &str) {
    // Without a standard error the message is lost.
    writeln!(io::stderr(), "test-servers: {message}").unwrap_or_default();
}

/// The public server's binary: the one that the environment names, or the one installed under the target
/// directory, installing it first where it is missing.
pub(crate) fn rust_server() -> io::Result<PathBuf> {
    if let Some(given) = std::env::var_os(RUST_SERVER_OVERRIDE) {
        let given = PathBuf::from(given);
        if !given.is_file() {
            let shown = given.display();
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                format!("{RUST_SERVER_OVERRIDE} names {shown}, which is not a file"),
            ));
        }
        return Ok(given);
    }
    let tools = tools_dir();
    if let Some(binary) = installed_rust_server(&tools) {
        return Ok(binary);
    }
    let _lock = install_lock(&tools, "durable-streams-server")?;
    if let Some(binary) = installed_rust_server(&tools) {
        return Ok(binary);
    }
    install_rust_server(&tools)
}

/// cargo writes its record after the binary has been moved to its place, so the record vouches for it.
fn installed_rust_server(tools: &Path) -> Option<PathBuf> {
    let binary = tools.join("bin").join(format!("durable-streams-server{}", std::env::consts::EXE_SUFFIX));
    let record = std::fs::read_to_string(tools.join(".crates.toml")).ok()?;
    let entry = format!("\"durable-streams {RUST_SERVER_VERSION} (");
    (record.contains(&entry) && binary.is_file()).then_some(binary)
}

fn install_rust_server(tools: &Path) -> io::Result<PathBuf> {
    say(&format!(
        "installing the public Durable Streams server (durable-streams {RUST_SERVER_VERSION}) into {}, once: \
         examples and tests talk to it. It is compiled from crates.io, which takes about a minute.",
        tools.display()
    ));
    let build = tools.join("build-durable-streams-server");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args([
            "install",
            "durable-streams",
            "--version",
            RUST_SERVER_VERSION,
            "--locked",
            "--force",
            "--root",
        ])
        .arg(tools)
        .arg("--target-dir")
        .arg(&build)
        .current_dir(tools);
    if let Some(path) = path_with(&tools.join("bin")) {
        // cargo would otherwise advise to add it to the path.
        cargo.env("PATH", path);
    }
    // Flags meant for the workspace (coverage, sanitizers, another target) are not meant for its tools.
    for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET", "RUSTC_WORKSPACE_WRAPPER"] {
        cargo.env_remove(name);
    }
    let advice = format!(
        "It needs cargo and, this once, crates.io. To use a server that you already have, set \
         {RUST_SERVER_OVERRIDE} to its binary."
    );
    run(&mut cargo, &advice)?;
    if let Err(error) = std::fs::remove_dir_all(&build) {
        say(&format!("could not remove {}: {error}", build.display()));
    }
    installed_rust_server(tools).ok_or_else(|| {
        io::Error::other(format!("cargo installed no durable-streams-server under {}", tools.display()))
    })
}

fn path_with(directory: &Path) -> Option<OsString> {
    let path = std::env::var_os("PATH")?;
    std::env::join_paths(std::env::split_paths(&path).chain([directory.to_owned()])).ok()
}

/// The directory whose `node_modules` has the reference server, installing it first where it is missing.
pub(crate) fn node_server() -> io::Result<PathBuf> {
    let tools = tools_dir();
    let place = tools.join("node-server");
    if node_server_is_installed(&place) {
        return Ok(place);
    }
    let _lock = install_lock(&tools, "node-server")?;
    if node_server_is_installed(&place) {
        return Ok(place);
    }
    install_node_server(&place)?;
    Ok(place)
}

/// Written last, so that an interrupted installation does not count.
fn installed_mark(place: &Path) -> PathBuf {
    place.join("installed")
}

fn node_server_is_installed(place: &Path) -> bool {
    std::fs::read_to_string(installed_mark(place)).is_ok_and(|version| version == NODE_SERVER_VERSION)
}

fn install_node_server(place: &Path) -> io::Result<()> {
    say(&format!(
        "installing the reference server (@durable-streams/server {NODE_SERVER_VERSION} for Node) into {}, \
         once: some tests talk to it. It comes from the npm registry, which takes some seconds.",
        place.display()
    ));
    std::fs::create_dir_all(place)?;
    let manifest = format!(
        "{{\"private\": true, \"type\": \"module\", \"dependencies\": \
         {{\"@durable-streams/server\": \"{NODE_SERVER_VERSION}\"}}}}\n"
    );
    std::fs::write(place.join("package.json"), manifest)?;
    // On Windows npm is a script, which the system starts by its full name only.
    let mut npm = Command::new(if cfg!(windows) { "npm.cmd" } else { "npm" });
    // No scripts: what they build (a file store's native part) is not used by the in-memory server.
    npm.args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"])
        .current_dir(place);
    run(&mut npm, "It needs npm and, this once, the npm registry.")?;
    std::fs::write(installed_mark(place), NODE_SERVER_VERSION)
}

/// Runs an installer. Its output goes to standard error, because standard output may carry a protocol.
fn run(command: &mut Command, advice: &str) -> io::Result<()> {
    let line = command.get_args().fold(command.get_program().to_owned(), |mut line, argument| {
        line.push(" ");
        line.push(argument);
        line
    });
    let failed = |why: String| io::Error::other(format!("`{}` {why}. {advice}", line.display()));
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(failed(format!("failed ({status}); what it said is above"))),
        Err(error) => Err(failed(format!("could not be started: {error}"))),
    }
}

/// Held while something is installed; other processes, and other threads of this one, wait for it.
fn install_lock(tools: &Path, name: &str) -> io::Result<File> {
    let path = tools.join(format!(".{name}.lock"));
    let explain = |e: io::Error| io::Error::new(e.kind(), format!("cannot lock {}: {e}", path.display()));
    std::fs::create_dir_all(tools)
        .map_err(|e| io::Error::new(e.kind(), format!("cannot create {}: {e}", tools.display())))?;
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(explain)?;
    if fs4::FileExt::try_lock(&file).is_err() {
        say(&format!("waiting while another test installs {name}"));
        fs4::FileExt::lock(&file).map_err(explain)?;
    }
    Ok(file)
}

fn tools_dir() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new("."));
    tools_dir_of(workspace, std::env::var_os("CARGO_TARGET_DIR").as_deref())
}

fn tools_dir_of(workspace: &Path, target: Option<&OsStr>) -> PathBuf {
    // A relative target directory is relative to where cargo was started: nearly always the workspace.
    workspace.join(target.unwrap_or(OsStr::new("target"))).join("tools")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::temp::TempDir;

    #[test]
    fn tools_are_kept_in_the_target_directory() {
        let workspace = Path::new("/srv/project");
        assert_eq!(tools_dir_of(workspace, None), Path::new("/srv/project/target/tools"));
        assert_eq!(tools_dir_of(workspace, Some("out".as_ref())), Path::new("/srv/project/out/tools"));
        assert_eq!(tools_dir_of(workspace, Some("/cache".as_ref())), Path::new("/cache/tools"));
    }

    #[test]
    fn binary_without_its_version_record_is_not_used() {
        let tools = TempDir::new().unwrap();
        let binary =
            tools.path().join("bin").join(format!("durable-streams-server{}", std::env::consts::EXE_SUFFIX));
        let record = tools.path().join(".crates.toml");
        assert_eq!(installed_rust_server(tools.path()), None);
        std::fs::create_dir(tools.path().join("bin")).unwrap();
        std::fs::write(&binary, "").unwrap();
        assert_eq!(installed_rust_server(tools.path()), None);
        std::fs::write(&record, "\"durable-streams 0.1.4 (registry)\" = []").unwrap();
        assert_eq!(installed_rust_server(tools.path()), None);
        std::fs::write(&record, "\"durable-streams 0.1.5 (registry)\" = []").unwrap();
        assert_eq!(installed_rust_server(tools.path()), Some(binary));
    }

    #[test]
    fn failed_installer_reports_its_output() {
        let missing = run(&mut Command::new("no-such-installer"), "It needs luck.").unwrap_err().to_string();
        assert!(missing.contains("`no-such-installer` could not be started"), "{missing}");
        assert!(missing.ends_with("It needs luck."), "{missing}");
    }
}
