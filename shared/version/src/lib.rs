//! The version that programs print. A crate of its own, since it changes with each commit: what depends on it is built
//! again after each.

/// The version, and the commit that the program was built from with the day of that commit, where these are known:
/// `0.1.0 (abc1234 2026-02-03)`.
pub const VERSION: &str = env!("COLLIMATOR_VERSION");
