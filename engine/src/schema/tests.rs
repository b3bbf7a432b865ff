use super::*;

fn attribute_of(field: Option<&Field>) -> Option<&[u8]> {
    field.map(Field::attribute)
}

#[test]
fn fields_get_ids_bits_and_slots_in_order() {
    let schema = Schema::with_fields(
        vec![
            FieldDefinition::text("title").sortable(false),
            FieldDefinition::numeric("price").sortable(false),
            FieldDefinition::text("body"),
            FieldDefinition::tag("colour"),
        ],
        false,
    )
    .unwrap();
    let ids: Vec<_> = schema.fields().iter().map(|field| (field.id.0, field.text_bit, field.sort_slot)).collect();
    assert_eq!(ids, [(0, Some(0), Some(0)), (1, None, Some(1)), (2, Some(1), None), (3, None, None)]);
    assert_eq!(schema.names_in(0b10), [b"body"]);
    assert_eq!(schema.names_in(ALL_FIELDS).len(), 2);
    assert_eq!(schema.field(FieldId(1)).definition.sortable, Sortable::AsWritten);
    assert_eq!(schema.field(FieldId(0)).definition.sortable, Sortable::Normalised);
}

#[test]
fn names_are_bytes_and_an_alias_hides_the_identifier() {
    let mut schema = Schema::new(false);
    schema.add(FieldDefinition::text(b"\xfft".to_vec())).unwrap();
    schema.add(FieldDefinition::text("name").named("n")).unwrap();
    schema.add(FieldDefinition::tag("name").named("tagged")).unwrap();
    assert!(schema.by_attribute(b"\xfft").is_some());
    assert!(schema.by_attribute(b"N").is_none());
    assert!(schema.by_attribute(b"name").is_none());
    assert_eq!(attribute_of(schema.by_any_name(b"name")), Some(&b"n"[..]));
    assert_eq!(schema.by_identifier(b"name").count(), 2);
}

#[test]
fn duplicates_and_contradictions_are_refused_and_change_nothing() {
    let mut schema = Schema::new(false);
    schema.add(FieldDefinition::text("a")).unwrap();
    let error = schema.add(FieldDefinition::numeric("b").named("a")).unwrap_err();
    assert_eq!(error.to_string(), "Duplicate field in schema - a");
    let mut definition = FieldDefinition::tag("c");
    definition.indexed = false;
    definition.index_missing = true;
    let error = schema.add(definition).unwrap_err();
    assert_eq!(error.to_string(), "'Field `c` cannot be defined with both `NOINDEX` and `INDEXMISSING`'");
    assert_eq!(schema.fields().len(), 1);
}

#[test]
fn a_narrow_schema_stops_at_32_text_fields_and_a_wide_one_at_128() {
    let mut narrow = Schema::new(false);
    for field in 0..32 {
        narrow.add(FieldDefinition::text(format!("f{field}"))).unwrap();
    }
    assert_eq!(narrow.add(FieldDefinition::text("more")).unwrap_err(), SchemaError::NarrowIndex);
    narrow.add(FieldDefinition::tag("other")).unwrap();

    let definitions = (0..128).map(|field| FieldDefinition::text(format!("f{field}"))).collect();
    let mut wide = Schema::with_fields(definitions, false).unwrap();
    assert_eq!(wide.field(FieldId(127)).mask(), 1 << 127);
    assert_eq!(wide.add(FieldDefinition::text("more")).unwrap_err(), SchemaError::TooManyTextFields);
}

#[test]
fn a_schema_stops_at_1024_fields() {
    let mut schema = Schema::new(false);
    for field in 0..1024 {
        schema.add(FieldDefinition::numeric(format!("f{field}")).sortable(false)).unwrap();
    }
    assert_eq!(schema.sortable_count(), 1024);
    assert_eq!(schema.add(FieldDefinition::numeric("more")).unwrap_err(), SchemaError::TooManyFields);
    assert_eq!(Schema::with_fields(Vec::new(), false).unwrap_err(), SchemaError::NoFields);
}

#[test]
fn phonetic_matchers_are_read_and_repeated() {
    for matcher in ["dm:en", "dm:fr", "dm:pt", "dm:es"] {
        assert_eq!(PhoneticLanguage::parse(matcher.as_bytes()).unwrap().matcher(), matcher);
    }
    assert!(PhoneticLanguage::parse(b"dm:de").is_err());
}
