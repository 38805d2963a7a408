//! The rules of an operation: what its caller needs, and what the audit trail records. Each resource has a table of
//! them beside its operations.

use crate::auth::tokens::Scope;
use shared::audit::Action;

/// The rules of one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OperationRules {
    /// Its `operation_id`.
    pub id: &'static str,
    /// The scope that its caller needs.
    pub scope: Scope,
    /// What the audit trail records. Nothing where the response names no patient; a refusal is recorded all the same.
    pub audited: Option<Audited>,
}

/// What the audit trail records of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audited {
    /// A search or list, or listening.
    Query,
    /// That something of a study is read or changed.
    Access(Action),
    /// That the work of the pipeline is changed.
    Configuration,
}

impl OperationRules {
    /// Of the operation with this `operation_id`.
    #[must_use]
    pub const fn new(id: &'static str, scope: Scope, audited: Option<Audited>) -> Self {
        Self { id, scope, audited }
    }
}

/// Operations that have rules.
pub trait Ruled {
    /// The rules of all of them.
    fn rules() -> Vec<OperationRules>;
}
