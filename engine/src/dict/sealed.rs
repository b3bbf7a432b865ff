//! Where is a term's posting list in a sealed segment? An FST from keys to places in the arena.

use super::pattern::{Pattern, State};
use super::Space;
use crate::cursor::budget::Budget;
use fst::{Automaton, IntoStreamer, Map, Streamer};

/// The terms of a sealed segment, sorted.
#[derive(Debug)]
pub struct SealedDict {
    map: Map<Vec<u8>>,
}

impl SealedDict {
    /// Takes the finished bytes of an FST builder.
    ///
    /// # Errors
    /// When they are not an FST.
    pub fn new(bytes: Vec<u8>) -> Result<Self, fst::Error> {
        Ok(Self { map: Map::new(bytes)? })
    }

    /// The finished bytes.
    pub fn bytes(&self) -> &[u8] {
        self.map.as_fst().as_bytes()
    }

    /// The place of a term's list.
    pub fn get(&self, key: &[u8]) -> Option<u64> {
        self.map.get(key)
    }

    /// How many terms there are, of all spaces.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        self.map.as_fst().size()
    }

    /// All keys with their places, in order.
    pub fn stream(&self) -> fst::map::Stream<'_> {
        self.map.stream()
    }

    /// The keys of a space, in order.
    pub fn of_space(&self, space: Space) -> fst::map::StreamBuilder<'_> {
        let prefix = space.prefix();
        // Spaces are numbers of two bytes, the last of which is never used.
        let next = u16::from_be_bytes(prefix) + 1;
        self.map.range().ge(prefix).lt(next.to_be_bytes())
    }

    /// Calls `visit` with each matching term of a space in order, until it says false or the budget is
    /// used up.
    pub fn matching(&self, space: Space, pattern: &Pattern, budget: &Budget<'_>, mut visit: impl FnMut(&[u8]) -> bool) {
        let walk = Walk { prefix: space.prefix(), pattern, step: STEP * pattern.step_cost(), budget };
        let mut stream = self.map.search(walk).into_stream();
        while let Some((key, _)) = stream.next() {
            if !visit(&key[2..]) {
                break;
            }
        }
    }
}

/// A pattern behind the prefix of its space.
struct Walk<'a> {
    prefix: [u8; 2],
    pattern: &'a Pattern,
    step: u32,
    budget: &'a Budget<'a>,
}

/// What reading one byte costs with a short pattern, in postings.
const STEP: u32 = 4;

#[derive(Clone)]
enum WalkState {
    Prefix(u8),
    Pattern(State),
    Dead,
}

impl Automaton for Walk<'_> {
    type State = WalkState;

    fn start(&self) -> WalkState {
        WalkState::Prefix(0)
    }

    fn is_match(&self, state: &WalkState) -> bool {
        matches!(state, WalkState::Pattern(state) if self.pattern.is_match(state))
    }

    fn can_match(&self, state: &WalkState) -> bool {
        match state {
            WalkState::Prefix(_) => true,
            WalkState::Pattern(state) => self.pattern.can_match(state),
            WalkState::Dead => false,
        }
    }

    fn accept(&self, state: &WalkState, byte: u8) -> WalkState {
        if self.budget.spend(self.step) {
            return WalkState::Dead;
        }
        match state {
            WalkState::Prefix(at) if self.prefix[usize::from(*at)] == byte => {
                if *at == 1 {
                    WalkState::Pattern(self.pattern.start())
                } else {
                    WalkState::Prefix(at + 1)
                }
            }
            WalkState::Pattern(state) => WalkState::Pattern(self.pattern.accept(state, byte)),
            _ => WalkState::Dead,
        }
    }
}
