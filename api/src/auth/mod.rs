//! Authentication and authorisation: tokens, OpenID Connect, the hosts and origins that browsers may name, and the guard that judges by
//! them.

pub mod allowed_origins;
pub mod caller;
pub mod guard;
pub mod oidc;
mod reloadable_file;
pub mod settings;
pub mod tokens;
