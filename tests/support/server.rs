//! How does a test get a server?
//!
//! [`Server::start`] runs a stock server with the module on a port that the system gave out, and waits
//! until it answers. Dropping it kills the process; a log that shows a panic or a crash fails the test
//! even when every reply was right, and a failing test prints the log.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::client::{Client, Value};

/// What must never stand in a server's log.
const BAD_SIGNS: [&str; 5] =
    ["panicked at", "crashed by signal", "AddressSanitizer", "ASSERTION FAILED", "REDIS BUG REPORT START"];

/// A server process with the module loaded.
pub struct Server {
    child: Child,
    port: u16,
    folder: PathBuf,
}

impl Server {
    /// Starts a server whose module gets these load arguments, and waits until it answers.
    pub fn start(module_arguments: &[&str]) -> Server {
        let mut server = Server::spawn(module_arguments);
        let patience = Instant::now() + Duration::from_secs(30);
        loop {
            if let Ok(mut client) = Client::connect(("127.0.0.1", server.port)) {
                if matches!(client.try_call(&["PING"]), Ok(Value::Status(pong)) if pong == "PONG") {
                    return server;
                }
            }
            if let Some(status) = server.child.try_wait().expect("the server is our child") {
                panic!("the server ended at start ({status}):\n{}", server.log());
            }
            assert!(Instant::now() < patience, "the server did not answer in 30 s:\n{}", server.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Starts a server that is expected to refuse the module, and returns its log.
    pub fn refused(module_arguments: &[&str]) -> String {
        let mut server = Server::spawn(module_arguments);
        let status = server.wait(Duration::from_secs(30));
        assert!(!status.success(), "the server should have refused to start");
        server.log()
    }

    fn spawn(module_arguments: &[&str]) -> Server {
        let port = free_port();
        let folder = std::env::temp_dir().join(format!("interlock-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("the temporary folder is writable");
        let binary = std::env::var("INTERLOCK_SERVER").unwrap_or_else(|_| "redis-server".to_owned());
        let child = Command::new(&binary)
            .args(["--port", &port.to_string(), "--save", "", "--enable-debug-command", "yes"])
            .args(["--enable-module-command", "yes", "--logfile", "server.log"])
            .arg("--dir")
            .arg(&folder)
            .arg("--loadmodule")
            .arg(module_path())
            .args(module_arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::from(std::fs::File::create(folder.join("stderr")).expect("a file")))
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {binary}: {error}"));
        Server { child, port, folder }
    }

    /// A new connection.
    pub fn client(&self) -> Client {
        Client::connect(("127.0.0.1", self.port)).expect("the server accepts connections")
    }

    /// The server's process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The log and whatever the process wrote to its standard error.
    pub fn log(&self) -> String {
        let read = |name| std::fs::read(self.folder.join(name)).unwrap_or_default();
        [read("server.log"), read("stderr")].iter().map(|bytes| String::from_utf8_lossy(bytes)).collect()
    }

    /// Waits for the process to end.
    pub fn wait(&mut self, patience: Duration) -> std::process::ExitStatus {
        let until = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait().expect("the server is our child") {
                return status;
            }
            assert!(Instant::now() < until, "the server still runs after {patience:?}:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let log = self.log();
        let _ = std::fs::remove_dir_all(&self.folder);
        if std::thread::panicking() {
            eprintln!("--- the server's log\n{log}");
            return;
        }
        for sign in BAD_SIGNS {
            assert!(!log.contains(sign), "the server's log shows {sign:?}:\n{log}");
        }
    }
}

/// The module under test: `INTERLOCK_MODULE`, else what this build made.
pub fn module_path() -> PathBuf {
    if let Some(path) = std::env::var_os("INTERLOCK_MODULE") {
        return path.into();
    }
    let test = std::env::current_exe().expect("the test knows its path");
    let deps = test.parent().expect("the test lies in target/<profile>/deps");
    let candidates = [deps.parent().unwrap_or(deps).join("libinterlock.so"), deps.join("libinterlock.so")];
    candidates.iter().find(|path| Path::exists(path)).cloned().unwrap_or_else(|| {
        panic!("libinterlock.so is not built: run `make build`, or set INTERLOCK_MODULE");
    })
}

/// A port that was free a moment ago. Ports come from the system, so parallel tests do not collide.
fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("the loopback interface works");
    listener.local_addr().expect("a bound socket has an address").port()
}
