//! How are columns saved and read?

use super::geo::{GeoColumn, NO_POINT};
use super::numeric::NumericColumn;
use super::sort::{SortColumn, NO_RANK};
use super::Columns;
use crate::schema::FieldId;
use crate::sections::{check, check_ends, FormatError, Sink, Source};
use crate::segment::DocId;
use std::io;

/// Sections of columns.
const FIELDS: u8 = 40;
const NUMBERS: u8 = 41;
const POINTS: u8 = 42;
const ORDER: u8 = 43;
const RANKS: u8 = 44;
const TEXT_ENDS: u8 = 45;
const TEXTS: u8 = 46;

impl Columns {
    /// Writes the fields of each kind, then their columns.
    pub(crate) fn write(&self, sink: &mut Sink<'_>) -> io::Result<()> {
        sink.put(FIELDS, &numbers(&self.numeric))?;
        sink.put(FIELDS, &numbers(&self.geo))?;
        sink.put(FIELDS, &numbers(&self.sort))?;
        for (_, column) in &self.numeric {
            sink.put(NUMBERS, &column.values)?;
            sink.put(ORDER, &column.order)?;
        }
        for (_, column) in &self.geo {
            sink.put(POINTS, &column.codes)?;
            sink.put(ORDER, &column.order)?;
        }
        for (_, column) in &self.sort {
            sink.put(RANKS, &column.ranks)?;
            sink.put(TEXT_ENDS, &column.ends)?;
            sink.put(TEXTS, &column.bytes)?;
        }
        Ok(())
    }

    /// Reads the columns of a segment of so many documents.
    pub(crate) fn read(source: &mut Source<'_>, documents: usize) -> Result<Self, FormatError> {
        let mut fields: [Vec<u16>; 3] = Default::default();
        for kind in &mut fields {
            *kind = source.take(FIELDS)?;
        }
        let [numeric, geo, sort] = fields;
        let mut columns = Self::default();
        for field in numeric {
            let values: Box<[f64]> = source.take_exactly(NUMBERS, documents)?;
            let order: Box<[DocId]> = source.take::<u32>(ORDER)?.into_boxed_slice();
            let value = |doc: DocId| values.get(doc as usize).copied().filter(|value| !value.is_nan());
            check_order(&order, documents, |a, b| {
                value(a).zip(value(b)).is_some_and(|(a, b)| a.total_cmp(&b).is_le())
            })?;
            check(order.len() == values.iter().filter(|value| !value.is_nan()).count(), "a number is not in order")?;
            columns.numeric.push((FieldId(field), NumericColumn { values, order }));
        }
        for field in geo {
            let codes: Box<[u64]> = source.take_exactly(POINTS, documents)?;
            let order: Box<[DocId]> = source.take::<u32>(ORDER)?.into_boxed_slice();
            let code = |doc: DocId| codes.get(doc as usize).copied().filter(|&code| code != NO_POINT);
            check_order(&order, documents, |a, b| code(a).zip(code(b)).is_some_and(|(a, b)| a <= b))?;
            check(order.len() == codes.iter().filter(|&&code| code != NO_POINT).count(), "a point is not in order")?;
            columns.geo.push((FieldId(field), GeoColumn { codes, order }));
        }
        for field in sort {
            let ranks: Box<[u32]> = source.take_exactly(RANKS, documents)?;
            let ends: Box<[u32]> = source.take::<u32>(TEXT_ENDS)?.into_boxed_slice();
            let bytes: Box<[u8]> = source.take::<u8>(TEXTS)?.into_boxed_slice();
            check_ends(&ends, bytes.len())?;
            check(ranks.iter().all(|&rank| rank == NO_RANK || (rank as usize) < ends.len()), "a rank has no value")?;
            columns.sort.push((FieldId(field), SortColumn { ranks, ends, bytes }));
        }
        Ok(columns)
    }
}

fn numbers<C>(columns: &[(FieldId, C)]) -> Vec<u16> {
    columns.iter().map(|(field, _)| field.0).collect()
}

/// An error unless each of `order` is a document, once, and neighbours are as `sorted` says.
fn check_order(order: &[DocId], documents: usize, sorted: impl Fn(DocId, DocId) -> bool) -> Result<(), FormatError> {
    let mut seen = vec![0u64; documents.div_ceil(64)];
    for &doc in order {
        let (at, bit) = (doc as usize / 64, 1 << (doc % 64));
        check((doc as usize) < documents && seen[at] & bit == 0, "an order repeats or invents a document")?;
        seen[at] |= bit;
    }
    // A lone document must have a value too.
    check(
        order.is_sorted_by(|&a, &b| sorted(a, b)) && order.first().is_none_or(|&doc| sorted(doc, doc)),
        "an order is not sorted",
    )
}
