//! `FT.TAGVALS index field`: the tags that documents have in a field.

use engine::schema::FieldKind;

use super::{job, UNKNOWN_INDEX};
use crate::redis::{ArgDoc, Command, CommandSpec, Invocation, Outcome};
use crate::reply::Reply;
use crate::search::{registry, tag_values};

pub(super) struct TagVals;

impl Command for TagVals {
    const SPEC: CommandSpec = CommandSpec {
        name: c"ft.tagvals",
        flags: c"readonly",
        arity: 3,
        summary: c"Returns the distinct tags of a field.",
        args: &[ArgDoc::required(c"index"), ArgDoc::required(c"field")],
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        start(invocation).unwrap_or_else(|error| Outcome::Reply(Reply::error(error)))
    }
}

fn start(invocation: &Invocation<'_>) -> Result<Outcome, &'static str> {
    let [name, field] = invocation.args() else { return Err("An index and a field are needed") };
    let index = registry::find(&invocation.held, name).ok_or(UNKNOWN_INDEX)?;
    let view = index.view();
    let field = view.schema.by_attribute(field).ok_or("No such field")?;
    if !matches!(field.definition.kind, FieldKind::Tag(_)) {
        return Err("Not a tag field");
    }
    let (field, arrival) = (field.id, index.documents().arrive());
    Ok(job(move |lane| {
        let values = tag_values(lane, &index, &arrival, field).map_err(|failure| failure.to_string())?;
        Ok(Reply::Set(values.into_iter().map(Reply::bulk).collect()))
    }))
}
