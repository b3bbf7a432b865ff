//! Does the module live and die as a part of a stock server?
//!
//! Loading, refusing, running in both lanes, ending with work in flight: seen from the protocol. What
//! each command answers in detail is tested in `python_tests`.

mod support;

use std::time::Duration;

use support::{Server, Value};

/// Sets `count` keys in one step.
fn fill(client: &mut support::client::Client, count: usize) {
    let script = "for i = 1, ARGV[1] do redis.call('SET', 'key:' .. i, i) end";
    assert_eq!(client.call(&["EVAL", script, "0", &count.to_string()]), Value::Null);
}

/// A field of `INFO search_interlock`.
fn figure(client: &mut support::client::Client, name: &str) -> f64 {
    let info = client.line("INFO search_interlock").text();
    let prefix = format!("search_{name}:");
    let value = info.lines().find_map(|line| line.strip_prefix(&prefix));
    value.unwrap_or_else(|| panic!("no {name} in:\n{info}")).trim().parse().expect("a number")
}

#[test]
fn it_loads_and_answers() {
    let server = Server::start(&[]);
    let mut client = server.client();
    fill(&mut client, 1000);
    assert_eq!(client.line("IL.KEYS *").items().len(), 1000);
    assert_eq!(client.line("IL.KEYS key:77").items(), [Value::Bulk(b"key:77".to_vec())]);
    assert!(figure(&mut client, "slices") >= 1.0);
}

#[test]
fn both_protocols_are_spoken() {
    let server = Server::start(&[]);
    let mut client = server.client();
    assert!(matches!(client.line("IL.STATS"), Value::Array(_)));
    assert!(matches!(client.line("HELLO 3"), Value::Map(_)));
    assert!(matches!(client.line("IL.STATS"), Value::Map(_)));
}

#[test]
fn unloading_is_refused_and_changes_nothing() {
    let server = Server::start(&[]);
    let mut client = server.client();
    // The server says why: values of our types may be in the keyspace. Our own refusal comes after that.
    let refusal = client.line("MODULE UNLOAD search");
    assert!(refusal.error().contains("data types, can't unload"), "{refusal:?}");
    assert_eq!(client.line("IL.KEYS *"), Value::Array(Vec::new()));
}

#[test]
fn a_bad_argument_refuses_to_load_with_one_line() {
    for (arguments, reason) in [
        (&["NONSENSE"][..], "unknown argument 'NONSENSE'"),
        (&["WORKERS", "none"], "bad value 'none' of WORKERS"),
        (&["WORKERS"], "WORKERS has no value"),
    ] {
        let log = Server::refused(arguments);
        assert_eq!(log.matches(reason).count(), 1, "{log}");
    }
}

#[test]
fn safemode_runs_on_the_main_thread() {
    let server = Server::start(&["SAFEMODE"]);
    let mut client = server.client();
    fill(&mut client, 10_000);
    assert_eq!(client.line("IL.KEYS *").items().len(), 10_000);
    assert!(figure(&mut client, "slices") == 0.0, "a slice was taken in SAFEMODE");
    assert_eq!(client.line("CONFIG SET search.safemode no"), Value::Status("OK".to_owned()));
    assert_eq!(client.line("IL.KEYS *").items().len(), 10_000);
    assert!(figure(&mut client, "slices") >= 1.0);
}

#[test]
fn a_transaction_and_a_script_get_the_same_answer() {
    let server = Server::start(&[]);
    let mut client = server.client();
    fill(&mut client, 500);
    assert_eq!(client.line("MULTI"), Value::Status("OK".to_owned()));
    assert_eq!(client.line("IL.KEYS key:1*"), Value::Status("QUEUED".to_owned()));
    let in_multi = client.line("EXEC").items()[0].items().len();
    let in_lua = client.call(&["EVAL", "return redis.call('IL.KEYS', 'key:1*')", "0"]).items().len();
    let pooled = client.line("IL.KEYS key:1*").items().len();
    assert_eq!([in_multi, in_lua, pooled], [111; 3]);
}

#[test]
fn shutdown_does_not_wait_for_work_in_flight() {
    let mut server = Server::start(&["SLICE-US", "10"]);
    let mut client = server.client();
    fill(&mut client, 300_000);
    let mut scans: Vec<_> = (0..4).map(|_| server.client()).collect();
    for scan in &mut scans {
        scan.send(&["IL.KEYS", "*", "COUNT", "1"]).expect("the server listens");
    }
    assert_eq!(client.line("PING"), Value::Status("PONG".to_owned()));
    let _ = client.try_call(&["SHUTDOWN", "NOSAVE"]);
    assert!(server.wait(Duration::from_secs(20)).success());
}
