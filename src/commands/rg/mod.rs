//! `RG.*`: the RedisGears 1.x interface.

mod cache;
mod cluster;
mod config;
mod executions;
mod fcall;
mod function;
mod hook;
mod info;
mod introspection;
mod plugins;
mod profile;
mod pyexecute;
mod registrations;
mod requirements;
mod session;
mod timer;
mod trigger;

pub(super) use info::SECTIONS;

use crate::redis::Loader;

/// Flags of commands that only look at the module's own state.
const LOOKS: &std::ffi::CStr = c"readonly";

pub(super) fn register(loader: &Loader) -> Result<(), String> {
    crate::gears::register(loader)?;
    loader.command::<pyexecute::PyExecute>()?;
    loader.command::<cache::Load>()?;
    loader.command::<cache::Unload>()?;
    loader.command::<cache::ExecuteSha>()?;
    loader.command::<cache::Exists>()?;
    loader.command::<executions::Dump>()?;
    loader.command::<executions::Get>()?;
    loader.command::<executions::Results>()?;
    loader.command::<executions::ResultsBlocking>()?;
    loader.command::<executions::Drop>()?;
    loader.command::<executions::Abort>()?;
    loader.command::<hook::Hook>()?;
    loader.command::<registrations::Dump>()?;
    loader.command::<registrations::Unregister>()?;
    loader.command::<registrations::Pause>()?;
    loader.command::<registrations::Unpause>()?;
    loader.command::<registrations::ClearStats>()?;
    loader.command::<session::Session<1>>()?;
    loader.command::<session::Session<2>>()?;
    loader.command::<timer::Timer>()?;
    loader.command::<trigger::Trigger>()?;
    loader.command::<trigger::TriggerOnKey>()?;
    function::register(loader)?;
    loader.command::<fcall::FCall>()?;
    loader.command::<fcall::FCallReadOnly>()?;
    loader.command::<requirements::Dump>()?;
    loader.command::<requirements::Export>()?;
    loader.command::<requirements::Import>()?;
    loader.command::<requirements::Drop>()?;
    loader.command::<requirements::Learn>()?;
    loader.command::<config::Get>()?;
    loader.command::<config::Set>()?;
    loader.command::<cluster::Info>()?;
    loader.command::<cluster::Refresh>()?;
    loader.command::<cluster::NetworkTest>()?;
    loader.command::<plugins::Dump>()?;
    loader.command::<plugins::ExecuteRemote>()?;
    loader.command::<plugins::FreeInterpreter>()?;
    loader.command::<profile::Profile>()?;
    loader.command::<introspection::PyStats>()?;
    loader.command::<introspection::DumpSessions>()?;
    loader.command::<introspection::DumpInterpreters>()
}
