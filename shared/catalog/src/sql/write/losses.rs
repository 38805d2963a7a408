//! What INSTANCES has lost: acknowledged events that were never read, and how the catalogue goes on with
//! a stream that has lost its end.

use super::database::CatalogWriter;
use super::database::dialect::{Connection, release};
use super::database::write::many_rows;
use crate::encoding::{count, nanoseconds};
use crate::error::CatalogError;
use crate::losses::{self, Contradicted, Loss, LossRow, Witness, WitnessRow};
use contract::uid::SeriesInstanceUid;
use std::collections::HashMap;

impl CatalogWriter {
    pub(crate) async fn lose(&self, loss: &Loss) -> Result<bool, CatalogError> {
        let mut transaction = self.begin_write().await?;
        let is_news = keep(&mut transaction, loss).await?;
        transaction.commit().await?;
        Ok(is_news)
    }

    pub(crate) async fn losses(&self) -> Result<Vec<Loss>, CatalogError> {
        let mut connection = self.acquire().await?;
        let losses = all(&mut connection).await?;
        release(connection);
        Ok(losses)
    }

    pub(crate) async fn witness(
        &self,
        after: u64,
        to: u64,
        highest: bool,
    ) -> Result<Option<Witness>, CatalogError> {
        let query = match highest {
            true => {
                "select stream_sequence, sop_instance_uid, association_id, received_at
                 from instances where stream_sequence > $1 and stream_sequence <= $2
                 order by stream_sequence desc limit 1"
            }
            false => {
                "select stream_sequence, sop_instance_uid, association_id, received_at
                 from instances where stream_sequence > $1 and stream_sequence <= $2
                 order by stream_sequence limit 1"
            }
        };
        let mut connection = self.acquire().await?;
        let row: Option<WitnessRow> = sqlx::query_as(query)
            .bind(count(after))
            .bind(count(to))
            .fetch_optional(&mut *connection)
            .await?;
        release(connection);
        row.map(Witness::of).transpose()
    }

    pub(crate) async fn go_back(&self, to: u64, loss: &Loss) -> Result<(), CatalogError> {
        let mut transaction = self.begin_write().await?;
        for statement in [
            "update series set completed_sequence = $1 where completed_sequence > $1",
            concat!(
                "update instances set added_sequence = ",
                least!("added_sequence", "$1"),
                ", stream_sequence = $1 where stream_sequence > $1"
            ),
            concat!(
                "update bookmark set last_sequence = $1, last_at = null, last_message_id = null,
                     latest_at = null where ",
                our_row!()
            ),
        ] {
            sqlx::query(statement).bind(count(to)).execute(&mut *transaction).await?;
        }
        keep(&mut transaction, loss).await?;
        transaction.commit().await?;
        Ok(())
    }
}

/// The complete series of which an association has acknowledged more instances than the catalogue has and
/// their completion said, where events were lost since they began. Without a loss a sender has sent an
/// instance twice.
pub(crate) async fn contradicted(
    connection: &mut Connection,
    accounts: &[(SeriesInstanceUid, u64)],
) -> Result<HashMap<SeriesInstanceUid, Contradicted>, CatalogError> {
    if accounts.is_empty() {
        return Ok(HashMap::new());
    }
    let last_lost: Option<i64> = sqlx::query_scalar("select max(last_sequence) from losses")
        .fetch_one(&mut *connection)
        .await?;
    let Some(last_lost) = last_lost else { return Ok(HashMap::new()) };
    losses::contradicted(many_rows::contradicted(connection, accounts, last_lost).await?)
}

async fn keep(connection: &mut Connection, loss: &Loss) -> Result<bool, CatalogError> {
    let kept = sqlx::query(
        "insert into losses (first_sequence, last_sequence, cause, noticed_at)
         values ($1, $2, $3, $4) on conflict do nothing",
    )
    .bind(count(loss.first))
    .bind(count(loss.last))
    .bind(loss.cause.as_str())
    .bind(nanoseconds(loss.noticed_at))
    .execute(connection)
    .await?;
    Ok(kept.rows_affected() > 0)
}

/// What was lost, the latest first.
pub(crate) async fn all(connection: &mut Connection) -> Result<Vec<Loss>, CatalogError> {
    let rows: Vec<LossRow> = sqlx::query_as(
        "select first_sequence, last_sequence, cause, noticed_at from losses
         order by noticed_at desc",
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(Loss::of).collect()
}
