//! columns/: what is a document's value in a field, and which documents have values like this?
//!
//! A column is a flat array by document id; beside it stands the order of the documents by value,
//! which answers ranges with two binary searches. Sealed segments only: a live segment is small
//! enough to look at each of its documents.

mod bytes;
pub mod geo;
pub mod numeric;
pub mod sort;

use crate::schema::FieldId;
use crate::segment::DocId;
use geo::GeoColumn;
use numeric::NumericColumn;
use sort::SortColumn;

/// A sortable value of a document.
#[derive(Debug, Clone, PartialEq)]
pub enum SortValue {
    /// Of a numeric field.
    Number(f64),
    /// Of any other; compared byte by byte.
    Text(Box<[u8]>),
}

/// Documents that stand together in an order by value.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// They.
    pub docs: &'a [DocId],
    /// Whether all of them have what was asked for, and not only may.
    pub certain: bool,
}

/// The columns of a sealed segment. A field that no document has a value for has none.
#[derive(Debug, Default)]
pub struct Columns {
    pub(crate) numeric: Vec<(FieldId, NumericColumn)>,
    pub(crate) geo: Vec<(FieldId, GeoColumn)>,
    pub(crate) sort: Vec<(FieldId, SortColumn)>,
}

impl Columns {
    /// The column of a numeric field.
    pub fn numeric(&self, field: FieldId) -> Option<&NumericColumn> {
        find(&self.numeric, field)
    }

    /// The column of a geo field.
    pub fn geo(&self, field: FieldId) -> Option<&GeoColumn> {
        find(&self.geo, field)
    }

    /// The column of a sortable field that is not numeric.
    pub fn sort(&self, field: FieldId) -> Option<&SortColumn> {
        find(&self.sort, field)
    }
}

fn find<C>(columns: &[(FieldId, C)], field: FieldId) -> Option<&C> {
    columns.iter().find(|(id, _)| *id == field).map(|(_, column)| column)
}
