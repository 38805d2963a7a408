//! Completions whose number SERIES has for another one: they get the next.

use super::database::CatalogWriter;
use super::database::dialect::Connection;
use super::database::values::key;
use super::deletions::last_revision;
use super::outbox::announce;
use crate::announcements::Announcement;
use crate::encoding::revision;
use crate::error::CatalogError;
use contract::event::{Event, SeriesCompleted, StudyCompleted};
use contract::subject::Subject;
use serde::de::DeserializeOwned;

impl CatalogWriter {
    pub(crate) async fn renumber(&self, announcement: &Announcement) -> Result<bool, CatalogError> {
        let mut transaction = self.begin_announced().await?;
        match announcement.subject {
            Subject::SeriesCompleted { .. } => {
                let first: SeriesCompleted = read(&announcement.payload)?;
                let uid = first.series_instance_uid.as_str();
                let waiting = waiting(&mut transaction, announcement).await?;
                for (id, payload) in waiting {
                    let mut event: SeriesCompleted = read(&payload)?;
                    if event.series_instance_uid != first.series_instance_uid {
                        continue;
                    }
                    let next: i64 =
                        sqlx::query_scalar(concat!("select 1 + ", last_revision!("$1")))
                            .bind(uid)
                            .fetch_one(&mut *transaction)
                            .await?;
                    for statement in [
                        "update revisions set revision = $3
                         where series_instance_uid = $1 and revision = $2",
                        "update series set revision = $3
                         where series_instance_uid = $1 and revision = $2",
                        "update series_to_keep set revision = $3
                         where series_instance_uid = $1 and revision = $2",
                    ] {
                        let before = i64::from(event.revision);
                        let update = sqlx::query(statement).bind(uid).bind(before);
                        update.bind(next).execute(&mut *transaction).await?;
                    }
                    event.revision = revision(next)?;
                    replace(&mut transaction, id, &event).await?;
                }
            }
            Subject::StudyCompleted { .. } => {
                let first: StudyCompleted = read(&announcement.payload)?;
                let uid = key(&first.study_instance_uid);
                let waiting = waiting(&mut transaction, announcement).await?;
                for (id, payload) in waiting {
                    let mut event: StudyCompleted = read(&payload)?;
                    if event.study_instance_uid != first.study_instance_uid {
                        continue;
                    }
                    let next: i64 = sqlx::query_scalar(
                        "update study_revisions set revision = 1 + (select max(revision)
                             from study_revisions where study_instance_uid = $1)
                         where study_instance_uid = $1 and revision = $2 returning revision",
                    )
                    .bind(&uid)
                    .bind(i64::from(event.revision))
                    .fetch_one(&mut *transaction)
                    .await?;
                    event.revision = revision(next)?;
                    replace(&mut transaction, id, &event).await?;
                }
            }
            _ => {
                transaction.rollback().await?;
                return Ok(false);
            }
        }
        transaction.commit().await?;
        Ok(true)
    }
}

/// The announcements from this one on that have the same subject, and may be of the same series or study.
async fn waiting(
    connection: &mut Connection,
    from: &Announcement,
) -> Result<Vec<(i64, String)>, CatalogError> {
    let waiting = sqlx::query_as(
        "select id, payload from outbox
         where id >= $1 and subject = $2 and held is null order by id",
    );
    let waiting = waiting.bind(from.id).bind(from.subject.to_string());
    Ok(waiting.fetch_all(connection).await?)
}

/// Puts an announcement behind all that wait, in the place of the one that it was.
async fn replace<E: Event>(
    connection: &mut Connection,
    id: i64,
    event: &E,
) -> Result<(), CatalogError> {
    sqlx::query("delete from outbox where id = $1").bind(id).execute(&mut *connection).await?;
    announce(connection, event).await
}

fn read<E: DeserializeOwned>(payload: &str) -> Result<E, CatalogError> {
    serde_json::from_str(payload).map_err(|error| {
        // Its text may repeat a value, and that a patient's name.
        let (line, column) = (error.line(), error.column());
        CatalogError::Unreadable(format!("an announcement at line {line} column {column}"))
    })
}
