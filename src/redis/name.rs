//! Which key of which database?

/// A key of a database.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name {
    /// The database's number.
    pub db: i32,
    /// The key.
    pub key: Vec<u8>,
}

impl Name {
    /// Where the key is when two databases have changed places.
    #[must_use]
    pub fn swapped(self, a: i32, b: i32) -> Self {
        let db = match self.db {
            db if db == a => b,
            db if db == b => a,
            db => db,
        };
        Self { db, ..self }
    }
}
