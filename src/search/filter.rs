//! Does a key belong to an index, beyond its name? The expression of `FILTER`.

use engine::expression::{self, Expression, Value};

use super::Fields;

/// An expression over the fields of a key.
#[derive(Debug)]
pub struct Filter(Expression);

/// The property that is the key's name.
const KEY: &[u8] = b"__key";

impl Filter {
    /// Reads it; `None` for what is no expression.
    pub fn parse(text: &[u8]) -> Option<Self> {
        expression::parse(text).ok().map(Self)
    }

    /// The hash fields that it needs, by the names that it has for them.
    pub(super) fn fields(&self) -> impl Iterator<Item = &[u8]> {
        self.0.properties().into_iter().filter(|&name| name != KEY)
    }

    /// Whether it is true of a key. What cannot be calculated, because a field is missing, is not true.
    pub(super) fn passes(&self, key: &[u8], fields: &Fields) -> bool {
        let property = |name: &[u8]| {
            let value = match fields.view.schema.by_attribute(name) {
                _ if name == KEY => Some(key),
                Some(field) => fields.value(field.identifier()),
                None => fields.value(name),
            };
            value.map(|value| Value::Text(value.to_vec()))
        };
        self.0.evaluate(&property).is_ok_and(|value| value.is_true())
    }
}
