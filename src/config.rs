//! What do the words after `loadmodule` mean?

use crate::settings::{self, Kind, Setting};

/// Reads the load arguments into the settings: `NAME value` pairs in any case; the value of a
/// yes-or-no option may be left out.
///
/// # Errors
/// The first bad argument: which one, and what was expected.
pub(crate) fn read_arguments(arguments: &[String]) -> Result<(), String> {
    let mut rest = arguments.iter().map(String::as_str).peekable();
    while let Some(name) = rest.next() {
        let setting = settings::find(name).ok_or_else(|| {
            let names: Vec<String> = settings::ALL.iter().map(|setting| setting.name.to_uppercase()).collect();
            format!("unknown argument '{name}', expected one of {}", names.join(", "))
        })?;
        let bare = setting.kind == Kind::Bool && rest.peek().is_none_or(|next| setting.parse(next).is_err());
        let value = if bare {
            1
        } else {
            let text = rest.next().ok_or_else(|| format!("argument {name} has no value"))?;
            setting.parse(text).map_err(|expected| format!("bad value '{text}' of {name}: expected {expected}"))?
        };
        setting.set(value);
    }
    Ok(())
}

/// What a changed option means for what runs already.
pub(crate) fn changed(held: &crate::redis::Held<'_>, setting: &'static Setting) {
    use crate::redis::Pools;
    match setting.name {
        "workers" => {
            Pools::Workers.get().resize(setting.count());
            Pools::Long.get().resize(setting.count());
            Pools::Rows.get().resize(setting.count());
        }
        "pin-scripts" => crate::coordination::scripts::follow_setting(held),
        "index-threads" => Pools::Indexing.get().resize(setting.threads()),
        "python-workers" => crate::gears::resize_pool(),
        "warm-interpreters" => {
            if let Some(registry) = crate::python::registry() {
                registry.set_warm(setting.count());
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::read_arguments;
    use crate::settings;

    fn read(line: &str) -> Result<(), String> {
        read_arguments(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn arguments_are_read_or_refused_with_one_line() {
        assert_eq!(read("WORKERS 7 safemode slice-us 300 SAFEMODE no"), Ok(()));
        assert_eq!((settings::WORKERS.get(), settings::SLICE_US.get()), (7, 300));
        assert!(!settings::SAFEMODE.is_on());
        for (line, error) in [
            ("FAST", "unknown argument 'FAST', expected one of SAFEMODE, "),
            ("WORKERS", "argument WORKERS has no value"),
            ("WORKERS none", "bad value 'none' of WORKERS: expected an integer from 1 to 256"),
            ("ISOLATION x", "bad value 'x' of ISOLATION: expected one of subinterpreter, shared"),
            ("SAFEMODE maybe", "unknown argument 'maybe', expected one of "),
        ] {
            let refused = read(line).expect_err(line);
            assert!(refused.starts_with(error), "{refused}");
            assert!(!refused.contains('\n'));
        }
    }
}
