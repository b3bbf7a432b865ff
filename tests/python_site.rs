//! Site-packages may import modules before anything of ours runs, by a `.pth` file: they are patched all the same.

#![allow(clippy::unwrap_used)]

mod python;

use std::fs;
use std::time::Duration;

use interlock::python::BootOptions;
use interlock::sync::Stop;

use python::{eventually, session, start, SHARED};

/// Alone in its process: Python is started with an environment of its own.
#[test]
fn threading_that_was_imported_first_is_patched() {
    let folder = std::env::temp_dir().join(format!("interlock-site-{}", std::process::id()));
    for minor in 11..30 {
        let packages = folder.join(format!("lib/python3.{minor}/site-packages"));
        fs::create_dir_all(&packages).unwrap();
        fs::write(packages.join("first.pth"), "import threading; threading.imported_first = True\n").unwrap();
    }
    fs::write(folder.join("pyvenv.cfg"), "include-system-site-packages = false\n").unwrap();
    start(BootOptions { warm: 0, executable: Some(folder.join("bin/python3")), ..BootOptions::default() });
    fs::remove_dir_all(&folder).unwrap();

    let watcher = session(&SHARED);
    watcher.exec("import threading\nassert threading.imported_first").unwrap();
    for waits in ["threading.Lock", "threading.RLock", "threading.Condition"] {
        let source = format!(
            "import threading\nlock = {waits}()\nthread = threading.Thread(target=lock.acquire)\nthread.start(); thread.join()\nlock.acquire()"
        );
        let session = session(&SHARED);
        let error = session.exec_raw(session.limited(Duration::from_millis(300)), &source).expect_err(waits);
        assert_eq!(error.stop, Some(Stop::TimedOut), "{waits}: {}", String::from_utf8_lossy(&error.text));
    }
    let left = session(&SHARED);
    left.exec("import threading, time\nthreading.Thread(target=lambda: time.sleep(3600)).start()\nthreading.Thread(target=threading.Event().wait).start()").unwrap();
    drop(left);
    let gone = "import sys; own = sys._current_frames(); assert len(own) == 1, own";
    eventually("threads of the shared interpreter end", Duration::from_secs(15), || watcher.exec(gone).is_ok());
}
