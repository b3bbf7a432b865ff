//! `FT.ALIASADD`, `FT.ALIASUPDATE`, `FT.ALIASDEL`: other names for indexes.

use super::definition_command;
use crate::redis::{ArgDoc, Command, CommandSpec, Invocation, Outcome};
use crate::search::registry;

const NO_INDEX: &str = "Unknown index name (or name is an alias itself)";

pub(super) struct AliasAdd;

impl Command for AliasAdd {
    const SPEC: CommandSpec = CommandSpec {
        name: c"ft.aliasadd",
        flags: c"write deny-oom",
        arity: 3,
        summary: c"Gives an index another name",
        args: &[ArgDoc::required(c"alias"), ArgDoc::required(c"index")],
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        definition_command(invocation, || add(invocation))
    }
}

pub(super) fn add(invocation: &Invocation<'_>) -> Result<(), String> {
    let [alias, name] = invocation.args() else { return Err(NO_INDEX.to_owned()) };
    let index = registry::find_own(&invocation.held, name).ok_or_else(|| NO_INDEX.to_owned())?;
    if registry::add_alias(&invocation.held, alias, &index) {
        Ok(())
    } else {
        Err("Alias already exists".to_owned())
    }
}

pub(super) struct AliasUpdate;

impl Command for AliasUpdate {
    const SPEC: CommandSpec = CommandSpec {
        name: c"ft.aliasupdate",
        flags: c"write deny-oom",
        arity: 3,
        summary: c"Gives an index another name, which may be that of another index so far",
        args: &[ArgDoc::required(c"alias"), ArgDoc::required(c"index")],
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        definition_command(invocation, || {
            let [alias, name] = invocation.args() else { return Err(NO_INDEX.to_owned()) };
            registry::find_own(&invocation.held, name).ok_or_else(|| NO_INDEX.to_owned())?;
            registry::remove_alias(&invocation.held, alias);
            add(invocation)
        })
    }
}

pub(super) struct AliasDel;

impl Command for AliasDel {
    const SPEC: CommandSpec = CommandSpec {
        name: c"ft.aliasdel",
        flags: c"write",
        arity: 2,
        summary: c"Takes another name away from its index",
        args: &[ArgDoc::required(c"alias")],
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        definition_command(invocation, || del(invocation))
    }
}

pub(super) fn del(invocation: &Invocation<'_>) -> Result<(), String> {
    let removed = invocation.args().first().is_some_and(|alias| registry::remove_alias(&invocation.held, alias));
    if removed {
        Ok(())
    } else {
        Err("Alias does not exist".to_owned())
    }
}
