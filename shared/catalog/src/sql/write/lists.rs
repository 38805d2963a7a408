//! Lists of instances: which of those that are listed are here, and the lists that are not met.

use super::database::CatalogWriter;
use super::database::dialect::{Connection, release};
use super::database::values::{key, list};
use crate::batch::Listing;
use crate::encoding::{count, json, series_uid};
use crate::error::CatalogError;
use completion::{Late, List};
use contract::uid::SeriesInstanceUid;
use std::collections::HashMap;

impl CatalogWriter {
    pub(crate) async fn lists(&self) -> Result<Vec<List>, CatalogError> {
        let mut connection = self.acquire().await?;
        let rows: Vec<(String, String)> =
            sqlx::query_as("select list, state from lists").fetch_all(&mut *connection).await?;
        release(connection);
        let read = |(name, state): (String, String)| {
            serde_json::from_str(&state)
                .map_err(|error| CatalogError::Unreadable(format!("list {name:?}: {error}")))
        };
        rows.into_iter().map(read).collect()
    }
}

/// Of each list where those of its instances are that are here, by its sequence.
pub(crate) async fn all_here(
    connection: &mut Connection,
    lists: &[Listing],
) -> Result<HashMap<u64, HashMap<String, SeriesInstanceUid>>, CatalogError> {
    let mut found = HashMap::new();
    for Listing { sequence, instances } in lists {
        let rows: Vec<(String, String)> = sqlx::query_as(concat!(
            "select sop_instance_uid, series_instance_uid from instances where sop_instance_uid ",
            one_of!("$1")
        ))
        .bind(list(instances))
        .fetch_all(&mut *connection)
        .await?;
        let place = |(instance, series): (String, String)| Ok((instance, series_uid(&series)?));
        let here: Result<_, CatalogError> = rows.into_iter().map(place).collect();
        found.insert(*sequence, here?);
    }
    Ok(found)
}

/// Keeps what has changed of lists.
pub(crate) async fn keep(
    connection: &mut Connection,
    changed: &[(String, Option<List>)],
) -> Result<(), CatalogError> {
    for (name, state) in changed {
        match state {
            Some(state) => {
                sqlx::query(
                    "insert into lists (list, state) values ($1, $2)
                     on conflict (list) do update set state = excluded.state",
                )
                .bind(key(name))
                .bind(json(state))
                .execute(&mut *connection)
                .await?;
            }
            None => {
                sqlx::query("delete from lists where list = $1")
                    .bind(key(name))
                    .execute(&mut *connection)
                    .await?;
            }
        }
    }
    Ok(())
}

/// Lists name more of series that are complete than was known then.
pub(crate) async fn expect_more(
    connection: &mut Connection,
    late: &[Late],
) -> Result<(), CatalogError> {
    for Late { series, named } in late {
        sqlx::query(concat!(
            "update series set expected_count = ",
            greatest!("coalesce(expected_count, 0)", "$1"),
            " where series_instance_uid = $2 and state = 'complete'"
        ))
        .bind(count(*named))
        .bind(series.as_str())
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
