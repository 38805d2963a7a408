//! Names of consumers that live no longer than their reader.

use uuid::Uuid;

/// A name that no other consumer has. With a name the request to make the consumer has it in its
/// subject, where permissions see it. Without one it would be in the request's body, where a user who
/// may make consumers could name one of another user and change it (`nats-users.conf`).
#[must_use]
pub fn name(purpose: &str) -> String {
    format!("{purpose}-{}", Uuid::new_v4().simple())
}
