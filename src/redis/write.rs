//! How does a [`Reply`] get onto the wire?
//!
//! The server shapes maps, sets, doubles and booleans for the client's protocol (RESP2 or RESP3).

use std::ffi::CString;

use redis_module::raw;

use super::api;
use crate::reply::Reply;

/// Writes `reply` as the reply of the context's client, or as the next element of an array begun before.
///
/// # Safety
/// `ctx` is the context of a command in its handler, or the thread-safe context of a blocked client
/// that was not unblocked yet (then no lock is needed).
pub(super) unsafe fn write(ctx: *mut raw::RedisModuleCtx, reply: &Reply) {
    // SAFETY: the caller's promise; every pointer passed lives for its call.
    unsafe {
        match reply {
            Reply::Status(text) => {
                api!(RedisModule_ReplyWithSimpleString(ctx, one_line(text).as_ptr()));
            }
            Reply::Error(text) => {
                api!(RedisModule_ReplyWithError(ctx, one_line(text).as_ptr()));
            }
            Reply::Bulk(bytes) | Reply::BigNumber(bytes) => {
                // A big number goes out as a bulk string in both protocols: many RESP3 clients of
                // today do not read `(`.
                api!(RedisModule_ReplyWithStringBuffer(ctx, bytes.as_ptr().cast(), bytes.len()));
            }
            Reply::Int(number) => {
                api!(RedisModule_ReplyWithLongLong(ctx, *number));
            }
            Reply::Double(number) => {
                api!(RedisModule_ReplyWithDouble(ctx, *number));
            }
            Reply::Bool(value) => {
                api!(RedisModule_ReplyWithBool(ctx, i32::from(*value)));
            }
            Reply::Null => {
                api!(RedisModule_ReplyWithNull(ctx));
            }
            Reply::Array(items) => {
                api!(RedisModule_ReplyWithArray(ctx, items.len() as i64));
                items.iter().for_each(|item| write(ctx, item));
            }
            Reply::Set(items) => {
                api!(RedisModule_ReplyWithSet(ctx, items.len() as i64));
                items.iter().for_each(|item| write(ctx, item));
            }
            Reply::Map(pairs) => {
                api!(RedisModule_ReplyWithMap(ctx, pairs.len() as i64));
                for (key, value) in pairs {
                    write(ctx, key);
                    write(ctx, value);
                }
            }
        }
    }
}

/// The text as one line without NUL, as errors and simple strings must be.
fn one_line(text: &[u8]) -> CString {
    let clean = text.iter().map(|&byte| if matches!(byte, b'\r' | b'\n' | 0) { b' ' } else { byte });
    CString::new(clean.collect::<Vec<u8>>()).unwrap_or_default()
}
