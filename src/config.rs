//! What do the words after `loadmodule` mean?

use crate::reply::Reply;
use crate::settings::{self, Kind, Setting};

/// A load argument that is no option: it sets what `RG.CONFIGSET key value` does, and may come several times.
const GEARS_CONFIG: &str = "GEARS-CONFIG";

/// Reads the load arguments into the settings: `NAME value` pairs in any case; the value of a
/// yes-or-no option may be left out.
///
/// # Errors
/// The first bad argument: which one, and what was expected.
pub(crate) fn read_arguments(arguments: &[String]) -> Result<(), String> {
    let mut rest = arguments.iter().map(String::as_str).peekable();
    while let Some(name) = rest.next() {
        if name.eq_ignore_ascii_case(GEARS_CONFIG) {
            let (Some(key), Some(value)) = (rest.next(), rest.next()) else {
                return Err(format!("argument {name} expects a key and a value"));
            };
            match crate::gears::config::set(key.as_bytes(), value.as_bytes()) {
                Reply::Error(text) => return Err(format!("bad {name}: {}", String::from_utf8_lossy(&text))),
                _ => continue,
            }
        }
        let setting = settings::find(name).ok_or_else(|| {
            let names: Vec<String> = settings::ALL.iter().map(|setting| setting.name.to_uppercase()).collect();
            format!("unknown argument '{name}', expected one of {}", names.join(", "))
        })?;
        let bare = setting.kind == Kind::Bool && rest.peek().is_none_or(|next| setting.parse(next).is_err());
        if bare {
            setting.set(1);
            continue;
        }
        let text = rest.next().ok_or_else(|| format!("argument {name} has no value"))?;
        let set = if setting.kind == Kind::Text {
            setting.set_words(text).map_err(str::to_owned)
        } else {
            setting.parse(text).map(|value| setting.set(value))
        };
        set.map_err(|expected| format!("bad value '{text}' of {name}: expected {expected}"))?;
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
            ("GEARS-CONFIG key", "argument GEARS-CONFIG expects a key and a value"),
            ("GEARS-CONFIG MaxExecutions x", "bad GEARS-CONFIG: (error) Failed setting config value MaxExecutions"),
            ("MaxExecutions x", "bad value 'x' of MaxExecutions: expected an integer from 0 to "),
            ("SAFEMODE maybe", "unknown argument 'maybe', expected one of "),
        ] {
            let refused = read(line).expect_err(line);
            assert!(refused.starts_with(error), "{refused}");
            assert!(!refused.contains('\n'));
        }
    }
}
