//! Completions whose number SERIES has for another one: they get the next.

use crate::announcements::Announcement;
use crate::encoding::revision;
use crate::error::CatalogError;
use crate::sqlite::CatalogWriter;
use crate::sqlite::write::deletions::last_revision;
use crate::sqlite::write::outbox::announce;
use contract::event::{Event, SeriesCompleted, StudyCompleted};
use contract::subject::Subject;
use serde::de::DeserializeOwned;
use sqlx::SqliteConnection;

impl CatalogWriter {
    pub(crate) async fn renumber(&self, announcement: &Announcement) -> Result<bool, CatalogError> {
        let mut transaction = self.begin_write().await?;
        match announcement.subject {
            Subject::SeriesCompleted { .. } => {
                let first: SeriesCompleted = read(&announcement.payload)?;
                let uid = first.series_instance_uid.as_str();
                let waiting =
                    waiting(&mut transaction, announcement, "SeriesInstanceUID", uid).await?;
                for (id, payload) in waiting {
                    let mut event: SeriesCompleted = read(&payload)?;
                    let next: i64 =
                        sqlx::query_scalar(concat!("select 1 + ", last_revision!("?1")))
                            .bind(uid)
                            .fetch_one(&mut *transaction)
                            .await?;
                    for statement in [
                        "update revisions set revision = ?3
                         where series_instance_uid = ?1 and revision = ?2",
                        "update series set revision = ?3
                         where series_instance_uid = ?1 and revision = ?2",
                    ] {
                        let update = sqlx::query(statement).bind(uid).bind(event.revision);
                        update.bind(next).execute(&mut *transaction).await?;
                    }
                    event.revision = revision(next)?;
                    replace(&mut transaction, id, &event).await?;
                }
            }
            Subject::StudyCompleted { .. } => {
                let first: StudyCompleted = read(&announcement.payload)?;
                let uid = first.study_instance_uid.as_str();
                let waiting =
                    waiting(&mut transaction, announcement, "StudyInstanceUID", uid).await?;
                for (id, payload) in waiting {
                    let mut event: StudyCompleted = read(&payload)?;
                    let next: i64 = sqlx::query_scalar(
                        "update study_revisions set revision = 1 + (select max(revision)
                             from study_revisions where study_instance_uid = ?1)
                         where study_instance_uid = ?1 and revision = ?2 returning revision",
                    )
                    .bind(uid)
                    .bind(event.revision)
                    .fetch_one(&mut *transaction)
                    .await?;
                    event.revision = revision(next)?;
                    replace(&mut transaction, id, &event).await?;
                }
            }
            _ => return Ok(false),
        }
        transaction.commit().await?;
        Ok(true)
    }
}

/// The announcements from this one on that are of the same kind and the same series or study.
async fn waiting(
    connection: &mut SqliteConnection,
    from: &Announcement,
    key: &str,
    uid: &str,
) -> Result<Vec<(i64, String)>, CatalogError> {
    let waiting = sqlx::query_as(
        "select id, payload from outbox
         where id >= ? and subject = ? and payload ->> ? = ? and held is null order by id",
    );
    let waiting = waiting.bind(from.id).bind(from.subject.to_string()).bind(key).bind(uid);
    Ok(waiting.fetch_all(connection).await?)
}

/// Puts an announcement behind all that wait, in the place of the one that it was.
async fn replace<E: Event>(
    connection: &mut SqliteConnection,
    id: i64,
    event: &E,
) -> Result<(), CatalogError> {
    sqlx::query("delete from outbox where id = ?").bind(id).execute(&mut *connection).await?;
    announce(connection, event).await
}

fn read<E: DeserializeOwned>(payload: &str) -> Result<E, CatalogError> {
    serde_json::from_str(payload).map_err(|error| {
        // Its text may repeat a value, and that a patient's name.
        let (line, column) = (error.line(), error.column());
        CatalogError::Unreadable(format!("an announcement at line {line} column {column}"))
    })
}
