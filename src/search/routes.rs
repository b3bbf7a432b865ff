//! To which indexes does a key belong, by its name?

use std::collections::HashMap;
use std::sync::Arc;

use super::SearchIndex;

/// From the beginnings of names to indexes. Built anew when an index comes or goes.
#[derive(Default)]
pub(super) struct Routes {
    by_prefix: HashMap<Box<[u8]>, Vec<Arc<SearchIndex>>>,
    /// The lengths that prefixes have, each once.
    lengths: Vec<usize>,
}

impl Routes {
    pub(super) fn new<'a>(indexes: impl Iterator<Item = &'a Arc<SearchIndex>>) -> Self {
        let mut routes = Self::default();
        for index in indexes {
            for prefix in &index.definition().prefixes {
                let indexes = routes.by_prefix.entry(prefix.clone()).or_default();
                if !indexes.iter().any(|known| Arc::ptr_eq(known, index)) {
                    indexes.push(Arc::clone(index));
                }
            }
        }
        routes.lengths = routes.by_prefix.keys().map(|prefix| prefix.len()).collect();
        routes.lengths.sort_unstable();
        routes.lengths.dedup();
        routes
    }

    /// Visits each index that has a prefix of the key, once.
    pub(super) fn each(&self, key: &[u8], mut visit: impl FnMut(&Arc<SearchIndex>)) {
        let mut seen: Vec<&Arc<SearchIndex>> = Vec::new();
        for &length in self.lengths.iter().take_while(|&&length| length <= key.len()) {
            for index in self.by_prefix.get(&key[..length]).into_iter().flatten() {
                // Only an index with several prefixes can come twice.
                if index.definition().prefixes.len() > 1 {
                    if seen.iter().any(|known| Arc::ptr_eq(known, index)) {
                        continue;
                    }
                    seen.push(index);
                }
                visit(index);
            }
        }
    }
}
