//! What fields does an index have, and how is each of them indexed?
//!
//! A [`Schema`] is an append-only list of [`Field`]s: `FT.ALTER` adds, nothing removes or reorders.
//! A [`FieldId`] therefore stays valid for ever, and an index that holds a clone of an older schema
//! agrees with a newer one about every field that both have.
//!
//! A field has two names. The *identifier* is where its value comes from (the hash field); the
//! *attribute* is what queries call it (`AS`). They are the same unless `AS` was given. Both are
//! bytes and compare as bytes.

mod declaration;
mod field;
mod options;

pub use declaration::declarations;
pub use field::{Field, FieldDefinition, FieldKind, PhoneticLanguage, Sortable, TagOptions, TextOptions};
pub use options::IndexOptions;

use crate::error::SchemaError;
use crate::limits;
use std::collections::HashMap;

/// A field's place in its schema: 0 for the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldId(pub u16);

impl FieldId {
    /// The place as an index into [`Schema::fields`].
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// A set of `TEXT` fields: bit *n* is the field whose [`Field::text_bit`] is *n*.
pub type FieldMask = u128;

/// The mask of all text fields, also of those that a later `FT.ALTER` adds.
pub const ALL_FIELDS: FieldMask = FieldMask::MAX;

/// The fields of an index.
#[derive(Debug, Clone, Default)]
pub struct Schema {
    fields: Vec<Field>,
    by_attribute: HashMap<Box<[u8]>, FieldId>,
    text_fields: usize,
    sortable_fields: usize,
    wide: bool,
}

impl Schema {
    /// A schema without fields. `wide` is `MAXTEXTFIELDS`: whether [`Schema::add`] may ever go past
    /// [`limits::NARROW_TEXT_FIELDS`].
    pub fn new(wide: bool) -> Self {
        Self { wide, ..Self::default() }
    }

    /// A schema with the given fields, as `FT.CREATE` makes one: it becomes wide by itself when it
    /// starts with more than [`limits::NARROW_TEXT_FIELDS`] text fields.
    ///
    /// # Errors
    /// As [`Schema::add`], and [`SchemaError::NoFields`] when there are none.
    pub fn with_fields(definitions: Vec<FieldDefinition>, wide: bool) -> Result<Self, SchemaError> {
        if definitions.is_empty() {
            return Err(SchemaError::NoFields);
        }
        let text_fields = definitions.iter().filter(|field| matches!(field.kind, FieldKind::Text(_))).count();
        let mut schema = Self::new(wide || text_fields > limits::NARROW_TEXT_FIELDS);
        for definition in definitions {
            schema.add(definition)?;
        }
        Ok(schema)
    }

    /// Appends a field. The schema is unchanged when that fails.
    ///
    /// # Errors
    /// When the attribute exists already, options contradict one another, or a limit is reached.
    pub fn add(&mut self, definition: FieldDefinition) -> Result<FieldId, SchemaError> {
        definition.check()?;
        if self.by_attribute.contains_key(definition.attribute.as_slice()) {
            return Err(SchemaError::DuplicateField(definition.attribute));
        }
        if self.fields.len() >= limits::MAX_FIELDS {
            return Err(SchemaError::TooManyFields);
        }
        let is_text = matches!(definition.kind, FieldKind::Text(_));
        let text_bit = if is_text { Some(self.next_text_bit()?) } else { None };
        let is_sortable = definition.sortable != Sortable::No;
        let sort_slot = if is_sortable { Some(self.next_sort_slot()?) } else { None };
        let id = FieldId(u16::try_from(self.fields.len()).map_err(|_| SchemaError::TooManyFields)?);
        self.text_fields += usize::from(is_text);
        self.sortable_fields += usize::from(is_sortable);
        self.by_attribute.insert(definition.attribute.clone().into_boxed_slice(), id);
        self.fields.push(Field { id, text_bit, sort_slot, definition });
        Ok(id)
    }

    /// All fields; a field's place is its [`FieldId`].
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The field with this id.
    ///
    /// # Panics
    /// When the id is of another index's schema.
    pub fn field(&self, id: FieldId) -> &Field {
        &self.fields[id.index()]
    }

    /// The field that queries call `attribute`.
    pub fn by_attribute(&self, attribute: &[u8]) -> Option<&Field> {
        self.by_attribute.get(attribute).map(|&id| self.field(id))
    }

    /// The fields that take their value from `identifier`: several when one hash field is indexed
    /// in several ways.
    pub fn by_identifier<'a>(&'a self, identifier: &'a [u8]) -> impl Iterator<Item = &'a Field> + 'a {
        self.fields.iter().filter(move |field| field.definition.identifier == identifier)
    }

    /// The field called `name`: by attribute, else the first by identifier. `RETURN`, `SORTBY`,
    /// `HIGHLIGHT` and `SUMMARIZE` accept either.
    pub fn by_any_name(&self, name: &[u8]) -> Option<&Field> {
        self.by_attribute(name).or_else(|| self.fields.iter().find(|field| field.identifier() == name))
    }

    /// The `TEXT` fields in the order of their bits.
    pub fn text_fields(&self) -> impl Iterator<Item = (&Field, &TextOptions)> {
        self.fields.iter().filter_map(|field| match &field.definition.kind {
            FieldKind::Text(options) => Some((field, options)),
            _ => None,
        })
    }

    /// The text fields among those that queries call by these names (`INFIELDS`).
    pub fn mask_of<N: AsRef<[u8]>>(&self, names: impl IntoIterator<Item = N>) -> FieldMask {
        let fields = names.into_iter().filter_map(|name| self.by_attribute(name.as_ref()));
        fields.map(Field::mask).fold(0, |all, mask| all | mask)
    }

    /// How many `TEXT` fields there are.
    pub fn text_field_count(&self) -> usize {
        self.text_fields
    }

    /// How many `SORTABLE` fields there are; [`Field::sort_slot`]s are below this.
    pub fn sortable_count(&self) -> usize {
        self.sortable_fields
    }

    /// Whether more than [`limits::NARROW_TEXT_FIELDS`] text fields are allowed.
    pub fn is_wide(&self) -> bool {
        self.wide
    }

    /// The attributes in `mask`, in the order of their bits: what `FT.EXPLAIN` prints.
    pub fn names_in(&self, mask: FieldMask) -> Vec<&[u8]> {
        self.text_fields()
            .filter(|(field, _)| field.mask() & mask != 0)
            .map(|(field, _)| field.definition.attribute.as_slice())
            .collect()
    }

    fn next_text_bit(&self) -> Result<u8, SchemaError> {
        if self.text_fields >= limits::MAX_TEXT_FIELDS {
            return Err(SchemaError::TooManyTextFields);
        }
        if !self.wide && self.text_fields >= limits::NARROW_TEXT_FIELDS {
            return Err(SchemaError::NarrowIndex);
        }
        u8::try_from(self.text_fields).map_err(|_| SchemaError::TooManyTextFields)
    }

    fn next_sort_slot(&self) -> Result<u16, SchemaError> {
        if self.sortable_fields >= limits::MAX_SORTABLE_FIELDS {
            return Err(SchemaError::TooManySortableFields);
        }
        u16::try_from(self.sortable_fields).map_err(|_| SchemaError::TooManySortableFields)
    }
}

#[cfg(test)]
mod tests;
