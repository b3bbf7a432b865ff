use super::library::{Library, Sha};

/// Room for three bodies of one byte.
const LIMIT: usize = 3 * 257;

#[test]
fn the_longest_unused_goes_first_and_a_pinned_one_stays() {
    let mut library = Library::new();
    assert!(library.learn(b"a", LIMIT) && library.learn(b"b", LIMIT) && library.learn(b"c", LIMIT));
    assert!(!library.learn(b"a", LIMIT), "it is known, and now the one used last");
    assert!(library.learn(b"d", LIMIT));
    let bodies = |library: &Library| library.list().into_iter().map(|script| script.body[0]).collect::<Vec<_>>();
    assert_eq!(bodies(&library), b"dac");
    let sha = library.pin(b"c", LIMIT).expect("it fits");
    for body in [b"e", b"f", b"g"] {
        assert!(library.learn(body, LIMIT));
    }
    assert_eq!(bodies(&library), b"gfc");
    assert_eq!(library.use_body(sha).as_deref(), Some(&b"c"[..]));
    assert_eq!(library.use_body(Sha::of(b"a")), None);
    assert!(library.unpin(sha) && !library.unpin(sha));
    assert!(library.learn(b"h", LIMIT) && library.learn(b"i", LIMIT) && library.learn(b"j", LIMIT));
    assert_eq!(bodies(&library), b"jih");
    let stats = library.stats();
    assert_eq!((stats.scripts, stats.pinned, stats.bytes, stats.calls, stats.unknown), (3, 0, LIMIT as u64, 1, 1));
}

#[test]
fn what_has_no_room_is_refused_and_costs_nobody_else() {
    let mut library = Library::new();
    library.pin(b"a", LIMIT).expect("it fits");
    library.learn(b"b", LIMIT);
    assert!(!library.learn(&[0; 2_000], LIMIT));
    assert!(library.pin(&[0; 2_000], LIMIT).is_err());
    assert_eq!(library.list().len(), 2);
}

#[test]
fn a_sha_is_what_the_server_takes_it_for() {
    // The digest that RFC 3174 gives for this text.
    let sha = Sha::of(b"abc");
    assert_eq!(sha.to_string(), "a9993e364706816aba3e25717850c26c9cd0d89d");
    assert_eq!(Sha::parse(b"A9993E364706816ABA3E25717850C26C9CD0D89D"), Some(sha));
    for bad in [&b""[..], b"a9993e", b"g9993e364706816aba3e25717850c26c9cd0d89d", &[0; 40]] {
        assert_eq!(Sha::parse(bad), None);
    }
}
