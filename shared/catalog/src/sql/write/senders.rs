//! Senders, by their calling AE title: when they were last heard of, and which evidence of theirs
//! has proved wrong.

use super::super::read::senders;
use super::database::CatalogWriter;
use super::database::dialect::{Connection, release};
use super::database::values::key;
use crate::encoding::nanoseconds;
use crate::error::CatalogError;
use crate::records::disproved;
use completion::Lesson;
use contract::event::Reason;

/// Keeps when and by which series it was shown that a rule is wrong for a sender.
macro_rules! disprove {
    ($rule:literal) => {
        concat!(
            "update sources set ",
            $rule,
            "_disproved_at = $1, ",
            $rule,
            "_disproved_by = $2 where calling_ae_title = $3"
        )
    };
}

impl CatalogWriter {
    pub(crate) async fn disproved(&self) -> Result<Vec<(String, Reason)>, CatalogError> {
        let mut connection = self.acquire().await?;
        let senders = senders::all(&mut connection).await?;
        release(connection);
        Ok(disproved(senders))
    }
}

/// Keeps what was learned, in order.
pub(crate) async fn learn(
    connection: &mut Connection,
    lessons: &[Lesson],
) -> Result<(), CatalogError> {
    for lesson in lessons {
        match lesson {
            Lesson::Disproved(disproof) => {
                let statement = match disproof.rule {
                    Reason::Expected => disprove!("expected"),
                    Reason::Released => disprove!("released"),
                    Reason::Confirmed => disprove!("confirmed"),
                    Reason::Performed => disprove!("performed"),
                    Reason::Available => disprove!("available"),
                    // No evidence decides by these, so none is disproved.
                    Reason::Quiet
                    | Reason::Interrupted
                    | Reason::Overdue
                    | Reason::Requested
                    | Reason::Stored => continue,
                };
                sqlx::query(statement)
                    .bind(nanoseconds(disproof.at))
                    .bind(disproof.series.as_str())
                    .bind(key(&disproof.sender))
                    .execute(&mut *connection)
                    .await?;
            }
            Lesson::Trusted { sender } => {
                sqlx::query(
                    "update sources set released_disproved_at = null, released_disproved_by = null,
                                        expected_disproved_at = null, expected_disproved_by = null,
                                        confirmed_disproved_at = null, confirmed_disproved_by = null,
                                        performed_disproved_at = null, performed_disproved_by = null,
                                        available_disproved_at = null, available_disproved_by = null
                     where calling_ae_title = $1",
                )
                .bind(key(sender))
                .execute(&mut *connection)
                .await?;
            }
        }
    }
    Ok(())
}
