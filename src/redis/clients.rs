//! Which connection is this, and is it still there?

use redis_module::raw;

use super::{api, call, Held, Invocation};

/// A connection, as the server knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientInfo {
    /// The number that `CLIENT LIST` shows.
    pub id: u64,
    /// Its address and port.
    pub address: String,
}

impl Invocation<'_> {
    /// The connection that sent the command; `None` where there is none: in Lua, from a script's
    /// `execute`, from the replication link or the AOF.
    pub fn client(&self) -> Option<ClientInfo> {
        let nobody =
            raw::REDISMODULE_CTX_FLAGS_LUA | raw::REDISMODULE_CTX_FLAGS_REPLICATED | raw::REDISMODULE_CTX_FLAGS_LOADING;
        // Blocking is denied in a transaction too, but that is a client's own.
        let denied = raw::REDISMODULE_CTX_FLAGS_DENY_BLOCKING;
        let in_call = self.flags & (denied | raw::REDISMODULE_CTX_FLAGS_MULTI) == denied || call::is_ours();
        if in_call || self.flags & nobody != 0 {
            return None;
        }
        // SAFETY: a command's context.
        let id = unsafe { api!(RedisModule_GetClientId(self.held.ctx())) };
        client_info(&self.held, id)
    }
}

/// What the server knows of a connection; `None` when it has gone.
pub fn client_info(_held: &Held<'_>, id: u64) -> Option<ClientInfo> {
    // SAFETY: zero is a valid value of this C struct; the server fills it in, under the lock.
    unsafe {
        let mut info: raw::RedisModuleClientInfo = std::mem::zeroed();
        info.version = u64::from(raw::REDISMODULE_CLIENTINFO_VERSION);
        let found = api!(RedisModule_GetClientInfoById(std::ptr::from_mut(&mut info).cast(), id));
        if found != raw::REDISMODULE_OK as i32 {
            return None;
        }
        let host: Vec<u8> = info.addr.iter().map(|&byte| byte as u8).take_while(|&byte| byte != 0).collect();
        Some(ClientInfo { id, address: format!("{}:{}", String::from_utf8_lossy(&host), info.port) })
    }
}
