//! What is this server called in the cluster?

use once_cell::sync::OnceCell;

use super::api;

static NODE_ID: OnceCell<String> = OnceCell::new();

/// The id outside a cluster, as RedisGears has it.
const ALONE: &str = "0000000000000000000000000000000000000000";

/// The server's cluster id: 40 characters; all zeros where there is no cluster.
pub fn node_id() -> &'static str {
    NODE_ID.get().map_or(ALONE, String::as_str)
}

/// Asks the server for its id; while the module is being loaded.
pub(super) fn learn() {
    // SAFETY: the server returns null, or 40 characters that live as long as it does.
    let id = unsafe {
        let id = api!(RedisModule_GetMyClusterID());
        if id.is_null() {
            return;
        }
        std::slice::from_raw_parts(id.cast::<u8>(), ALONE.len())
    };
    let _ = NODE_ID.set(String::from_utf8_lossy(id).into_owned());
}
