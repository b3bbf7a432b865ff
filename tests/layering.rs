//! Do the layers hold?
//!
//! ARCHITECTURE.md draws which folder may use which. The compiler keeps the engine apart (it is a
//! package of its own); inside the module's package this test does. A rule that is broken names the
//! file and the line.

use std::fs;
use std::path::{Path, PathBuf};

/// Each layer of `src/`, and the layers it may name as `crate::<layer>`. A layer may always name
/// itself, and the leaves.
const LAYERS: [(&str, &[&str]); 9] = [
    ("commands", &["search", "gears", "coordination", "python", "cluster", "persistence", "redis", "sync"]),
    ("search", &["cluster", "persistence", "redis", "sync"]),
    ("gears", &["python", "cluster", "persistence", "redis", "sync"]),
    ("coordination", &["cluster", "persistence", "redis", "sync"]),
    ("cluster", &["redis", "sync"]),
    ("persistence", &["redis", "sync"]),
    ("python", &["sync"]),
    ("redis", &["sync"]),
    ("sync", &[]),
];

/// The files that tie the layers together; they may name everything.
const WIRING: [&str; 5] = ["lib.rs", "module.rs", "config.rs", "info.rs", "alloc.rs"];

/// Plain data that every layer may use.
const LEAVES: [&str; 2] = ["reply.rs", "settings.rs"];

/// Where `unsafe` may stand: foreign memory, and the two symbols that the server calls.
const UNSAFE_FOLDERS: [&str; 4] = ["redis/", "python/ffi/", "alloc", "module.rs"];

/// The longest file that is allowed.
const MAX_LINES: usize = 700;

/// One source file: its path below the root, and its lines without comments and string contents.
struct Source {
    path: String,
    text: String,
    code: Vec<String>,
}

fn sources(root: &str) -> Vec<Source> {
    let base = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    collect(&base.join(root), &mut files);
    assert!(!files.is_empty(), "no sources under {root}: the test looks at the wrong place");
    files
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).expect("a source is UTF-8");
            let path = path.strip_prefix(base).expect("below the root").to_string_lossy().into_owned();
            let code = text.lines().map(code_of).collect();
            Source { path, text, code }
        })
        .collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
}

/// The code of a line: what stands in comments and strings proves nothing.
fn code_of(line: &str) -> String {
    let mut code = String::new();
    let mut chars = line.chars().peekable();
    let mut in_string = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' if in_string => drop(chars.next()),
            '"' => in_string = !in_string,
            '/' if !in_string && chars.peek() == Some(&'/') => break,
            _ if !in_string => code.push(c),
            _ => {}
        }
    }
    code
}

/// Whether `code` holds `word` as a word of its own.
fn names(code: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(at, _)| {
        !code[..at].chars().next_back().is_some_and(is_part)
            && !code[at + word.len()..].chars().next().is_some_and(is_part)
    })
}

/// The layers that code names through `crate::`, also in a group (`crate::{redis, sync}`), each with
/// the number of the line where its path begins.
fn layers_named(code: &str) -> Vec<(usize, String)> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut found = Vec::new();
    for (at, path) in code.match_indices("crate::") {
        let line = code[..at].matches('\n').count() + 1;
        let rest = &code[at + path.len()..];
        let Some(group) = rest.strip_prefix('{') else {
            found.push((line, word(rest)));
            continue;
        };
        let mut depth = 0;
        let mut is_start = true;
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => is_start = true,
                c if depth == 0 && is_start && c.is_alphabetic() => {
                    found.push((line, word(&group[at..])));
                    is_start = false;
                }
                _ => {}
            }
        }
    }
    found
}

/// Reports what a rule finds, all at once.
fn check(rule: &str, complaints: Vec<String>) {
    assert!(complaints.is_empty(), "{rule}:\n  {}", complaints.join("\n  "));
}

fn complain(files: &[Source], broken: impl Fn(&Source, &str) -> Option<String>) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files {
        for (number, code) in file.code.iter().enumerate() {
            if let Some(what) = broken(file, code) {
                complaints.push(format!("{}:{}: {what}", file.path, number + 1));
            }
        }
    }
    complaints
}

fn layer_of(path: &str) -> &str {
    let inside = path.strip_prefix("src/").unwrap_or(path);
    inside.split('/').next().unwrap_or(inside)
}

#[test]
fn each_layer_names_only_what_stands_to_its_right() {
    let mut complaints = Vec::new();
    for file in sources("src") {
        let layer = layer_of(&file.path);
        let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == layer) else { continue };
        for (line, named) in layers_named(&file.code.join("\n")) {
            let known = LAYERS.iter().any(|(name, _)| *name == named)
                || WIRING.iter().any(|wiring| wiring.strip_suffix(".rs") == Some(&named));
            if known && named != layer && !allowed.contains(&named.as_str()) {
                complaints.push(format!("{}:{line}: {layer} names crate::{named}", file.path));
            }
        }
    }
    check("a layer reaches upwards", complaints);
}

#[test]
fn every_source_belongs_to_a_layer() {
    let strays = sources("src")
        .iter()
        .filter(|file| {
            let layer = layer_of(&file.path);
            let wiring = WIRING.iter().any(|file| *file == layer || file.strip_suffix(".rs") == Some(layer));
            let known = LAYERS.iter().any(|(name, _)| *name == layer) || wiring;
            !known && !LEAVES.contains(&layer)
        })
        .map(|file| file.path.clone())
        .collect();
    check("the layer is unknown", strays);
}

#[test]
fn only_the_redis_layer_names_module_bindings() {
    let files = sources("src");
    check(
        "module bindings outside src/redis",
        complain(&files, |file, code| {
            let layer = layer_of(&file.path);
            // The allocator and the server's entry points speak the server's types; nothing else does.
            let may = ["redis", "alloc.rs", "module.rs"].contains(&layer);
            (!may && names(code, "redis_module")).then(|| "names redis_module".to_owned())
        }),
    );
}

#[test]
fn only_the_python_ffi_names_python_bindings() {
    let files = sources("src");
    check(
        "Python bindings outside src/python/ffi",
        complain(&files, |file, code| {
            (!file.path.starts_with("src/python/ffi") && names(code, "pyo3_ffi")).then(|| "names pyo3_ffi".to_owned())
        }),
    );
}

#[test]
fn unsafe_stands_only_where_foreign_memory_is() {
    let files = sources("src");
    check(
        "unsafe outside its folders",
        complain(&files, |file, code| {
            let inside = file.path.strip_prefix("src/").unwrap_or(&file.path);
            let may = UNSAFE_FOLDERS.iter().any(|folder| inside.starts_with(folder));
            (!may && names(code, "unsafe")).then(|| "unsafe".to_owned())
        }),
    );
}

#[test]
fn the_engine_is_pure() {
    let files = sources("engine");
    check(
        "the engine knows only itself",
        complain(&files, |_, code| {
            ["redis_module", "pyo3_ffi", "interlock", "unsafe"]
                .into_iter()
                .find(|word| names(code, word))
                .map(|word| format!("names {word}"))
        }),
    );
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("engine/Cargo.toml")).unwrap();
    for package in ["redis-module", "pyo3", "interlock"] {
        assert!(!manifest.contains(package), "engine/Cargo.toml depends on {package}");
    }
}

#[test]
fn sync_knows_neither_redis_nor_python() {
    let files = sources("src/sync");
    check(
        "sync is not pure",
        complain(&files, |_, code| {
            ["redis_module", "pyo3_ffi"].into_iter().find(|word| names(code, word)).map(str::to_owned)
        }),
    );
}

#[test]
fn every_module_says_which_question_it_answers() {
    let mut silent = Vec::new();
    for root in ["src", "engine", "tests"] {
        for file in sources(root) {
            // The tests of one module answer the question of that module.
            if !file.text.starts_with("//!") && !file.path.ends_with("/tests.rs") {
                silent.push(file.path);
            }
        }
    }
    check("no module documentation", silent);
}

#[test]
fn files_stay_short() {
    let mut long = Vec::new();
    for root in ["src", "engine", "tests"] {
        for file in sources(root) {
            let lines = file.text.lines().count();
            if lines > MAX_LINES {
                long.push(format!("{}: {lines} lines", file.path));
            }
        }
    }
    check("longer than 700 lines", long);
}

#[test]
fn nothing_is_left_for_later() {
    let mut complaints = Vec::new();
    for root in ["src", "engine"] {
        complaints.extend(complain(&sources(root), |_, code| {
            ["todo!", "unimplemented!", "/root/", "/home/"]
                .into_iter()
                .find(|mark| code.contains(mark))
                .map(str::to_owned)
        }));
    }
    check("left for later, or only true on one machine", complaints);
}

#[test]
fn the_rules_can_be_broken() {
    // A checker that finds nothing must not pass for a clean tree.
    let named = |code: &str| layers_named(code).into_iter().map(|(_, name)| name).collect::<Vec<_>>();
    assert_eq!(named("use crate::{redis::{Held, Slicer}, sync}; use x::{commands, y};"), ["redis", "sync"]);
    assert_eq!(named("use crate::{\n    redis::Held,\n    sync,\n};"), ["redis", "sync"]);
    assert_eq!(layers_named("\nlet held: crate::redis::Held = x;"), [(2, "redis".to_owned())]);
    assert!(layers_named(&code_of("// crate::redis is not named here")).is_empty());
    assert!(names("unsafe { call() }", "unsafe"));
    assert!(!names("allow(unsafe_code)", "unsafe"));
    assert_eq!(code_of(r#"let x = "unsafe // \" crate::redis"; y()"#), "let x = ; y()");
}
